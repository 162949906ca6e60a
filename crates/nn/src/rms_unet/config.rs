//! The keys of the U-Net with root-mean-square norms, and what contradicts what.

use crate::mlp::check_dropout;
use crate::{InitScheme, NetworkError};
use serde::{Deserialize, Serialize};

/// The features of the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RmsTimeFeatures {
    /// `sin(t w_k)`, then `cos(t w_k)`, `w_k = theta^(-k / (h - 1))`, `k = 0..h`, `h` half of `model_channels` (Ho et al. 2020).
    Sinusoidal {
        /// The ratio of the highest to the lowest frequency.
        #[serde(default = "ten_thousand")]
        theta: f64,
    },
    /// `t`, `sin(2 pi t w_k)`, `cos(2 pi t w_k)`, the `w_k` trained.
    Learned {
        /// Twice the number of frequencies.
        width: usize,
    },
    /// The same, the frequencies drawn once and frozen.
    Random {
        /// Twice the number of frequencies.
        width: usize,
    },
}

const fn ten_thousand() -> f64 {
    10_000.0
}

/// Configuration of [`crate::RmsUNet`]. The defaults are those of its authors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmsUNetConfig {
    /// Base width (`dim`): the unit of `channel_mult`; the embedding has four times as many numbers.
    pub model_channels: usize,
    /// What each level hands to the next, in units of `model_channels` (`dim_mults`). The blocks of level `l` work at the width that the
    /// level before handed on, and at `1 / 2^l` of the size.
    pub channel_mult: Vec<usize>,
    /// Width of the first convolution, and so of level 0, where it is not `model_channels` (`init_dim`).
    pub stem_channels: Option<usize>,
    /// Levels with attention among all pixels, 0 being the full size; the others have linear attention. The authors choose the deepest.
    pub full_attention_levels: Vec<usize>,
    /// Number of heads (`attn_heads`).
    pub heads: usize,
    /// Channels a head (`attn_dim_head`).
    pub head_channels: usize,
    /// The features of the time.
    pub time: RmsTimeFeatures,
    /// Rate of dropout after the first half of each block, in [0, 1).
    pub dropout: f64,
    /// Whether the output has twice the channels, the second half for a learned variance (Nichol and Dhariwal 2021).
    pub learned_variance: bool,
    /// Whether the network also sees an estimate of the clean picture (Chen et al. 2023), as channels before those of the picture:
    /// [`crate::RmsUNet::forward_given`]. As a [`crate::Network`] it sees zeros there, which is what it is trained to do without an
    /// estimate.
    pub self_conditioning: bool,
    /// How the weights are drawn. The authors draw all of them as [`InitScheme::Adm`] draws inner ones; here the very last layer starts
    /// at zero.
    pub init: InitScheme,
}

impl Default for RmsUNetConfig {
    fn default() -> Self {
        Self {
            model_channels: 64,
            channel_mult: vec![1, 2, 4, 8],
            stem_channels: None,
            full_attention_levels: vec![3],
            heads: 4,
            head_channels: 32,
            time: RmsTimeFeatures::Sinusoidal { theta: ten_thousand() },
            dropout: 0.0,
            learned_variance: false,
            self_conditioning: false,
            init: InitScheme::Adm,
        }
    }
}

impl RmsUNetConfig {
    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.channel_mult.len()
    }

    /// Width at which the blocks of a level work; at `levels()`, that of the middle.
    pub fn width(&self, level: usize) -> usize {
        match level {
            0 => self.stem_channels.unwrap_or(self.model_channels),
            _ => self.model_channels.saturating_mul(self.channel_mult[level - 1]),
        }
    }

    /// Refuses what cannot be, whatever the picture.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let mut counts = vec![
            ("model_channels", self.model_channels),
            ("stem_channels", self.width(0)),
            ("heads", self.heads),
            ("head_channels", self.head_channels),
        ];
        counts.extend(self.channel_mult.iter().map(|&m| ("channel_mult", m)));
        NetworkError::zero(&counts)?;
        let levels = self.levels();
        if levels == 0 || levels > 16 {
            let found = format!("{:?}", self.channel_mult);
            return Err(NetworkError::value("channel_mult", found, "one number for each of 1 to 16 levels"));
        }
        if let Some(level) = self.full_attention_levels.iter().find(|&&l| l >= levels) {
            let expected = format!("levels run from 0 (full size) to {}", levels - 1);
            return Err(NetworkError::value("full_attention_levels", level, expected));
        }
        match self.time {
            RmsTimeFeatures::Sinusoidal { .. } if !self.model_channels.is_multiple_of(2) => {
                let expected = "sinusoidal features come in pairs: an even number";
                Err(NetworkError::value("model_channels", self.model_channels, expected))
            }
            RmsTimeFeatures::Sinusoidal { theta } if !(theta.is_finite() && theta > 0.0) => {
                Err(NetworkError::value("time.theta", theta, "a positive number, usually 10000"))
            }
            RmsTimeFeatures::Learned { width } | RmsTimeFeatures::Random { width } if width == 0 || !width.is_multiple_of(2) => {
                Err(NetworkError::value(
                    "time.width",
                    width,
                    "a sine and a cosine for each frequency: an even number, at least 2",
                ))
            }
            _ => check_dropout(self.dropout),
        }
    }
}
