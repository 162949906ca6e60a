//! The tables of rates of discrete-time models: `x_i = sqrt(1 - beta_i) x_(i-1) + sqrt(beta_i) eps_i`, `i = 0 .. T - 1`.
//!
//! Two ways of making them: rates by a formula, or rates that follow a formula `f(u)` for their cumulative product
//! `alpha_bar_i = prod_(j <= i) (1 - beta_j)`, as `beta_i = min(1 - f((i + 1) / T) / f(i / T), clip)`. All arithmetic is in
//! floating point: a table by integer division has zeros for rates, and is refused by [`Discrete`](super::Discrete).

use scorefield_tensor::Dual;
use std::f64::consts::FRAC_PI_2;

/// A table of rates by its formula.
#[derive(Clone, Debug, PartialEq)]
pub enum Betas {
    /// `linspace(start, end, T)` (Ho et al. 2020: 1e-4 and 0.02 for T = 1000; OpenAI's and lucidrains' for another `T` are
    /// these times 1000 / T).
    Linear {
        /// The first rate.
        start: f64,
        /// The last rate.
        end: f64,
    },
    /// `linspace(sqrt start, sqrt end, T)^2`: "quad" of Ho et al. 2020, "scaled linear" of Rombach et al. 2022 (0.00085, 0.012).
    Quadratic {
        /// The first rate.
        start: f64,
        /// The last rate.
        end: f64,
    },
    /// The same rate at each time.
    Constant {
        /// The rate.
        beta: f64,
    },
    /// `f(u) = cos^2(pi/2 (u + s) / (1 + s))` (Nichol and Dhariwal 2021, eq. 17; s = 0.008, clip 0.999).
    Cosine {
        /// The offset `s`.
        offset: f64,
        /// The largest rate.
        clip: f64,
    },
    /// `start + (end - start) sigmoid(linspace(-6, 6, T))` (Xu et al. 2022, GeoDiff; the sigmoid of diffusers).
    Sigmoid {
        /// The rate far before the middle.
        start: f64,
        /// The rate far behind it.
        end: f64,
    },
    /// `f(u) = (S(e) - S(s + u (e - s))) / (S(e) - S(s))`, `S(v) = sigmoid(v / tau)` (Jabri et al. 2022; the sigmoid of
    /// lucidrains with s = -3, e = 3, tau = 1).
    SigmoidCumulative {
        /// `s`.
        start: f64,
        /// `e`.
        end: f64,
        /// `tau`.
        tau: f64,
        /// The largest rate.
        clip: f64,
    },
    /// `f(u) = sqrt(R / (1 + R))`, `ln R = -1/2 sign(1/2 - u) ln(1 - 2 |1/2 - u| + 1e-6)` (Hang et al. 2024 as diffusers has it:
    /// the root makes a signal-to-noise ratio `R` of theirs the product of ours).
    Laplace {
        /// The largest rate.
        clip: f64,
    },
    /// `f(u) = exp(-rate u)`, hence equal rates (diffusers' "exp" with rate 12).
    Exponential {
        /// The exponent at the end.
        rate: f64,
        /// The largest rate.
        clip: f64,
    },
    /// Linear over the first share of the times, then constant ("warmup10" and "warmup50" of Ho et al. 2020).
    Warmup {
        /// The first rate.
        start: f64,
        /// The last rate.
        end: f64,
        /// The share of the times that rises, 0.1 or 0.5.
        fraction: f64,
    },
    /// `1 / (T - i)` ("jsd", Sohl-Dickstein et al. 2015): the product falls to zero on a straight line.
    Jsd,
    /// The user's own.
    List(Vec<f64>),
}

/// `n` numbers from `a` to `b`, both exactly.
fn linspace(a: f64, b: f64, n: usize) -> Vec<f64> {
    let step = (b - a) / (n.max(2) - 1) as f64;
    (0..n).map(|i| if i > 0 && i == n - 1 { b } else { a + i as f64 * step }).collect()
}

fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

impl Betas {
    /// The parameter that makes no table, its value, and what would do. Rates out of range show in the table itself.
    pub(super) fn fault(&self) -> Option<(&'static str, f64, &'static str)> {
        let clip = match *self {
            Self::Cosine { clip, .. } | Self::SigmoidCumulative { clip, .. } => clip,
            Self::Laplace { clip } | Self::Exponential { clip, .. } => clip,
            _ => 0.999,
        };
        if !(clip > 0.0 && clip <= 1.0) {
            return Some(("clip", clip, "a number above 0 and at most 1"));
        }
        match *self {
            Self::Cosine { offset, .. } if !(0.0..1.0).contains(&offset) => {
                Some(("offset", offset, "a number from 0 up to, but not including, 1"))
            }
            Self::Warmup { fraction, .. } if !(0.0..=1.0).contains(&fraction) => {
                Some(("fraction", fraction, "a number from 0 to 1"))
            }
            Self::SigmoidCumulative { tau, .. } if !(tau.is_finite() && tau > 0.0) => {
                Some(("tau", tau, "a finite number above 0"))
            }
            Self::SigmoidCumulative { start, end, .. } if !(start.is_finite() && end.is_finite() && start < end) => {
                Some(("end", end, "a finite number above start"))
            }
            Self::Exponential { rate, .. } if !(rate.is_finite() && rate > 0.0) => {
                Some(("rate", rate, "a finite number above 0"))
            }
            _ => None,
        }
    }

