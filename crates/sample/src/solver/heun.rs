//! Heun's method on the probability flow, with the churn of EDM.
//!
//! Karras et al. 2022, algorithms 1 and 2, for any process. `d = v(x_t, t)`, `x' = x_t + alpha h d` with `h = s - t`,
//! `x_s = x_t + h ((1 - 1/(2 alpha)) d + v(x', t + alpha h) / (2 alpha))`: Heun at `alpha = 1`, midpoint at 1/2, Ralston at 2/3 (their
//! appendix D.2). Order 2 for every alpha; two evaluations a step. A leg that ends where `sigma = 0` is an Euler step, as theirs
//! is, because the slope there is 0/0.

use super::{Churn, Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, DenoiserExt, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// Euler's step corrected by a second slope.
#[derive(Clone, Debug, PartialEq)]
pub struct Heun {
    /// Noise added before each step.
    pub churn: Churn,
    /// Where in the step the second slope is taken: 1 its end.
    pub alpha: f64,
}

impl Default for Heun {
    fn default() -> Self {
        Self { churn: Churn::default(), alpha: 1.0 }
    }
}

impl Solver for Heun {
    fn name(&self) -> &'static str {
        "heun"
    }

    fn order(&self) -> Order {
        self.churn.order(2)
    }

    fn evaluations_per_step(&self) -> usize {
        2
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (x, t) = self.churn.raise(d.process(), x, leg, noise);
        let (at_t, h) = (d.process().at(t), leg.s - t);
        let x0 = d.denoise(&x, t);
        let slope = at_t.velocity(&x0, &at_t.noise(&x, &x0));
        past.push(t, &x, x0);
        if d.process().at(leg.s).sigma == 0.0 {
            return x + slope * h;
        }
        let ahead = x.clone() + slope.clone() * (self.alpha * h);
        let slope_ahead = d.velocity(&ahead, t + self.alpha * h);
        let weight = 0.5 / self.alpha;
        x + slope * (h * (1.0 - weight)) + slope_ahead * (h * weight)
    }
}

impl Method for Heun {
    fn about(&self) -> &'static str {
        "Heun on the probability flow with optional churn (Karras et al. 2022, algorithms 1 and 2)"
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        let mut keys = self.churn.keys();
        keys.push(Key::number("alpha", "place of the second slope: 1 Heun, 0.5 midpoint", &mut self.alpha, 0.01..=1.0));
        keys
    }
}
