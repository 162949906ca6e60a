//! DPM-Solver in several steps: the exponential integrator through the predictions of earlier steps.
//!
//! Lu et al. 2022b ("DPM-Solver++"), algorithm 2 (2M) and appendix B (3M), on the data or the noise prediction. In the notation of
//! `exponential.rs` a step of order `k` sees the model at the beginnings of the last `k` legs, one evaluation a step.
//!
//! The published formula of third order weighs the second difference `c_2 = h^2 m'' / 2` by `phi_3`, where the polynomial's integral is
//! `2 phi_3 c_2`: with it (`third=published`, what the authors' code and diffusers compute) the local error is of third order and the method
//! is of order 2, not 3. `third=exact` is of order 3.
//!
//! A first step of order 1 has a local error of second order, which is enough for order 2 and not for 3: `start=full` therefore takes the
//! first of a third-order run as a single step of order 2 (one evaluation more), the second one being of order 2 anyhow. The last legs may be
//! of lower order, which steadies runs of fewer than about 15 steps (their section 5) and costs the third order. A leg to `sigma = 0` is
//! `alpha_s D`.

use super::dpm_solver::second_order;
use super::exponential::{Leap, Predicts, Second, Start};
use super::key::choice;
use super::{Key, Method, Order, Past, Seen, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

choice! {
    /// The second moment of the third-order formula.
    Third {
        Exact = "exact": "`M_2`: the parabola is integrated exactly, order 3.",
        Published = "published": "`M_2 / 2`, as in the papers' code: order 2.",
    }
}

/// The multistep exponential integrator of order 1, 2 or 3.
#[derive(Clone, Debug, PartialEq)]
pub struct DpmMultistep {
    /// Order, 1 to 3.
    pub order: usize,
    /// The prediction integrated.
    pub predicts: Predicts,
    /// The formula of second order.
    pub second: Second,
    /// The formula of third order.
    pub third: Third,
    /// How a run of third order begins.
    pub start: Start,
    /// Order 2 on the last leg but one and order 1 on the last.
    pub lower_order_final: bool,
    /// Order 1 on the last leg.
    pub euler_at_final: bool,
}

impl Default for DpmMultistep {
    fn default() -> Self {
        Self {
            order: 2,
            predicts: Predicts::Noise,
            second: Second::Midpoint,
            third: Third::Exact,
            start: Start::Full,
            lower_order_final: false,
            euler_at_final: false,
        }
    }
}

impl DpmMultistep {
    /// The order of a leg when `looks` earlier ones are remembered.
    fn order_of(&self, leg: Leg, looks: usize) -> usize {
        let allowed = match leg.count - leg.index {
            1 if self.lower_order_final || self.euler_at_final => 1,
            2 if self.lower_order_final => 2,
            _ => 3,
        };
        self.order.min(allowed).min(looks + 1)
    }
}

impl Solver for DpmMultistep {
    fn name(&self) -> &'static str {
        "dpm-multistep"
    }

    fn order(&self) -> Order {
        let lowered = self.start == Start::Low || self.third == Third::Published || self.lower_order_final || self.euler_at_final;
        Order::Deterministic(if lowered { self.order.min(2) } else { self.order } as u32)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        let at_s = d.process().at(leg.s);
        let first = Seen { t: leg.t, x: x.clone(), clean: d.denoise(x, leg.t) };
        let looks = past.looks();
        past.push(leg.t, x, first.clean.clone());
        if at_s.sigma == 0.0 {
            return first.clean * at_s.alpha;
        }
        let leap = Leap::new(d.process(), leg.t, leg.s, self.predicts);
        let order = self.order_of(leg, looks);
        if looks == 0 && self.start == Start::Full && self.order_of(leg, 2) == 3 {
            return second_order(d, &first, &leap, 0.5, self.predicts, self.second);
        }
        let mut moments = if order == 2 { leap.second(self.second) } else { leap.moments(order) };
        if order == 3 && self.third == Third::Published {
            moments[2] *= 0.5;
        }
        leap.step(x, &moments, (0..order).filter_map(|k| past.back(k)))
    }
}

impl Method for DpmMultistep {
    fn about(&self) -> &'static str {
        "DPM-Solver of order 1, 2 or 3 in several steps, on noise or data (Lu et al. 2022b)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::count("order", "of the method", &mut self.order, 1..=3),
            Key::choice("predicts", "the prediction that is integrated", &mut self.predicts),
            Key::choice("variant", "the formula of second order", &mut self.second),
            Key::choice("third", "the formula of third order", &mut self.third),
            Key::choice("start", "the beginning of a run of third order", &mut self.start),
            Key::switch("lower_order_final", "orders 2 and 1 on the last two legs", &mut self.lower_order_final),
            Key::switch("euler_at_final", "first order on the last leg", &mut self.euler_at_final),
        ]
    }
}