    /// The `T` rates; the user's own as they are. Nothing is checked here: [`Discrete::new`](super::Discrete::new) does.
    pub fn table(&self, steps: usize) -> Vec<f64> {
        match self {
            Self::Linear { start, end } => linspace(*start, *end, steps),
            Self::Quadratic { start, end } => linspace(start.sqrt(), end.sqrt(), steps).iter().map(|b| b * b).collect(),
            Self::Constant { beta } => vec![*beta; steps],
            Self::Sigmoid { start, end } => {
                linspace(-6.0, 6.0, steps).iter().map(|v| sigmoid(*v) * (end - start) + start).collect()
            }
            Self::Warmup { start, end, fraction } => {
                let rising = ((steps as f64 * fraction) as usize).min(steps);
                let rest = std::iter::repeat_n(*end, steps - rising);
                linspace(*start, *end, rising).into_iter().chain(rest).collect()
            }
            Self::Jsd => (0..steps).map(|i| 1.0 / (steps - i) as f64).collect(),
            Self::List(betas) => betas.clone(),
            Self::Cosine { offset, clip } => {
                let f = |u: f64| ((u + offset) / (1.0 + offset) * FRAC_PI_2).cos().powi(2);
                of_products(steps, *clip, f)
            }
            Self::SigmoidCumulative { start, end, tau, clip } => {
                let (first, last) = (sigmoid(start / tau), sigmoid(end / tau));
                of_products(steps, *clip, |u| (last - sigmoid((u * (end - start) + start) / tau)) / (last - first))
            }
            Self::Laplace { clip } => of_products(steps, *clip, |u| {
                let sign = if u > 0.5 { -1.0 } else { 1.0 };
                let snr = (-0.5 * sign * (1.0 - 2.0 * (0.5 - u).abs() + 1e-6).ln()).exp();
                (snr / (1.0 + snr)).sqrt()
            }),
            Self::Exponential { rate, clip } => of_products(steps, *clip, |u| (-rate * u).exp()),
        }
    }

    /// `ln alpha_bar(u)`, `u = (i + 1) / T`, as `T` grows while `T beta` keeps its value at `steps`, where that has a closed form.
    pub(super) fn ln_limit(&self, steps: usize, u: Dual) -> Option<Dual> {
        let n = steps as f64;
        Some(match *self {
            // -int beta
            Self::Linear { start, end } => -(u * (n * start) + u * u * (0.5 * n * (end - start))),
            Self::Quadratic { start, end } => {
                let (a, d) = (start.sqrt(), end.sqrt() - start.sqrt());
                -(u * (a * a) + u * u * (a * d) + u * u * u * (d * d / 3.0)) * n
            }
            Self::Constant { beta } => -(u * (n * beta)),
            Self::Sigmoid { start, end } => {
                let softplus = |v: Dual| v.exp().ln_1p();
                let rise = softplus(u * 12.0 - 6.0) - softplus(Dual::constant(-6.0));
                -(rise * ((end - start) / 12.0) + u * start) * n
            }
            Self::Warmup { start, end, fraction } if u.value < fraction => {
                -(u * start + u * u * ((end - start) / (2.0 * fraction))) * n
            }
            Self::Warmup { start, end, fraction } => -((u - fraction) * end + 0.5 * (start + end) * fraction) * n,
            // The formula of the product itself
            Self::SigmoidCumulative { start, end, tau, .. } => {
                let (first, last) = (sigmoid(start / tau), sigmoid(end / tau));
                let here = 1.0 / (1.0 + (-((u * (end - start) + start) / tau)).exp());
                ((last - here) / (last - first)).ln()
            }
            Self::Laplace { .. } => {
                let ln_snr = |u: Dual| {
                    if u.value > 0.5 { ((1.0 - u) * 2.0 + 1e-6).ln() * 0.5 } else { (u * 2.0 + 1e-6).ln() * -0.5 }
                };
                let ln_f = |u: Dual| (-ln_snr(u)).exp().ln_1p() * -0.5;
                ln_f(u) - ln_f(Dual::constant(0.0))
            }
            Self::Exponential { rate, .. } => -(u * rate),
            Self::Jsd => (-u).ln_1p(),
            Self::Cosine { offset, .. } => {
                let angle = |u: Dual| (u + offset) * (FRAC_PI_2 / (1.0 + offset));
                (angle(u).cos() / angle(Dual::constant(0.0)).cos()).ln() * 2.0
            }
            Self::List(_) => return None,
        })
    }
}

/// `beta_i = min(1 - f((i + 1) / T) / f(i / T), clip)`, never below zero.
fn of_products(steps: usize, clip: f64, f: impl Fn(f64) -> f64) -> Vec<f64> {
    let n = steps as f64;
    (0..steps).map(|i| (1.0 - f((i + 1) as f64 / n) / f(i as f64 / n)).max(0.0).min(clip)).collect()
}
