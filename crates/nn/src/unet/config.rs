//! The keys of the U-Net, and what contradicts what.

use crate::mlp::{check_dropout, check_time};
use crate::{ClassEmbedding, InitScheme, NetworkError, TimeFeatures};
use serde::{Deserialize, Serialize};

/// Where attention stands on the way up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionPlacement {
    /// After every block (Ho et al. 2020, ADM).
    #[default]
    EveryBlock,
    /// After the last block of a level (Song et al. 2021, the DDPM++ and NCSN++ of Karras et al. 2022). On the way down it stands
    /// after every block all the same.
    LastBlock,
}

/// How the size is halved and doubled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    /// A 3x3 convolution of stride 2; nearest-neighbour doubling and a 3x3 convolution (Ho et al. 2020).
    #[default]
    Conv,
    /// Inside a residual block, on both branches (Brock et al. 2019; Song et al. 2021; Dhariwal and Nichol 2021).
    Block,
}

/// The filter of resampling blocks and of the progressive paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResampleFilter {
    /// Means of 2x2 pixels; nearest neighbours.
    #[default]
    Box,
    /// `[1, 3, 3, 1]` in each direction (Zhang 2019; Karras et al. 2020).
    Fir,
}

/// Where a convolution of stride 2 pads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DownPadding {
    /// One pixel on all sides (Nichol and Dhariwal 2021).
    #[default]
    Symmetric,
    /// One pixel at the bottom and the right only (Ho et al. 2020; Song et al. 2021).
    BottomRight,
}

/// Whether smaller copies of the picture enter the deeper levels (Song et al. 2021, appendix H).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgressiveInput {
    /// No.
    #[default]
    None,
    /// The picture is halved and convolved, the sum with the level's own input is handed on to the next.
    Residual,
    /// The halved picture goes through a 1x1 convolution and is added.
    Skip,
}

/// Whether every level writes to the output (Song et al. 2021, appendix H).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgressiveOutput {
    /// No.
    #[default]
    None,
    /// The output is the doubled output of the level below plus this level's.
    Skip,
}

/// Configuration of [`crate::UNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNetConfig {
    /// Base width: of the first convolution, of the time features, and the unit of `channel_mult`.
    pub model_channels: usize,
    /// Width of each level in units of `model_channels`; level `l` works at `1 / 2^l` of the size.
    pub channel_mult: Vec<f64>,
    /// Width of the first convolution where it is not `model_channels`.
    pub stem_channels: Option<usize>,
    /// Residual blocks a level on the way down; one more on the way up.
    pub blocks: usize,
    /// Levels with attention, 0 being the full size: what the field calls resolution 16 of a 32-pixel picture is level 1.
    pub attention_levels: Vec<usize>,
    /// Where attention stands on the way up.
    pub attention_placement: AttentionPlacement,
    /// Whether attention stands between the two blocks of the middle.
    pub mid_attention: bool,
    /// Number of heads, where `head_channels` does not say.
    pub heads: usize,
    /// Channels a head; the number of heads is the width divided by it, at least one.
    pub head_channels: Option<usize>,
    /// How the size is halved and doubled.
    pub resampling: Resampling,
    /// The filter of resampling blocks and progressive paths.
    pub filter: ResampleFilter,
    /// Where convolutions of stride 2 pad.
    pub down_padding: DownPadding,
    /// Whether a resampling block has a 1x1 convolution on its short branch although the width stays.
    pub resample_skip_conv: bool,
    /// Whether branches are added and divided by the root of two.
    pub skip_rescale: bool,
    /// The same in the middle, where it is other than `skip_rescale` says.
    pub mid_rescale: Option<bool>,
    /// Smaller copies of the picture into deeper levels.
    pub progressive_input: ProgressiveInput,
    /// Outputs of all levels added up.
    pub progressive_output: ProgressiveOutput,
    /// Whether the embedding scales and shifts after the second norm instead of being added before it.
    pub scale_shift: bool,
    /// Largest number of groups of a norm.
    pub groups: usize,
    /// Least channels a group has: `min(groups, channels / group_width)` groups.
    pub group_width: usize,
    /// Largest number of groups of attention's norms outside the middle, where it is another; a group may then have a single channel.
    /// The first norms of blocks on the way up at levels with attention then have at most as many, of `c + skip / group_width`, with the
    /// channels `c` that come from below and those of the skip (`AttnSkipUpBlock2D` of diffusers, to be read with its weights).
    pub attention_groups: Option<usize>,
    /// Added to the variance in every norm.
    pub norm_eps: f64,
    /// Rate of dropout before the second convolution of each block, in [0, 1).
    pub dropout: f64,
    /// The features of the time.
    pub time: TimeFeatures,
    /// Width of the embedding in units of `model_channels`.
    pub embedding_mult: usize,
    /// Number of classes; zero for none.
    pub classes: usize,
    /// Where a class joins the embedding.
    pub class_embedding: ClassEmbedding,
    /// Channels of a picture of the same size that every row is given with: they enter the first convolution beside its own (Saharia et al.
    /// 2022, SR3).
    #[serde(skip_serializing_if = "is_zero")]
    pub condition_channels: usize,
    /// Numbers of a vector that every row is given with: a linear map of them is added to the embedding.
    #[serde(skip_serializing_if = "is_zero")]
    pub condition_width: usize,
    /// Whether the nine numbers of an augmentation are told (Karras et al. 2022).
    pub augment: bool,
    /// Whether the output has twice the channels, the second half for a learned variance (Nichol and Dhariwal 2021).
    pub learned_variance: bool,
    /// Whether the network also sees its own last estimate (Chen et al. 2023). Not there yet: true is refused.
    pub self_conditioning: bool,
    /// How the weights are drawn.
    pub init: InitScheme,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            model_channels: 64,
            channel_mult: vec![1.0, 2.0, 2.0],
            stem_channels: None,
            blocks: 2,
            attention_levels: vec![2],
            attention_placement: AttentionPlacement::EveryBlock,
            mid_attention: true,
            heads: 1,
            head_channels: None,
            resampling: Resampling::Block,
            filter: ResampleFilter::Box,
            down_padding: DownPadding::Symmetric,
            resample_skip_conv: false,
            skip_rescale: false,
            mid_rescale: None,
            progressive_input: ProgressiveInput::None,
            progressive_output: ProgressiveOutput::None,
            scale_shift: true,
            groups: 32,
            group_width: 4,
            attention_groups: None,
            norm_eps: 1e-5,
            dropout: 0.0,
            time: TimeFeatures::Fourier { scale: 1.0, frequency_first: true },
            embedding_mult: 4,
            classes: 0,
            class_embedding: ClassEmbedding::Embedding,
            condition_channels: 0,
            condition_width: 0,
            augment: false,
            learned_variance: false,
            self_conditioning: false,
            init: InitScheme::Ddpm,
        }
    }
}

