//! UniPC: an exponential Adams-Bashforth predictor and the Adams-Moulton corrector that costs no evaluation.
//!
//! Zhao et al. 2023 ("UniPC: a unified predictor-corrector framework"), algorithms 1 to 3, eq. 4 and 6. In the notation of `exponential.rs` the
//! predictor of order `p` (UniP-p) sees the beginnings of the last `p` legs; once the model is seen at the new time, the corrector
//! (UniC-p) repeats the last step with that look as one more, and the next step starts from the corrected state. The look itself
//! stays the one at the uncorrected state. Solving their system `R rho = b` is integrating the polynomial exactly, whatever
//! `B(h)`; the choice enters only where the paper puts `rho = 1/2` for the solution of one equation, UniP-2 and UniC-1: there `M_1 = -B_s z / 2` for
//! `variant=bh1`, `M_0 / 2` for `bh2`.
//!
//! Order `p + 1` with the corrector, `p` without it (their theorem 3.1); one evaluation a step. The last state is not corrected. A run of order 3
//! begins with a single step of order 3 (two evaluations more), because UniPC-1, with which the published algorithm begins, has a local
//! error of third order; with `start=low` the order is 3. A leg to `sigma = 0` is `alpha_s D`.

use super::dpm_solver::third_order;
use super::exponential::{Leap, Predicts, Second, Start};
use super::key::choice;
use super::{Key, Method, Order, Past, Seen, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

choice! {
    /// The function `B(h)` of the paper.
    Bh {
        Bh2 = "bh2": "`e^z - 1`.",
        Bh1 = "bh1": "`z`.",
    }
}

/// The unified predictor-corrector of order 1, 2 or 3.
#[derive(Clone, Debug, PartialEq)]
pub struct UniPc {
    /// Order `p` of the predictor, 1 to 3.
    pub order: usize,
    /// The function `B(h)`.
    pub bh: Bh,
    /// The prediction integrated.
    pub predicts: Predicts,
    /// Whether steps are corrected.
    pub corrector: bool,
    /// That many steps at the beginning are not.
    pub uncorrected: usize,
    /// How a run of order 3 begins.
    pub start: Start,
    /// Orders 2 and 1 on the last two legs.
    pub lower_order_final: bool,
}

impl Default for UniPc {
    fn default() -> Self {
        let (predicts, start) = (Predicts::Data, Start::Full);
        Self { order: 2, bh: Bh::Bh2, predicts, corrector: true, uncorrected: 0, start, lower_order_final: false }
    }
}

impl UniPc {
    /// The predictor's order on leg `index` of `count`, when `looks` earlier ones are remembered.
    fn order_of(&self, index: usize, count: usize, looks: usize) -> usize {
        let allowed = if self.lower_order_final { count - index } else { self.order };
        self.order.min(allowed).min(looks + 1)
    }

    /// The moments for `n` looks.
    fn moments(&self, leap: &Leap<'_>, n: usize) -> Vec<f64> {
        match (n, self.bh) {
            (2, Bh::Bh1) => vec![leap.moments(1)[0], -0.5 * leap.scale * leap.z],
            (2, Bh::Bh2) => leap.second(Second::Midpoint),
            // The second unknown of UniC-2 and beyond is solved for.
            _ => leap.moments(n),
        }
    }

    /// Whether the first leg is a single step of order 3.
    fn starts_in_full(&self, leg: Leg) -> bool {
        self.start == Start::Full && self.order_of(leg.index, leg.count, 2) == 3
    }

    /// The state at `leg.t` again, from the one before and with the look that was just pushed.
    fn correct(&self, d: &dyn Denoiser, leg: Leg, past: &Past, looks: usize) -> Option<Batch> {
        let before = leg.index.checked_sub(1).filter(|i| self.corrector && *i >= self.uncorrected)?;
        let started_in_full = looks == 1 && self.starts_in_full(Leg { index: before, ..leg });
        let (from, previous) = (past.kept.as_ref().filter(|_| !started_in_full)?, past.back(1)?);
        let order = self.order_of(before, leg.count, looks - 1);
        let leap = Leap::new(d.process(), previous.t, leg.t, self.predicts);
        Some(leap.step(from, &self.moments(&leap, order + 1), (0..=order).filter_map(|k| past.back(k))))
    }
}

impl Solver for UniPc {
    fn name(&self) -> &'static str {
        "unipc"
    }

    fn order(&self) -> Order {
        let full = self.start == Start::Full;
        let order = match (self.order, self.corrector) {
            // An uncorrected first step of order 1 has a local error of second order.
            (1, false) => 1,
            (3, false) if full => 3,
            (1, true) | (_, false) => 2,
            (3, true) if full && self.uncorrected < 2 => 4,
            (3, true) if full => 3,
            (_, true) if self.uncorrected > 0 => 2,
            (_, true) => 3,
        };
        Order::Deterministic(if self.lower_order_final { order.min(2) } else { order })
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        let at_s = d.process().at(leg.s);
        let looks = past.looks();
        let clean = d.denoise(x, leg.t);
        past.push(leg.t, x, clean.clone());
        let x = self.correct(d, leg, past, looks).unwrap_or_else(|| x.clone());
        past.kept = Some(x.clone());
        if at_s.sigma == 0.0 {
            return clean * at_s.alpha;
        }
        let leap = Leap::new(d.process(), leg.t, leg.s, self.predicts);
        if looks == 0 && self.starts_in_full(leg) {
            let first = Seen { t: leg.t, x, clean };
            return third_order(d, &first, &leap, self.predicts, Second::Midpoint);
        }
        let order = self.order_of(leg.index, leg.count, looks);
        leap.step(&x, &self.moments(&leap, order), (0..order).filter_map(|k| past.back(k)))
    }
}

impl Method for UniPc {
    fn about(&self) -> &'static str {
        "UniPC, multistep predictor with a corrector that costs nothing (Zhao et al. 2023)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::count("order", "of the predictor", &mut self.order, 1..=3),
            Key::choice("variant", "the function B(h)", &mut self.bh),
            Key::choice("predicts", "the prediction that is integrated", &mut self.predicts),
            Key::switch("corrector", "whether steps are corrected", &mut self.corrector),
            Key::count("uncorrected", "steps at the beginning without correction", &mut self.uncorrected, 0..=1000),
            Key::choice("start", "the beginning of a run of order 3", &mut self.start),
            Key::switch("lower_order_final", "orders 2 and 1 on the last two legs", &mut self.lower_order_final),
        ]
    }
}
