//! What is trained: a loss, the weight of each noise level, the law of the times, the coupling of noise and data.
//!
//! Denoising score matching is one objective for every process and prediction,
//! `L = E_{x_0, eps, t} [ w(t) |D(x_t; t) - x_0|^2 / d ]`, evaluated on the network's own scale:
//! `D - x_0 = c_out (F - F*)`, so `L = E [ w c_out^2 |F - F*|^2 / d ]` without dividing by a small number anywhere
//! (Vincent 2011; Ho et al. 2020; Song et al. 2021, eq. 7; Karras et al. 2022, eq. 8). The other losses take the same weights.

use crate::config::{finite, levels, positive};
use crate::history::History;
use crate::times::level;
use crate::{ConfigError, Coupling, TimeLaw, Weight};
use scorefield_model::LearnedVariance;
use scorefield_process::{Prediction, Process, ProcessExt};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Coefficient, Column, Purpose};
use serde::{Deserialize, Serialize};

/// What the network's output is held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// The noise that was added (Vincent 2011).
    #[default]
    Denoising,
    /// `L_simple + lambda L_vlb` with a learned variance; the bound does not move the mean (Nichol and Dhariwal 2021, eq. 16).
    Hybrid {
        /// Discrete times.
        #[serde(default = "thousand")]
        levels: usize,
        /// Weight of the bound.
        #[serde(default = "thousandth")]
        lambda: f64,
    },
    /// `L_vlb`, the variational bound in bits a dimension without its constant prior term (Nichol and Dhariwal 2021, eq. 4 to 7);
    /// the weight does not count.
    Vlb {
        /// Discrete times.
        #[serde(default = "thousand")]
        levels: usize,
    },
    /// Sliced score matching on the noised data: `2 v^T J v + (v^T s)^2` over random directions `v`, or with `|s|^2` in place of the
    /// last term, of less variance (Song et al. 2019, eq. 7 and 8). The noise that was added is not used.
    Sliced {
        /// Directions an example.
        #[serde(default = "one")]
        probes: usize,
        /// Whether `|s|^2` is taken in closed form (SSM-VR).
        #[serde(default = "yes")]
        variance_reduced: bool,
        /// Law of the directions.
        #[serde(default)]
        directions: Directions,
    },
    /// `2 tr J + |s|^2` with the whole Jacobian (Hyvarinen 2005, theorem 1), for few dimensions.
    ExactTrace,
}

/// The law of random directions; both have the identity as covariance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directions {
    /// Independent signs, whose trace estimate has the least variance.
    #[default]
    Rademacher,
    /// Standard normal.
    Normal,
}

/// A trained log-variance of the loss at each noise level: `L = e^-u w err + u` with `u` a linear map of Fourier features of
/// `ln(sigma / alpha) / 4` (Karras et al. 2024, eq. 14 to 21; Kendall and Gal 2018). It evens out the gradients of all levels and has no
/// part in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Uncertainty {
    /// How many features.
    pub features: usize,
}

impl Default for Uncertainty {
    fn default() -> Self {
        Self { features: 128 }
    }
}

fn thousand() -> usize {
    1000
}

fn thousandth() -> f64 {
    1e-3
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// What is trained. The prediction belongs to the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Weight of each noise level.
    pub weight: Weight,
    /// Law of the times.
    pub times: TimeLaw,
    /// Whether a batch's times are stratified: one in each of `n` equal shares of probability (Kingma et al. 2021, appendix I.1),
    /// which leaves the law of each alone and lowers the variance of the mean.
    #[serde(default)]
    pub stratified: bool,
    /// The loss.
    #[serde(default)]
    pub loss: Loss,
    /// Which noise meets which example.
    #[serde(default)]
    pub coupling: Coupling,
    /// What a network with a learned variance says of it; for the losses `hybrid` and `vlb`.
    #[serde(default, skip_serializing_if = "LearnedVariance::is_usual")]
    pub variance: LearnedVariance,
    /// A trained weight on top of the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<Uncertainty>,
}

/// The times of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// One a row.
    pub times: Vec<f64>,
    /// Its place in the span, from 0 to 1.
    pub places: Vec<f64>,
    /// What the loss of each row is multiplied by, so that its mean is that over uniform bins.
    pub importance: Column,
    /// The number of each time among the levels of a discrete loss; zeros for others.
    pub levels: Vec<usize>,
}

impl Objective {
    /// Denoising with unstratified times and independent noise.
    pub fn new(weight: Weight, times: TimeLaw) -> Self {
        Self {
            weight,
            times,
            stratified: false,
            loss: Loss::Denoising,
            coupling: Coupling::Independent,
            variance: LearnedVariance::Blend,
            uncertainty: None,
        }
    }

