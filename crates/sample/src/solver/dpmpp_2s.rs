//! DPM-Solver++(2S): the single step of second order on the data prediction.
//!
//! Lu et al. 2022b ("DPM-Solver++"), algorithm 1. With `u` the time at `lambda_t + r h`, `x_u` reached by first order:
//! `x_s = (sigma_s / sigma_t) x_t - alpha_s (e^-h - 1) ((1 - 1/(2r)) D_t + D_u / (2r))`. Order 2; two evaluations a step. A leg to `sigma = 0` is
//! `alpha_s D`.

use super::dpm_solver::second_order;
use super::exponential::{Leap, Predicts, Second};
use super::{Key, Method, Order, Past, Seen, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// The single step of second order of the DPM-Solver++ family.
#[derive(Clone, Debug, PartialEq)]
pub struct DpmPp2S {
    /// The place of the second evaluation, as a part of the step in lambda.
    pub r: f64,
    /// The last formula.
    pub second: Second,
}

impl Default for DpmPp2S {
    fn default() -> Self {
        Self { r: 0.5, second: Second::Midpoint }
    }
}

impl Solver for DpmPp2S {
    fn name(&self) -> &'static str {
        "dpmpp-2s"
    }

    fn order(&self) -> Order {
        Order::Deterministic(2)
    }

    fn evaluations_per_step(&self) -> usize {
        2
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        let at_s = d.process().at(leg.s);
        let first = Seen { t: leg.t, x: x.clone(), clean: d.denoise(x, leg.t) };
        past.push(leg.t, x, first.clean.clone());
        if at_s.sigma == 0.0 {
            return first.clean * at_s.alpha;
        }
        let leap = Leap::new(d.process(), leg.t, leg.s, Predicts::Data);
        second_order(d, &first, &leap, self.r, Predicts::Data, self.second)
    }
}

impl Method for DpmPp2S {
    fn about(&self) -> &'static str {
        "DPM-Solver++(2S), single step of second order (Lu et al. 2022b)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::number("r", "place of the second evaluation in the step", &mut self.r, 0.01..=1.0),
            Key::choice("variant", "the last formula of a step", &mut self.second),
        ]
    }
}
