//! Euler's method on the probability flow, in the process's own time.
//!
//! `x_s = x_t + (s - t) v(x_t, t)`, `v = alpha' E[x_0 | x] + sigma' E[eps | x]` (Song et al. 2021, eq. 13). For the EDM process it is
//! DDIM; for rectified flow it is the usual flow sampler. With `s_churn` it is algorithm 2 of Karras et al. 2022 without its
//! correction. One evaluation a step; order 1 (with churn: weak order 1, the marginal laws being kept by the churn).

use super::{Churn, Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// `x_s = x_t + (s - t) v(x_t, t)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Euler {
    /// Noise added before each step.
    pub churn: Churn,
}

impl Solver for Euler {
    fn name(&self) -> &'static str {
        "euler"
    }

    fn order(&self) -> Order {
        self.churn.order(1)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (x, t) = self.churn.raise(d.process(), x, leg, noise);
        let at_t = d.process().at(t);
        let x0 = d.denoise(&x, t);
        let v = at_t.velocity(&x0, &at_t.noise(&x, &x0));
        past.push(t, &x, x0);
        x + v * (leg.s - t)
    }
}

impl Method for Euler {
    fn about(&self) -> &'static str {
        "Euler on the probability flow in the process's time (Song et al. 2021); churn as in Karras et al. 2022"
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        self.churn.keys()
    }
}
