//! Denoising score matching: one objective for every process and prediction.
//!
//! `L = E_{x_0, eps, t} [ w(t) |D(x_t; t) - x_0|^2 / d ]`, evaluated on the network's own scale:
//! `D - x_0 = c_out (F - F*)`, so `L = E [ w c_out^2 |F - F*|^2 / d ]` without dividing by a small number anywhere
//! (Vincent 2011; Ho et al. 2020; Song et al. 2021, eq. 7; Karras et al. 2022, eq. 8).

use crate::ConfigError;
use scorefield_process::{Marginal, Prediction, Process, ProcessExt};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Coefficient, Column, Purpose};
use serde::{Deserialize, Serialize};

/// How strongly each noise level counts: a weight on `|D - x_0|^2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Weight {
    /// `lambda = sigma^2` on the score error, the plain error of the noise: `w = alpha^2 / sigma^2`
    /// (Song et al. 2021; "L_simple" of Ho et al. 2020).
    SigmaSquared,
    /// `lambda = g^2` on the score error, a bound on the likelihood: `w = g^2 alpha^2 / sigma^4` (Song et al. 2021b, theorem 1).
    DiffusionSquared,
    /// `w = (r^2 + sigma_d^2) / (r sigma_d)^2` with `r = sigma / alpha` (Karras et al. 2022, table 1): unit weight on the network's
    /// output under EDM's preconditioning.
    Edm {
        /// Root mean square of the centred data.
        sigma_data: f64,
    },
    /// `w = min(SNR, gamma)`, `SNR = alpha^2 / sigma^2` (Hang et al. 2023, eq. 7; gamma 5 there).
    MinSnr {
        /// The ceiling.
        gamma: f64,
    },
    /// Unit weight on the network's output, whatever it predicts: `w = 1 / c_out^2`. With the flow prediction this is the
    /// flow-matching loss.
    Output,
    /// Unit weight on the clean data.
    Clean,
}

impl Weight {
    /// One of each, for tests and listings.
    pub fn all() -> [Self; 6] {
        [
            Self::SigmaSquared,
            Self::DiffusionSquared,
            Self::Edm { sigma_data: 0.5 },
            Self::MinSnr { gamma: 5.0 },
            Self::Output,
            Self::Clean,
        ]
    }

    /// The weight on the squared error of the network's output: `w c_out^2`.
    pub fn on_output<S: Coefficient>(&self, m: &Marginal<S>, prediction: &Prediction) -> S {
        let c_out_squared = prediction.coeffs(m).c_out.square();
        let snr = m.ratio().square().recip();
        let on_clean = match self {
            Self::SigmaSquared => snr,
            Self::DiffusionSquared => m.diffusion_squared() * snr / m.sigma.square(),
            Self::Edm { sigma_data } => {
                let (r2, d2) = (m.ratio().square(), sigma_data * sigma_data);
                (r2.clone() + d2) / (r2 * d2)
            }
            Self::MinSnr { gamma } => snr.map(|v| v.min(*gamma)),
            Self::Output => return c_out_squared.constant(1.0),
            Self::Clean => return c_out_squared,
        };
        on_clean * c_out_squared
    }
}

/// How training times are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TimeLaw {
    /// Uniform in time over the span.
    Uniform,
    /// `ln(sigma / alpha) ~ N(mean, deviation^2)`, clamped to the span (Karras et al. 2022: -1.2 and 1.2).
    LogNormal {
        /// P_mean.
        mean: f64,
        /// P_std.
        deviation: f64,
    },
    /// Uniform in the log signal-to-noise ratio over the span (Kingma et al. 2021).
    LogSnrUniform,
}

/// What is trained: the weight and the law of times. The prediction belongs to the model.
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
}

