//! Denoising diffusion implicit models, for any process.
//!
//! Song, Meng and Ermon 2021 (ICLR, "Denoising diffusion implicit models"), eq. 12 and 16. With `rho = (sigma_s / alpha_s) /
//! (sigma_t / alpha_t)`, the ratio of the noise levels, and `tau = eta sigma_s sqrt(1 - rho^2)`,
//! `x_s = alpha_s x_0 + sqrt(sigma_s^2 - tau^2) eps + tau w`, where `x_0` and `eps` are the model's expectations.
//!
//! `eta = 0` is the exponential integrator of first order on the probability flow (DPM-Solver-1, and Euler in `sigma / alpha`):
//! order 1. `clip` and `quantile` bound `x_0` alone, `eps` staying the model's, so that the two disagree: diffusers' default for models of
//! pictures, without an order. A bounded denoiser bounds both. `eta = 1` is DDPM's ancestral step of the small variance: weak order 1. One evaluation a step.

use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Clip, Denoiser, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// `x_s = alpha_s x_0 + sqrt(sigma_s^2 - tau^2) eps + tau w`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ddim {
    /// Noise of a step, from 0 (none) to 1 (that of the reverse SDE).
    pub eta: f64,
    /// `x_0` is cut to [-clip, clip]; infinite for no bound.
    pub clip: f64,
    /// If not 0, `x_0` is cut instead to [-q, q] and divided by q, the quantile of `|x_0|` over the entries of a sample, no less than 1 and no
    /// more than `clip` (dynamic thresholding, Saharia et al. 2022, section 2.3).
    pub quantile: f64,
}

impl Default for Ddim {
    fn default() -> Self {
        Self { eta: 0.0, clip: f64::INFINITY, quantile: 0.0 }
    }
}

impl Ddim {
    fn bounded(&self, x0: Batch) -> Batch {
        match (self.quantile, self.clip) {
            (0.0, f64::INFINITY) => x0,
            (0.0, bound) => Clip::Static { bound }.apply(x0),
            (quantile, max) => Clip::Dynamic { quantile, max }.apply(x0),
        }
    }
}

impl Solver for Ddim {
    fn name(&self) -> &'static str {
        "ddim"
    }

    fn order(&self) -> Order {
        if self.clip.is_finite() || self.quantile > 0.0 {
            return Order::None;
        }
        if self.eta == 0.0 { Order::Deterministic(1) } else { Order::Weak(1) }
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let x0 = d.denoise(x, leg.t);
        let eps = at_t.noise(x, &x0);
        let x0 = self.bounded(x0);
        past.push(leg.t, x, x0.clone());
        if self.eta == 0.0 {
            return at_s.perturb(&x0, &eps);
        }
        // 1 - rho^2 from the log-SNRs, without cancellation.
        let fresh = self.eta.powi(2) * -(at_t.log_snr() - at_s.log_snr()).exp_m1();
        at_s.perturb(&x0, &(eps * (1.0 - fresh).sqrt() + noise.between(x, leg.t, leg.s) * fresh.sqrt()))
    }
}

impl Method for Ddim {
    fn about(&self) -> &'static str {
        "DDIM (Song, Meng, Ermon 2021): eta = 0 deterministic, eta = 1 ancestral"
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::number("eta", "noise of a step: 0 none, 1 that of the reverse SDE", &mut self.eta, 0.0..=1.0),
            Key::number("clip", "bound of x_0, eps staying the model's", &mut self.clip, 0.0..=f64::INFINITY),
            Key::number("quantile", "dynamic thresholding of x_0 at it, 0 for none", &mut self.quantile, 0.0..=1.0),
        ]
    }
}
