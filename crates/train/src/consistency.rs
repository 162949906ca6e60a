//! Consistency training and distillation: a network that jumps along the probability flow to its end.
//!
//! Song et al. 2023 ("Consistency models") ask that `f` say the same at two neighbouring points of one path; Song and Dhariwal 2023
//! ("Improved techniques for training consistency models", iCT) settle how to train it. Levels `l = sigma / alpha` are Karras's grid of
//! `N(k) = min(s_0 2^floor(k / K'), s_1) + 1` points, `K' = floor(K / (log2(s_1 / s_0) + 1))`, at step `k` of `K` (iCT, section 3.4). For
//! neighbours `l_i < l_(i+1)`, with `i` the bin of a level drawn log-normally (iCT, eq. 10),
//! `L = E [ 1 / (l_(i+1) - l_i) (sqrt(|f(x_(i+1)) - sg f(x_i)|^2 + c^2) - c) ]`, `c = 0.00054 sqrt(d)` (iCT, eq. 7), where `sg` stops the
//! gradient: the target is the network itself, not an average of it (iCT, section 3.2).
//!
//! The two points come from one noise, `x_i = alpha_i x_0 + sigma_i eps` (training), or `x_i` is a step of Heun's method from `x_(i+1)` on
//! the flow of a teacher (distillation; Song et al. 2023, algorithm 2), in level coordinates `dy/dl = (y - D) / l`, `y = x / alpha`.

use crate::average::accumulate;
use crate::times::{normal_cdf, normal_quantile};
use crate::{ConfigError, TrainConfig, TrainError, Trainer};
use scorefield_data::{Codec, HostBatch};
use scorefield_model::{Model, Weights};
use scorefield_nn::{Input, Mode};
use scorefield_process::{Denoiser, Process, ProcessExt};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Coefficient, Column, Device, Noise, Purpose, Streams, batch, rows};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a consistency model is trained; with it a recipe's `prediction` must be `consistency`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsistencyConfig {
    /// A trained model (file or run folder) whose flow is distilled; without it the model is trained from data alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<PathBuf>,
    /// `s_0` and `s_1`: intervals between levels at the start and at the end of the run.
    pub levels: [usize; 2],
    /// Mean of the logarithm of the level.
    pub mean: f64,
    /// Its deviation.
    pub deviation: f64,
    /// `c / sqrt(d)` of the pseudo-Huber distance.
    pub huber: f64,
}

impl Default for ConsistencyConfig {
    fn default() -> Self {
        Self { teacher: None, levels: [10, 1280], mean: -1.1, deviation: 2.0, huber: 0.00054 }
    }
}

/// The exponent of the grid of levels (Karras et al. 2022, eq. 5).
const RHO: f64 = 7.0;
/// How closely a prediction's lowest level must be that of the process.
const LEVEL_TOLERANCE: f64 = 1e-6;

impl ConsistencyConfig {
    /// Checks the constants, and that the parametrisation keeps the boundary at the process's lowest level.
    ///
    /// # Errors
    /// For the first that makes no run.
    pub(crate) fn validate(config: &TrainConfig) -> Result<(), ConfigError> {
        let error = |key, found: String, expected| Err(ConfigError { key, found, expected });
        let (this, level_min) = match (&config.consistency, config.prediction.path_end()) {
            (None, Some(_)) => {
                let expected = "another, or a [consistency] section that says how to train it";
                return error("prediction", config.prediction.name().into(), expected);
            }
            (None, None) => return Ok(()),
            (Some(this), Some(level_min)) => (this, level_min),
            (Some(_), None) => {
                let expected = "consistency, as there is a [consistency] section";
                return error("prediction", config.prediction.name().into(), expected);
            }
        };
        let [first, last] = this.levels;
        if !(2..=1 << 20).contains(&first) || last < first || last > 1 << 20 {
            return error("consistency.levels", format!("{:?}", this.levels), "two counts, from 2 to 1048576, not decreasing");
        }
        if !this.mean.is_finite() {
            return error("consistency.mean", this.mean.to_string(), "a finite number");
        }
        for (key, v) in [("consistency.deviation", this.deviation), ("consistency.huber", this.huber)] {
            if !(v.is_finite() && v > 0.0) {
                return error(key, v.to_string(), "a finite number above 0");
            }
        }
        if let Ok(process) = config.process.build() {
            let lowest = process.at(process.span().start).ratio();
            if (level_min / lowest - 1.0).abs().is_nan() || (level_min / lowest - 1.0).abs() > LEVEL_TOLERANCE {
                let found = format!("{level_min}, where the process begins at {lowest}");
                return error("prediction.level_min", found, "the noise level sigma / alpha at which the process begins");
            }
        }
        Ok(())
    }

