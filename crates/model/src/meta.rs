//! What a model file says of itself: the JSON under the metadata key `scorefield`.

use crate::StatesAdapter;
use scorefield_data::{Codec, Shape};
use scorefield_nn::{NetworkConfig, RmsTimeFeatures};
use scorefield_process::states::{StatesConfig, StatesError};
use scorefield_process::{Coeffs, Marginal, Prediction, ProcessConfig, ProcessExt, StepVariance, TimeInput};
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

/// No network of ours has wider layers, and no example more numbers: larger ones in a file are damage, and are refused before
/// anything is allocated or multiplied.
const WIDEST: f64 = (1u64 << 17) as f64;
const LARGEST_EXAMPLE: usize = 1 << 30;

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

    /// Checks what was read from a file with `tensors` tensors: whatever passes can be built and called without a panic.
    pub(crate) fn check(&self, tensors: usize) -> Result<(), String> {
        let say = |sound: bool, what: &dyn Fn() -> String| if sound { Ok(()) } else { Err(what()) };
        let (shape, codec) = (self.codec.shape(), &self.codec);
        let dims = shape.dims();
        let numbers = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        say(numbers.is_some_and(|n| (1..=LARGEST_EXAMPLE).contains(&n)), &|| format!("examples of shape {dims:?}"))?;
        codec.validate().map_err(|e| e.to_string())?;
        let names = codec.channels().len();
        say(names == shape.channels(), &|| format!("{names} names for {} channels", shape.channels()))?;
        let (told, named) = (self.network.classes(), codec.classes().len());
        say(told == 0 || named == 0 || told == named, &|| format!("{named} names for the network's {told} classes"))?;
        say(self.sigma_data.is_finite() && self.sigma_data > 0.0, &|| format!("sigma_data is {}", self.sigma_data))?;
        let (doubled, said) = (self.network.learned_variance(), self.variance.is_some());
        say(doubled == said, &|| format!("network.learned_variance is {doubled} and variance is {:?}", self.variance))?;
        self.check_size(tensors)?;

        let categories = codec.levels().iter().any(Option::is_some);
        say(categories == self.states.is_some(), &|| {
            format!("categories in the data: {categories}, a process on them: {}", self.states.is_some())
        })?;
        if self.states.is_some() {
            self.check_states()?;
            if codec.levels().iter().all(Option::is_some) {
                return Ok(());
            }
        }

        // Every coefficient that sampling multiplies by, at both ends of the span and between.
        let process = self.process.build().map_err(|e| e.to_string())?;
        for u in [0.0, 0.5, 1.0] {
            let t = process.span().at(u);
            let c = self.coeffs(&process.at(t));
            // Beside categories the network is told the time of the whole.
            let told = if self.states.is_some() { u } else { self.time_input.at(&*process, t) };
            let sound = [c.c_skip, c.c_out, c.c_in, told].iter().all(|v| v.is_finite())
                && c.c_in != 0.0
                && (c.c_out != 0.0 || !self.prediction.is_posterior_mean());
            say(sound, &|| format!("prediction {:?} with {:?} at time {t} is {c:?}, {told}", self.prediction, self.time_input))?;
            say(self.network.takes_time(told), &|| {
                format!("time_input {:?} is {told} at time {t}, which is no noise level of {:?}", self.time_input, self.network)
            })?;
        }
        Ok(())
    }

    /// Categories that make no state, and times that the network cannot be told.
    fn check_states(&self) -> Result<(), String> {
        let levels: usize = self.codec.levels().into_iter().map(|l| l.unwrap_or(1)).fold(0, usize::saturating_add);
        let numbers = levels.saturating_mul(self.codec.shape().plane());
        if numbers > LARGEST_EXAMPLE {
            return Err(format!("states of {numbers} levels"));
        }
        let shape = self.network_shape().map_err(|e| e.to_string())?;
        if shape[0] as f64 > WIDEST {
            return Err(format!("a network told of {} levels a place, at most {WIDEST} are possible", shape[0]));
        }
        if self.variance.is_some() {
            return Err("a learned variance beside categories".into());
        }
        let told = [0.0, 0.5, 1.0].map(|t| self.told(t));
        let told = told.into_iter().collect::<Option<Vec<f64>>>().ok_or_else(|| {
            format!("time_input {:?} beside categories; expected a multiple of the time, or none", self.time_input)
        })?;
        match told.into_iter().find(|t| !t.is_finite() || !self.network.takes_time(*t)) {
            None => Ok(()),
            Some(told) => Err(format!("time_input {:?} is {told} for {:?}", self.time_input, self.network)),
        }
    }

    /// What the network of a model of states is told at a time in [0, 1]; none where its input is no function of that time alone.
    pub fn told(&self, t: f64) -> Option<f64> {
        told(&self.time_input, t)
    }

    /// A network that is larger than the file it came in is refused before it is laid out.
    fn check_size(&self, tensors: usize) -> Result<(), String> {
        let (layers, widths) = match &self.network {
            NetworkConfig::Mlp(c) => (c.depth, vec![c.hidden as f64, c.time_width as f64, c.classes as f64]),
            NetworkConfig::UNet(c) => {
                let base = c.model_channels as f64;
                let levels = c.channel_mult.iter().map(|m| base * m);
                let others = [base, base * c.embedding_mult as f64, c.classes as f64, c.stem_channels.unwrap_or(1) as f64];
                (c.blocks.saturating_mul(c.levels()), levels.chain(others).collect())
            }
            NetworkConfig::Hourglass(c) => {
                let others = [c.mapping_width, c.mapping_hidden.unwrap_or(1), c.classes].map(|w| w as f64);
                let patch = c.patch.iter().map(|&side| side as f64).product();
                let levels = c.levels.iter().flat_map(|l| [l.width, l.hidden.unwrap_or(1), l.head_channels]).map(|w| w as f64);
                let layers = c.levels.iter().fold(c.mapping_depth, |n, l| n.saturating_add(l.depth));
                (layers, levels.chain(others).chain([patch]).collect())
            }
            NetworkConfig::RmsUNet(c) => {
                let (base, memory) = (c.model_channels as f64, c.heads as f64 * c.head_channels as f64);
                let levels = c.channel_mult.iter().map(|&m| base * m as f64);
                let features = match c.time {
                    RmsTimeFeatures::Sinusoidal { .. } => base,
                    RmsTimeFeatures::Learned { width } | RmsTimeFeatures::Random { width } => width as f64,
                };
                let others = [4.0 * base, c.stem_channels.unwrap_or(1) as f64, memory, features];
                (2 * c.levels(), levels.chain(others).collect())
            }
            NetworkConfig::AdaGnUNet(c) => {
                let blocks = c.depths.iter().fold(0usize, |n, &d| n.saturating_add(d));
                let others = [c.mapping_width as f64, c.patch_size as f64];
                (blocks, c.channels.iter().map(|&c| c as f64).chain(others).collect())
            }
            NetworkConfig::RefineNet(c) => {
                let widths = c.channel_mult.iter().map(|&m| c.model_channels as f64 * m as f64);
                (c.stages(), widths.chain([c.model_channels as f64, c.noise_levels as f64]).collect())
            }
            NetworkConfig::ConvStack(c) => {
                let others = [c.frequencies as f64, c.time_width as f64];
                (c.channels.len().saturating_add(c.time_depth), c.channels.iter().map(|&c| c as f64).chain(others).collect())
            }
            NetworkConfig::LayerNormUNet(c) => {
                let others = [c.mid_channels, c.times, c.time_width].map(|w| w as f64);
                (c.levels(), c.channels.iter().map(|&c| c as f64).chain(others).collect())
            }
            NetworkConfig::Rbf(c) => (1, vec![c.units as f64]),
            NetworkConfig::Perceptron(c) => (c.depth, vec![c.hidden as f64]),
            NetworkConfig::MultiScale(c) => {
                let layers = [c.dense_layers, c.pixel_layers].into_iter().fold(c.layers, usize::saturating_add);
                (layers, [c.channels, c.dense_width, c.pixel_width].map(|w| w as f64).to_vec())
            }
        };
        if let Some(wide) = widths.into_iter().find(|w| w.is_nan() || *w > WIDEST) {
            return Err(format!("a layer of the network has {wide} units, at most {WIDEST} are possible"));
        }
        let channels = if let Shape::Image { channels, .. } = self.codec.shape() { channels } else { 1 };
        if channels as f64 > WIDEST {
            return Err(format!("pictures of {channels} channels, at most {WIDEST} are possible"));
        }
        if layers > tensors { Err(format!("{layers} blocks in a file of {tensors} tensors")) } else { Ok(()) }
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
