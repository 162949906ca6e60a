//! In which variable a Runge-Kutta method steps along the probability flow.
//!
//! With `y = x / alpha`, `l = sigma / alpha` the flow is `dy/dl = eps(x, t)` (Karras et al. 2022, eq. 4 with s = 1; Song et al. 2021b, eq. 14): the
//! same samples under every schedule of the same levels. Against `ln l` (minus half the log-SNR) it is `dy/d ln l = l eps`. In the
//! process's own time it is `dx/dt = alpha' E[x_0] + sigma' E[eps]`, which needs no inversion and is smooth where the schedule is.

use super::key::choice;
use scorefield_process::{Denoiser, Marginal, Process, ProcessExt};
use scorefield_tensor::{Batch, Coefficient};

choice! {
    /// The variable of integration.
    Clock {
        Ratio = "ratio": "`y = x / alpha` against `l = sigma / alpha`.",
        Time = "time": "`x` against the process's time.",
        LogSnr = "log-snr": "`y = x / alpha` against `ln l`, equal steps in the log-SNR.",
    }
}

impl Clock {
    /// What the clock shows at a time.
    pub(super) fn reads(self, process: &dyn Process, t: f64) -> f64 {
        match self {
            Self::Time => t,
            Self::Ratio => process.at(t).ratio(),
            Self::LogSnr => process.at(t).ratio().ln(),
        }
    }

    /// The time at which the clock shows `u`.
    pub(super) fn time(self, process: &dyn Process, u: f64) -> f64 {
        match self {
            Self::Time => u,
            Self::Ratio => process.time_of_ratio(u),
            Self::LogSnr => process.time_of(-2.0 * u),
        }
    }

    /// The state `y` of `x`.
    pub(super) fn lower<S: Coefficient>(self, m: &Marginal<S>, x: &Batch) -> Batch {
        match self {
            Self::Time => x.clone(),
            _ => m.alpha.recip().scale(x.clone()),
        }
    }

    /// `x` of the state `y`.
    pub(super) fn lift<S: Coefficient>(self, m: &Marginal<S>, y: &Batch) -> Batch {
        match self {
            Self::Time => y.clone(),
            _ => m.alpha.scale(y.clone()),
        }
    }

    /// `dy/du` where the posterior mean is `x0`.
    pub(super) fn slope<S: Coefficient>(self, m: &Marginal<S>, x: &Batch, x0: &Batch) -> Batch {
        let eps = m.noise(x, x0);
        match self {
            Self::Time => m.velocity(x0, &eps),
            Self::Ratio => eps,
            Self::LogSnr => m.ratio().scale(eps),
        }
    }

    /// Slope and posterior mean at `y`, all rows at time `t`.
    pub(super) fn look(self, d: &dyn Denoiser, y: &Batch, t: f64) -> (Batch, Batch) {
        let m = d.process().at(t);
        let x = self.lift(&m, y);
        let x0 = d.denoise(&x, t);
        (self.slope(&m, &x, &x0), x0)
    }
}
