//! The reverse step of a discrete chain as numbers, and what a model has learned of its variance.
//!
//! Between levels `t > s` the posterior of `x_s` given `x_t` and `x_0` has the mean `c_0 x_0 + c_x x_t` and the variance
//! `v = G^2 sigma_s^2 / sigma_t^2`, `G^2 = sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2` and `c_0 = alpha_s G^2 / sigma_t^2` (Ho et al.
//! 2020, eq. 7). A model has `D` for `x_0` and, entry by entry, some variance `w`. The divergence of the two laws is
//!
//! `KL = (ln(w / v) - 1 + v / w + c_0^2 (x_0 - D)^2 / w) / 2`,
//!
//! the same for the bound that is reported and for the loss that is trained.

use crate::Marginal;
use scorefield_tensor::{Batch, Coefficient, Column};

/// A step down from a level: one for all rows (`f64`) or one a row.
#[derive(Clone, Debug, PartialEq)]
pub struct ReverseStep<S = f64> {
    /// `c_0`, the weight of the clean data in the posterior's mean.
    pub of_clean: S,
    /// `ln v`, the posterior's variance (beta tilde).
    pub ln_small: S,
    /// `ln G^2`, the variance of the forward kernel (beta).
    pub ln_large: S,
    /// The logit of the rate `beta = G^2 / (alpha_t^2 + sigma_t^2)`: the share of the step's noise in the state of unit data. For
    /// variance-preserving processes it is the chain's `beta_t`.
    pub logit_rate: S,
    /// `ln(alpha_s^2 + sigma_s^2)`, the variance of the state that the step leads to, for unit data.
    pub ln_unit: S,
}

impl<S: Coefficient> ReverseStep<S> {
    /// The step from the level of `at_t` down to that of `at_s`, which has noise.
    pub fn between(at_t: &Marginal<S>, at_s: &Marginal<S>) -> Self {
        // G^2 / sigma_t^2 from the log-SNRs, without cancellation.
        let fresh = -(at_t.log_snr() - at_s.log_snr()).exp_m1();
        Self {
            of_clean: at_s.alpha.clone() * fresh.clone(),
            ln_small: (fresh.clone() * at_s.sigma.square()).ln(),
            ln_large: (fresh.clone() * at_t.sigma.square()).ln(),
            logit_rate: (fresh * at_t.ratio().square() / (at_s.ratio().square() + 1.0)).ln(),
            ln_unit: (at_s.alpha.square() + at_s.sigma.square()).ln(),
        }
    }

    /// The step from the lowest level to clean data (`alpha = 1`, `sigma = 0`). Its small variance, zero, is replaced by that of the
    /// step `above` it (Nichol and Dhariwal 2021, their code); `c_0 = 1`, so that the mean is `D`.
    pub fn to_data(at_t: &Marginal<S>, above: &Self) -> Self {
        Self {
            of_clean: above.of_clean.constant(1.0),
            ln_small: above.ln_small.clone(),
            ln_large: at_t.sigma.square().ln(),
            logit_rate: at_t.ratio().square().ln(),
            ln_unit: above.ln_unit.constant(0.0),
        }
    }

    /// Row by row one of two steps: `self` where `which` is 1, `other` where it is 0.
    #[must_use]
    pub fn or(self, which: &S, other: Self) -> Self {
        let pick = |a: S, b: S| a * which.clone() + b * (-which.clone() + 1.0);
        Self {
            of_clean: pick(self.of_clean, other.of_clean),
            ln_small: pick(self.ln_small, other.ln_small),
            ln_large: pick(self.ln_large, other.ln_large),
            logit_rate: pick(self.logit_rate, other.logit_rate),
            ln_unit: pick(self.ln_unit, other.ln_unit),
        }
    }

    /// `KL` of the step in nats, entry by entry, `[n, d]`: `error = x_0 - D`, and `ln(w / v)` as [`StepVariance::over_small`] has it.
    pub fn divergence(&self, error: Batch, over_small: Batch) -> Batch {
        let ln_variance = self.ln_small.shift(over_small.clone());
        let shifted = self.of_clean.scale(error * (ln_variance * -0.5).exp());
        (over_small.clone() - 1.0 + (over_small * -1.0).exp() + shifted.clone() * shifted) * 0.5
    }

    /// `-ln N(x_0; D, w)` in nats, entry by entry, `[n, d]`: the density of the last step.
    pub fn surprise(&self, error: Batch, over_small: Batch) -> Batch {
        let ln_variance = self.ln_small.shift(over_small);
        let error = error * (ln_variance.clone() * -0.5).exp();
        (error.clone() * error + ln_variance + std::f64::consts::TAU.ln()) * 0.5
    }
}

impl ReverseStep<Column> {
    /// The step of row `i` alone.
    pub fn row(&self, i: usize) -> ReverseStep {
        ReverseStep {
            of_clean: self.of_clean.0[i],
            ln_small: self.ln_small.0[i],
            ln_large: self.ln_large.0[i],
            logit_rate: self.logit_rate.0[i],
            ln_unit: self.ln_unit.0[i],
        }
    }
}

