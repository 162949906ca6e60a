//! What a model file says of itself: the JSON under the metadata key `scorefield`.

use scorefield_data::Codec;
use scorefield_nn::NetworkConfig;
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use serde::{Deserialize, Serialize};

/// The number of the format that this version writes and reads.
pub const FORMAT: u32 = 1;

/// Everything but the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelMeta {
    /// The format's number, [`FORMAT`].
    pub format: u32,
    /// The network.
    pub network: NetworkConfig,
    /// The process it was trained under.
    pub process: ProcessConfig,
    /// What its output means.
    pub prediction: Prediction,
    /// What it is told of the time.
    pub time_input: TimeInput,
    /// How data become states and back; shape, channel names and classes are in it.
    pub codec: Codec,
    /// Root mean square of the centred, encoded data.
    pub sigma_data: f64,
    /// How it was trained.
    pub training: TrainingSummary,
    /// On what.
    pub data: DataSummary,
    /// How it is sampled unless the caller says otherwise.
    pub sampling: SamplingDefaults,
}

/// How a model was trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// Optimiser steps taken.
    pub steps: u64,
    /// Training examples seen.
    pub examples: u64,
    /// Seconds spent.
    pub seconds: f64,
    /// Mean loss of the last steps.
    pub loss: f64,
    /// Half-life of the averaged weights in steps.
    pub ema_half_life: f64,
    /// The share of labels that was dropped.
    pub label_dropout: f64,
    /// Batch size times accumulated batches.
    pub batch: u64,
    /// The seed.
    pub seed: u64,
    /// The version of scorefield.
    pub version: String,
}

/// What a model was trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// The data as named by the caller.
    pub name: String,
    /// How many examples.
    pub examples: u64,
    /// A fingerprint of their content.
    pub fingerprint: String,
}

/// How a model is sampled by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingDefaults {
    /// The solver, as on the command line.
    pub solver: String,
    /// The grid, as on the command line.
    pub grid: String,
    /// Steps of the grid.
    pub steps: usize,
}

impl Default for SamplingDefaults {
    fn default() -> Self {
        Self { solver: "heun".into(), grid: "karras".into(), steps: 18 }
    }
}
