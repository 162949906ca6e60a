//! The description of a model of pictures that was trained elsewhere.

use crate::{DataSummary, FORMAT, LearnedVariance, ModelMeta, NetworkInput, SamplingDefaults, TrainingSummary};
use scorefield_data::Codec;
use scorefield_nn::NetworkConfig;
use scorefield_process::{Prediction, ProcessConfig, TimeInput};

/// States of 8-bit pictures in [-1, 1].
pub(crate) const SYMMETRIC: [f64; 2] = [-1.0, 1.0];
/// In [0, 1].
pub(crate) const UNIT: [f64; 2] = [0.0, 1.0];

/// What differs from one model of pictures to another.
#[derive(Debug)]
pub(crate) struct Pictures {
    pub(crate) network: NetworkConfig,
    /// Channels, height and width.
    pub(crate) shape: [usize; 3],
    /// The states of 0 and 255.
    pub(crate) range: [f64; 2],
    pub(crate) process: ProcessConfig,
    pub(crate) prediction: Prediction,
    pub(crate) time_input: TimeInput,
    pub(crate) input: NetworkInput,
    pub(crate) sampling: SamplingDefaults,
}

impl Pictures {
    /// The description; `source` names the project for whoever asks what the model was trained with.
    pub(crate) fn meta(self, source: &str) -> ModelMeta {
        // The pictures of the world spread about a quarter of their range.
        let spread = 0.25 * (self.range[1] - self.range[0]);
        let sigma_data = self.prediction.sigma_data().unwrap_or(spread);
        ModelMeta {
            format: FORMAT,
            variance: self.network.learned_variance().then_some(LearnedVariance::Blend),
            network: self.network,
            process: self.process,
            prediction: self.prediction,
            time_input: self.time_input,
            states: None,
            classifier: None,
            condition: None,
            input: self.input,
            codec: Codec::pictures(self.shape, self.range, Vec::new()),
            sigma_data,
            training: TrainingSummary { version: format!("imported from {source}"), ..TrainingSummary::default() },
            data: DataSummary::default(),
            sampling: self.sampling,
        }
    }
}

/// A solver, a grid and steps.
pub(crate) fn sampling(solver: &str, grid: &str, steps: usize) -> SamplingDefaults {
    SamplingDefaults { solver: solver.into(), grid: grid.into(), steps }
}

/// `channel_mult` for widths that are not whole multiples: the quotient, so that the product rounds down to the width again.
pub(crate) fn mult(width: usize, base: usize) -> f64 {
    let quotient = width as f64 / base.max(1) as f64;
    if (quotient * base as f64) as usize == width { quotient } else { quotient.next_up() }
}
