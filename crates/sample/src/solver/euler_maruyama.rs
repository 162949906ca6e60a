//! Euler-Maruyama with any degree of noise, in the process's own time (Ito).
//!
//! The reverse SDE (Anderson 1982; Song et al. 2021, eq. 6) is one of a family with the same marginals (their appendix D.1;
//! Huang et al. 2021): `dx = (f x - (1 + eta^2) / 2 g^2 score) dt + eta g dw` run backwards, `eta = 0` the probability flow (then it
//! is [`Euler`](super::Euler)), `eta = 1` the reverse SDE. A step is
//! `x_s = x_t - (f x_t - (1 + eta^2) / 2 g^2 score) h + eta g sqrt(h) w`, `h = t - s`. The noise is additive, so strong and weak order
//! are both 1 (order 1 at `eta = 0`); one evaluation a step.

use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// `x_s = x_t - (f x_t - (1 + eta^2) / 2 g^2 score) h + eta g sqrt(h) w`.
#[derive(Clone, Debug, PartialEq)]
pub struct EulerMaruyama {
    /// Degree of noise: 0 the probability flow, 1 the reverse SDE, or beyond.
    pub eta: f64,
}

impl Default for EulerMaruyama {
    fn default() -> Self {
        Self { eta: 1.0 }
    }
}

impl Solver for EulerMaruyama {
    fn name(&self) -> &'static str {
        "euler-maruyama"
    }

    fn order(&self) -> Order {
        if self.eta == 0.0 { Order::Deterministic(1) } else { Order::Weak(1) }
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let x0 = d.denoise(x, leg.t);
        past.push(leg.t, x, x0.clone());
        if at_s.sigma == 0.0 {
            return x0 * at_s.alpha;
        }
        let (h, g2) = (leg.t - leg.s, at_t.diffusion_squared());
        let pull = 0.5 * (1.0 + self.eta * self.eta) * g2 * h;
        // x - h f x + pull (alpha x_0 - x) / sigma^2, gathered by x and x_0.
        let share = pull / at_t.sigma.powi(2);
        let mean = x.clone() * (1.0 - at_t.drift() * h - share) + x0 * (share * at_t.alpha);
        if self.eta == 0.0 { mean } else { mean + noise.between(x, leg.t, leg.s) * (self.eta * (g2 * h).sqrt()) }
    }
}

impl Method for EulerMaruyama {
    fn about(&self) -> &'static str {
        "Euler-Maruyama on the reverse SDE in the process's time, any degree of noise (Song et al. 2021)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![Key::number("eta", "degree of noise: 0 the flow, 1 the reverse SDE", &mut self.eta, 0.0..=100.0)]
    }
}
