//! The keys of the U-Net with adaptive group norms, and what contradicts what.

use crate::mlp::check_dropout;
use crate::{InitScheme, NetworkError};
use serde::{Deserialize, Serialize};

/// Configuration of [`crate::AdaGnUNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaGnUNetConfig {
    /// Width of the network of conditions, and of the features of the time (`mapping_out`).
    pub mapping_width: usize,
    /// Residual blocks of each level, as many on the way up as on the way down.
    pub depths: Vec<usize>,
    /// Width of each level; level `l` works at `1 / 2^l` of the size, counted in patches.
    pub channels: Vec<usize>,
    /// Levels with attention after every block, 0 being the largest (`self_attn_depths`).
    pub attention_levels: Vec<usize>,
    /// Side of the square of pixels that becomes one pixel of level 0.
    pub patch_size: usize,
    /// Channels a head of attention; the number of heads is the width divided by it, at least one. 64 in published networks.
    pub head_channels: usize,
    /// Channels a group of a norm; the number of groups is the width divided by it, at least one. 32 in published networks.
    pub group_width: usize,
    /// Added to the variance in every norm.
    pub norm_eps: f64,
    /// Rate at which whole channels are dropped after each convolution of a block in training, in [0, 1). The authors drop weights of
    /// attention as well; here attention drops nothing.
    pub dropout: f64,
    /// Whether the nine numbers of an augmentation are told (Karras et al. 2022).
    pub augment: bool,
    /// Whether the last layer has one channel more, whose mean over a picture is the logarithm of a variance (`has_variance`). It
    /// weighs the loss in the authors' training and has no part in sampling: the output leaves it out, and
    /// [`crate::AdaGnUNet::forward_with_log_variance`] gives it.
    pub variance_channel: bool,
    /// How the weights are drawn. [`InitScheme::Adm`] is the authors' choice, but for orthogonal matrices in the network of conditions.
    pub init: InitScheme,
}

impl Default for AdaGnUNetConfig {
    fn default() -> Self {
        Self {
            mapping_width: 256,
            depths: vec![2, 4, 4],
            channels: vec![128, 256, 512],
            attention_levels: vec![2],
            patch_size: 1,
            head_channels: 64,
            group_width: 32,
            norm_eps: 1e-5,
            dropout: 0.0,
            augment: false,
            variance_channel: false,
            init: InitScheme::Adm,
        }
    }
}

impl AdaGnUNetConfig {
    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.channels.len()
    }

    /// Number of heads for a width.
    pub fn heads_for(&self, channels: usize) -> usize {
        (channels / self.head_channels.max(1)).max(1)
    }

    /// Number of groups for a width.
    pub fn groups_for(&self, channels: usize) -> usize {
        (channels / self.group_width.max(1)).max(1)
    }

    /// Refuses what cannot be, whatever the picture.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let mut counts = vec![
            ("mapping_width", self.mapping_width),
            ("patch_size", self.patch_size),
            ("head_channels", self.head_channels),
            ("group_width", self.group_width),
        ];
        counts.extend(self.depths.iter().map(|&d| ("depths", d)));
        counts.extend(self.channels.iter().map(|&c| ("channels", c)));
        NetworkError::zero(&counts)?;
        let levels = self.levels();
        if levels == 0 || levels > 16 {
            return Err(NetworkError::value("channels", format!("{:?}", self.channels), "one width for each of 1 to 16 levels"));
        }
        if self.depths.len() != levels {
            let expected = format!("channels has {levels} levels, so depths has {levels} numbers");
            return Err(NetworkError::value("depths", format!("{:?}", self.depths), expected));
        }
        if let Some(level) = self.attention_levels.iter().find(|&&l| l >= levels) {
            let expected = format!("levels run from 0 (largest) to {}", levels - 1);
            return Err(NetworkError::value("attention_levels", level, expected));
        }
        if !self.mapping_width.is_multiple_of(2) {
            let expected = "the features of the time come in pairs: an even number";
            return Err(NetworkError::value("mapping_width", self.mapping_width, expected));
        }
        if self.patch_size > 64 {
            return Err(NetworkError::value("patch_size", self.patch_size, "1 to 64"));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps.is_finite()) {
            return Err(NetworkError::value("norm_eps", self.norm_eps, "a small positive number, usually 1e-5"));
        }
        check_dropout(self.dropout)
    }
}