/// What a model has learned of the variance `w` of a reverse step, for every entry, `[n, d]`.
#[derive(Clone, Debug)]
pub enum StepVariance {
    /// The place `nu` between the logarithms of the small and the large variance: `ln w = nu ln G^2 + (1 - nu) ln v` (Nichol and
    /// Dhariwal 2021, eq. 15).
    Between(Batch),
    /// An offset `o` from the forward kernel's: `w = sigmoid(o + logit beta)` on states scaled to unit data (Sohl-Dickstein et al.
    /// 2015, section 2.2 and their code). Free on both sides of the two: any variance below that of the data.
    Around(Batch),
}

impl StepVariance {
    /// `ln(w / v)` at a step, entry by entry, `[n, d]`.
    pub fn over_small<S: Coefficient>(&self, step: &ReverseStep<S>) -> Batch {
        match self {
            // Without the detour over ln w, which would lose the digits of a small difference.
            Self::Between(nu) => (step.ln_large.clone() - step.ln_small.clone()).scale(nu.clone()),
            Self::Around(offset) => {
                let ln_share = ln_sigmoid(step.logit_rate.shift(offset.clone()));
                (step.ln_unit.clone() - step.ln_small.clone()).shift(ln_share)
            }
        }
    }
}

/// `ln sigmoid(z) = -(m + ln(e^-m + e^(-z - m)))` with `m = max(-z, 0)`, which no `z` overflows; `m` is a constant of it.
fn ln_sigmoid(z: Batch) -> Batch {
    let m = (z.clone().detach() * -1.0).clamp_min(0.0);
    let sum = (m.clone() * -1.0).exp() + (z * -1.0 - m.clone()).exp();
    (m + sum.log()) * -1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProcessConfig, ProcessExt};
    use scorefield_tensor::{Device, batch_f64, rows_f64};

    fn one(v: f64) -> Batch {
        batch_f64(vec![v], 1, &Device::default())
    }

    /// Both kinds of variance at a step of a table: the free one is `beta_t` at offset zero and `sigmoid` of the sum elsewhere, the
    /// blend meets `v` and `beta_t` at its ends.
    #[test]
    fn variances_are_their_formulas() {
        let betas = [0.001, 0.03, 0.2, 0.4];
        let process = ProcessConfig::DiscreteBetas { betas: betas.to_vec(), zero_terminal_snr: false }.build().unwrap();
        for t in 1..4 {
            let step = ReverseStep::between(&process.at(t as f64), &process.at(t as f64 - 1.0));
            let bar = |t: usize| betas[..=t].iter().map(|b| 1.0 - b).product::<f64>();
            let (beta, small) = (betas[t], betas[t] * (1.0 - bar(t - 1)) / (1.0 - bar(t)));
            let variance = |v: StepVariance| (step.ln_small + rows_f64(v.over_small(&step))[0]).exp();
            for offset in [-3.0f64, 0.0, 0.7, 40.0, -40.0] {
                let expected = 1.0 / (1.0 + (-offset).exp() * (1.0 - beta) / beta);
                let found = variance(StepVariance::Around(one(offset)));
                assert!((found / expected - 1.0).abs() < 1e-9, "{t} {offset}: {found} {expected}");
            }
            assert!((variance(StepVariance::Between(one(0.0))) / small - 1.0).abs() < 1e-9);
            assert!((variance(StepVariance::Between(one(1.0))) / beta - 1.0).abs() < 1e-9);
        }
        // The step to the data: the forward kernel's rate is all the noise of the lowest level.
        let above = ReverseStep::between(&process.at(1.0), &process.at(0.0));
        let last = ReverseStep::to_data(&process.at(0.0), &above);
        let w = (last.ln_small + rows_f64(StepVariance::Around(one(0.0)).over_small(&last))[0]).exp();
        assert!((w / betas[0] - 1.0).abs() < 1e-9 && last.of_clean == 1.0, "{w}");
    }

    /// The divergence is that of two normal laws, by its definition `E_q[ln q - ln p]` on a fine grid.
    #[test]
    fn the_divergence_is_its_integral() {
        let process = ProcessConfig::DiscreteBetas { betas: vec![0.1, 0.3], zero_terminal_snr: false }.build().unwrap();
        let step = ReverseStep::between(&process.at(1.0), &process.at(0.0));
        for (error, over) in [(0.0, 0.0), (0.4, 0.6), (-0.9, -0.3)] {
            let (v, w, shift) = (step.ln_small.exp(), (step.ln_small + over).exp(), step.of_clean * error);
            let density = |x: f64, v: f64| (-0.5 * x * x / v).exp() / (std::f64::consts::TAU * v).sqrt();
            let (n, reach) = (4000, 12.0 * v.sqrt());
            let h = 2.0 * reach / f64::from(n);
            let at = |i: i32| -reach + h * f64::from(i);
            let sum: f64 = (0..=n).map(at).map(|x| density(x, v) * (density(x, v).ln() - density(x - shift, w).ln()) * h).sum();
            let found = rows_f64(step.divergence(one(error), one(over)))[0];
            assert!((found - sum).abs() < 1e-8, "{error} {over}: {found} {sum}");
        }
    }
}
