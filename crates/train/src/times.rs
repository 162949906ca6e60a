//! How training times are drawn: each law by its quantile function, so that strata of a batch are strata of the law.
//!
//! Likelihood weighting `g^2` has the importance-sampled law `p(t) ~ g^2 / sigma^2` (Song et al. 2021b, section 4.2), under which it
//! becomes unit weight on the noise. Since `d ln SNR / dt = -g^2 / sigma^2` for every process, that law is uniform in the log-SNR:
//! no numerical table is needed, its quantile is the inverse of the log-SNR, found by bisection.

use crate::ConfigError;
use crate::config::{finite, levels, positive};
use scorefield_process::{Process, ProcessExt};
use serde::{Deserialize, Serialize};

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
    /// Uniform in the log signal-to-noise ratio over the span (Kingma et al. 2021), which is log-uniform in the noise level
    /// (k-diffusion's `loguniform`) and the importance-sampled law of likelihood weighting, `p(t) ~ g^2 / sigma^2`
    /// (Song et al. 2021b): three names of one law.
    #[serde(alias = "log-uniform", alias = "importance")]
    LogSnrUniform,
    /// `ln(sigma / alpha)` is logistic, cut to the span (k-diffusion's `loglogistic`).
    LogLogistic {
        /// The median of `ln(sigma / alpha)`.
        location: f64,
        /// The scale of the logistic law.
        scale: f64,
    },
    /// The log-SNR of the cosine schedule shifted to two resolutions and interpolated between them (Hoogeboom et al. 2023, section
    /// 3.1; k-diffusion's `cosine-interpolated`), over the noise levels of the span.
    CosineInterpolated {
        /// The width of the pictures.
        image: f64,
        /// The resolution whose schedule is used at high noise.
        low: f64,
        /// The resolution whose schedule is used at low noise.
        high: f64,
        /// Root mean square of the data.
        #[serde(default = "unit")]
        sigma_data: f64,
    },
    /// Uniform over `levels` equidistant times, both ends of the span among them: DDPM's integer times (Ho et al. 2020), and under
    /// the geometric `ve` process NCSN's geometric levels (Song and Ermon 2019).
    Levels {
        /// How many.
        levels: usize,
    },
    /// All at one noise level `sigma / alpha`, clamped to the span: score matching without annealing, on data with that little noise.
    Single {
        /// The level.
        ratio: f64,
    },
    /// In proportion to the root mean square of the latest losses of each of `bins` equal shares of the span, each loss divided by
    /// its probability (Nichol and Dhariwal 2021, section 3.3, eq. 18). Uniform until every bin has its history. The histories are
    /// saved with the run.
    LossSecondMoment {
        /// Shares of the span; with `hybrid` and `vlb` losses the number of their levels.
        #[serde(default = "bins")]
        bins: usize,
        /// Losses kept a bin.
        #[serde(default = "history")]
        history: usize,
        /// The share of uniform times.
        #[serde(default = "share")]
        uniform: f64,
    },
}

fn unit() -> f64 {
    1.0
}

fn bins() -> usize {
    100
}

fn history() -> usize {
    10
}

fn share() -> f64 {
    0.001
}

