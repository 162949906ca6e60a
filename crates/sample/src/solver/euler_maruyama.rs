//! Euler-Maruyama on the reverse SDE, in the process's own time (Ito).
//!
//! `dx = (f x - g^2 score) dt + g dw` run backwards (Anderson 1982; Song et al. 2021, eq. 6):
//! `x_s = x_t - (f x_t - g^2 score) h + g sqrt(h) w`, `h = t - s`. The noise is additive, so strong and weak order are both 1; one
//! evaluation a step.

use super::{Method, Order, Past, Predictor, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// `x_s = x_t - (f x_t - g^2 score) h + g sqrt(h) w`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EulerMaruyama {}

impl Solver for EulerMaruyama {
    fn name(&self) -> &'static str {
        "euler-maruyama"
    }

    fn order(&self) -> Order {
        Order::Weak(1)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let x0 = d.denoise(x, leg.t);
        let (mean, deviation) = Predictor::EulerMaruyama.law(x, &x0, leg, &at_t, &at_s);
        past.push(leg.t, x, x0);
        mean + noise.between(x, leg.t, leg.s) * deviation
    }
}

impl Method for EulerMaruyama {
    fn about(&self) -> &'static str {
        "Euler-Maruyama on the reverse SDE in the process's time (Song et al. 2021)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }
}
