//! Unadjusted Langevin dynamics: `y + e score + sqrt(2 e) w` at one noise level, or at each level of the grid.
//!
//! In `y = x / alpha` with the level `l = sigma / alpha`, `e = step l^2`. No step is rejected (no Metropolis test, which would need
//! densities), so the chain settles near the law at its level and not on it: on a Gaussian of variance `V` its variance is
//! `V / (1 - e / (2 V))` (Roberts and Tweedie 1996). With `level=0` the levels are those of the grid, as in
//! [`AnnealedLangevin`](super::AnnealedLangevin), whose `step` it has; with another it stays at that level and samples the noised data.
//!
//! A bias that does not vanish with the legs: no order. A leg that ends where `sigma = 0` is the denoising step alone.

use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, DenoiserExt, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// Langevin steps without a Metropolis test.
#[derive(Clone, Debug, PartialEq)]
pub struct Langevin {
    /// The step at level 1: `e = step l^2`.
    pub step: f64,
    /// Steps at each level.
    pub n_steps: usize,
    /// The level `sigma / alpha` to stay at; 0 for those of the grid.
    pub level: f64,
}

impl Default for Langevin {
    fn default() -> Self {
        Self { step: 0.1, n_steps: 20, level: 0.0 }
    }
}

/// Carries `x` over a leg by `chain(x, t)`, which samples the law at time `t`: at the grid's levels (also at the first one), or
/// at one `level` above 0, to which `y = x / alpha` is taken and from which it is taken back.
pub(super) fn visit(
    level: f64,
    d: &dyn Denoiser,
    x: &Batch,
    leg: Leg,
    past: &mut Past,
    mut chain: impl FnMut(Batch, f64) -> Batch,
) -> Batch {
    let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
    if level == 0.0 || at_s.sigma == 0.0 {
        let x = if leg.index == 0 && level == 0.0 { chain(x.clone(), leg.t) } else { x.clone() };
        if at_s.sigma == 0.0 {
            let x0 = d.denoise(&x, leg.t);
            past.push(leg.t, &x, x0.clone());
            return x0 * at_s.alpha;
        }
        return chain(x * (at_s.alpha / at_t.alpha), leg.s);
    }
    let t = d.process().time_of_ratio(level);
    let alpha = d.process().at(t).alpha;
    chain(x.clone() * (alpha / at_t.alpha), t) * (at_s.alpha / alpha)
}

/// `n` times `x + e score + sqrt(2 e) w` at time `t`.
pub(super) fn steps(d: &dyn Denoiser, x: Batch, t: f64, e: f64, n: usize, noise: &mut dyn Noise) -> Batch {
    (0..n).fold(x, |x, _| {
        let score = d.score(&x, t);
        let w = noise.normal(&x);
        x + score * e + w * (2.0 * e).sqrt()
    })
}

impl Solver for Langevin {
    fn name(&self) -> &'static str {
        "langevin"
    }

    fn order(&self) -> Order {
        Order::None
    }

    fn evaluations_per_step(&self) -> usize {
        self.n_steps
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        visit(self.level, d, x, leg, past, |x, t| {
            // In x: alpha^2 l^2 = sigma^2.
            steps(d, x, t, self.step * d.process().at(t).sigma.powi(2), self.n_steps, noise)
        })
    }
}

impl Method for Langevin {
    fn about(&self) -> &'static str {
        "unadjusted Langevin dynamics at the grid's levels or at one level"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::number("step", "step at level 1: e = step l^2", &mut self.step, 0.0..=1.0),
            Key::count("n_steps", "Langevin steps at each level", &mut self.n_steps, 1..=10_000),
            Key::number("level", "level sigma / alpha to stay at; 0: those of the grid", &mut self.level, 0.0..=f64::INFINITY),
        ]
    }
}
