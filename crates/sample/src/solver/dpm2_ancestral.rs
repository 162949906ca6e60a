//! The midpoint rule with ancestral noise.
//!
//! k-diffusion's `dpm_2_ancestral` (the midpoint step of DPM-Solver-2, Lu et al. 2022a, in the noise level), for any process: in
//! `y = x / alpha` from level `l` to `down` by the slope `(y_m - D(y_m)) / m` at `m = sqrt(l down)`, then noise `up`. Weak order 2
//! (order 2 at `eta = 0`): both halves of the split carry the law exactly. Two evaluations a step. A leg whose `down` is 0 is
//! Euler's.

use super::ancestral::{Ancestral, middle, towards};
use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// `y_s = y_t + (down - l) (y_m - D(y_m)) / m + up s_noise w`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dpm2Ancestral {
    /// The noise.
    pub ancestral: Ancestral,
}

impl Solver for Dpm2Ancestral {
    fn name(&self) -> &'static str {
        "dpm2-ancestral"
    }

    fn order(&self) -> Order {
        self.ancestral.order(2)
    }

    fn evaluations_per_step(&self) -> usize {
        2
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let (down, up) = self.ancestral.split(at_t.ratio(), at_s.ratio());
        let x0 = d.denoise(x, leg.t);
        let ahead = if down == 0.0 {
            towards(x, &x0, &at_t, 0.0, at_s.alpha)
        } else {
            let (y, clean, level) = middle(d, x, &x0, leg.t, down);
            x.clone() * (at_s.alpha / at_t.alpha) + (y - clean) * (at_s.alpha * (down - at_t.ratio()) / level)
        };
        past.push(leg.t, x, x0);
        self.ancestral.add(ahead, up, at_s.alpha, leg, noise)
    }
}

impl Method for Dpm2Ancestral {
    fn about(&self) -> &'static str {
        "midpoint rule of DPM-Solver-2 with ancestral noise (k-diffusion)"
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        self.ancestral.keys()
    }
}
