//! Discrete-time processes: a table of signal levels at the times 0, 1, ..., T - 1.
//!
//! At an integer time the process is the table, exactly. Between two times `ln(sigma / alpha)` is linear in `t`, as in
//! k-diffusion and diffusers, and `alpha^2 + sigma^2 = 1`, so that any solver runs on it; the slopes jump at the integers, which
//! [`Process::smooth`] tells.

use super::{Betas, ProcessError, VpCosine, VpLinear};
use crate::{Process, Span};
use scorefield_tensor::Dual;
use std::fmt;

/// The most times a table may have.
const MOST_STEPS: usize = 100_000;
/// Below this the signal is lost in rounding: only the last entry of a table may be smaller, and is then zero.
const LEAST_ALPHA_BAR: f64 = 1e-30;
/// How far before a last time without signal the span ends, in steps.
const BEFORE_ZERO: f64 = 1.0 / 1024.0;

/// `alpha_i = sqrt(alpha_bar_i)`, `sigma_i = sqrt(1 - alpha_bar_i)`, `alpha_bar_i = prod_(j <= i) (1 - beta_j)` (Ho et al. 2020,
/// eq. 4), on `t` in [0, T - 1].
///
/// Where the last `alpha_bar` is zero (zero terminal signal-to-noise ratio, [`Betas::Jsd`]) `ln(sigma / alpha)` has no last value;
/// there `alpha` is linear over the last step, the table is still met exactly at `T - 1`, and the span ends 1/1024 of a step
/// before it. A model must predict clean data, velocity or flow to be of use at such a time: noise tells nothing of the data
/// where there is only noise (Lin et al. 2024).
#[derive(Clone, PartialEq)]
pub struct Discrete {
    betas: Betas,
    zero_terminal_snr: bool,
    alpha_bar: Vec<f64>,
    alpha: Vec<f64>,
    sigma: Vec<f64>,
    ln_ratio: Vec<f64>,
}

impl Discrete {
    /// A process of `steps` times with the rates of a formula; a list has its own length, and `steps` must be it.
    ///
    /// With `zero_terminal_snr` the levels are moved so that the last is zero and the first stays (Lin et al. 2024, algorithm 1):
    /// `a_i -> (a_i - a_T) a_0 / (a_0 - a_T)` for `a = sqrt(alpha_bar)`.
    ///
    /// # Errors
    /// Unless there are 2 to 100000 times, every rate lies strictly between 0 and 1 (the last may be 1), and the signal stays
    /// above rounding before the last time.
    pub fn new(betas: Betas, steps: usize, zero_terminal_snr: bool) -> Result<Self, ProcessError> {
        let error = |parameter, found, expected| Err(ProcessError { process: "discrete", parameter, found, expected });
        if !(2..=MOST_STEPS).contains(&steps) {
            return error("steps", steps as f64, "a whole number from 2 to 100000");
        }
        if let Some((parameter, found, expected)) = betas.fault() {
            return error(parameter, found, expected);
        }
        let table = betas.table(steps);
        if table.len() != steps {
            return error("steps", steps as f64, "as many as there are betas");
        }
        let last = steps - 1;
        let wrong = |(i, b): &(usize, &f64)| !(**b > 0.0 && (**b < 1.0 || (*i == last && **b == 1.0)));
        if let Some((_, found)) = table.iter().enumerate().find(wrong) {
            return error("betas", *found, "every rate strictly between 0 and 1 (the last may be 1)");
        }

        let mut alpha_bar: Vec<f64> = table
            .iter()
            .scan(1.0, |product, beta| {
                *product *= 1.0 - beta;
                Some(*product)
            })
            .collect();
        if zero_terminal_snr {
            let (first, last) = (alpha_bar[0].sqrt(), alpha_bar[last].sqrt());
            for a in &mut alpha_bar {
                *a = ((a.sqrt() - last) * (first / (first - last))).powi(2);
            }
        }
        if let Some(found) = alpha_bar[..last].iter().find(|a| **a < LEAST_ALPHA_BAR) {
            return error(
                "betas",
                *found,
                "products of 1 - beta that stay above 1e-30 before the last: fewer steps or smaller rates",
            );
        }
        if alpha_bar[last] < LEAST_ALPHA_BAR {
            alpha_bar[last] = 0.0;
        }
        if let Some(w) = alpha_bar.windows(2).find(|w| w[1] >= w[0]) {
            return error("betas", w[1], "products of 1 - beta that fall from each time to the next");
        }

        let alpha: Vec<f64> = alpha_bar.iter().map(|a| a.sqrt()).collect();
        let sigma: Vec<f64> = alpha_bar.iter().map(|a| (1.0 - a).sqrt()).collect();
        let ln_ratio = alpha.iter().zip(&sigma).map(|(a, s)| (s / a).ln()).collect();
        Ok(Self { betas, zero_terminal_snr, alpha_bar, alpha, sigma, ln_ratio })
    }

