//! Learned diffusion rates: the table of a discrete process, trained with the network by the bound itself (Sohl-Dickstein et al. 2015,
//! section 2.4.1).
//!
//! The noise is held fixed: `x_t = alpha_t x_0 + sigma_t eps` is a function of the rates, and so are the coefficients of the denoiser, the
//! posterior and the forward kernel; the gradient of the bound `K` by the log-SNRs of all levels comes from the same derivative graph as
//! that of the network. From there to the rates the way is short, `ln alpha_bar_t = sum_{j <= t} ln(1 - beta_j)`, and its slopes are dual
//! numbers. The first rate stays where it is: noise at the lowest level is what keeps the density of finitely many data finite, and `K`
//! would take it away.
//!
//! A rate is `beta_j = sigmoid(z_j)`; the `z_j` are parameters beside the network's, with Adam of their own, part of the state of a run.

use crate::average::accumulate;
use crate::objective::trivial_error;
use crate::step::Gathered;
use crate::vlb::{Bound, lowest};
use crate::{ConfigError, Drawn, Loss, TrainConfig, Trainer};
use scorefield_data::{Codec, HostBatch};
use scorefield_kernels::optim::{AdamW, adamw_step};
use scorefield_model::LearnedVariance;
use scorefield_nn::{Input, Mode};
use scorefield_process::schedule::{Betas, Discrete};
use scorefield_process::{Marginal, Prediction, ProcessConfig, ProcessError, ProcessExt, TimeInput};
use scorefield_tensor::{
    Batch, Coefficient, Dual, Int, Noise, Purpose, Streams, Tensor, TensorData, Tracked, batch, rows, rows_f64,
};
use serde::{Deserialize, Serialize};

/// Rates stay between this and one minus this.
const LEAST_RATE: f64 = 1e-6;
/// `-ln alpha_bar` stays below this: no signal is left there, and the bound is flat.
const MOST_DECAY: f64 = 60.0;

/// How the rates of the process's table are trained, which are what they start from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RatesConfig {
    /// The first rate, `beta_1`: the variance of the noise at the lowest level, which is not trained.
    pub first: f64,
    /// Peak learning rate of the logits; it rises and falls as the network's.
    pub lr: f64,
}

impl Default for RatesConfig {
    fn default() -> Self {
        Self { first: 1e-3, lr: 1e-2 }
    }
}

impl RatesConfig {
    /// Checks a run with learned rates.
    pub(crate) fn validate(config: &TrainConfig) -> Result<(), ConfigError> {
        let Some(Self { first, lr }) = config.rates else { return Ok(()) };
        let unless = |sound: bool, key: &'static str, found: String, expected: &'static str| {
            sound.then_some(()).ok_or(ConfigError { key, found, expected })
        };
        unless(first > 0.0 && first < 1.0, "rates.first", first.to_string(), "a rate between 0 and 1")?;
        unless(lr.is_finite() && lr > 0.0, "rates.lr", lr.to_string(), "a learning rate above 0")?;
        unless(
            config.consistency.is_none() && matches!(config.objective.loss, Loss::Vlb { .. }),
            "objective.loss",
            format!("{:?} with a table [rates]", config.objective.loss),
            "the loss vlb, by which rates are learned, and no consistency",
        )?;
        let found = format!("{:?}", config.process.name());
        let expected = "a discrete table beside [rates], which starts from it";
        let table = match config.process.discrete() {
            Ok(Some(table)) => table,
            Ok(None) => return unless(false, "process", found, expected),
            Err(why) => return unless(false, "process", format!("{found}, whose {why}"), expected),
        };
        let levels = table.alpha_bar().len();
        let inner = table.betas().iter().all(|b| *b < 1.0);
        unless(inner, "process", found, "rates below 1, beside [rates]: a last level with some signal")?;
        let said = config.objective.discrete().unwrap_or_default();
        unless(
            said == levels,
            "objective.loss.levels",
            format!("{said} for a table of {levels} rates"),
            "the number of the table's levels, beside [rates]",
        )?;
        unless(
            config.prediction.is_posterior_mean() && config.prediction != Prediction::Flow,
            "prediction",
            config.prediction.name().into(),
            "one that needs no slope of the schedule, beside [rates]",
        )?;
        unless(
            matches!(config.time_input, TimeInput::Time { .. } | TimeInput::Untold),
            "time_input",
            format!("{:?}", config.time_input),
            "{ time = { scale = ... } } or \"untold\" beside [rates]: what the network is told must stay while the levels move",
        )
    }
}

