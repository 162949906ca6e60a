//! The keys of the stack of convolutions, and what contradicts what.

use crate::NetworkError;
use serde::{Deserialize, Serialize};

/// Configuration of [`crate::ConvStack`]. The defaults are those of its authors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConvStackConfig {
    /// Channels that each block gives.
    pub channels: Vec<usize>,
    /// Side of the filters of the blocks, odd.
    pub kernel: usize,
    /// Side of the filters of the last convolution, odd.
    pub last_kernel: usize,
    /// Number of frequencies; the features of the time are a sine and a cosine of each.
    pub frequencies: usize,
    /// Width of the perceptron that the features go through.
    pub time_width: usize,
    /// Its hidden layers.
    pub time_depth: usize,
}

impl Default for ConvStackConfig {
    fn default() -> Self {
        Self { channels: vec![16, 32, 32, 16], kernel: 7, last_kernel: 3, frequencies: 16, time_width: 128, time_depth: 3 }
    }
}

/// Filters wider than any picture these networks are for would be mostly padding.
const WIDEST_KERNEL: usize = 63;

impl ConvStackConfig {
    /// Refuses what cannot be, whatever the picture.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        if self.channels.is_empty() || self.channels.contains(&0) {
            let expected = "one positive number for each of at least one block";
            return Err(NetworkError::value("channels", format!("{:?}", self.channels), expected));
        }
        NetworkError::zero(&[
            ("frequencies", self.frequencies),
            ("time_width", self.time_width),
            ("time_depth", self.time_depth),
        ])?;
        for (key, side) in [("kernel", self.kernel), ("last_kernel", self.last_kernel)] {
            if side.is_multiple_of(2) || side > WIDEST_KERNEL {
                let expected = format!("an odd number from 1 to {WIDEST_KERNEL}, so that the size is kept");
                return Err(NetworkError::value(key, side, expected));
            }
        }
        Ok(())
    }
}
