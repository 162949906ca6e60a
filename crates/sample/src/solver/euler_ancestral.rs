//! Euler's step with ancestral noise.
//!
//! k-diffusion's `euler_ancestral`, for any process: in `y = x / alpha`, `y_s = D + (down / l) (y_t - D) + up s_noise w` with the
//! split of [`Ancestral`](super::Ancestral). With `s_noise = 1` and `eta <= 1` it is DDIM of the same `eta` (Song, Meng and
//! Ermon 2021, eq. 16), and so DDPM's ancestral step at `eta = 1`; `eta = inf` draws all noise afresh, `alpha_s D + sigma_s w`, which
//! is the stochastic sampler of flow matching and the multistep sampler of consistency models. Weak order 1 (order 1 at
//! `eta = 0`); one evaluation a step.

use super::ancestral::{Ancestral, towards};
use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// `y_s = D + (down / l) (y_t - D) + up s_noise w`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EulerAncestral {
    /// The noise.
    pub ancestral: Ancestral,
}

impl Solver for EulerAncestral {
    fn name(&self) -> &'static str {
        "euler-ancestral"
    }

    fn order(&self) -> Order {
        // Drawing all noise afresh leaves nothing of the state but D: it does not converge.
        if self.ancestral.eta.is_infinite() { Order::None } else { self.ancestral.order(1) }
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let (down, up) = self.ancestral.split(at_t.ratio(), at_s.ratio());
        let x0 = d.denoise(x, leg.t);
        let ahead = towards(x, &x0, &at_t, down, at_s.alpha);
        past.push(leg.t, x, x0);
        self.ancestral.add(ahead, up, at_s.alpha, leg, noise)
    }
}

impl Method for EulerAncestral {
    fn about(&self) -> &'static str {
        "Euler with ancestral noise (k-diffusion); DDIM of the same eta"
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        self.ancestral.keys()
    }
}
