//! Ancestral sampling of denoising diffusion probabilistic models, for any process.
//!
//! Ho et al. 2020, eq. 7 and algorithm 2: the mean of `q(x_s | x_t, x_0)` at `x_0 = E[x_0 | x_t]`,
//! `alpha_s (1 - rho^2) x_0 + (alpha_t / alpha_s) (sigma_s / sigma_t)^2 x_t`, and the variance of that law (`small`; then it is DDIM at
//! `eta = 1`) or of the forward kernel (`large`). Weak order 1 on the reverse SDE; one evaluation a step. No noise is added on a
//! leg that ends where `sigma = 0`.

use super::{Key, Method, Order, Past, Predictor, Solver, Variance};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// The posterior `q(x_s | x_t, x_0 = E[x_0 | x_t])`, sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ddpm {
    /// Which variance.
    pub variance: Variance,
}

impl Solver for Ddpm {
    fn name(&self) -> &'static str {
        "ddpm"
    }

    fn order(&self) -> Order {
        Order::Weak(1)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let x0 = d.denoise(x, leg.t);
        let (mean, small) = Predictor::Ancestral.law(x, &x0, leg, &at_t, &at_s);
        past.push(leg.t, x, x0);
        mean + noise.between(x, leg.t, leg.s) * self.variance.deviation(small, &at_t, &at_s)
    }
}

impl Method for Ddpm {
    fn about(&self) -> &'static str {
        "DDPM's ancestral sampling (Ho et al. 2020); small variance equals DDIM at eta = 1"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![Key::choice("variance", "of the step: the posterior's or the forward kernel's", &mut self.variance)]
    }
}
