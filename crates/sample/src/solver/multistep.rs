//! Multistep methods on the probability flow: one evaluation a step, the rest from memory.
//!
//! `lms` integrates the polynomial through the last `eps` exactly over `l = sigma / alpha` (k-diffusion's LMS): with `y = x / alpha`,
//! `y_s = y_t + int P(l) dl`. `ipndm` takes Adams and Bashforth's weights for equal steps whatever the steps are (Zhang and Chen 2023,
//! iPNDM; Liu et al. 2022's PLMS): where steps vary slowly that leaves order 2. `etd-ab` integrates the polynomial in `lambda` with the
//! linear part exact, `x_s = (sigma_s / sigma_t) x_t + alpha_s int e^-(lambda_s - lambda) P_D(lambda) dlambda` on the data or
//! `x_s = (alpha_s / alpha_t) x_t - sigma_s int e^(lambda_s - lambda) P_eps(lambda) dlambda` on the noise: at order 2 the true integral of
//! the straight line, where DPM-Solver++(2M) takes it at the middle of the step; on the noise it is DEIS with its polynomial in ln rho.
//!
//! A first step of order 1 limits the run to order 2, so `lms` and `etd-ab` begin with steps of Runge-Kutta's fourth order (4 evaluations
//! each) until the memory is full; `start=low` begins with the orders 1, 2, ... as the reference implementations do.

use super::clock::Clock;
use super::exponential::Start;
use super::lagrange::weights;
use super::runge_kutta::fixed;
use super::{Key, Method, Order, Past, Solver};
use crate::tableau::RK4;
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

super::key::choice! {
    /// What the polynomial goes through.
    Through {
        Data = "data": "The posterior means.",
        Noise = "noise": "The expected noises.",
    }
}

/// The order reached: a first step of order 1 costs all but two.
fn reached(order: usize, start: Start) -> Order {
    Order::Deterministic(if start == Start::Low { order.min(2) } else { order } as u32)
}

/// The times and posterior means of the last looks, this one first, `order` at most.
fn looks(past: &Past, order: usize) -> Vec<&super::Seen> {
    (0..order).map_while(|k| past.back(k)).collect()
}

/// `sum_j w_j v_j`.
fn combine(weights: &[f64], values: impl Iterator<Item = Batch>) -> Option<Batch> {
    weights.iter().zip(values).map(|(w, v)| v * *w).reduce(|a, b| a + b)
}

/// Runge-Kutta's step while the memory is not full; `None` when the multistep formula can be used.
fn starter(order: usize, start: Start, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past) -> Option<Batch> {
    let full = order < 2 || past.back(order - 2).is_some();
    if full || start == Start::Low {
        return None;
    }
    let (x_s, x0) = fixed(&RK4, Clock::Ratio, d, x, leg);
    past.push(leg.t, x, x0);
    Some(x_s)
}

/// `y_s = y_t + (l_s - l_t) sum_j w_j eps_j`.
fn along_ratio(d: &dyn Denoiser, x: &Batch, leg: Leg, past: &Past, order: usize, adams: &dyn Fn(&[f64]) -> Vec<f64>) -> Batch {
    let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
    let seen = looks(past, order);
    let h = at_s.ratio() - at_t.ratio();
    let nodes: Vec<f64> = seen.iter().map(|s| (d.process().at(s.t).ratio() - at_t.ratio()) / h).collect();
    let eps = seen.iter().map(|s| d.process().at(s.t).noise(&s.x, &s.clean));
    let mean = combine(&adams(&nodes), eps).expect("this step's own look was pushed just before");
    x.clone() * (at_s.alpha / at_t.alpha) + mean * (at_s.alpha * h)
}

/// Linear multistep over the noise level.
#[derive(Clone, Debug, PartialEq)]
pub struct Lms {
    /// How many slopes the polynomial goes through.
    pub order: usize,
    /// The first steps.
    pub start: Start,
}

impl Default for Lms {
    fn default() -> Self {
        Self { order: 4, start: Start::Full }
    }
}

