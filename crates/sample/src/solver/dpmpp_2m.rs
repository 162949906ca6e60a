//! DPM-Solver++(2M): the two-step exponential integrator on the data prediction.
//!
//! Lu et al. 2022b ("DPM-Solver++"), algorithm 2. With `lambda = ln(alpha / sigma)`, `h = lambda_s - lambda_t` and `r = h_prev / h`,
//! `x_s = (sigma_s / sigma_t) x_t - alpha_s (e^-h - 1) ((1 + 1/(2r)) D_t - D_prev / (2r))`: the linear part is exact, the denoised data
//! are extrapolated along lambda. The first step, and one that ends where `sigma = 0` (`h` infinite), use `D_t` alone, which is DDIM.
//! `variant=heun` integrates the straight line exactly. Order 2; one evaluation a step. It is [`DpmMultistep`] of order 2 on data.

use super::exponential::{Predicts, Second};
use super::{DpmMultistep, Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, GridKind, Leg};
use scorefield_tensor::{Batch, Noise};

/// The second-order multistep solver of the DPM-Solver++ family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DpmPp2M {
    /// Whether the last leg is of first order, which steadies runs of fewer than about 15 steps (Lu et al. 2022b, section 5).
    pub lower_order_final: bool,
    /// The formula.
    pub second: Second,
}

impl Solver for DpmPp2M {
    fn name(&self) -> &'static str {
        "dpmpp-2m"
    }

    fn order(&self) -> Order {
        Order::Deterministic(2)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (second, lower_order_final) = (self.second, self.lower_order_final);
        let method = DpmMultistep { predicts: Predicts::Data, second, lower_order_final, ..DpmMultistep::default() };
        method.step(d, x, leg, past, noise)
    }
}

impl Method for DpmPp2M {
    fn about(&self) -> &'static str {
        "DPM-Solver++(2M), two-step exponential integrator (Lu et al. 2022b)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::switch("lower_order_final", "first order on the last leg", &mut self.lower_order_final),
            Key::choice("variant", "the formula", &mut self.second),
        ]
    }
}