    /// Checks the constants.
    ///
    /// # Errors
    /// For the first that makes no objective.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.weight.validate()?;
        self.times.validate()?;
        self.coupling.validate()?;
        match self.loss {
            Loss::Hybrid { levels: n, lambda } => {
                levels("objective.loss.levels", n)?;
                finite("objective.loss.lambda", lambda)?;
            }
            Loss::Vlb { levels: n } => levels("objective.loss.levels", n)?,
            Loss::Sliced { probes, .. } => {
                let error = || ConfigError { key: "objective.loss.probes", found: probes.to_string(), expected: "1 to 200" };
                (1..=200).contains(&probes).then_some(()).ok_or_else(error)?;
            }
            Loss::Denoising | Loss::ExactTrace => {}
        }
        if self.discrete().is_none() && !self.variance.is_usual() {
            let found = format!("{:?} with the loss {:?}", self.variance, self.loss);
            let expected = "no such key, or the loss hybrid or vlb, which train a variance";
            return Err(ConfigError { key: "objective.variance", found, expected });
        }
        let Some(Uncertainty { features }) = self.uncertainty else { return Ok(()) };
        positive("objective.uncertainty.features", features as f64)?;
        // The others can be negative or are a bound as they stand; `e^-u err + u` is a likelihood for squared errors only.
        let error = || ConfigError {
            key: "objective.uncertainty",
            found: format!("given with the loss {:?}", self.loss),
            expected: "the denoising loss, or no uncertainty",
        };
        (self.loss == Loss::Denoising).then_some(()).ok_or_else(error)
    }

    /// The number of discrete times, for losses that have them.
    pub fn discrete(&self) -> Option<usize> {
        match self.loss {
            Loss::Hybrid { levels, .. } | Loss::Vlb { levels } => Some(levels),
            Loss::Denoising | Loss::Sliced { .. } | Loss::ExactTrace => None,
        }
    }

    /// The times of a batch before any history: row `i` belongs to training sample `samples[i]`.
    pub fn draw_times(&self, process: &dyn Process, seed: u64, samples: &[u64]) -> Vec<f64> {
        self.draw(process, seed, samples, None).times
    }

    /// The times of a batch, given what the run has seen of its losses.
    pub fn draw(&self, process: &dyn Process, seed: u64, samples: &[u64], history: Option<&History>) -> Drawn {
        let n = samples.len() as f64;
        let shared = samples.first().map_or(0.5, |&first| Stream::new(seed, first, Purpose::Time, 0, 0).uniform(0));
        let share = |(i, &sample): (usize, &u64)| {
            if self.stratified { (i as f64 + shared) / n } else { Stream::new(seed, sample, Purpose::Time, 0, 0).uniform(0) }
        };
        let place = |u: f64| match history {
            Some(history) => {
                let (u, importance) = history.quantile(u);
                (process.span().at(u), importance)
            }
            None => (self.times.quantile(process, u), 1.0),
        };
        let drawn: Vec<(f64, f64)> = samples.iter().enumerate().map(share).map(place).collect();
        let importance = Column(drawn.iter().map(|d| d.1).collect());
        let times: Vec<f64> = drawn.into_iter().map(|d| d.0).collect();
        let span = process.span();
        let places: Vec<f64> = times.iter().map(|t| (t - span.start) / (span.end - span.start)).collect();
        let Some(count) = self.discrete() else { return Drawn { levels: vec![0; times.len()], places, times, importance } };
        // A time stands for the level whose equal share of the span it lies in.
        let levels: Vec<usize> = places.iter().map(|p| ((p * count as f64) as usize).min(count - 1)).collect();
        Drawn { times: levels.iter().map(|&i| level(process, i, count)).collect(), places, importance, levels }
    }

    /// The weights on the squared error of the network's output at the given times.
    pub fn weights(&self, process: &dyn Process, prediction: &Prediction, times: &[f64]) -> Column {
        self.weight.on_output(&process.at_each(times), prediction)
    }

    /// The weighted error of the best predictor that knows only the mean and the spread of the data, at one time: the posterior of
    /// isotropic Gaussian data has variance `v sigma^2 / (alpha^2 v + sigma^2)` an entry. A network that learns must get below.
    pub fn trivial_loss(&self, process: &dyn Process, prediction: &Prediction, t: f64, sigma_data: f64) -> f64 {
        let m = process.at(t);
        self.weight.on_output(&m, prediction) * trivial_error(process, t, sigma_data) / prediction.coeffs(&m).c_out.square()
    }
}

/// The posterior variance of isotropic Gaussian data, `v sigma^2 / (alpha^2 v + sigma^2)`.
pub(crate) fn trivial_error(process: &dyn Process, t: f64, sigma_data: f64) -> f64 {
    let (m, v) = (process.at(t), sigma_data * sigma_data);
    v * m.sigma.square() / (m.alpha.square() * v + m.sigma.square())
}
