//! DPM-Solver-fast: steps of order 3 and a lower end, for a given number of evaluations.
//!
//! Lu et al. 2022a, section 3.4: `K` evaluations are `m = floor(K / 3) + 1` steps in `lambda`, all of DPM-Solver-3 but the last; with
//! `K mod 3` evaluations left the last is DPM-Solver of that order, and with none left the last two are of orders 2 and 1. Here the grid has the
//! `m` legs and `rest` is `K mod 3`.
//!
//! With `eta` (k-diffusion) each leg but the last aims at the lower level `down` of the ancestral split and noise brings it back; `down` stays
//! within the process's span. A single last step of order `k` leaves an error of order `k + 1`, hence the order: 2, or 3 with `rest = 2`
//! (weak with noise). A leg to `sigma = 0` is `alpha_s D`.

use super::ancestral::Ancestral;
use super::dpm_solver::{second_order, third_order};
use super::exponential::{Leap, Predicts, Second};
use super::{Key, Method, Order, Past, Seen, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// DPM-Solver-3 with a lower end.
#[derive(Clone, Debug, PartialEq)]
pub struct DpmFast {
    /// Evaluations beyond three for each leg but the last, 0 to 2.
    pub rest: usize,
    /// The noise; none by default.
    pub ancestral: Ancestral,
}

impl Default for DpmFast {
    fn default() -> Self {
        Self { rest: 2, ancestral: Ancestral { eta: 0.0, s_noise: 1.0 } }
    }
}

impl DpmFast {
    /// The order of a leg, which is its number of evaluations.
    fn order_of(&self, leg: Leg) -> usize {
        match (leg.count - 1 - leg.index, self.rest) {
            (0, 0) => 1,
            (1, 0) => 2,
            (0, rest) => rest,
            _ => 3,
        }
    }
}

impl Solver for DpmFast {
    fn name(&self) -> &'static str {
        "dpm-fast"
    }

    fn order(&self) -> Order {
        self.ancestral.order(if self.rest == 2 { 3 } else { 2 })
    }

    fn evaluations_per_step(&self) -> usize {
        3
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let process = d.process();
        let at_s = process.at(leg.s);
        let first = Seen { t: leg.t, x: x.clone(), clean: d.denoise(x, leg.t) };
        past.push(leg.t, x, first.clean.clone());
        if at_s.sigma == 0.0 {
            return first.clean * at_s.alpha;
        }

        // Where the flow is left: below the leg's end if noise is to follow.
        let goal = at_s.ratio();
        let (down, _) = self.ancestral.split(process.at(leg.t).ratio(), goal);
        let last = leg.index + 1 == leg.count;
        let down = if last { goal } else { down.max(process.at(process.span().start).ratio()).min(goal) };
        let u = if down == goal { leg.s } else { process.time_of_ratio(down) };
        let up = ((goal - down) * (goal + down)).sqrt();

        let (on, leap) = (Predicts::Noise, Leap::new(process, leg.t, u, Predicts::Noise));
        let x_u = match self.order_of(leg) {
            3 => third_order(d, &first, &leap, on, Second::Midpoint),
            2 => second_order(d, &first, &leap, 0.5, on, Second::Midpoint),
            _ => leap.step(x, &leap.moments(1), [&first]),
        };
        let x_s = if u == leg.s { x_u } else { x_u * (at_s.alpha / process.at(u).alpha) };
        self.ancestral.add(x_s, up, at_s.alpha, leg, noise)
    }
}

impl Method for DpmFast {
    fn about(&self) -> &'static str {
        "DPM-Solver-fast: order 3, the last legs lower, for 3 (legs - 1) + rest evaluations (Lu et al. 2022a)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        let mut keys = vec![Key::count("rest", "evaluations beyond three a leg but the last", &mut self.rest, 0..=2)];
        keys.extend(self.ancestral.keys());
        keys
    }
}
