//! Replacing what was measured: before every step the measured part of the state is that of the measurement under the noise of the time.

use super::{Rule, Step, linear_only};
use crate::measurement::{Measurement, like, rows_of};
use scorefield_process::{Differentiable, ProcessExt};
use scorefield_sample::Past;
use scorefield_tensor::{Batch, Noise};

/// `x_t <- x_t + A^+ (A x~_t - A x_t)`, `A x~_t = alpha_t y + sigma_t A z` with fresh noise before every step (Song et al. 2021, appendix I.4; for masks Lugmayr
/// et al. 2022). With `repeats` every step is made so many times, the state being noised again in between: RePaint. The measurement
/// counts as exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// How often each step is made.
    pub repeats: usize,
}

impl Projection {
    /// `x + A^+ (target - A x)` row by row.
    fn onto(measured: &Measurement, x: &Batch, target: &[f64]) -> Batch {
        let rows = rows_of(x);
        let mut gap = measured.apply(&rows);
        gap.iter_mut().zip(target).for_each(|(g, t)| *g = t - *g);
        let weighed = measured.solve(super::gradient::LEAST, &gap);
        x.clone() + like(measured.pull(&rows, &weighed), x)
    }

    /// The state with the measured part at the noise level of its time.
    fn known(step: &Step<'_>, x: &Batch, s: f64, noise: &mut dyn Noise) -> Batch {
        let at = step.model.process().at(s);
        let m = step.measured.operator().outputs();
        let mut target = step.measured.apply(&rows_of(&(noise.normal(x) * at.sigma)));
        for (i, row) in target.chunks_exact_mut(m).enumerate() {
            row.iter_mut().zip(step.measured.row(i)).for_each(|(v, y)| *v += at.alpha * y);
        }
        Self::onto(step.measured, x, &target)
    }
}

impl Rule for Projection {
    fn name(&self) -> &'static str {
        if self.repeats > 1 { "repaint" } else { "projection" }
    }

    fn refuses(&self, measured: &Measurement) -> Option<&'static str> {
        linear_only(measured)
    }

    fn denoise(&self, d: &dyn Differentiable, measured: &Measurement, x: &Batch, t: f64) -> Batch {
        let clean = d.denoise(x, t);
        let target = (0..x.dims()[0]).flat_map(|i| measured.row(i).iter().copied()).collect::<Vec<_>>();
        Self::onto(measured, &clean, &target)
    }

    fn step(&self, step: &Step<'_>, x: &Batch, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let process = step.model.process();
        let (at_t, at_s) = (process.at(step.leg.t), process.at(step.leg.s));
        // The kernel of x_t given x_s.
        let decay = at_t.alpha / at_s.alpha;
        let spread = ((at_t.sigma - decay * at_s.sigma) * (at_t.sigma + decay * at_s.sigma)).max(0.0).sqrt();
        let mut state = x.clone();
        for k in 0..self.repeats.max(1) {
            if k > 0 {
                state = state * decay + noise.normal(x) * spread;
            }
            // What a solver has seen before belongs to states that were replaced.
            past.forget();
            let known = Self::known(step, &state, step.leg.t, noise);
            state = step.solver.step(&step.model, &known, step.leg, past, noise);
        }
        // Before the next step the state is replaced again; after the last one there is none.
        if at_s.sigma == 0.0 { Self::known(step, &state, step.leg.s, noise) } else { state }
    }
}