    /// Intervals between levels at step `k` of `total`.
    pub(crate) fn intervals(&self, k: u64, total: Option<u64>) -> usize {
        let [first, last] = self.levels;
        let doublings = (last as f64 / first as f64).log2().floor() as u64 + 1;
        let stay = total.map_or(u64::MAX, |total| (total / doublings).max(1));
        (0..k / stay).take(64).fold(first, |n, _| n.saturating_mul(2).min(last)).min(last)
    }

    /// The levels `l_i < l_(i+1)` for a uniform number `u`: the bin, among `intervals`, of a level drawn log-normally within the span.
    pub(crate) fn bin(&self, process: &dyn Process, intervals: usize, u: f64) -> [f64; 2] {
        let span = process.span();
        let (low, high) = (process.at(span.start).ratio(), process.at(span.end).ratio());
        let place = |l: f64| normal_cdf((l.ln() - self.mean) / self.deviation);
        let drawn = (self.mean + self.deviation * normal_quantile(place(low) + u * (place(high) - place(low)))).exp();
        let root = |l: f64| l.powf(RHO.recip());
        let share = (root(drawn) - root(low)) / (root(high) - root(low)) * intervals as f64;
        let i = (share.max(0.0) as usize).min(intervals - 1);
        let level = |i: usize| (root(low) + i as f64 / intervals as f64 * (root(high) - root(low))).powf(RHO);
        [level(i).max(low), level(i + 1).min(high)]
    }

    /// The teacher, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or its states, process or prediction are not those of a teacher of this run.
    pub(crate) fn load_teacher(config: &TrainConfig, codec: &Codec, device: &Device) -> Result<Option<Model>, TrainError> {
        let Some(path) = config.consistency.as_ref().and_then(|c| c.teacher.as_ref()) else { return Ok(None) };
        let teacher = Model::load(path, Weights::Ema, device)?;
        let refuse = |what: &'static str, found: String, expected: String| TrainError::Teacher {
            path: path.clone(),
            what,
            found,
            expected,
        };
        let meta = teacher.meta();
        if !meta.prediction.is_posterior_mean() {
            return Err(refuse("prediction", meta.prediction.name().into(), "one that makes a posterior mean".into()));
        }
        if meta.process != config.process {
            return Err(refuse("process", format!("{:?}", meta.process), format!("this run's, {:?}", config.process)));
        }
        if meta.codec != *codec {
            let text = |codec: &Codec| serde_json::to_string(codec).unwrap_or_default();
            return Err(refuse("codec", text(&meta.codec), format!("this run's, {}", text(codec))));
        }
        Ok(Some(teacher))
    }
}

/// One step of Heun's method on a model's flow from level `from` to level `to`, both with a number a row: `[n, d]` to `[n, d]`.
pub(crate) fn flow_step(d: &dyn Denoiser, x: &Batch, times: &[f64], next: &[f64]) -> Batch {
    let (at, to) = (d.process().at_each(times), d.process().at_each(next));
    let (level, target) = (at.ratio(), to.ratio());
    let h = target.clone() - level.clone();
    let y = at.alpha.recip().scale(x.clone());
    let slope = level.recip().scale(y.clone() - d.denoise_each(x, times));
    let ahead = y.clone() + h.scale(slope.clone());
    let slope_ahead = target.recip().scale(ahead.clone() - d.denoise_each(&to.alpha.scale(ahead), next));
    to.alpha.scale(y + (h * 0.5).scale(slope + slope_ahead))
}