/// The rates and their optimiser's moments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rates {
    first_rate: f64,
    /// Of all rates but the first.
    pub(crate) logits: Vec<f32>,
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

impl Rates {
    /// The rates that a run starts from; none where they are not learned.
    pub(crate) fn of(config: &TrainConfig) -> Result<Option<Self>, ProcessError> {
        let (Some(how), Some(table)) = (config.rates, config.process.discrete()?) else { return Ok(None) };
        Ok(Some(Self::new(how.first, &table.betas())))
    }

    fn new(first_rate: f64, betas: &[f64]) -> Self {
        let logits: Vec<f32> = betas[1..].iter().map(|b| (b / (1.0 - b)).ln() as f32).collect();
        let zeros = vec![0.0; logits.len()];
        Self { first_rate, logits, first: zeros.clone(), second: zeros }
    }

    /// The number of levels.
    pub(crate) fn levels(&self) -> usize {
        self.logits.len() + 1
    }

    /// `ln(1 - beta_j) = -ln(1 + e^z_j)`, with its slope by `z_j`, zero for the first.
    fn ln_kept(&self) -> Vec<Dual> {
        let first = Dual::constant((-self.first_rate).ln_1p());
        let others = self.logits.iter().map(|&z| -Dual::variable(f64::from(z)).exp().ln_1p());
        std::iter::once(first).chain(others).collect()
    }

    /// `ln alpha_bar_t` of all levels.
    fn ln_alpha_bar(&self) -> Vec<f64> {
        let sum = |sum: &mut f64, kept: Dual| {
            *sum += kept.value;
            Some(*sum)
        };
        self.ln_kept().into_iter().scan(0.0, sum).collect()
    }

    /// The log-SNR of every level, with its slope by `ln alpha_bar`.
    fn log_snrs(&self) -> Vec<Dual> {
        let of = |l: f64| {
            let l = Dual::variable(l);
            l - (-l.exp_m1()).ln()
        };
        self.ln_alpha_bar().into_iter().map(of).collect()
    }

    /// The gradient by the logits, from that by the log-SNRs: `dl/dz_j = (d ln(1 - beta_j) / dz_j) sum_{t >= j} g_t dlambda_t / d ln alpha_bar_t`.
    pub(crate) fn pulled(&self, by_log_snr: &[f64]) -> Vec<f64> {
        let slopes = self.log_snrs().into_iter().zip(by_log_snr).map(|(l, g)| l.slope * g);
        let mut below: Vec<f64> = slopes.collect();
        (0..below.len() - 1).rev().for_each(|t| below[t] += below[t + 1]);
        self.ln_kept().iter().zip(&below).skip(1).map(|(kept, sum)| kept.slope * sum).collect()
    }

    /// The rates themselves.
    pub(crate) fn betas(&self) -> Vec<f64> {
        self.ln_kept().iter().map(|kept| -kept.value.exp_m1()).collect()
    }

    /// The process as it stands in a model file.
    pub(crate) fn config(&self) -> ProcessConfig {
        ProcessConfig::DiscreteBetas { betas: self.betas(), zero_terminal_snr: false }
    }

    /// The process of these rates.
    pub(crate) fn process(&self) -> Result<Discrete, ProcessError> {
        Discrete::new(Betas::List(self.betas()), self.levels(), false)
    }