impl Solver for Lms {
    fn name(&self) -> &'static str {
        "lms"
    }

    fn order(&self) -> Order {
        reached(self.order, self.start)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        if let Some(x_s) = starter(self.order, self.start, d, x, leg, past) {
            return x_s;
        }
        past.push(leg.t, x, d.denoise(x, leg.t));
        along_ratio(d, x, leg, past, self.order, &|nodes| weights(nodes, 0.0))
    }
}

impl Method for Lms {
    fn about(&self) -> &'static str {
        "linear multistep, polynomial through the last slopes over the noise level (k-diffusion)"
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![Key::count("order", "slopes used", &mut self.order, 1..=4), Key::choice("start", "the first steps", &mut self.start)]
    }
}

/// Improved PNDM: Adams-Bashforth with the weights of equal steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Ipndm {
    /// How many slopes are used.
    pub order: usize,
}

impl Default for Ipndm {
    fn default() -> Self {
        Self { order: 4 }
    }
}

impl Solver for Ipndm {
    fn name(&self) -> &'static str {
        "ipndm"
    }

    fn order(&self) -> Order {
        reached(self.order, Start::Low)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        past.push(leg.t, x, d.denoise(x, leg.t));
        let equal = |nodes: &[f64]| weights(&(0..nodes.len()).map(|k| -(k as f64)).collect::<Vec<_>>(), 0.0);
        along_ratio(d, x, leg, past, self.order, &equal)
    }
}

impl Method for Ipndm {
    fn about(&self) -> &'static str {
        "iPNDM: Adams-Bashforth on the noise with the weights of equal steps (Zhang and Chen 2023; Liu et al. 2022)"
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![Key::count("order", "slopes used", &mut self.order, 1..=4)]
    }
}

/// Exponential Adams-Bashforth in `lambda`.
#[derive(Clone, Debug, PartialEq)]
pub struct EtdAb {
    /// How many looks the polynomial goes through.
    pub order: usize,
    /// Data or noise.
    pub through: Through,
    /// The first steps.
    pub start: Start,
}

impl Default for EtdAb {
    fn default() -> Self {
        Self { order: 3, through: Through::Data, start: Start::Full }
    }
}

impl Solver for EtdAb {
    fn name(&self) -> &'static str {
        "etd-ab"
    }

    fn order(&self) -> Order {
        reached(self.order, self.start)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        if at_s.sigma == 0.0 {
            let x0 = d.denoise(x, leg.t);
            past.push(leg.t, x, x0.clone());
            return x0 * at_s.alpha;
        }
        if let Some(x_s) = starter(self.order, self.start, d, x, leg, past) {
            return x_s;
        }
        past.push(leg.t, x, d.denoise(x, leg.t));
        let lambda = |t: f64| 0.5 * d.process().at(t).log_snr();
        let h = lambda(leg.s) - lambda(leg.t);
        let seen = looks(past, self.order);
        let nodes: Vec<f64> = seen.iter().map(|s| (lambda(s.t) - lambda(leg.t)) / h).collect();
        let (linear, factor, w, values): (f64, f64, _, Vec<Batch>) = match self.through {
            Through::Data => {
                let clean = seen.iter().map(|s| s.clean.clone()).collect();
                (at_s.sigma / at_t.sigma, at_s.alpha * h, weights(&nodes, -h), clean)
            }
            Through::Noise => {
                let eps = seen.iter().map(|s| d.process().at(s.t).noise(&s.x, &s.clean)).collect();
                (at_s.alpha / at_t.alpha, -at_s.sigma * h, weights(&nodes, h), eps)
            }
        };
        let integral = combine(&w, values.into_iter()).expect("this step's own look was pushed just before");
        x.clone() * linear + integral * factor
    }
}

impl Method for EtdAb {
    fn about(&self) -> &'static str {
        "exponential Adams-Bashforth in the log-SNR, orders 1 to 4 (Hochbruck and Ostermann 2010; on the noise DEIS in ln rho)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::count("order", "looks used", &mut self.order, 1..=4),
            Key::choice("through", "what is extrapolated", &mut self.through),
            Key::choice("start", "the first steps", &mut self.start),
        ]
    }
}
