//! What a training run is: plain numbers and names, as they stand in `recipe.toml`.

use crate::{ConsistencyConfig, Coupling, History, Loss, Objective, RatesConfig, StatesTraining};
use scorefield_data::{AugmentOptions, CodecOptions};
use scorefield_nn::{NetworkConfig, Precision};
use scorefield_process::{Prediction, ProcessConfig, ProcessExt, TimeInput};
use serde::{Deserialize, Serialize};

/// Everything a run is made of, resolved: running it again repeats the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The seed of everything random.
    pub seed: u64,
    /// Examples a batch.
    pub batch: usize,
    /// Batches whose gradients are summed for one step of the optimiser.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// What the products of the network and of its gradients are made of; weights, sums and the optimiser stay in single precision.
    #[serde(default)]
    pub precision: Precision,
    /// Share of labels hidden from the network, for classifier-free guidance (Ho and Salimans 2022).
    #[serde(default)]
    pub label_dropout: f64,
    /// Share of conditions hidden from the network, for guidance by them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub condition_dropout: f64,
    /// Seconds between saves.
    #[serde(default = "save_seconds")]
    pub save_seconds: f64,
    /// What the network is told of the time.
    pub time_input: TimeInput,
    /// How long to train.
    pub length: Length,
    /// What the network predicts.
    pub prediction: Prediction,
    /// The process.
    pub process: ProcessConfig,
    /// How the rates of the process are trained, if they are: it is then a discrete table, which they start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<RatesConfig>,
    /// Weight and law of the noise levels.
    pub objective: Objective,
    /// How a consistency model is trained, instead of a denoiser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<ConsistencyConfig>,
    /// How states with categories are noised and trained. The process, the prediction and the objective beside it are those of columns that
    /// are numbers; without such columns they count for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<StatesTraining>,
    /// The optimiser.
    #[serde(default)]
    pub optim: OptimConfig,
    /// The averages.
    #[serde(default)]
    pub ema: EmaConfig,
    /// Sample grids during training.
    #[serde(default)]
    pub preview: PreviewConfig,
    /// How examples become states, and what is done to them on the way.
    #[serde(default)]
    pub examples: ExampleConfig,
    /// The network.
    pub network: NetworkConfig,
}

fn one() -> usize {
    1
}

fn is_zero(v: &f64) -> bool {
    *v == 0.0
}

fn save_seconds() -> f64 {
    60.0
}

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// Steps of the optimiser.
    Steps(u64),
    /// Minutes of this machine: turned into steps after the first steps have been timed.
    Minutes(f64),
}

/// Between data and states.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExampleConfig {
    /// The codec's range.
    pub codec: CodecOptions,
    /// Whether pictures are mirrored left to right at random.
    pub flip: bool,
    /// Non-leaky augmentation (Karras et al. 2022, appendix F.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<AugmentOptions>,
}

/// AdamW with warm-up, decay and clipping of the global norm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimConfig {
    /// Peak learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global norm of the gradient; larger ones are scaled down to it.
    pub clip: f64,
    /// Steps over which the learning rate rises from zero.
    pub warmup: u64,
    /// What happens after.
    pub decay: Decay,
}

/// The learning rate after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Constant.
    Constant,
    /// Half a cosine down to one hundredth at the end of the run.
    Cosine,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.0, clip: 1.0, warmup: 200, decay: Decay::Cosine }
    }
}

impl OptimConfig {
    /// The learning rate of step `step` (from 0) of `total`; `total` is unknown while a run of given minutes is being timed.
    pub fn rate(&self, step: u64, total: Option<u64>) -> f64 {
        let rise = if self.warmup == 0 { 1.0 } else { ((step + 1) as f64 / self.warmup as f64).min(1.0) };
        let fall = match (self.decay, total) {
            (Decay::Cosine, Some(total)) if step > self.warmup && total > self.warmup => {
                let u = (step - self.warmup) as f64 / (total - self.warmup) as f64;
                0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * u.min(1.0)).cos())
            }
            _ => 1.0,
        };
        self.lr * rise * fall
    }
}

