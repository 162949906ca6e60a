//! Explicit Runge-Kutta methods on the probability flow, by fixed steps or by steps that each row chooses for itself.
//!
//! One body for every [`Tableau`], in the variable that [`Clock`] names. By fixed steps a leg is one step. Adaptive ones cross a leg in
//! as many steps as a row needs ([`Ode`]), so a grid of two times is enough; the step is remembered from leg to leg. A row that does
//! not reach the end of its leg (more than `max_steps` steps, a slope that is no number) comes out as NaN, never as a state of
//! another time.
//!
//! A leg that ends where `sigma = 0` ends by the posterior mean, `x_s = alpha_s D(x)`, as the slope there is 0/0: fixed steps take it
//! from the leg's start, adaptive ones from the start of the process's span.

use super::clock::Clock;
use super::{Key, Method, Order, Past, Solver};
use crate::ode::{Control, End, Ode, Pair};
use crate::tableau::{MIDPOINT, RK4, Tableau};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Coefficient, Column, Noise};

/// One step of a tableau from `leg.t` to `leg.s`, and the posterior mean at its start.
pub(super) fn fixed(table: &Tableau, clock: Clock, d: &dyn Denoiser, x: &Batch, leg: Leg) -> (Batch, Batch) {
    let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
    let y = clock.lower(&at_t, x);
    if at_s.sigma == 0.0 {
        let x0 = d.denoise(x, leg.t);
        return (x0.clone() * at_s.alpha, x0);
    }
    let (u, end) = (clock.reads(d.process(), leg.t), clock.reads(d.process(), leg.s));
    let h = end - u;
    let ahead = |weights: &[f64], k: &[Batch]| {
        let terms = weights.iter().zip(k).filter(|(w, _)| **w != 0.0);
        terms.fold(y.clone(), |sum, (w, k)| sum + k.clone() * (h * w))
    };

    let (mut k, mut clean) = (Vec::new(), None);
    for (a, &c) in table.a.iter().zip(table.c).take(table.stages()) {
        let t = match c {
            0.0 => leg.t,
            1.0 => leg.s,
            _ => clock.time(d.process(), u + c * h),
        };
        let (slope, x0) = clock.look(d, &ahead(a, &k), t);
        clean.get_or_insert(x0);
        k.push(slope);
    }
    let x_s = clock.lift(&at_s, &ahead(table.b, &k));
    let clean = clean.unwrap_or_else(|| x.clone());
    (x_s, clean)
}

/// All rows from `leg.t` to `leg.s`, each by its own steps.
fn adaptive(ode: &Ode, clock: Clock, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past) -> Batch {
    let process = d.process();
    let (at_t, at_s, start) = (process.at(leg.t), process.at(leg.s), process.span().start);
    if at_s.sigma == 0.0 {
        let above = if leg.t > start { adaptive(ode, clock, d, x, Leg { s: start, ..leg }, past) } else { x.clone() };
        let t = leg.t.min(start);
        let x0 = d.denoise(&above, t);
        past.push(t, &above, x0.clone());
        return x0 * at_s.alpha;
    }

    let mut first = None;
    let mut memory = std::mem::take(&mut past.memo);
    let mut slope = |y: &Batch, u: &[f64], _: &[usize]| {
        let times: Vec<f64> = u.iter().map(|u| clock.time(process, *u).clamp(leg.s, leg.t)).collect();
        let m = process.at_each(&times);
        let x = clock.lift(&m, y);
        let x0 = d.denoise_each(&x, &times);
        first.get_or_insert_with(|| x0.clone());
        clock.slope(&m, &x, &x0)
    };
    let (from, to) = (clock.reads(process, leg.t), clock.reads(process, leg.s));
    let report = ode.integrate_rows(&mut slope, clock.lower(&at_t, x), from, to, &mut memory);
    past.memo = memory;
    if let Some(x0) = first {
        past.push(leg.t, x, x0);
    }
    let arrived = report.rows.iter().map(|r| if r.end == End::Reached { 1.0 } else { f64::NAN });
    Column(arrived.collect()).scale(clock.lift(&at_s, &report.y))
}

