//! The keys of the multi-scale network, and what contradicts what.

use crate::{BumpsConfig, InitScheme, NetworkError};
use serde::{Deserialize, Serialize};

/// Configuration of [`crate::MultiScale`]. The paper gives no widths; those of the defaults are of its authors' program. The number of
/// scales is ours: theirs has one unless it is told otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiScaleConfig {
    /// Channels of the layers of convolutions.
    pub channels: usize,
    /// Layers of convolutions, each followed by a soft rectifier; zero only beside a perceptron of the whole picture.
    pub layers: usize,
    /// Scales of every layer, each half the side of the one before.
    pub scales: usize,
    /// Side of the filters at every scale, odd.
    pub kernel: usize,
    /// Maps of the perceptron that sees the whole picture, each followed by a hyperbolic tangent; zero for none.
    pub dense_layers: usize,
    /// Width between them.
    pub dense_width: usize,
    /// Channels that the last of them gives every pixel.
    pub dense_outputs: usize,
    /// Hidden maps of the channels of every pixel, each followed by a hyperbolic tangent.
    pub pixel_layers: usize,
    /// Their width.
    pub pixel_width: usize,
    /// The functions of time that the last map gives the coefficients of.
    pub bumps: BumpsConfig,
    /// Whether the output has twice the channels, the second half for a learned variance.
    pub learned_variance: bool,
    /// How the weights are drawn.
    pub init: InitScheme,
}

impl Default for MultiScaleConfig {
    fn default() -> Self {
        Self {
            channels: 20,
            layers: 4,
            scales: 3,
            kernel: 3,
            dense_layers: 0,
            dense_width: 500,
            dense_outputs: 2,
            pixel_layers: 1,
            pixel_width: 20,
            bumps: BumpsConfig::default(),
            learned_variance: false,
            init: InitScheme::Ddpm,
        }
    }
}

/// Filters wider than any picture these networks are for would be mostly padding.
const WIDEST_KERNEL: usize = 63;

/// A side of 2^15 pixels at the finest of sixteen scales.
const MOST_SCALES: usize = 16;

/// More numbers for a pixel than this make a map of the picture no file holds.
const MOST_OUTPUTS: usize = 1024;

impl MultiScaleConfig {
    /// Refuses what cannot be, whatever the picture.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        if self.layers == 0 && self.dense_layers == 0 {
            return Err(NetworkError::value(
                "layers",
                0,
                "at least 1, or dense_layers above zero: something must see the picture",
            ));
        }
        NetworkError::zero(&[("channels", self.channels), ("dense_width", self.dense_width), ("pixel_width", self.pixel_width)])?;
        if !(1..=MOST_SCALES).contains(&self.scales) {
            return Err(NetworkError::value("scales", self.scales, format!("from 1 to {MOST_SCALES}")));
        }
        if !(1..=MOST_OUTPUTS).contains(&self.dense_outputs) {
            return Err(NetworkError::value("dense_outputs", self.dense_outputs, format!("from 1 to {MOST_OUTPUTS} a pixel")));
        }
        if self.kernel.is_multiple_of(2) || self.kernel > WIDEST_KERNEL {
            let expected = format!("an odd number from 1 to {WIDEST_KERNEL}, so that the size is kept");
            return Err(NetworkError::value("kernel", self.kernel, expected));
        }
        self.bumps.check()
    }

    /// What divides each side of a picture.
    pub(super) fn multiple(&self) -> usize {
        if self.layers == 0 { 1 } else { 1 << (self.scales - 1) }
    }
}