    /// The table: `alpha_bar_i` at times 0 to T - 1.
    pub fn alpha_bar(&self) -> &[f64] {
        &self.alpha_bar
    }

    /// The rates that the table has: `1 - alpha_bar_i / alpha_bar_(i-1)`, those given unless they were rescaled.
    pub fn betas(&self) -> Vec<f64> {
        if !self.zero_terminal_snr {
            return self.betas.table(self.alpha_bar.len());
        }
        let before = std::iter::once(&1.0).chain(&self.alpha_bar);
        self.alpha_bar.iter().zip(before).map(|(a, b)| 1.0 - a / b).collect()
    }

    /// The process that the table becomes as its times grow dense: time `i` goes to `u = (i + 1) / T` in (0, 1].
    ///
    /// [`VpLinear`] with the rates times `T` for linear betas, [`VpCosine`] for the cosine, the closed form of the integral for the
    /// others. None for the user's own betas, and none after a rescaling.
    pub fn limit(&self) -> Option<Box<dyn Process>> {
        let steps = self.alpha_bar.len();
        if self.zero_terminal_snr {
            return None;
        }
        match self.betas {
            Betas::List(_) => None,
            Betas::Linear { start, end } if start < end => {
                let n = steps as f64;
                Some(Box::new(VpLinear::new(start * n, end * n).ok()?))
            }
            Betas::Cosine { offset, .. } => Some(Box::new(VpCosine::new(offset).ok()?)),
            _ => Some(Box::new(Limit { betas: self.betas.clone(), steps })),
        }
    }

    /// The place of the last time that is whole at or before `t` and has a next.
    fn segment(&self, t: f64) -> usize {
        (t.max(0.0) as usize).min(self.alpha.len() - 2)
    }

    /// Both coefficients at `t`, the table's own at whole times.
    fn coefficients(&self, t: Dual) -> (Dual, Dual) {
        let i = self.segment(t.value);
        if self.alpha[i + 1] == 0.0 {
            let alpha = ((i + 1) as f64 - t) * self.alpha[i];
            return (alpha, ((1.0 - alpha) * (1.0 + alpha)).sqrt());
        }
        // Written from the nearer knot k with w = ln(r / r_k):
        // alpha = alpha_k / sqrt(1 + sigma_k^2 (e^2w - 1)), sigma = sigma_k e^w / sqrt(1 + sigma_k^2 (e^2w - 1)).
        let k = if t.value - i as f64 > 0.5 { i + 1 } else { i };
        let w = (t - k as f64) * (self.ln_ratio[i + 1] - self.ln_ratio[i]);
        let norm = ((w * 2.0).exp_m1() * self.sigma[k].powi(2) + 1.0).sqrt();
        (self.alpha[k] / norm, self.sigma[k] * w.exp() / norm)
    }
}

impl fmt::Debug for Discrete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.alpha_bar.len();
        f.debug_struct("Discrete")
            .field("steps", &steps)
            .field("alpha_bar_last", &self.alpha_bar[steps - 1])
            .finish_non_exhaustive()
    }
}

impl Process for Discrete {
    fn alpha(&self, t: Dual) -> Dual {
        self.coefficients(t).0
    }

    fn sigma(&self, t: Dual) -> Dual {
        self.coefficients(t).1
    }

    fn span(&self) -> Span {
        let last = self.alpha.len() - 1;
        let before = if self.alpha[last] == 0.0 { BEFORE_ZERO } else { 0.0 };
        Span { start: 0.0, end: last as f64 - before }
    }

    fn smooth(&self) -> bool {
        false
    }

    fn steps(&self) -> Option<usize> {
        Some(self.alpha.len())
    }
}

/// The continuous limit of a table without a process of its own name: variance preserving with `alpha^2 = alpha_bar(u)`.
#[derive(Clone, Debug)]
struct Limit {
    betas: Betas,
    steps: usize,
}

impl Limit {
    fn ln_alpha_bar(&self, u: Dual) -> Dual {
        // Lists have no limit, and none is made of them.
        self.betas.ln_limit(self.steps, u).unwrap_or(Dual::constant(f64::NAN))
    }
}

impl Process for Limit {
    fn alpha(&self, t: Dual) -> Dual {
        (self.ln_alpha_bar(t) * 0.5).exp()
    }

    fn sigma(&self, t: Dual) -> Dual {
        (-self.ln_alpha_bar(t).exp_m1()).sqrt()
    }

    fn span(&self) -> Span {
        // No signal is left at the end of these two.
        let vanishes = matches!(self.betas, Betas::Jsd | Betas::SigmoidCumulative { .. });
        Span { start: 1e-5, end: if vanishes { 0.9995 } else { 1.0 } }
    }

    fn smooth(&self) -> bool {
        // Second derivatives jump where the warm-up ends and at the middle of the Laplace.
        !matches!(self.betas, Betas::Warmup { .. } | Betas::Laplace { .. })
    }
}