macro_rules! fixed_methods {
    ($($(#[$doc:meta])* $kind:ident, $name:literal, $table:expr, $about:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $kind {
            /// The variable of integration.
            pub clock: Clock,
        }

        impl Solver for $kind {
            fn name(&self) -> &'static str {
                $name
            }
            fn order(&self) -> Order {
                Order::Deterministic($table.order)
            }
            fn evaluations_per_step(&self) -> usize {
                $table.stages()
            }
            fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
                let (x_s, x0) = fixed(&$table, self.clock, d, x, leg);
                past.push(leg.t, x, x0);
                x_s
            }
        }

        impl Method for $kind {
            fn about(&self) -> &'static str {
                $about
            }
            fn keys(&mut self) -> Vec<Key<'_>> {
                vec![Key::choice("clock", "variable of integration", &mut self.clock)]
            }
        }
    )*};
}

fixed_methods! {
    /// The explicit midpoint rule, order 2.
    Midpoint, "midpoint", MIDPOINT, "explicit midpoint rule on the probability flow";
    /// The classical Runge-Kutta method, order 4.
    Rk4, "rk4", RK4, "classical Runge-Kutta method of order 4 on the probability flow (Kutta 1901)";
}

super::key::choice! {
    /// How a leg is crossed.
    Stepping {
        Adaptive = "adaptive": "In as many steps as the tolerance asks for, each row by its own.",
        Fixed = "fixed": "In one.",
    }
}

macro_rules! adaptive_methods {
    ($($(#[$doc:meta])* $kind:ident, $name:literal, $about:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $kind {
            /// Adaptive or fixed steps.
            pub steps: Stepping,
            /// The variable of integration.
            pub clock: Clock,
            /// Tolerances and controller of adaptive steps.
            pub ode: Ode,
        }

        impl Default for $kind {
            fn default() -> Self {
                // The process's time needs no inversion for the rows' many times.
                let ode = Ode { method: Pair::$kind, ..Ode::default() };
                Self { steps: Stepping::Adaptive, clock: Clock::Time, ode }
            }
        }

        impl Solver for $kind {
            fn name(&self) -> &'static str {
                $name
            }
            fn order(&self) -> Order {
                match self.steps {
                    Stepping::Adaptive => Order::None,
                    Stepping::Fixed => Order::Deterministic(Pair::$kind.tableau().order),
                }
            }
            fn evaluations_per_step(&self) -> usize {
                Pair::$kind.tableau().stages()
            }
            fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
                if self.steps == Stepping::Adaptive {
                    return adaptive(&self.ode, self.clock, d, x, leg, past);
                }
                let (x_s, x0) = fixed(Pair::$kind.tableau(), self.clock, d, x, leg);
                past.push(leg.t, x, x0);
                x_s
            }
        }

        impl Method for $kind {
            fn about(&self) -> &'static str {
                $about
            }
            fn default_grid(&self) -> GridKind {
                GridKind::LogSnr
            }
            fn adaptive(&self) -> bool {
                self.steps == Stepping::Adaptive
            }
            fn keys(&mut self) -> Vec<Key<'_>> {
                vec![
                    Key::choice("steps", "adaptive, or one step a leg", &mut self.steps),
                    Key::choice("clock", "variable of integration", &mut self.clock),
                    Key::number("rtol", "error allowed relative to an entry", &mut self.ode.rtol, 0.0..=1.0),
                    Key::number("atol", "error allowed absolutely", &mut self.ode.atol, 1e-300..=1e300),
                    Key::count("max_steps", "steps a sample may try in a leg", &mut self.ode.max_steps, 1..=usize::MAX),
                    Key::choice("control", "how the next step is chosen", &mut self.ode.control as &mut Control),
                ]
            }
        }
    )*};
}

adaptive_methods! {
    /// Bogacki and Shampine 1989, 3(2).
    BogackiShampine, "bogacki-shampine", "Runge-Kutta 3(2), steps chosen by each sample (Bogacki and Shampine 1989)";
    /// Dormand and Prince 1980, 5(4).
    DormandPrince, "dormand-prince", "Runge-Kutta 5(4), steps chosen by each sample (Dormand and Prince 1980)";
    /// Tsitouras 2011, 5(4).
    Tsit5, "tsit5", "Runge-Kutta 5(4), steps chosen by each sample (Tsitouras 2011)";
}