impl TimeLaw {
    /// The time below which a share `u` of the law lies; for [`TimeLaw::LossSecondMoment`] the law it starts from.
    pub fn quantile(&self, process: &dyn Process, u: f64) -> f64 {
        let span = process.span();
        let ratios = || (process.at(span.start).ratio(), process.at(span.end).ratio());
        match self {
            Self::Uniform | Self::LossSecondMoment { .. } => span.at(u),
            Self::LogNormal { mean, deviation } => process.time_of_ratio((mean + deviation * normal_quantile(u)).exp()),
            Self::LogSnrUniform => {
                let (near, far) = (process.at(span.start).log_snr(), process.at(span.end).log_snr());
                process.time_of(near + u * (far - near))
            }
            Self::LogLogistic { location, scale } => {
                let (near, far) = ratios();
                let cdf = |ratio: f64| 1.0 / (1.0 + ((location - ratio.ln()) / scale).exp());
                let p = cdf(near) + u * (cdf(far) - cdf(near));
                process.time_of_ratio((location + scale * (p / (1.0 - p)).ln()).exp())
            }
            Self::CosineInterpolated { image, low, high, sigma_data } => {
                let (near, far) = ratios();
                // Log-SNRs in units of the data, from low noise (u = 0) to high (u = 1).
                let (most, least) = (-2.0 * (near / sigma_data).ln(), -2.0 * (far / sigma_data).ln());
                let shifted = |resolution: f64| {
                    let shift = 2.0 * (resolution / image).ln();
                    let angle = |log_snr: f64| (-0.5 * (log_snr - shift)).exp().atan();
                    -2.0 * (angle(most) + u * (angle(least) - angle(most))).tan().ln() + shift
                };
                let log_snr = u * shifted(*low) + (1.0 - u) * shifted(*high);
                process.time_of_ratio((-0.5 * log_snr).exp() * sigma_data)
            }
            Self::Levels { levels } => level(process, ((u * *levels as f64) as usize).min(levels - 1), *levels),
            Self::Single { ratio } => process.time_of_ratio(*ratio),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let count = |key, n: usize| positive(key, n as f64);
        match *self {
            Self::LogNormal { mean, deviation } => {
                positive("objective.times.deviation", deviation)?;
                finite("objective.times.mean", mean)
            }
            Self::LogLogistic { location, scale } => {
                positive("objective.times.scale", scale)?;
                finite("objective.times.location", location)
            }
            Self::CosineInterpolated { image, low, high, sigma_data } => {
                positive("objective.times.image", image)?;
                positive("objective.times.low", low)?;
                positive("objective.times.high", high)?;
                positive("objective.times.sigma_data", sigma_data)
            }
            Self::Levels { levels: n } => levels("objective.times.levels", n),
            Self::Single { ratio } => positive("objective.times.ratio", ratio),
            Self::LossSecondMoment { bins, history, uniform } => {
                levels("objective.times.bins", bins)?;
                count("objective.times.history", history)?;
                let error =
                    || ConfigError { key: "objective.times.uniform", found: uniform.to_string(), expected: "a share in (0, 1]" };
                (uniform > 0.0 && uniform <= 1.0).then_some(()).ok_or_else(error)
            }
            Self::Uniform | Self::LogSnrUniform => Ok(()),
        }
    }
}

/// Time number `index` of `levels` equidistant ones, both ends of the span among them.
pub(crate) fn level(process: &dyn Process, index: usize, levels: usize) -> f64 {
    process.span().at(index as f64 / (levels - 1) as f64)
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

    fn zoo() -> Vec<TimeLaw> {
        vec![
            TimeLaw::Uniform,
            TimeLaw::LogNormal { mean: -0.5, deviation: 1.0 },
            TimeLaw::LogSnrUniform,
            TimeLaw::LogLogistic { location: -0.5, scale: 0.7 },
            TimeLaw::CosineInterpolated { image: 32.0, low: 32.0, high: 8.0, sigma_data: 0.5 },
            TimeLaw::Levels { levels: 11 },
            TimeLaw::Single { ratio: 0.3 },
        ]
    }

    #[test]
    fn quantiles_rise_within_the_span() {
        for config in ProcessConfig::all() {
            let process = config.build().unwrap();
            let span = process.span();
            for law in zoo() {
                let times: Vec<f64> = (0..200).map(|i| law.quantile(&process, (f64::from(i) + 0.5) / 200.0)).collect();
                assert!(times.windows(2).all(|w| w[0] <= w[1]), "{config:?} {law:?}");
                assert!(
                    times.iter().all(|t| (span.start - 1e-12..=span.end + 1e-12).contains(t)),
                    "{config:?} {law:?}: {times:?}"
                );
            }
        }
    }

    /// Likelihood weighting under the importance-sampled law, its normalisation `Z` taken in, has the same mean as under the uniform:
    /// `E_u[g^2 / sigma^2 f] = Z E_p[f]`, and `p = (g^2 / sigma^2) / Z` as a density, for every process.
    #[test]
    fn the_importance_law_makes_likelihood_weights_unit() {
        for config in ProcessConfig::all() {
            let process = config.build().unwrap();
            let (span, law) = (process.span(), TimeLaw::LogSnrUniform);
            let m = |t: f64| process.at(t);
            // Over the middle of the law, away from the singular ends of some slopes.
            let (low, high) = (law.quantile(&process, 0.2), law.quantile(&process, 0.8));
            let f = |t: f64| (3.0 * (t - low) / (high - low)).sin() + 2.0;
            let n = 20_000;
            let middle = |a: f64, b: f64, i: usize| a + (i as f64 + 0.5) / n as f64 * (b - a);
            let weighted = |t: f64| m(t).diffusion_squared() / m(t).sigma.powi(2);
            let uniform = (0..n).map(|i| middle(low, high, i)).map(|t| weighted(t) * f(t)).sum::<f64>() / n as f64 * (high - low);
            let z = m(span.start).log_snr() - m(span.end).log_snr();
            let drawn = (0..n).map(|i| f(law.quantile(&process, middle(0.2, 0.8, i)))).sum::<f64>() / n as f64 * 0.6 * z;
            // Tables have slopes that jump, which the midpoint rule feels.
            let tolerance = if process.smooth() { 1e-5 } else { 1e-2 };
            assert!((uniform / drawn - 1.0).abs() < tolerance, "{config:?}: {uniform} {drawn}");
            assert!((2.0 * uniform / drawn - 1.0).abs() > 0.5, "twice the weight is seen");
        }
    }

    /// The distribution functions by their formulas, and the interpolated cosine at one resolution against the plain one shifted.
    #[test]
    fn laws_are_their_formulas() {
        let process = ProcessConfig::Edm { sigma_min: 1e-3, sigma_max: 1e3 }.build().unwrap();
        let ratio = |law: TimeLaw, u: f64| process.at(law.quantile(&process, u)).ratio();
        let cdf = |r: f64| 1.0 / (1.0 + (-(r.ln() + 0.5) / 0.7).exp());
        for u in [0.1, 0.5, 0.93] {
            let r = ratio(TimeLaw::LogLogistic { location: -0.5, scale: 0.7 }, u);
            assert!(((cdf(r) - cdf(1e-3)) / (cdf(1e3) - cdf(1e-3)) - u).abs() < 1e-6);
            // ln SNR = -2 ln tan(pi t / 2) + 2 ln(8 / 32), t from end to end.
            let r = ratio(TimeLaw::CosineInterpolated { image: 32.0, low: 8.0, high: 8.0, sigma_data: 1.0 }, u);
            let angle = |r: f64| (r * 8.0 / 32.0).atan();
            assert!(((angle(r) - angle(1e-3)) / (angle(1e3) - angle(1e-3)) - u).abs() < 1e-6, "{u} {r}");
        }
        // High noise follows `low`, low noise `high`: one end at 8, the other at 32.
        let mixed = TimeLaw::CosineInterpolated { image: 32.0, low: 8.0, high: 32.0, sigma_data: 1.0 };
        let at = |low, u| ratio(TimeLaw::CosineInterpolated { image: 32.0, low, high: low, sigma_data: 1.0 }, u);
        assert!((ratio(mixed, 0.99).ln() - at(8.0, 0.99).ln()).abs() < (ratio(mixed, 0.99).ln() - at(32.0, 0.99).ln()).abs());
        assert!((ratio(mixed, 0.01).ln() - at(32.0, 0.01).ln()).abs() < (ratio(mixed, 0.01).ln() - at(8.0, 0.01).ln()).abs());
    }

    /// Geometric levels under `ve` (NCSN), integers under a table (DDPM).
    #[test]
    fn levels_are_those_of_the_papers() {
        let ve = ProcessConfig::Ve { sigma_min: 0.01, sigma_max: 1.0 }.build().unwrap();
        let law = TimeLaw::Levels { levels: 3 };
        for (u, sigma) in [(0.1, 0.01), (0.5, 0.1), (0.9, 1.0)] {
            assert!((ve.at(law.quantile(&ve, u)).sigma / sigma - 1.0).abs() < 1e-9);
        }
        for config in ProcessConfig::all() {
            let process = config.build().unwrap();
            let Some(steps) = process.steps() else { continue };
            let law = TimeLaw::Levels { levels: steps };
            for i in [0, 1, steps / 2, steps - 1] {
                let t = law.quantile(&process, (i as f64 + 0.5) / steps as f64);
                assert!((t - i as f64).abs() < 1e-9, "{config:?} {i}: {t}");
            }
        }
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
}