    /// One step of Adam on a gradient by the logits, clipped to the norm `clip`. Rates stay within [`LEAST_RATE`], and a move that
    /// leaves no signal at all is not made.
    pub(crate) fn step(&mut self, gradient: &[f64], hyper: AdamW, clip: f64, step: u64) {
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = if norm > clip { (clip / norm) as f32 } else { 1.0 };
        let gradient: Vec<f32> = gradient.iter().map(|g| *g as f32).collect();
        let before = self.logits.clone();
        adamw_step(&mut self.logits, &gradient, &mut self.first, &mut self.second, hyper, step, scale, &mut []);
        let most = ((1.0 - LEAST_RATE) / LEAST_RATE).ln() as f32;
        self.logits.iter_mut().for_each(|z| *z = z.clamp(-most, most));
        if self.ln_alpha_bar().last().is_none_or(|l| -l > MOST_DECAY) {
            self.logits = before;
        }
    }
}

/// A batch of a chain, each row at its own level.
struct Rows<'a> {
    x0: &'a Batch,
    eps: &'a Batch,
    at: &'a [usize],
    levels: usize,
    prediction: Prediction,
    variance: LearnedVariance,
    codec: &'a Codec,
}

impl Rows<'_> {
    /// `-K` of each row in bits a dimension, `[n, 1]`, the sum over levels estimated as their number times one, as a function of the
    /// log-SNRs of all levels, `[T, 1]`; `network` is `F` with what it says of the variance after the rest.
    fn loss(&self, log_snrs: &Batch, network: impl FnOnce(Batch) -> Batch) -> Batch {
        let d = self.x0.dims()[1];
        let law = |at: &[usize]| {
            let places = TensorData::new(at.iter().map(|&i| i as i64).collect::<Vec<_>>(), [at.len()]);
            let places = Tensor::<1, Int>::from_data(places, &log_snrs.device());
            Marginal::of_log_snr(&Tracked(log_snrs.clone().select(0, places)))
        };
        let marginal = law(self.at);
        let coeffs = self.prediction.coeffs(&marginal);
        let x_t = marginal.perturb(self.x0, self.eps);
        let output = network(coeffs.c_in.scale(x_t.clone()));
        let clean = coeffs.assemble(&x_t, &output.clone().narrow(1, 0, d));
        let mask = Tracked(lowest(self.at).tensor(self.x0));
        let bound = Bound::of(self.at, self.levels, self.codec, mask, law);
        let last = law(&vec![self.levels - 1; self.at.len()]);
        let prior = last.divergence_from(&last.alpha.constant(1.0), self.x0).mean_dim(1) / std::f64::consts::LN_2;
        bound.rows(self.x0, clean, &self.variance.of(output.narrow(1, d, d))) + prior
    }
}