/// Exponential moving averages of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmaConfig {
    /// Half-lives as shares of the run: two are kept at once, the first is what is sampled.
    pub half_lives: [f64; 2],
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self { half_lives: [0.03, 0.1] }
    }
}

impl EmaConfig {
    /// The decay of average `which` at step `n` (from 1): `min(2^(-1 / half_life), (1 + n) / (10 + n))`, so that a young average
    /// follows the weights (the warm-up of Song et al.'s code).
    pub fn decay(&self, which: usize, n: u64, total: Option<u64>) -> f64 {
        let warm = (1 + n) as f64 / (10 + n) as f64;
        total.map_or(warm, |total| warm.min((-1.0 / self.half_life(which, total)).exp2()))
    }

    /// The half-life of average `which` in steps.
    pub fn half_life(&self, which: usize, total: u64) -> f64 {
        (self.half_lives[which] * total as f64).max(1.0)
    }
}

/// Sample grids while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreviewConfig {
    /// Seconds between grids; zero for none.
    pub every_seconds: f64,
    /// Samples a grid.
    pub n: usize,
    /// Steps of the sampler (Heun on a Karras grid).
    pub steps: usize,
}

impl Default for PreviewConfig {
    fn default() -> Self {
        Self { every_seconds: 120.0, n: 36, steps: 12 }
    }
}

/// A number in a recipe that makes no run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("recipe: {key} is {found}, expected {expected}")]
pub struct ConfigError {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub found: String,
    /// What would do.
    pub expected: &'static str,
}

/// Refuses a number that is not finite and above 0.
pub(crate) fn positive(key: &'static str, v: f64) -> Result<(), ConfigError> {
    let error = || ConfigError { key, found: v.to_string(), expected: "a finite number above 0" };
    (v.is_finite() && v > 0.0).then_some(()).ok_or_else(error)
}

/// Refuses a number that is not finite.
pub(crate) fn finite(key: &'static str, v: f64) -> Result<(), ConfigError> {
    v.is_finite().then_some(()).ok_or_else(|| ConfigError { key, found: v.to_string(), expected: "a finite number" })
}

/// Refuses a number of levels that has no two ends, or that nobody could mean.
pub(crate) fn levels(key: &'static str, n: usize) -> Result<(), ConfigError> {
    let error = || ConfigError { key, found: n.to_string(), expected: "2 to 1000000" };
    (2..=1_000_000).contains(&n).then_some(()).ok_or_else(error)
}

