//! What a model file says of itself: the JSON under the metadata key `scorefield`.

mod check;

use crate::StatesAdapter;
use scorefield_data::{Codec, ConditionSource};
use scorefield_nn::NetworkConfig;
use scorefield_process::states::{StatesConfig, StatesError};
use scorefield_process::{Coeffs, Marginal, Prediction, ProcessConfig, StepVariance, TimeInput};
use scorefield_tensor::{Batch, Coefficient};
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
    /// What the second half of its output means, if it has twice the numbers of a state. Files older than the field have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<LearnedVariance>,
    /// What it is told of the time.
    pub time_input: TimeInput,
    /// The process of its columns that are categories; `process` and `prediction` are then those of the columns that are numbers. Models of
    /// numbers alone have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<StatesConfig>,
    /// What it sees of the state, where that is not `c_in x`.
    #[serde(default, skip_serializing_if = "NetworkInput::is_usual")]
    pub input: NetworkInput,
    /// That it is no model of data but a classifier of noised data, and what it is worth. Models of data have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<ClassifierSummary>,
    /// What every example is given with, if anything is. Files older than the field have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<ConditionMeta>,
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

/// What a model is given with every example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionMeta {
    /// What it was made of in training.
    pub source: ConditionSource,
    /// How it is encoded; its shape is in it.
    pub codec: Codec,
}

impl ConditionMeta {
    /// What stands for a condition that is hidden from the network: the middle of every number's scale.
    pub fn hidden(&self) -> Vec<f32> {
        vec![0.0; self.codec.shape().len()]
    }
}

/// What a noise-conditional classifier was found to be worth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierSummary {
    /// Its accuracy at some noise levels, the lowest first; empty before the end of training.
    pub accuracy: Vec<LevelAccuracy>,
}

/// The share of noised training examples whose class a classifier finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelAccuracy {
    /// The noise level `sigma / alpha`.
    pub level: f64,
    /// From 0 to 1.
    pub accuracy: f64,
}

/// What a network sees of a state `x`. Ours see `c_in x`, the state scaled to unit variance; some of other projects do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkInput {
    /// It sees `x` itself: `c_in = 1` (the exploding networks of Song et al. 2021, NCSN).
    pub unscaled: bool,
    /// It sees `2 x - 1` of what it would see otherwise: for states that lie in [0, 1] without noise.
    pub centred: bool,
}

impl NetworkInput {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What a network says of the variance of a reverse step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnedVariance {
    /// `2 nu - 1`, with `nu` the place between the logarithms of the small and the large variance (Nichol and Dhariwal 2021, eq. 15).
    #[default]
    Blend,
    /// The offset of its logit from the forward kernel's, `w = sigmoid(output + logit beta_t)`: a perturbation around the forward
    /// process, bound to no interval (Sohl-Dickstein et al. 2015).
    Free,
}

impl LearnedVariance {
    /// The variance of a step from the network's output.
    pub fn of(self, output: Batch) -> StepVariance {
        match self {
            Self::Blend => StepVariance::Between((output + 1.0) * 0.5),
            Self::Free => StepVariance::Around(output),
        }
    }

    /// Whether this is what files without a word on it have.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
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
    /// The share of conditions that was hidden. Files older than the field have none.
    #[serde(default)]
    pub condition_dropout: f64,
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

impl SamplingDefaults {
    /// What suits a prediction: consistency models have their own solver.
    pub fn of(prediction: &Prediction) -> Self {
        if prediction.is_posterior_mean() {
            return Self::default();
        }
        Self { solver: "consistency".into(), grid: "karras".into(), steps: 2 }
    }
}

impl SamplingDefaults {
    /// What suits a chain of `steps` whose variances are free of the two limits: the chain itself, of which they are a part.
    pub fn of_chain(steps: usize) -> Self {
        Self { solver: "ddpm:variance=learned".into(), grid: "uniform".into(), steps }
    }

    /// What suits states with categories: the chain backwards, in at most 250 of its steps.
    pub fn of_states(states: &StatesConfig) -> Self {
        Self { solver: "ancestral".into(), grid: "uniform".into(), steps: states.steps.min(250) }
    }
}

impl Default for SamplingDefaults {
    fn default() -> Self {
        Self { solver: "heun".into(), grid: "karras".into(), steps: 18 }
    }
}

impl ModelMeta {
    /// The coefficients of `D = c_skip x + c_out F(c_in x, c_noise)` at a marginal.
    pub fn coeffs<S: Coefficient>(&self, at: &Marginal<S>) -> Coeffs<S> {
        let mut coeffs = self.prediction.coeffs(at);
        if self.input.unscaled {
            coeffs.c_in = coeffs.c_in.constant(1.0);
        }
        coeffs
    }

    /// The adapter of a model of states with categories.
    ///
    /// # Errors
    /// When the process cannot be built for the codec's columns.
    pub fn adapter(&self) -> Result<Option<StatesAdapter>, StatesError> {
        let adapter = |states| StatesAdapter::new(&self.codec, states, &self.process, self.prediction);
        self.states.as_ref().map(adapter).transpose()
    }

    /// The shape of the network's rows.
    ///
    /// # Errors
    /// As [`ModelMeta::adapter`].
    pub fn network_shape(&self) -> Result<Vec<usize>, StatesError> {
        Ok(self.adapter()?.map_or_else(|| self.codec.shape().dims().to_vec(), |a| a.shape().to_vec()))
    }

    /// What the network of a model of states is told at a time in [0, 1]; none where its input is no function of that time alone.
    pub fn told(&self, t: f64) -> Option<f64> {
        told(&self.time_input, t)
    }
}

/// A time in [0, 1] as a network of states is told it.
pub fn told(input: &TimeInput, t: f64) -> Option<f64> {
    match input {
        TimeInput::Time { scale } => Some(scale * t),
        TimeInput::Untold => Some(0.0),
        _ => None,
    }
}
