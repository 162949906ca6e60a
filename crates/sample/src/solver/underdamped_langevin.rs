//! Underdamped Langevin dynamics at every noise level, by the BAOAB splitting (Leimkuhler and Matthews 2013).
//!
//! `dy = v dtau`, `dv = score dtau - gamma v dtau + sqrt(2 gamma) dw`. In `y = x / alpha`, time in units of the level
//! `l = sigma / alpha`: with `h = step`, `c = exp(-friction h)`, one step is B: `v += h/2 l score`; A: `y += h/2 l v`;
//! O: `v = c v + sqrt(1 - c^2) w`; A; B. The score at its end serves the next step: `n_steps + 1` evaluations a level.
//! Velocities are drawn afresh at each level.
//!
//! On a Gaussian the positions' stationary law is exact for every stable `h` (below 2); elsewhere its bias is `O(h^2)`. As it does
//! not vanish with the legs: no order. A leg that ends where `sigma = 0` is the denoising step alone.

use super::langevin::visit;
use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, DenoiserExt, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// Langevin dynamics with velocities.
#[derive(Clone, Debug, PartialEq)]
pub struct UnderdampedLangevin {
    /// The time step in units of the level.
    pub step: f64,
    /// The friction, in inverse units of the level.
    pub friction: f64,
    /// Steps at each level.
    pub n_steps: usize,
    /// The level `sigma / alpha` to stay at; 0 for those of the grid.
    pub level: f64,
}

impl Default for UnderdampedLangevin {
    fn default() -> Self {
        Self { step: 0.5, friction: 1.0, n_steps: 10, level: 0.0 }
    }
}

impl Solver for UnderdampedLangevin {
    fn name(&self) -> &'static str {
        "underdamped-langevin"
    }

    fn order(&self) -> Order {
        Order::None
    }

    fn evaluations_per_step(&self) -> usize {
        self.n_steps + 1
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        visit(self.level, d, x, leg, past, |mut x, t| {
            // In x: l score_y = sigma score_x, and alpha l = sigma.
            let half = 0.5 * self.step * d.process().at(t).sigma;
            let c = (-self.friction * self.step).exp();
            let mut v = noise.normal(&x);
            let mut score = d.score(&x, t);
            for _ in 0..self.n_steps {
                v = v + score * half;
                x = x + v.clone() * half;
                v = v * c + noise.normal(&x) * (1.0 - c * c).sqrt();
                x = x + v.clone() * half;
                score = d.score(&x, t);
                v = v + score.clone() * half;
            }
            x
        })
    }
}

impl Method for UnderdampedLangevin {
    fn about(&self) -> &'static str {
        "underdamped Langevin dynamics, BAOAB (Leimkuhler and Matthews 2013)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::number("step", "time step in units of the level", &mut self.step, 0.0..=1.9),
            Key::number("friction", "friction in inverse units of the level", &mut self.friction, 0.0..=f64::INFINITY),
            Key::count("n_steps", "steps at each level", &mut self.n_steps, 1..=10_000),
            Key::number("level", "level sigma / alpha to stay at; 0: those of the grid", &mut self.level, 0.0..=f64::INFINITY),
        ]
    }
}
