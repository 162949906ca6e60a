//! Diffusion posterior sampling: every step is moved along the gradient of the distance to the measurement.

use super::{Jacobian, Rule, Step};
use crate::measurement::{Measurement, like, rows_of};
use scorefield_process::{Denoiser, Differentiable, Process, StepVariance};
use scorefield_sample::Past;
use scorefield_tensor::{Batch, Noise};
use std::sync::Mutex;

/// `x_s <- x_s - zeta grad_(x_t) |y - A(D)|` after the step of the solver (Chung et al. 2023, algorithm 1). The paper divides the gradient of the
/// square by the norm, which is twice this; the weights it reports belong to the gradient of the norm. The measurement's noise does not
/// count, and the move does not shrink with the step, so that `zeta` goes with the number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Dps {
    /// The weight; the paper has 0.3 to 1 for pictures in [-1, 1] and 1,000 steps of DDPM.
    pub zeta: f64,
    /// How the gradient is taken.
    pub jacobian: Jacobian,
}

impl Default for Dps {
    fn default() -> Self {
        Self { zeta: 1.0, jacobian: Jacobian::Pullback }
    }
}

impl Rule for Dps {
    fn name(&self) -> &'static str {
        "dps"
    }

    fn refuses(&self, _: &Measurement) -> Option<&'static str> {
        (!(self.zeta >= 0.0 && self.zeta.is_finite())).then_some("takes a weight zeta from 0 on")
    }

    fn denoise(&self, d: &dyn Differentiable, _: &Measurement, x: &Batch, t: f64) -> Batch {
        d.denoise(x, t)
    }

    fn step(&self, step: &Step<'_>, x: &Batch, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (measured, m) = (step.measured, step.measured.operator().outputs());
        let (clean, pulled) = self.jacobian.first(step.model, x, step.leg.t, &mut |clean| {
            let rows = rows_of(clean);
            let mut residual = measured.residual(&rows);
            for row in residual.chunks_exact_mut(m) {
                let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
                row.iter_mut().for_each(|v| *v /= norm.max(f64::MIN_POSITIVE));
            }
            like(measured.pull(&rows, &residual), clean)
        });
        let known = Known { inner: step.model, t: step.leg.t, first: Mutex::new(Some(clean)) };
        step.solver.step(&known, x, step.leg, past, noise) + pulled * self.zeta
    }
}

/// A denoiser whose first answer is there already, if it is asked at the time that the step starts from: solvers that raise the noise first
/// ask at another.
struct Known<'a> {
    inner: &'a dyn Differentiable,
    t: f64,
    first: Mutex<Option<Batch>>,
}

impl Denoiser for Known<'_> {
    fn process(&self) -> &dyn Process {
        self.inner.process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let first = self.first.lock().expect("nobody panics while holding it").take();
        first.filter(|_| t == self.t).unwrap_or_else(|| self.inner.denoise(x, t))
    }

    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        self.inner.denoise_with_variance(x, t)
    }
}
