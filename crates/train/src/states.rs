//! Training on states with categories: the bound of the chain, its limit in continuous time, and cross-entropies.
//!
//! With `p = E[x_0 | x_t]` from the network, a step of the chain costs `KL(q(x_s | x_t, x_0) || p(x_s | x_t))`, and `T` times that at a
//! step drawn uniformly is, but for the prior's term, which has no parameters, an unbiased estimate of `-K` (Sohl-Dickstein et al. 2015,
//! eq. 13; Hoogeboom et al. 2021; Austin et al. 2021). In continuous time the divergences become rates (Campbell et al. 2022). Towards a mask
//! that is `beta keep / (1 - keep)` times the cross-entropy of the masked columns (Sahoo et al. 2024, eq. 10; Shi et al. 2024, eq. 5).
//! Everything is in bits a column.

use crate::average::accumulate;
use crate::config::ConfigError;
use crate::{TrainConfig, Trainer};
use scorefield_data::{Codec, Dataset, HostBatch};
use scorefield_model::{StatesAdapter, told};
use scorefield_nn::{Input, Mode, Params};
use scorefield_process::states::{StatesAt, StatesConfig};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Coefficient, Column, Purpose, Streams, batch, rows};
use serde::{Deserialize, Serialize};

/// How a model of states with categories is trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatesTraining {
    /// What is minimised.
    pub loss: StatesLoss,
    /// The process of the categories.
    pub process: StatesConfig,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StatesLoss {
    /// `-K` of the chain of `T` steps.
    #[default]
    Bound,
    /// `-K` of the chain in continuous time.
    Continuous,
    /// The bound, and `lambda` times the cross-entropy `-ln p(x_0 | x_t)` at the same times (Austin et al. 2021, eq. 5).
    Hybrid {
        /// Weight of the cross-entropy.
        lambda: f64,
    },
    /// The cross-entropy `-ln p(x_0 | x_t)`, every column at every time alike; of numbers the squared error of the network's output.
    CrossEntropy,
    /// The cross-entropy times `beta keep / (1 - keep)`: towards a mask, `-K` in continuous time; else a weight on times.
    WeightedCrossEntropy,
}

impl StatesLoss {
    /// Whether times are those of the chain's steps.
    fn stepwise(self) -> bool {
        matches!(self, Self::Bound | Self::Hybrid { .. })
    }
}

impl StatesTraining {
    /// Checks a recipe that has such a section.
    pub(crate) fn validate(config: &TrainConfig) -> Result<(), ConfigError> {
        let Some(how) = &config.states else { return Ok(()) };
        let say = |sound: bool, key: &'static str, found: String, expected: &'static str| {
            if sound { Ok(()) } else { Err(ConfigError { key, found, expected }) }
        };
        if let StatesLoss::Hybrid { lambda } = how.loss {
            say(lambda.is_finite() && lambda >= 0.0, "states.loss.hybrid.lambda", lambda.to_string(), "zero or more")?;
        }
        let times = [0.0, 0.5, 1.0].map(|t| told(&config.time_input, t));
        let takes = times.iter().all(|t| t.is_some_and(|t| t.is_finite() && config.network.takes_time(t)));
        say(
            takes,
            "time_input",
            format!("{:?}", config.time_input),
            "{ time = { scale = 1 } } or untold beside a [states] section",
        )?;
        say(config.consistency.is_none(), "consistency", "a section".into(), "none beside a [states] section")?;
        let learned = config.network.learned_variance();
        say(!learned, "network.learned_variance", learned.to_string(), "false beside a [states] section")?;
        let augmented = config.examples.augment.is_some();
        say(!augmented, "examples.augment", "a section".into(), "none for categories, which cannot be turned or mixed")
    }
}

/// What a run on states has besides its network.
#[derive(Debug)]
pub(crate) struct States {
    pub(crate) adapter: StatesAdapter,
    /// Bits a column of columns that know nothing of each other; none where there are numbers.
    independent: Option<f64>,
}

impl States {
    pub(crate) fn new(adapter: StatesAdapter, data: &Dataset, codec: &Codec) -> Self {
        let columns = adapter.process().columns();
        let all = columns.groups().iter().all(|g| g.is_category());
        let independent = all.then(|| frequencies(data, codec).iter().map(|f| entropy(f)).sum::<f64>() / columns.len() as f64);
        Self { adapter, independent }
    }

    /// The loss of columns that know nothing of each other, where it compares.
    pub(crate) fn trivial(&self, loss: StatesLoss) -> f64 {
        match loss {
            StatesLoss::Bound | StatesLoss::Continuous => self.independent.unwrap_or(f64::NAN),
            _ => f64::NAN,
        }
    }
}

/// How often each level of each column is seen; nothing for columns of numbers.
pub fn frequencies(data: &Dataset, codec: &Codec) -> Vec<Vec<f64>> {
    let (shape, levels) = (codec.shape(), codec.levels());
    let mut seen: Vec<Vec<f64>> = (0..shape.len()).map(|i| vec![0.0; levels[i / shape.plane()].unwrap_or(0)]).collect();
    let (mut natural, mut state) = (vec![0.0; shape.len()], vec![0.0; shape.len()]);
    for i in 0..data.len() {
        data.row(i, &mut natural);
        codec.encode_row(&natural, &mut state);
        for (counts, value) in seen.iter_mut().zip(&state).filter(|(counts, _)| !counts.is_empty()) {
            counts[*value as usize] += 1.0;
        }
    }
    seen.iter_mut().flatten().for_each(|c| *c /= data.len() as f64);
    seen
}

