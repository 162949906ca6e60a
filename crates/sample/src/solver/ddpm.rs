//! Ancestral sampling of denoising diffusion probabilistic models, for any process.
//!
//! Ho et al. 2020, eq. 7 and algorithm 2: the mean of `q(x_s | x_t, x_0)` at `x_0 = E[x_0 | x_t]`,
//! `alpha_s (1 - rho^2) x_0 + (alpha_t / alpha_s) (sigma_s / sigma_t)^2 x_t`, and the variance of that law (`small`; then it is DDIM at
//! `eta = 1`), of the forward kernel (`large`), or as the model has learned (`learned`: between them, Nichol and Dhariwal 2021, eq. 15,
//! diffusers' `learned_range`; or free of them, Sohl-Dickstein et al. 2015). Weak order 1 on the reverse SDE; one evaluation a step. No noise is added on a
//! leg that ends where `sigma = 0`, unless `noisy_end` asks for the forward kernel's there.

use super::{Key, Method, Order, Past, Predictor, Solver, Variance};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// The posterior `q(x_s | x_t, x_0 = E[x_0 | x_t])`, sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ddpm {
    /// Which variance.
    pub variance: Variance,
    /// Whether the large variance is also added on a leg to clean data, as diffusers does where the last listed time is not the
    /// table's first.
    pub noisy_end: bool,
}

impl Solver for Ddpm {
    fn name(&self) -> &'static str {
        "ddpm"
    }

    fn order(&self) -> Order {
        Order::Weak(1)
    }

    fn needs_variance(&self) -> bool {
        self.variance == Variance::Learned
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let (x0, learned) = self.variance.denoise(d, x, leg.t);
        let (mean, small) = Predictor::Ancestral.law(x, &x0, leg, &at_t, &at_s);
        past.push(leg.t, x, x0);
        mean + self.variance.noise(noise.between(x, leg.t, leg.s), learned, small, &at_t, &at_s, self.noisy_end)
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
        vec![
            Key::choice("variance", "of the step: the posterior's, the forward kernel's, or learned", &mut self.variance),
            Key::switch("noisy_end", "whether the large variance is added on the step to clean data", &mut self.noisy_end),
        ]
    }
}