impl Objective {
    /// Checks the constants.
    ///
    /// # Errors
    /// For the first that makes no objective.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = |key: &'static str, v: f64| {
            let sound = v.is_finite() && v > 0.0;
            let error = || ConfigError { key, found: v.to_string(), expected: "a finite number above 0" };
            sound.then_some(()).ok_or_else(error)
        };
        match self.weight {
            Weight::Edm { sigma_data } => positive("objective.weight.sigma_data", sigma_data)?,
            Weight::MinSnr { gamma } => positive("objective.weight.gamma", gamma)?,
            Weight::SigmaSquared | Weight::DiffusionSquared | Weight::Output | Weight::Clean => {}
        }
        match self.times {
            TimeLaw::LogNormal { mean, deviation } => {
                positive("objective.times.deviation", deviation)?;
                let error = || ConfigError { key: "objective.times.mean", found: mean.to_string(), expected: "a finite number" };
                mean.is_finite().then_some(()).ok_or_else(error)
            }
            TimeLaw::Uniform | TimeLaw::LogSnrUniform => Ok(()),
        }
    }

    /// The times of a batch: row `i` belongs to training sample `samples[i]`.
    pub fn draw_times(&self, process: &dyn Process, seed: u64, samples: &[u64]) -> Vec<f64> {
        let n = samples.len() as f64;
        let shared = samples.first().map_or(0.5, |&first| Stream::new(seed, first, Purpose::Time, 0, 0).uniform(0));
        samples
            .iter()
            .enumerate()
            .map(|(i, &sample)| {
                let u = if self.stratified {
                    (i as f64 + shared) / n
                } else {
                    Stream::new(seed, sample, Purpose::Time, 0, 0).uniform(0)
                };
                self.times.quantile(process, u)
            })
            .collect()
    }

    /// The weights on the squared error of the network's output at the given times.
    pub fn weights(&self, process: &dyn Process, prediction: &Prediction, times: &[f64]) -> Column {
        self.weight.on_output(&process.at_each(times), prediction)
    }

    /// The loss of the best predictor that knows only the mean and the spread of the data, at one time: the posterior of
    /// isotropic Gaussian data has variance `v sigma^2 / (alpha^2 v + sigma^2)` an entry. A network that learns must get below.
    pub fn trivial_loss(&self, process: &dyn Process, prediction: &Prediction, t: f64, sigma_data: f64) -> f64 {
        let m = process.at(t);
        let v = sigma_data * sigma_data;
        let error = v * m.sigma.square() / (m.alpha.square() * v + m.sigma.square());
        self.weight.on_output(&m, prediction) * error / prediction.coeffs(&m).c_out.square()
    }
}

impl TimeLaw {
    /// The time below which a share `u` of the law lies.
    pub fn quantile(&self, process: &dyn Process, u: f64) -> f64 {
        let span = process.span();
        match self {
            Self::Uniform => span.at(u),
            Self::LogNormal { mean, deviation } => process.time_of_ratio((mean + deviation * normal_quantile(u)).exp()),
            Self::LogSnrUniform => {
                let (near, far) = (process.at(span.start).log_snr(), process.at(span.end).log_snr());
                process.time_of(near + u * (far - near))
            }
        }
    }
}

/// The inverse of the normal distribution function, by Newton's method on Acklam-style starting values: the start is the
/// logistic approximation `ln(u / (1 - u)) / 1.702`, and each step doubles the digits.
pub(crate) fn normal_quantile(u: f64) -> f64 {
    let u = u.clamp(1e-12, 1.0 - 1e-12);
    let mut z = (u / (1.0 - u)).ln() / 1.702;
    for _ in 0..60 {
        let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        let step = ((normal_cdf(z) - u) / density).clamp(-0.5, 0.5);
        z -= step;
        if step.abs() < 1e-13 {
            break;
        }
    }
    z
}

