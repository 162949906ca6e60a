//! DPM-Solver++(2M): the two-step exponential integrator on the data prediction.
//!
//! Lu et al. 2022b ("DPM-Solver++"), algorithm 2. With `lambda = ln(alpha / sigma)`, `h = lambda_s - lambda_t` and `r = h_prev / h`,
//! `x_s = (sigma_s / sigma_t) x_t - alpha_s (e^-h - 1) ((1 + 1/(2r)) D_t - D_prev / (2r))`: the linear part is exact, the denoised data
//! are extrapolated along lambda. The first step, and one that ends where `sigma = 0` (`h` infinite), use `D_t` alone, which is DDIM.
//! Order 2; one evaluation a step.

use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// The second-order multistep solver of the DPM-Solver++ family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DpmPp2M {
    /// Whether the last leg is of first order, which steadies runs of fewer than about 15 steps (Lu et al. 2022b, section 5).
    pub lower_order_final: bool,
}

impl Solver for DpmPp2M {
    fn name(&self) -> &'static str {
        "dpmpp-2m"
    }

    fn order(&self) -> Order {
        Order::Deterministic(2)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let x0 = d.denoise(x, leg.t);
        let lambda = |t: f64| 0.5 * d.process().at(t).log_snr();
        let h = lambda(leg.s) - lambda(leg.t);
        let first_order = at_s.sigma == 0.0 || self.lower_order_final && leg.index + 1 == leg.count;
        let extrapolated = match past.back(0) {
            Some(previous) if !first_order => {
                let half_over_r = 0.5 * h / (lambda(leg.t) - lambda(previous.t));
                x0.clone() * (1.0 + half_over_r) - previous.clean.clone() * half_over_r
            }
            _ => x0.clone(),
        };
        past.push(leg.t, x, x0);
        x.clone() * (at_s.sigma / at_t.sigma) - extrapolated * (at_s.alpha * (-h).exp_m1())
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
        vec![Key::switch("lower_order_final", "first order on the last leg", &mut self.lower_order_final)]
    }
}
