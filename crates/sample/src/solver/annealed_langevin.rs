//! Annealed Langevin dynamics: Langevin steps at every noise level, from the highest to the lowest.
//!
//! Song and Ermon 2019 (NCSN), algorithm 1, and 2020 (NCSNv2), algorithm 1, for any process: in `y = x / alpha` with the level
//! `l = sigma / alpha`, at each time of the grid `n_steps_each` times `y + a score + sqrt(2 a) w`, the step proportional to the level's
//! square. With `step` the step at level 1 - theirs is `step_lr / sigma_L^2`, `sigma_L` the lowest level -
//! `a = step l^2` (`rule=ncsnv2`) or half of it (`rule=ncsn`, whose formula writes `a / 2` and `sqrt(a)`). Between the levels the state
//! stays. The first leg also visits the level it starts from. The closing denoising step `y + sigma_L^2 score` (NCSNv2, after
//! Jolicoeur-Martineau et al. 2020) is that of [`Finish::Denoise`](crate::Finish), exactly.
//!
//! Langevin steps of a size that does not vanish leave a bias: no order. `n_steps_each` evaluations a step. A leg that ends
//! where `sigma = 0` is the denoising step alone.

use super::key::choice;
use super::langevin::{steps, visit};
use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

choice! {
    /// Which paper's letter the step is.
    StepRule {
        NcsnV2 = "ncsnv2": "`y + a score + sqrt(2 a) w` (Song and Ermon 2020).",
        Ncsn = "ncsn": "`y + a/2 score + sqrt(a) w` (Song and Ermon 2019).",
    }
}

/// Langevin steps at each level of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnealedLangevin {
    /// Whose step.
    pub rule: StepRule,
    /// The step at level 1: `step_lr / sigma_L^2`.
    pub step: f64,
    /// Steps at each level.
    pub n_steps_each: usize,
}

impl Default for AnnealedLangevin {
    fn default() -> Self {
        Self { rule: StepRule::default(), step: 0.2, n_steps_each: 10 }
    }
}

impl AnnealedLangevin {
    /// The steps at one time.
    fn at_level(&self, d: &dyn Denoiser, x: Batch, t: f64, noise: &mut dyn Noise) -> Batch {
        // In x: score_y = alpha score_x, so y + a score_y becomes x + alpha^2 a score_x, and alpha^2 l^2 = sigma^2.
        let a = match self.rule {
            StepRule::NcsnV2 => self.step,
            StepRule::Ncsn => 0.5 * self.step,
        } * d.process().at(t).sigma.powi(2);
        steps(d, x, t, a, self.n_steps_each, noise)
    }
}

impl Solver for AnnealedLangevin {
    fn name(&self) -> &'static str {
        "annealed-langevin"
    }

    fn order(&self) -> Order {
        Order::None
    }

    fn evaluations_per_step(&self) -> usize {
        self.n_steps_each
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        visit(0.0, d, x, leg, past, |x, t| self.at_level(d, x, t, noise))
    }
}

impl Method for AnnealedLangevin {
    fn about(&self) -> &'static str {
        "annealed Langevin dynamics (Song and Ermon 2019, 2020)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::choice("rule", "whose step: a score + sqrt(2 a) w, or half of that", &mut self.rule),
            Key::number("step", "step at level 1: step_lr / sigma_L^2", &mut self.step, 0.0..=1.0),
            Key::count("n_steps_each", "Langevin steps at each level", &mut self.n_steps_each, 1..=10_000),
        ]
    }
}
