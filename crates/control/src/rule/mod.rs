//! Rules of posterior sampling: samples of `x_0` given a measurement `y = A(x_0) + n`, by a model that has never heard of `A`.
//!
//! By Bayes' rule the score of `x_t` given `y` is `grad ln p(x_t) + grad ln p(y | x_t)`, and Tweedie's formula turns the second part into a
//! change of the denoiser, `D_y = D + sigma_t^2 / alpha_t grad ln p(y | x_t)`. No rule knows `p(y | x_t)`; they differ in what they take for
//! `p(x_0 | x_t)` in it, or change the step instead:
//!
//! | rule | what | source |
//! |---|---|---|
//! | [`Mmps`] | `p(x_0 \| x_t)` a normal about `D` with the covariance that belongs to the denoiser, `V = sigma^2 / alpha J` | Rozet et al. 2024 |
//! | [`Tmpd`] | the same, `A V A^T` replaced by its row sums | Boys et al. 2023 |
//! | [`PiGdm`] | a normal about `D` with variance `r^2` | Song et al. 2023 |
//! | [`Prox`] | the same, and `D` taken as if it did not depend on `x_t`: DiffPIR's proximal step; DDNM where `y` is exact | Zhu et al. 2023; Wang et al. 2023 |
//! | [`Dps`] | the point `D`; every step is moved along the gradient of the distance to `y` | Chung et al. 2023 |
//! | [`Ddrm`] | steps in the basis of the singular vectors, each as far as the measurement's noise allows | Kawar et al. 2022 |
//! | [`Projection`] | before every step the measured part of the state is replaced by the measurement under noise; with repeats RePaint | Song et al. 2021; Lugmayr et al. 2022 |
//!
//! With linear `A` and normal data [`Mmps`] is exact. A rule with a model and a measurement is a solver, [`Ruled`], made of any other.

mod ddrm;
mod dps;
mod gradient;
mod jacobian;
mod kind;
mod mmps;
mod projection;
mod prox;

pub use ddrm::Ddrm;
pub use dps::Dps;
pub use gradient::{PiGdm, Tmpd};
pub use jacobian::Jacobian;
pub use kind::{Drawing, RuleKind};
pub use mmps::Mmps;
pub use projection::Projection;
pub use prox::Prox;

use crate::measurement::Measurement;
use scorefield_process::{Denoiser, Differentiable, Leg, Process, StepVariance};
use scorefield_sample::{Order, Past, Solver};
use scorefield_tensor::{Batch, Noise};
use std::fmt;

/// One step of a solver, as a rule gets it.
pub struct Step<'a> {
    /// The solver that the rule changes.
    pub solver: &'a dyn Solver,
    /// The model.
    pub model: &'a dyn Differentiable,
    /// What was measured.
    pub measured: &'a Measurement,
    /// From when to when.
    pub leg: Leg,
}

/// A rule.
pub trait Rule: fmt::Debug + Send + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// Why the rule cannot take a measurement, if it cannot.
    fn refuses(&self, measured: &Measurement) -> Option<&'static str>;

    /// `E[x_0 | x_t = x, y]` for every row of `x`, `[n, d]`.
    fn denoise(&self, d: &dyn Differentiable, measured: &Measurement, x: &Batch, t: f64) -> Batch;

    /// What a run starts from at time `t`, of a draw `x` of the prior `N(0, sigma^2)`: the draw itself unless the rule knows better.
    fn start(&self, _process: &dyn Process, _measured: &Measurement, x: Batch, _t: f64) -> Batch {
        x
    }

    /// The state after a step; that of the solver on [`Rule::denoise`] unless the rule changes the step itself.
    fn step(&self, step: &Step<'_>, x: &Batch, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let conditioned = Conditioned { inner: step.model, rule: self, measured: step.measured };
        step.solver.step(&conditioned, x, step.leg, past, noise)
    }
}

/// A denoiser that knows a measurement.
#[derive(Debug)]
pub struct Conditioned<'a, D, R: ?Sized> {
    /// The model.
    pub inner: D,
    /// The rule.
    pub rule: &'a R,
    /// What was measured.
    pub measured: &'a Measurement,
}

impl<D: Differentiable, R: Rule + ?Sized> Denoiser for Conditioned<'_, D, R> {
    fn process(&self) -> &dyn Process {
        self.inner.process()
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.measured.check(x);
        self.rule.denoise(&self.inner, self.measured, x, t)
    }

    /// The learned variance stays the model's own, as if nothing had been measured.
    #[track_caller]
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let (_, variance) = self.inner.denoise_with_variance(x, t);
        (self.denoise(x, t), variance)
    }
}

/// A solver under a rule. It asks the model that it holds; the denoiser that a run hands it should be [`Conditioned`] on the same, for the
/// last look. Calls of the model are those of its own: a run counts the last look alone.
pub struct Ruled<'a> {
    /// The solver that the rule changes.
    pub solver: &'a dyn Solver,
    /// The rule.
    pub rule: &'a dyn Rule,
    /// The model.
    pub model: &'a dyn Differentiable,
    /// What was measured.
    pub measured: &'a Measurement,
}

impl fmt::Debug for Ruled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ruled").field("solver", &self.solver).field("rule", &self.rule).finish_non_exhaustive()
    }
}

impl Solver for Ruled<'_> {
    fn name(&self) -> &'static str {
        self.rule.name()
    }

    /// Of the exact posterior nothing is claimed: rules are approximations, but for [`Mmps`] on normal data.
    fn order(&self) -> Order {
        Order::None
    }

    fn needs_variance(&self) -> bool {
        self.solver.needs_variance()
    }

    fn samples_path_ends(&self) -> bool {
        self.solver.samples_path_ends()
    }

    #[track_caller]
    fn step(&self, _: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        self.measured.check(x);
        let step = Step { solver: self.solver, model: self.model, measured: self.measured, leg };
        self.rule.step(&step, x, past, noise)
    }
}

/// What rules say of numbers that divide.
pub(crate) fn positive(number: f64) -> Option<&'static str> {
    (!(number > 0.0 && number.is_finite())).then_some("takes positive variances and weights only")
}

/// What rules for linear measurements say of others.
pub(crate) fn linear_only(measured: &Measurement) -> Option<&'static str> {
    (!measured.operator().is_linear()).then_some("takes linear measurements only; dps takes any")
}
