//! DPM-Solver++(3M): the three-step exponential integrator on the data prediction.
//!
//! Lu et al. 2022b ("DPM-Solver++"), appendix B: the parabola through the denoised data of three steps, integrated exactly along lambda.
//! Order 3; one evaluation a step, and one more in the first. `third=published` and `start=low` are what the authors' code does; each
//! makes the order 2, for the reasons in [`DpmMultistep`], of which this is order 3 on data.

use super::exponential::{Predicts, Second, Start};
use super::{DpmMultistep, Key, Method, Order, Past, Solver, Third};
use scorefield_process::{Denoiser, GridKind, Leg};
use scorefield_tensor::{Batch, Noise};

/// The third-order multistep solver of the DPM-Solver++ family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DpmPp3M {
    /// The formula of third order.
    pub third: Third,
    /// How the run begins.
    pub start: Start,
    /// The formula of second order, in use at the beginning and with `lower_order_final`.
    pub second: Second,
    /// Orders 2 and 1 on the last two legs.
    pub lower_order_final: bool,
}

impl DpmPp3M {
    fn method(&self) -> DpmMultistep {
        let Self { third, start, second, lower_order_final } = self.clone();
        let predicts = Predicts::Data;
        DpmMultistep { order: 3, predicts, second, third, start, lower_order_final, euler_at_final: false }
    }
}

impl Solver for DpmPp3M {
    fn name(&self) -> &'static str {
        "dpmpp-3m"
    }

    fn order(&self) -> Order {
        self.method().order()
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        self.method().step(d, x, leg, past, noise)
    }
}

impl Method for DpmPp3M {
    fn about(&self) -> &'static str {
        "DPM-Solver++(3M), three-step exponential integrator (Lu et al. 2022b)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::choice("third", "the formula of third order", &mut self.third),
            Key::choice("start", "the beginning of a run", &mut self.start),
            Key::choice("variant", "the formula of second order", &mut self.second),
            Key::switch("lower_order_final", "orders 2 and 1 on the last two legs", &mut self.lower_order_final),
        ]
    }
}
