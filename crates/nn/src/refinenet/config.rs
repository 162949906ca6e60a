//! The keys of the RefineNet, and what contradicts what.

use crate::NetworkError;
use serde::{Deserialize, Serialize};

/// Configuration of [`crate::RefineNet`]. Stage 0 works at the full size; a later stage halves the size where its dilation is 1 and keeps
/// it otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefineNetConfig {
    /// Base width, the unit of `channel_mult`; `ngf` of the authors.
    pub model_channels: usize,
    /// Width of each stage in units of `model_channels`.
    pub channel_mult: Vec<usize>,
    /// How far apart the taps of the filters of each stage are.
    pub dilations: Vec<usize>,
    /// Entries of the table of noise levels that every norm has, and the network is that of 2019; the number it is told for a time is
    /// then the index of the level, rounded to the nearest integer. Zero for none: the network is that of 2020, and is told nothing.
    pub noise_levels: usize,
}

impl Default for RefineNetConfig {
    /// [`RefineNetConfig::ncsnv2`].
    fn default() -> Self {
        Self::ncsnv2()
    }
}

/// No published stage is dilated more than 4; the interleaved grids of a much larger dilation would be mostly padding.
const FARTHEST: usize = 32;

impl RefineNetConfig {
    /// The network of Song and Ermon 2019 at its published width, for ten noise levels.
    pub fn ncsn() -> Self {
        Self { noise_levels: 10, ..Self::ncsnv2() }
    }

    /// The network of Song and Ermon 2020 for pictures of 32 x 32 and 64 x 64, at its published width.
    pub fn ncsnv2() -> Self {
        Self { model_channels: 128, channel_mult: vec![1, 2, 2, 2], dilations: vec![1, 1, 2, 4], noise_levels: 0 }
    }

    /// The deeper network of Song and Ermon 2020, for pictures of 96 x 96 and 128 x 128.
    pub fn ncsnv2_deeper() -> Self {
        Self { channel_mult: vec![1, 2, 2, 4, 4], dilations: vec![1, 1, 1, 2, 4], ..Self::ncsnv2() }
    }

    /// Number of stages.
    pub fn stages(&self) -> usize {
        self.channel_mult.len()
    }

    /// Width of a stage.
    pub fn width(&self, stage: usize) -> usize {
        self.model_channels * self.channel_mult[stage]
    }

    /// Whether a stage halves the size in its first block.
    pub fn halves(&self, stage: usize) -> bool {
        stage > 0 && self.dilations[stage] == 1
    }

    /// How often the size has been halved when a stage is left.
    pub(super) fn halvings(&self, stage: usize) -> usize {
        (0..=stage).filter(|&s| self.halves(s)).count()
    }

    /// The index of a noise level in the table, none without a table.
    ///
    /// # Errors
    /// When the number is not that of a level; the message says so.
    pub(crate) fn level(&self, time: f64) -> Result<Option<usize>, String> {
        let (index, levels) = (time.round(), self.noise_levels);
        match levels {
            0 => Ok(None),
            _ if index >= 0.0 && index < levels as f64 => Ok(Some(index as usize)),
            _ => Err(format!("time {time} is the index of none of the network's {levels} noise levels")),
        }
    }

    /// Refuses what cannot be, whatever the picture.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let stages = self.stages();
        if stages == 0 || stages > 16 || self.channel_mult.contains(&0) {
            let expected = "one positive number for each of 1 to 16 stages";
            return Err(NetworkError::value("channel_mult", format!("{:?}", self.channel_mult), expected));
        }
        if self.dilations.len() != stages || self.dilations.iter().any(|d| !(1..=FARTHEST).contains(d)) {
            let expected = format!("a number from 1 to {FARTHEST} for each of the {stages} stages of channel_mult");
            return Err(NetworkError::value("dilations", format!("{:?}", self.dilations), expected));
        }
        let narrowest = self.channel_mult.iter().min().map_or(0, |m| self.model_channels.saturating_mul(*m));
        if narrowest < 2 {
            let expected = "at least 2 channels at every stage: the norms compare the means of channels with each other";
            return Err(NetworkError::value("model_channels", self.model_channels, expected));
        }
        if self.noise_levels == 1 {
            let expected = "a table of one level tells nothing: at least 2, or 0 for a network that is not told the level";
            return Err(NetworkError::value("noise_levels", 1, expected));
        }
        Ok(())
    }
}