/// The normal distribution function: Taylor series next to zero, the continued fraction of Mills' ratio in the tails.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
    if z.abs() < 5.0 {
        let (mut term, mut sum) = (z, z);
        for k in 1..200 {
            term *= z * z / (2 * k + 1) as f64;
            sum += term;
            if term.abs() < 1e-17 * sum.abs() {
                break;
            }
        }
        0.5 + density * sum
    } else {
        let mut ratio = 0.0;
        for k in (1..60).rev() {
            ratio = k as f64 / (z.abs() + ratio);
        }
        let tail = density / (z.abs() + ratio);
        if z > 0.0 { 1.0 - tail } else { tail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_process::ProcessConfig;

    /// Each weight by its formula, from alpha, sigma and g^2 alone.
    #[test]
    fn weights_are_their_formulas() {
        for config in ProcessConfig::all() {
            let process = config.build().unwrap();
            for u in [0.02, 0.3, 0.7, 0.99] {
                let m = process.at(process.span().at(u));
                let r = m.sigma / m.alpha;
                for prediction in Prediction::all() {
                    let c_out = prediction.coeffs(&m).c_out;
                    for weight in Weight::all() {
                        let on_clean = match weight {
                            Weight::SigmaSquared => 1.0 / (r * r),
                            Weight::DiffusionSquared => m.diffusion_squared() * m.alpha.powi(2) / m.sigma.powi(4),
                            Weight::Edm { sigma_data: s } => (r * r + s * s) / (r * s).powi(2),
                            Weight::MinSnr { gamma } => (1.0 / (r * r)).min(gamma),
                            Weight::Output => 1.0 / (c_out * c_out),
                            Weight::Clean => 1.0,
                        };
                        let found = weight.on_output(&m, &prediction);
                        let expected = on_clean * c_out * c_out;
                        assert!(
                            (found / expected - 1.0).abs() < 1e-9,
                            "{config:?} {prediction:?} {weight:?}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }

    /// The noise loss has unit weight under sigma^2, EDM's under EDM's: the reason for these parametrisations.
    #[test]
    fn natural_weights_are_one() {
        let process = ProcessConfig::all()[0].build().unwrap();
        let m = process.at(0.4);
        assert!((Weight::SigmaSquared.on_output(&m, &Prediction::Noise) - 1.0).abs() < 1e-12);
        let edm = Prediction::Edm { sigma_data: 0.5 };
        assert!((Weight::Edm { sigma_data: 0.5 }.on_output(&m, &edm) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn quantiles_invert_the_distribution_function() {
        for (u, z) in [(0.5, 0.0), (0.841_344_746_068_543, 1.0), (0.022_750_131_948_179, -2.0), (1.349_898_031_630_1e-3, -3.0)] {
            assert!((normal_quantile(u) - z).abs() < 1e-9, "{u}: {}", normal_quantile(u));
        }
        for i in 1..400 {
            let u = i as f64 / 400.0;
            assert!((normal_cdf(normal_quantile(u)) - u).abs() < 1e-12);
        }
        assert!((normal_cdf(-6.0) - 9.865_876_450_377e-10).abs() < 1e-18);
    }

    /// The log of the noise level has the mean and deviation asked for, within five standard errors.
    #[test]
    fn log_normal_times_have_their_moments() {
        let process = ProcessConfig::all()[4].build().unwrap();
        for stratified in [false, true] {
            let objective =
                Objective { weight: Weight::Output, times: TimeLaw::LogNormal { mean: -1.2, deviation: 1.2 }, stratified };
            let samples: Vec<u64> = (0..20_000).collect();
            let logs: Vec<f64> =
                objective.draw_times(&*process, 1, &samples).iter().map(|&t| process.at(t).ratio().ln()).collect();
            let n = logs.len() as f64;
            let mean = logs.iter().sum::<f64>() / n;
            let deviation = (logs.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            assert!((mean + 1.2).abs() < 5.0 * 1.2 / n.sqrt(), "{mean}");
            assert!((deviation - 1.2).abs() < 5.0 * 1.2 / (2.0 * n).sqrt(), "{deviation}");
        }
    }
}