impl TrainConfig {
    /// Checks every number once, before anything is built.
    ///
    /// # Errors
    /// For the first that makes no run.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let o = &self.optim;
        let minutes = if let Length::Minutes(m) = self.length { m } else { 1.0 };
        let not_negative = |v: f64| v.is_finite() && v >= 0.0;
        let checks: [(&'static str, f64, bool, &'static str); 16] = [
            ("batch", self.batch as f64, self.batch > 0, "one or more"),
            ("accumulate", self.accumulate as f64, self.accumulate > 0, "one or more"),
            ("label_dropout", self.label_dropout, (0.0..=1.0).contains(&self.label_dropout), "a share between 0 and 1"),
            (
                "condition_dropout",
                self.condition_dropout,
                (0.0..=1.0).contains(&self.condition_dropout),
                "a share between 0 and 1",
            ),
            ("save_seconds", self.save_seconds, self.save_seconds >= 0.0, "seconds, zero or more"),
            ("length.minutes", minutes, minutes.is_finite() && minutes > 0.0, "minutes above 0"),
            ("optim.lr", o.lr, o.lr.is_finite() && o.lr > 0.0, "a learning rate above 0"),
            ("optim.beta1", o.beta1, (0.0..1.0).contains(&o.beta1), "a decay from 0 up to, but not including, 1"),
            ("optim.beta2", o.beta2, (0.0..1.0).contains(&o.beta2), "a decay from 0 up to, but not including, 1"),
            ("optim.eps", o.eps, o.eps.is_finite() && o.eps > 0.0, "a small number above 0"),
            ("optim.weight_decay", o.weight_decay, not_negative(o.weight_decay), "zero or more"),
            ("optim.clip", o.clip, o.clip > 0.0, "a norm above 0 (inf for no clipping)"),
            ("ema.half_lives[0]", self.ema.half_lives[0], self.ema.half_lives[0] > 0.0, "a share of the run above 0"),
            ("ema.half_lives[1]", self.ema.half_lives[1], self.ema.half_lives[1] > 0.0, "a share of the run above 0"),
            ("preview.every_seconds", self.preview.every_seconds, self.preview.every_seconds >= 0.0, "seconds, zero or more"),
            ("preview.n", self.preview.n as f64, self.preview.n > 0 || self.preview.every_seconds == 0.0, "one or more"),
        ];
        match checks.into_iter().find(|c| !c.2) {
            Some((key, found, _, expected)) => Err(ConfigError { key, found: found.to_string(), expected }),
            None => {
                self.objective.validate()?;
                if matches!(self.network, NetworkConfig::Pooled(_)) {
                    crate::classifier::validate(self)?;
                    return self.validate_prediction();
                }
                if self.states.is_some() {
                    return StatesTraining::validate(self);
                }
                ConsistencyConfig::validate(self)?;
                RatesConfig::validate(self)?;
                self.validate_loss()?;
                self.validate_prediction()
            }
        }
    }

    /// A learned variance needs a bound that trains it, and the bound a network that has one; consistency training has a loss, a
    /// coupling and weights of its own.
    fn validate_loss(&self) -> Result<(), ConfigError> {
        let learned = self.network.learned_variance();
        let o = &self.objective;
        if self.precision == Precision::Bf16 && matches!(o.loss, Loss::Sliced { .. } | Loss::ExactTrace) {
            let expected = "f32: a loss on derivatives of the network takes them from differences that bf16 would round away";
            return Err(ConfigError { key: "precision", found: "bf16".into(), expected });
        }
        if learned != o.discrete().is_some() {
            let found = format!("{learned} with the loss {:?}", o.loss);
            let expected = "true with the losses hybrid and vlb, false with all others";
            return Err(ConfigError { key: "network.learned_variance", found, expected });
        }
        let plain = o.loss == Loss::Denoising && o.coupling == Coupling::Independent && o.uncertainty.is_none();
        if self.consistency.is_some() && !(plain && History::of(&o.times).is_none()) {
            let expected = "the denoising loss, independent noise, no uncertainty and no history beside a [consistency] section, \
                            which says by itself how such a model is trained";
            return Err(ConfigError { key: "objective", found: format!("{o:?}"), expected });
        }
        Ok(())
    }

    /// A prediction whose coefficients are no numbers, or whose output does not count, cannot be trained; nor can a network that looks
    /// its noise level up in a table and is told something else.
    fn validate_prediction(&self) -> Result<(), ConfigError> {
        let Ok(process) = self.process.build() else { return Ok(()) };
        // A consistency model's own output does not count at the lowest level, by design.
        let lowest = if self.prediction.is_posterior_mean() { 0.0 } else { 0.01 };
        let sound = [lowest, 0.5, 1.0].into_iter().all(|u| {
            let c = self.prediction.coeffs(&process.at(process.span().at(u)));
            [c.c_skip, c.c_out.recip(), c.c_out, c.c_in].iter().all(|v| v.is_finite() && v.abs() < 1e30)
        });
        let error = || ConfigError {
            key: "prediction",
            found: format!("{:?}", self.prediction),
            expected: "one with finite coefficients: a sigma_data above 0",
        };
        sound.then_some(()).ok_or_else(error)?;
        let told = [0.0, 0.5, 1.0].map(|u| self.time_input.at(&*process, process.span().at(u)));
        match told.into_iter().find(|&t| !self.network.takes_time(t)) {
            None => Ok(()),
            Some(found) => Err(ConfigError {
                key: "time_input",
                found: format!("{:?}, which is {found} at one of the times", self.time_input),
                expected: "the index of a noise level at all times, because network.noise_levels is not 0",
            }),
        }
    }
}