impl Trainer<'_> {
    /// Adds the gradient of the consistency loss of one batch; returns its value and that of a network which says nothing.
    pub(crate) fn consistency_gradient(
        &self,
        how: &ConsistencyConfig,
        examples: &HostBatch,
        grads: &mut Vec<Option<Vec<f32>>>,
    ) -> (f64, f64) {
        let (seed, n, process) = (self.config.seed, examples.samples.len(), &*self.process);
        let intervals = how.intervals(self.position.step, self.position.total);
        let draw = |&sample: &u64| how.bin(process, intervals, Stream::new(seed, sample, Purpose::Time, 0, 0).uniform(0));
        let bins: Vec<[f64; 2]> = examples.samples.iter().map(draw).collect();
        let times = |which: usize| bins.iter().map(|b| process.time_of_ratio(b[which])).collect::<Vec<f64>>();
        let (low, high) = (times(0), times(1));

        // Two points of one path.
        let x0 = batch(examples.x.clone(), n, &self.device);
        let eps = Streams::new(seed, examples.samples.clone(), Purpose::Perturb).normal(&x0);
        let x_high = process.at_each(&high).perturb(&x0, &eps);
        let classes = self.classes(examples);
        let x_low = match &self.teacher {
            Some(teacher) => {
                flow_step(&teacher.denoiser(classes.clone().filter(|_| teacher.network().classes() > 0)), &x_high, &high, &low)
            }
            None => process.at_each(&low).perturb(&x0, &eps),
        };

        // What the network says at both, with the same dropout; only the upper learns.
        let mode = Mode::Train { noise: Streams::new(seed, examples.samples.clone(), Purpose::Dropout) };
        let told = |times: &[f64]| Input {
            time: times.iter().map(|&t| self.config.time_input.at(process, t)).collect(),
            classes: classes.clone(),
            augment: examples.augment.clone(),
            condition: None,
        };
        let [at_low, at_high] = [&low, &high].map(|times| self.config.prediction.coeffs(&process.at_each(times)));
        let target =
            at_low.assemble(&x_low, &self.network.forward(&self.params, at_low.c_in.scale(x_low.clone()), &told(&low), &mode));
        let leaves = self.leaves();
        let input = at_high.c_in.scale(x_high.clone()).autodiff();
        let said = at_high.assemble(&x_high.clone().autodiff(), &self.network.forward(&leaves, input, &told(&high), &mode));

        let weight = Column(bins.iter().map(|[low, high]| (high - low).recip()).collect());
        let c = how.huber * (x0.dims()[1] as f64).sqrt();
        let distance = |difference: Batch| ((difference.clone() * difference).sum_dim(1) + c * c).sqrt() - c;
        let loss = weight.scale(distance(said - target.autodiff())).mean();
        let silent = at_high.c_skip.scale(x_high) - at_low.c_skip.scale(x_low);
        let trivial = f64::from(rows(weight.scale(distance(silent)).mean())[0]);
        let value = f64::from(rows(loss.clone().inner())[0]);
        let mut gradients = loss.backward();
        accumulate(grads, leaves.grads(&mut gradients), self.network.params());
        (value, trivial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_process::ProcessConfig;
    use scorefield_process::oracle::Gaussian;
    use scorefield_tensor::{batch_f64, rows_f64};

    #[test]
    fn intervals_double_and_end_at_the_last() {
        let how = ConsistencyConfig { levels: [10, 1280], ..ConsistencyConfig::default() };
        let of = |k: u64| how.intervals(k, Some(800));
        // Eight stages of 100 steps: 10, 20, ..., 1280.
        assert_eq!([0, 99, 100, 250, 699, 700, 799, 5000].map(of), [10, 10, 20, 40, 640, 1280, 1280, 1280]);
        assert_eq!(how.intervals(1_000_000, None), 10, "a run whose length is not known yet is at its first stage");
    }

    /// The share of draws in each bin is that of the log-normal law between its levels.
    #[test]
    fn bins_follow_the_log_normal_law() {
        let process = ProcessConfig::Edm { sigma_min: 0.002, sigma_max: 80.0 }.build().unwrap();
        let how = ConsistencyConfig::default();
        let n = 20_000;
        let mut counts = std::collections::BTreeMap::<u64, f64>::new();
        for i in 0..n {
            let [low, high] = how.bin(&*process, 12, (f64::from(i) + 0.5) / f64::from(n));
            assert!(low < high && low >= 0.002 && high <= 80.0);
            *counts.entry(low.to_bits()).or_default() += 1.0 / f64::from(n);
        }
        let cdf = |l: f64| normal_cdf((l.ln() - how.mean) / how.deviation);
        let level =
            |i: usize| (0.002f64.powf(1.0 / 7.0) + i as f64 / 12.0 * (80f64.powf(1.0 / 7.0) - 0.002f64.powf(1.0 / 7.0))).powi(7);
        let total = cdf(80.0) - cdf(0.002);
        for (i, share) in counts.values().enumerate() {
            let exact = (cdf(level(i + 1)) - cdf(level(i))) / total;
            assert!((share - exact).abs() < 3e-4, "bin {i}: {share} against {exact}");
        }
    }

    /// A step of the flow is of third order locally: halved, its error falls eightfold; and every row has its own step.
    #[test]
    fn flow_steps_are_heuns() {
        for config in ProcessConfig::all() {
            let law = Gaussian::new(config.build().unwrap(), vec![0.4, -0.2], vec![0.5, 0.5]);
            let process = law.process();
            let error = |h: f64| {
                let from = [process.time_of_ratio(1.0), process.time_of_ratio(2.0)];
                let to = [process.time_of_ratio(1.0 - h), process.time_of_ratio(2.0 - h)];
                let x = [0.9, 0.3, -1.4, 2.0];
                let end = rows_f64(flow_step(&law, &batch_f64(x.to_vec(), 2, &Device::default()), &from, &to));
                let exact = |i: usize| law.flow(i % 2, x[i], from[i / 2], to[i / 2]);
                (0..4).map(|i| (end[i] - exact(i)).abs()).fold(0.0, f64::max)
            };
            let ratio = error(0.1) / error(0.05);
            assert!((6.5..9.5).contains(&ratio), "{}: {ratio}", config.name());
        }
    }
}
