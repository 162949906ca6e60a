//! DPM-Solver++(2S) with ancestral noise.
//!
//! k-diffusion's `dpmpp_2s_ancestral` (Lu et al. 2022b, algorithm 1 with `r = 1/2`), for any process: in `y = x / alpha` from level `l`
//! to `down` with the data of the middle, `y_s = (down / l) y_t + (1 - down / l) D(y_m) + up s_noise w`, `y_m` being the
//! exponential Euler step to `m = sqrt(l down)`. Weak order 2 (order 2 at `eta = 0`, where it is DPM-Solver++(2S)); two
//! evaluations a step. A leg whose `down` is 0 is Euler's.

use super::ancestral::{Ancestral, middle, towards};
use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// `y_s = (down / l) y_t + (1 - down / l) D(y_m) + up s_noise w`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DpmPp2SAncestral {
    /// The noise.
    pub ancestral: Ancestral,
}

impl Solver for DpmPp2SAncestral {
    fn name(&self) -> &'static str {
        "dpmpp-2s-ancestral"
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
        let data = if down == 0.0 { x0.clone() } else { middle(d, x, &x0, leg.t, down).1 };
        let ahead = towards(x, &data, &at_t, down, at_s.alpha);
        past.push(leg.t, x, x0);
        self.ancestral.add(ahead, up, at_s.alpha, leg, noise)
    }
}

impl Method for DpmPp2SAncestral {
    fn about(&self) -> &'static str {
        "DPM-Solver++(2S) with ancestral noise (k-diffusion)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        self.ancestral.keys()
    }
}