/// Whether a key says nothing.
pub(crate) fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl UNetConfig {
    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.channel_mult.len()
    }

    /// Width of a level: `model_channels * channel_mult[level]`, rounded down.
    pub fn width(&self, level: usize) -> usize {
        (self.model_channels as f64 * self.channel_mult[level]) as usize
    }

    /// Number of heads for a width.
    pub fn heads_for(&self, channels: usize) -> usize {
        self.head_channels.map_or(self.heads, |d| (channels / d.max(1)).max(1))
    }

    /// Refuses what cannot be, whatever the picture. Widths that groups or heads do not divide are found while building.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let levels = self.levels();
        for (key, number) in [
            ("model_channels", self.model_channels),
            ("blocks", self.blocks),
            ("groups", self.groups),
            ("group_width", self.group_width),
            ("attention_groups", self.attention_groups.unwrap_or(1)),
            ("embedding_mult", self.embedding_mult),
            ("heads", self.heads),
            ("head_channels", self.head_channels.unwrap_or(1)),
            ("stem_channels", self.stem_channels.unwrap_or(1)),
        ] {
            if number == 0 {
                return Err(NetworkError::value(key, 0, "at least 1"));
            }
        }
        if levels == 0 || levels > 16 {
            return Err(NetworkError::value(
                "channel_mult",
                format!("{:?}", self.channel_mult),
                "one number for each of 1 to 16 levels",
            ));
        }
        if (0..levels).any(|l| !self.channel_mult[l].is_finite() || self.width(l) == 0) {
            return Err(NetworkError::value(
                "channel_mult",
                format!("{:?}", self.channel_mult),
                "positive numbers that give each level a channel",
            ));
        }
        if let Some(level) = self.attention_levels.iter().find(|&&l| l >= levels) {
            let expected = format!("levels run from 0 (full size) to {}", levels - 1);
            return Err(NetworkError::value("attention_levels", level, expected));
        }
        let uses_filter = self.resampling == Resampling::Block
            || self.progressive_input != ProgressiveInput::None
            || self.progressive_output != ProgressiveOutput::None;
        if self.filter == ResampleFilter::Fir && !uses_filter {
            return Err(NetworkError::value(
                "filter",
                "fir",
                "resampling = \"conv\" has no filter; use resampling = \"block\" or filter = \"box\"",
            ));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps.is_finite()) {
            return Err(NetworkError::value("norm_eps", self.norm_eps, "a small positive number, 1e-5 or 1e-6"));
        }
        if self.self_conditioning {
            return Err(NetworkError::value("self_conditioning", true, "not there yet; only false works"));
        }
        check_dropout(self.dropout)?;
        check_time(&self.time, "model_channels", self.model_channels)
    }
}