impl Trainer<'_> {
    /// Adds the gradient of one batch, that of the rates with it; returns its loss, `-K` in bits a dimension, and that of a predictor
    /// which knows only the mean and the spread of the data.
    pub(crate) fn rates_gradient(&self, rates: &Rates, examples: &HostBatch, gathered: &mut Gathered) -> (f64, f64) {
        let TrainConfig { seed, prediction, objective, time_input, .. } = &self.config;
        let (n, process) = (examples.samples.len(), &*self.process);
        let drawn = objective.draw(process, *seed, &examples.samples, self.memory.history.as_ref());
        let x0 = batch(examples.x.clone(), n, &self.device);
        let eps = Streams::new(*seed, examples.samples.clone(), Purpose::Perturb).normal(&x0);
        let eps = self.couple(&x0, eps, &examples.samples);
        let told = Input {
            time: drawn.times.iter().map(|&t| time_input.at(process, t)).collect(),
            classes: self.classes(examples),
            augment: examples.augment.clone(),
            condition: self.conditions_told(examples),
        };
        let mode = Mode::Train { noise: Streams::new(*seed, examples.samples.clone(), Purpose::Dropout) };
        let leaves = self.leaves();
        let values = rates.log_snrs().iter().map(|l| l.value as f32).collect();
        let log_snrs = batch(values, rates.levels(), &self.device).autodiff().require_grad();
        let (x0_ad, eps_ad) = (x0.clone().autodiff(), eps.autodiff());
        let of = Rows {
            x0: &x0_ad,
            eps: &eps_ad,
            at: &drawn.levels,
            levels: rates.levels(),
            prediction: *prediction,
            variance: objective.variance,
            codec: &self.codec,
        };
        let each = of.loss(&log_snrs, |input| self.network.forward(&leaves, input, &told, &mode));

        if self.memory.history.is_some() {
            let losses = rows(each.clone().inner()).into_iter().map(f64::from);
            gathered.seen.extend(drawn.places.iter().copied().zip(losses));
        }
        let loss = drawn.importance.scale(each).mean();
        let value = f64::from(rows(loss.clone().inner())[0]);
        let mut gradients = loss.backward();
        let by_log_snr = rows_f64(log_snrs.grad(&gradients).expect("the loss depends on its levels"));
        gathered.rates.resize(rates.logits.len(), 0.0);
        gathered.rates.iter_mut().zip(rates.pulled(&by_log_snr)).for_each(|(sum, g)| *sum += g);
        accumulate(&mut gathered.grads, leaves.grads(&mut gradients), self.network.params());
        (value, self.rates_trivial(&drawn, rates.levels(), &x0))
    }

    fn rates_trivial(&self, drawn: &Drawn, levels: usize, x0: &Batch) -> f64 {
        let process = &*self.process;
        let errors: Vec<f64> = drawn.times.iter().map(|&t| trivial_error(process, t, self.sigma_data)).collect();
        let last = process.at(process.span().end);
        let prior = rows_f64(last.divergence_from(&1.0, x0).mean())[0] / std::f64::consts::LN_2;
        Bound::new(process, &drawn.levels, levels, &self.codec).trivial(&errors) + prior
    }

    /// One step of the rates on what the batches of a step have `gathered`, and the process of the new ones.
    pub(crate) fn learn_rates(&mut self, gathered: &[f64], lr: f64, updates: u64) {
        let (Some(rates), Some(how)) = (&mut self.memory.rates, self.config.rates) else { return };
        let o = &self.config.optim;
        let share = 1.0 / self.config.accumulate as f64;
        let gradient: Vec<f64> = gathered.iter().map(|g| g * share).collect();
        let hyper = AdamW { lr: how.lr * lr / o.lr, beta1: o.beta1, beta2: o.beta2, eps: o.eps, weight_decay: 0.0 };
        rates.step(&gradient, hyper, o.clip, updates);
        self.process = Box::new(rates.process().expect("rates within their limits make a table"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_data::{Dataset, Shape};
    use scorefield_process::Process;
    use scorefield_tensor::{Device, batch_f64};

    fn codec() -> Codec {
        let data = Dataset::from_rows("line", Shape::Vector { dim: 1 }, vec![-1.0, 1.0], None);
        Codec::fit(&data, &Default::default()).unwrap()
    }

    fn rates() -> Rates {
        Rates::new(0.01, &[0.5, 0.05, 0.1, 0.3, 0.6])
    }

    fn column(v: Vec<f64>) -> Batch {
        let n = v.len();
        batch_f64(v, n, &Device::default())
    }

    fn levels(rates: &Rates) -> Batch {
        column(rates.log_snrs().iter().map(|l| l.value).collect())
    }

    /// Each row at its own level, with signs for the data and frozen noise.
    fn frozen(n: usize) -> (Batch, Batch, Vec<usize>) {
        let x0 = (0..n).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let eps = (0..n).map(|i| (1.7 * i as f64).sin() * 1.4).collect();
        (column(x0), column(eps), (0..n).map(|i| i % 5).collect())
    }

    #[test]
    fn rates_are_a_table() {
        let rates = rates();
        let expected = [0.01, 0.05, 0.1, 0.3, 0.6];
        assert!(rates.betas().iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-6), "{:?}", rates.betas());
        let process = rates.process().unwrap();
        for (t, l) in rates.log_snrs().iter().enumerate() {
            assert!((process.at(t as f64).log_snr() - l.value).abs() < 1e-9);
        }
        assert_eq!(rates.config().build().unwrap().steps(), Some(5));
    }

    /// The gradient of `-K` by the logits with the noise frozen equals its differences, through a network that is no exact denoiser and
    /// both kinds of variance. Half or twice of it would fail.
    #[test]
    fn the_gradient_equals_differences() {
        let (codec, (x0, eps, at)) = (codec(), frozen(40));
        for (prediction, variance) in [
            (Prediction::Noise, LearnedVariance::Free),
            (Prediction::Edm { sigma_data: 0.8 }, LearnedVariance::Blend),
            (Prediction::Velocity, LearnedVariance::Free),
        ] {
            let network = |x: Batch| Batch::cat(vec![(x.clone() * 0.9).tanh() * 0.7, x.cos() * 0.4 - 0.2], 1);
            let (x0_ad, eps_ad) = (x0.clone().autodiff(), eps.clone().autodiff());
            let rows = |x0, eps| Rows { x0, eps, at: &at, levels: 5, prediction, variance, codec: &codec };
            let leaf = levels(&rates()).autodiff().require_grad();
            let gradients = rows(&x0_ad, &eps_ad).loss(&leaf, network).mean().backward();
            let found = rates().pulled(&rows_f64(leaf.grad(&gradients).unwrap()));
            let value = |r: &Rates| rows_f64(rows(&x0, &eps).loss(&levels(r), network).mean())[0];
            for (j, &found) in found.iter().enumerate() {
                let moved = |h: f32| {
                    let mut r = rates();
                    r.logits[j] += h;
                    (value(&r), f64::from(r.logits[j]))
                };
                let (up, down) = (moved(1.0 / 1024.0), moved(-1.0 / 1024.0));
                let slope = (up.0 - down.0) / (up.1 - down.1);
                assert!((found - slope).abs() < 1e-4 * (1e-2 + slope.abs()), "{prediction:?} logit {j}: {found} {slope}");
            }
        }
    }

    /// `K` is minus the entropy on an exactly Gaussian chain, whatever the rates: standard normal data whose reverse steps have the
    /// posterior mean and the forward variance. All terms are quadratic, so that signs for data and noise have exact means.
    #[test]
    fn the_bound_of_an_exact_chain_is_the_entropy() {
        let codec = codec();
        let entropy = 0.5 * (std::f64::consts::TAU * std::f64::consts::E).log2();
        let (x0, eps) = (column([1.0, 1.0, -1.0, -1.0].repeat(5)), column([1.0, -1.0, 1.0, -1.0].repeat(5)));
        let at: Vec<usize> = (0..20).map(|i| i / 4).collect();
        for betas in [[0.0, 0.05, 0.1, 0.3, 0.6], [0.0, 0.4, 0.01, 0.01, 0.2]] {
            let rates = Rates::new(0.01, &betas);
            // Of standard normal data the expected velocity is zero.
            let k = |mean: f64, offset: f64| {
                let of = Rows {
                    x0: &x0,
                    eps: &eps,
                    at: &at,
                    levels: 5,
                    prediction: Prediction::Velocity,
                    variance: LearnedVariance::Free,
                    codec: &codec,
                };
                -rows_f64(of.loss(&levels(&rates), |x| Batch::cat(vec![x.clone() * mean, x * 0.0 + offset], 1)).mean())[0]
            };
            assert!((k(0.0, 0.0) + entropy).abs() < 1e-6, "{betas:?}: {} {entropy}", k(0.0, 0.0));
            assert!(k(0.3, 0.0) < -entropy - 1e-3 && k(0.0, 2f64.ln()) < -entropy - 1e-3 && k(0.0, -0.7) < -entropy - 1e-3);
        }
    }
}