fn entropy(law: &[f64]) -> f64 {
    -law.iter().filter(|p| **p > 0.0).map(|p| p * p.log2()).sum::<f64>()
}

/// A batch of states, noised, and the times.
struct Noised {
    x0: Batch,
    x_t: Batch,
    times: Vec<f64>,
    at_t: StatesAt<Column>,
    at_s: Option<StatesAt<Column>>,
}

impl Trainer<'_> {
    /// Adds the gradient of one batch of states and returns its loss and that of independent columns.
    pub(crate) fn states_gradient(
        &self,
        how: &StatesTraining,
        states: &States,
        examples: &HostBatch,
        grads: &mut Vec<Option<Vec<f32>>>,
    ) -> (f64, f64) {
        let leaves = self.leaves();
        let mode = Mode::Train { noise: Streams::new(self.config.seed, examples.samples.clone(), Purpose::Dropout) };
        let loss = self.states_loss(how, states, examples, &leaves, &mode).mean();
        let value = f64::from(rows(loss.clone().inner())[0]);
        let mut gradients = loss.backward();
        accumulate(grads, leaves.grads(&mut gradients), self.network.params());
        (value, states.trivial(how.loss))
    }

    /// Whether the loss of the batch that comes next is a number with other weights.
    pub(crate) fn states_sound(&self, how: &StatesTraining, states: &States, examples: &HostBatch, params: &Params) -> bool {
        let noised = self.noise_states(how, states, examples);
        let clean = self.states_clean(states, examples, &noised, params, &Mode::Eval);
        rows((clean.clone() * clean).mean())[0].is_finite()
    }

    /// The loss of every row in bits a column, `[n, 1]`.
    fn states_loss(&self, how: &StatesTraining, states: &States, examples: &HostBatch, weights: &Params, mode: &Mode) -> Batch {
        let noised = self.noise_states(how, states, examples);
        let Noised { at_t, at_s, .. } = &noised;
        let clean = self.states_clean(states, examples, &noised, weights, mode);
        let (x0, x_t) = (noised.x0.clone().autodiff(), noised.x_t.clone().autodiff());
        let process = states.adapter.process();
        let step = || {
            let at_s = at_s.as_ref().expect("losses of a chain have steps");
            process.step_term(&x0, &x_t, &clean, at_t, at_s) * how.process.steps as f64
        };
        let simple = || states.adapter.numbers_error(&x0, &clean, at_t);
        let nats = match how.loss {
            StatesLoss::Bound => step(),
            StatesLoss::Hybrid { lambda } => step() + process.surprise(&x0, &clean) * lambda,
            StatesLoss::Continuous => process.rate_term(&x0, &x_t, &clean, at_t),
            StatesLoss::CrossEntropy => process.surprise(&x0, &clean) + simple(),
            StatesLoss::WeightedCrossEntropy => {
                let weight = at_t.beta.clone() * at_t.keep.clone() / (-at_t.keep.clone() + 1.0);
                weight.scale(process.surprise(&x0, &clean)) + simple()
            }
        };
        nats * (1.0 / (process.columns().len() as f64 * std::f64::consts::LN_2))
    }

    /// `E[x_0 | x_t]` by the network with the given weights.
    fn states_clean(&self, states: &States, examples: &HostBatch, noised: &Noised, weights: &Params, mode: &Mode) -> Batch {
        let x_t = match mode {
            Mode::Eval => noised.x_t.clone(),
            Mode::Train { .. } => noised.x_t.clone().autodiff(),
        };
        let told = |&t: &f64| told(&self.config.time_input, t).expect("checked with the recipe");
        let input = Input {
            time: noised.times.iter().map(told).collect(),
            classes: self.classes(examples),
            augment: None,
            condition: None,
        };
        let seen = states.adapter.input(&x_t, &noised.at_t);
        let output = self.network.forward(weights, seen, &input, mode);
        states.adapter.clean(&x_t, &output, &noised.at_t)
    }

    /// Times that cover [0, 1] evenly over the batch from a random start (Kingma et al. 2021, appendix I.1), and `x_t` drawn there.
    fn noise_states(&self, how: &StatesTraining, states: &States, examples: &HostBatch) -> Noised {
        let (n, seed, process) = (examples.samples.len(), self.config.seed, states.adapter.process());
        let start = Stream::new(seed, examples.samples[0], Purpose::Time, 0, 0).uniform(0);
        let places: Vec<f64> = (0..n).map(|i| (start + i as f64 / n as f64).fract()).collect();
        let steps = how.process.steps as f64;
        let level = |u: &f64| (u * steps).floor().min(steps - 1.0) + 1.0;
        let (times, at_s) = if how.loss.stepwise() {
            let below: Vec<f64> = places.iter().map(|u| (level(u) - 1.0) / steps).collect();
            (places.iter().map(|u| level(u) / steps).collect(), Some(process.at_each(&below)))
        } else {
            (places, None)
        };
        let at_t = process.at_each(&times);
        let x0 = process.columns().expand(&batch(examples.x.clone(), n, &self.device));
        let x_t = process.perturb(&x0, &at_t, &mut Streams::new(seed, examples.samples.clone(), Purpose::Perturb));
        Noised { x0, x_t, times, at_t, at_s }
    }
}
