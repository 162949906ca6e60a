//! One step of the reverse SDE in a few discretisations: the conditional law of `x_s` given `x_t`.
//!
//! Forward from `s` to `t` the process multiplies by `a = alpha_t / alpha_s` and adds noise of variance
//! `G^2 = sigma_t^2 - a^2 sigma_s^2 = sigma_t^2 (1 - rho^2)`, `rho` being the ratio of the noise levels `sigma / alpha` at `s` and
//! `t`. Where `sigma_s = 0` all are replaced by the mean of their common limit, `alpha_s E[x_0 | x_t]`, without noise.

use super::key::choice;
use scorefield_process::{Denoiser, Leg, Marginal, ReverseStep, StepVariance};
use scorefield_tensor::Batch;

choice! {
    /// The discretisation.
    Predictor {
        ReverseDiffusion = "reverse-diffusion": "`(2 - a) x + G^2 score`, deviation `G` (Song et al. 2021, eq. 46): the forward kernel run backwards.",
        Ancestral = "ancestral": "`(x + G^2 score) / a`, the posterior mean of DDPM (Ho et al. 2020, eq. 7), deviation `G sigma_s / sigma_t`.",
        EulerMaruyama = "euler-maruyama": "`x - (f x - g^2 score) h`, deviation `g sqrt(h)`, `h = t - s`: Euler-Maruyama in the process's time.",
        DiffusionFlow = "diffusion-flow": "`(2 - a) x + G^2 score / 2`, no noise: the probability flow by the same kernel (Song et al.'s `probability_flow`).",
        None = "none": "`x` itself: the corrector alone.",
    }
}

choice! {
    /// The variance of an ancestral step.
    Variance {
        Small = "small": "`G^2 sigma_s^2 / sigma_t^2`: exact when the data are one point (Ho et al. 2020, beta tilde).",
        Large = "large": "`G^2`: exact when the data are standard normal (Ho et al. 2020, beta).",
        Learned = "learned": "What the model has learned, entry by entry: a place between their logarithms (Nichol and Dhariwal 2021, eq. 15), or free (Sohl-Dickstein et al. 2015).",
    }
}

impl Predictor {
    /// Mean `[n, d]` and standard deviation of `x_s` given `x_t = x` and `x0 = E[x_0 | x_t]`.
    pub fn law(self, x: &Batch, x0: &Batch, leg: Leg, at_t: &Marginal, at_s: &Marginal) -> (Batch, f64) {
        if at_s.sigma == 0.0 {
            return (x0.clone() * at_s.alpha, 0.0);
        }
        let decay = at_t.alpha / at_s.alpha;
        // 1 - rho^2 from the log-SNRs, without cancellation.
        let fresh = -(at_t.log_snr() - at_s.log_snr()).exp_m1();
        match self {
            Self::ReverseDiffusion => {
                let g2 = at_t.sigma.powi(2) * fresh;
                (x.clone() * (2.0 - decay) + at_t.score(x, x0) * g2, g2.sqrt())
            }
            Self::Ancestral => {
                let step = at_t.posterior(at_s);
                (x0.clone() * step.of_clean + x.clone() * step.of_state, step.deviation)
            }
            Self::DiffusionFlow => {
                let g2 = at_t.sigma.powi(2) * fresh;
                (x.clone() * (2.0 - decay) + at_t.score(x, x0) * (0.5 * g2), 0.0)
            }
            Self::None => (x.clone(), 0.0),
            Self::EulerMaruyama => {
                let (h, g2) = (leg.t - leg.s, at_t.diffusion_squared());
                (x.clone() * (1.0 - at_t.drift() * h) + at_t.score(x, x0) * (g2 * h), (g2 * h).sqrt())
            }
        }
    }
}

impl Variance {
    /// `E[x_0 | x_t]` and, where it is to be learned, the variance of the step.
    ///
    /// # Panics
    /// When the variance is to be the learned one and the model has none: whoever lets a person choose both asks before
    /// ([`Solver::needs_variance`](super::Solver::needs_variance)). There is no other variance to fall back on unasked.
    #[track_caller]
    pub(super) fn denoise(self, d: &dyn Denoiser, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        if self != Self::Learned {
            return (d.denoise(x, t), None);
        }
        let (clean, learned) = d.denoise_with_variance(x, t);
        assert!(
            learned.is_some(),
            "variance=learned needs a model that has learned the variance of its steps; use small or large"
        );
        (clean, learned)
    }

    /// The noise `w` of an ancestral step, scaled by the deviation; `small` is that of the small variance, `ends_noisy` whether the
    /// large variance is added where `sigma_s = 0`.
    pub(super) fn noise(
        self,
        w: Batch,
        learned: Option<StepVariance>,
        small: f64,
        at_t: &Marginal,
        at_s: &Marginal,
        ends_noisy: bool,
    ) -> Batch {
        match (self, learned) {
            (Self::Large, _) if at_s.sigma == 0.0 && ends_noisy => w * at_t.sigma,
            _ if at_s.sigma == 0.0 => w * 0.0,
            (Self::Learned, Some(learned)) => w * (learned.over_small(&ReverseStep::between(at_t, at_s)) * 0.5).exp() * small,
            (Self::Small | Self::Learned, _) => w * small,
            (Self::Large, _) => w * (small * at_t.sigma / at_s.sigma),
        }
    }
}
