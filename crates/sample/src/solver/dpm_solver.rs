//! DPM-Solver and DPM-Solver++ in single steps.
//!
//! Lu et al. 2022a ("DPM-Solver"), algorithms 1 and 2, on the noise prediction; Lu et al. 2022b ("DPM-Solver++"), algorithm 1 (2S), on the
//! data prediction. In the notation of `exponential.rs` a step of order 1 sees the model at `t`, one of order 2 also at the middle `u = 1/2`,
//! reached by order 1, and one of order 3 at `u = 1/3` (order 1) and `u = 2/3` (order 2). The last formula of order 3 joins `u = 0` and `u = 2/3`
//! by a straight line, which is of third order because of that place (`variant=midpoint`, the paper's), or takes the parabola through all
//! three (`variant=heun`).
//!
//! With `nodes=grid` the inner places are the grid's own times, as in diffusers' single-step scheduler: of `k` legs the first is of order 1, the
//! second goes again from the same start with order 2, and so on; one evaluation a leg. The places then are not the ones that make the
//! paper's formula of order 3, and a run whose number of legs `k` does not divide ends in a lower order: the claim is order 2.
//!
//! Order as named, evaluations a step likewise; a leg to `sigma = 0` is `alpha_s D`.

use super::exponential::{Leap, Predicts, Second};
use super::key::choice;
use super::{Key, Method, Order, Past, Seen, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

choice! {
    /// Where the inner places of a step lie.
    Nodes {
        Inner = "inner": "Inside every leg, with an evaluation for each.",
        Grid = "grid": "At the times of the grid: a step spans as many legs as its order.",
    }
}

/// The exponential integrator in single steps of order 1, 2 or 3.
#[derive(Clone, Debug, PartialEq)]
pub struct DpmSolver {
    /// Order of a step, 1 to 3.
    pub order: usize,
    /// The prediction integrated.
    pub predicts: Predicts,
    /// The last formula of a step.
    pub second: Second,
    /// Where the inner places lie.
    pub nodes: Nodes,
    /// With nodes on the grid: first order on the last leg also where the order divides the legs.
    pub lower_order_final: bool,
}

impl Default for DpmSolver {
    fn default() -> Self {
        let (predicts, second) = (Predicts::Noise, Second::Midpoint);
        Self { order: 2, predicts, second, nodes: Nodes::Inner, lower_order_final: false }
    }
}

/// A step of order 2 from the first look, with the second look at `u = r`.
pub(super) fn second_order(d: &dyn Denoiser, first: &Seen, leap: &Leap<'_>, r: f64, predicts: Predicts, second: Second) -> Batch {
    let middle = look(d, first, leap.time(r), |inner| inner.step(&first.x, &inner.moments(1), [first]), predicts);
    leap.step(&first.x, &leap.second(second), [first, &middle])
}

/// A step of order 3 with looks at `u = 1/3` and `2/3`.
pub(super) fn third_order(d: &dyn Denoiser, first: &Seen, leap: &Leap<'_>, predicts: Predicts, second: Second) -> Batch {
    let one = look(d, first, leap.time(1.0 / 3.0), |inner| inner.step(&first.x, &inner.moments(1), [first]), predicts);
    let two = |inner: Leap<'_>| inner.step(&first.x, &inner.moments(2), [first, &one]);
    let two = look(d, first, leap.time(2.0 / 3.0), two, predicts);
    match second {
        Second::Midpoint => leap.step(&first.x, &leap.moments(2), [first, &two]),
        Second::Heun => leap.step(&first.x, &leap.moments(3), [first, &one, &two]),
    }
}

/// The look at the model at time `s`, where a formula leads from the first look.
fn look(d: &dyn Denoiser, first: &Seen, s: f64, formula: impl FnOnce(Leap<'_>) -> Batch, predicts: Predicts) -> Seen {
    let x = formula(Leap::new(d.process(), first.t, s, predicts));
    Seen { t: s, clean: d.denoise(&x, s), x }
}

impl DpmSolver {
    /// The order of a leg on the grid: 1, 2, ..., k, 1, 2, ...
    fn order_of(&self, leg: Leg) -> usize {
        let lowered = self.lower_order_final && leg.index + 1 == leg.count && leg.count.is_multiple_of(self.order);
        if lowered { 1 } else { leg.index % self.order + 1 }
    }

    /// The leg's step from the start of its block, through the looks on the way.
    fn on_the_grid(&self, d: &dyn Denoiser, leg: Leg, past: &Past) -> Option<Batch> {
        let looks: Vec<&Seen> = (0..self.order_of(leg)).map_while(|k| past.back(k)).collect();
        let (first, order) = (*looks.last()?, looks.len());
        let leap = Leap::new(d.process(), first.t, leg.s, self.predicts);
        Some(match (order, self.second) {
            (1, _) => leap.step(&first.x, &leap.moments(1), looks),
            (2, second) => leap.step(&first.x, &leap.second(second), looks),
            (_, Second::Midpoint) => leap.step(&first.x, &leap.moments(2), [first, looks[0]]),
            (_, Second::Heun) => leap.step(&first.x, &leap.moments(3), looks),
        })
    }
}

impl Solver for DpmSolver {
    fn name(&self) -> &'static str {
        "dpm-solver"
    }

    fn order(&self) -> Order {
        match self.nodes {
            Nodes::Inner => Order::Deterministic(self.order as u32),
            Nodes::Grid => Order::Deterministic(self.order.min(2) as u32),
        }
    }

    fn evaluations_per_step(&self) -> usize {
        match self.nodes {
            Nodes::Inner => self.order,
            Nodes::Grid => 1,
        }
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        let at_s = d.process().at(leg.s);
        let first = Seen { t: leg.t, x: x.clone(), clean: d.denoise(x, leg.t) };
        past.push(leg.t, x, first.clean.clone());
        if at_s.sigma == 0.0 {
            return first.clean * at_s.alpha;
        }
        let leap = Leap::new(d.process(), leg.t, leg.s, self.predicts);
        let inner = match (self.nodes, self.order) {
            (Nodes::Grid, _) => self.on_the_grid(d, leg, past),
            (_, 3) => Some(third_order(d, &first, &leap, self.predicts, self.second)),
            (_, 2) => Some(second_order(d, &first, &leap, 0.5, self.predicts, self.second)),
            _ => None,
        };
        inner.unwrap_or_else(|| leap.step(x, &leap.moments(1), [&first]))
    }
}

impl Method for DpmSolver {
    fn about(&self) -> &'static str {
        "DPM-Solver of order 1, 2 or 3 in single steps (Lu et al. 2022a)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::count("order", "of a step", &mut self.order, 1..=3),
            Key::choice("predicts", "the prediction that is integrated", &mut self.predicts),
            Key::choice("variant", "the last formula of a step", &mut self.second),
            Key::choice("nodes", "where the inner evaluations lie", &mut self.nodes),
            Key::switch("lower_order_final", "nodes on the grid: first order on the last leg", &mut self.lower_order_final),
        ]
    }
}
