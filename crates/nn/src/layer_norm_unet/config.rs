//! The keys of the U-Net with layer norms, and what contradicts what.

use crate::NetworkError;
use serde::{Deserialize, Serialize};

/// Configuration of [`crate::LayerNormUNet`]. The defaults are those of its authors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerNormUNetConfig {
    /// Width of each level, from the full size.
    pub channels: Vec<usize>,
    /// Width of the middle between its ends.
    pub mid_channels: usize,
    /// Rows of the table of times. The number the network is told is the index of a row, rounded to the nearest integer.
    pub times: usize,
    /// Numbers a row.
    pub time_width: usize,
}

impl Default for LayerNormUNetConfig {
    fn default() -> Self {
        Self { channels: vec![10, 20, 40], mid_channels: 20, times: 1000, time_width: 100 }
    }
}

impl LayerNormUNetConfig {
    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.channels.len()
    }

    /// The row of the table for a time.
    ///
    /// # Errors
    /// When there is none; the message says so.
    pub(crate) fn row(&self, time: f64) -> Result<usize, String> {
        let index = time.round();
        if index >= 0.0 && index < self.times as f64 {
            return Ok(index as usize);
        }
        Err(format!("time {time} is the index of none of the network's {} rows of times", self.times))
    }

    /// Refuses what cannot be, whatever the picture.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let levels = self.levels();
        if levels == 0 || levels > 16 || self.channels.contains(&0) {
            let expected = "one positive number for each of 1 to 16 levels";
            return Err(NetworkError::value("channels", format!("{:?}", self.channels), expected));
        }
        NetworkError::zero(&[("mid_channels", self.mid_channels), ("times", self.times)])?;
        if self.time_width == 0 || !self.time_width.is_multiple_of(2) {
            let expected = "a sine and a cosine for each frequency: an even number, at least 2";
            return Err(NetworkError::value("time_width", self.time_width, expected));
        }
        Ok(())
    }
}
