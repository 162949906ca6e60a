//! The probability flow in coordinates that suit every process.
//!
//! With the noise level `l = sigma / alpha`, its logarithm `u = ln l` and the state scaled to the size of unit data,
//! `z = x / r`, `r = sqrt(alpha^2 + sigma^2)`, the flow `dx/dt = alpha' D + sigma' (x - alpha D) / sigma` reads
//!
//! `dz/du = (alpha / r) ((alpha / r) z - D(x))`
//!
//! for every process: no slope of a schedule is left in it, it fades at both ends, and a few dozen evaluations suffice. Its
//! divergence is `d alpha^2 / r^2 - alpha tr J` with `J = dD/dx`.

use crate::ode::{End, Ode, Report};
use scorefield_process::{Process, ProcessExt};

/// Largest and smallest noise levels `sigma / alpha` that a flow is carried to: processes that reach pure noise or pure data are cut
/// there.
const LEVELS: (f64, f64) = (1e-8, 1e6);

/// How the flow is integrated, and between which times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// The integrator; its tolerances are those of `z` and of the log-density in nats.
    pub ode: Ode,
    /// The time next to the data; the start of the process's span if none.
    pub start: Option<f64>,
    /// The time of the prior; the end of the process's span if none.
    pub end: Option<f64>,
}

/// Why a flow did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum FlowError {
    /// A row did not reach the end.
    #[error("row {row} stopped at noise level {level:.4e}: {why}; a larger --rtol may help, or the model is not finite there")]
    Stopped {
        /// The row of the batch.
        row: usize,
        /// The noise level `sigma / alpha` it came to.
        level: f64,
        /// What stopped it.
        why: &'static str,
    },
}

impl Flow {
    /// A flow of both tolerances.
    pub fn with_tolerance(tolerance: f64) -> Self {
        Self { ode: Ode { rtol: tolerance, atol: tolerance, ..Ode::default() }, ..Self::default() }
    }

    /// The same flow with both tolerances divided by ten.
    #[must_use]
    pub fn sharper(self) -> Self {
        Self { ode: Ode { rtol: self.ode.rtol / 10.0, atol: self.ode.atol / 10.0, ..self.ode }, ..self }
    }

    /// The times next to the data and of the prior.
    pub fn times(&self, process: &dyn Process) -> (f64, f64) {
        let span = process.span();
        let (start, end) = (self.start.unwrap_or(span.start), self.end.unwrap_or(span.end));
        let within = |t: f64| {
            let level = process.at(t).ratio();
            let held = level.clamp(LEVELS.0, LEVELS.1);
            if level == held { t } else { process.time_of_ratio(held) }
        };
        (within(start), within(end))
    }
}

/// A process in the coordinates of the flow, between two times.
pub(crate) struct Path<'a> {
    process: &'a dyn Process,
    ends: [(f64, f64); 2],
}

/// A place `u = ln(sigma / alpha)`, its time and coefficients, and `r = sqrt(alpha^2 + sigma^2)`.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub u: f64,
    pub t: f64,
    pub alpha: f64,
    pub sigma: f64,
    pub r: f64,
}

impl<'a> Path<'a> {
    pub(crate) fn new(process: &'a dyn Process, flow: &Flow) -> Self {
        let (start, end) = flow.times(process);
        let knot = |t: f64| (process.at(t).ratio().ln(), t);
        Self { process, ends: [knot(start), knot(end)] }
    }

    /// The noise levels' logarithms next to the data and at the prior.
    pub(crate) fn span(&self) -> (f64, f64) {
        (self.ends[0].0, self.ends[1].0)
    }

    /// The place at `u = ln(sigma / alpha)`.
    pub(crate) fn at(&self, u: f64) -> Place {
        // The ends themselves, which the inverse of the schedule meets to rounding only.
        let known = self.ends.iter().find(|(knot, _)| *knot == u).map(|(_, t)| *t);
        let t = known.unwrap_or_else(|| self.process.time_of_ratio(u.exp()));
        Place { u, ..self.at_time(t) }
    }

    /// The place at a time.
    pub(crate) fn at_time(&self, t: f64) -> Place {
        let m = self.process.at(t);
        Place { u: m.ratio().ln(), t, alpha: m.alpha, sigma: m.sigma, r: m.alpha.hypot(m.sigma) }
    }
}

/// An error for the first row that did not arrive.
pub(crate) fn arrived(report: &Report) -> Result<(), FlowError> {
    let stopped = report.rows.iter().enumerate().find(|(_, r)| r.end != End::Reached);
    stopped.map_or(Ok(()), |(row, r)| {
        let why = match r.end {
            End::Reached => "it arrived",
            End::TooManySteps => "it used up its steps",
            End::NotFinite => "the slope is not a number",
            End::StepVanished => "no step is short enough for the tolerance",
        };
        Err(FlowError::Stopped { row, level: r.t.exp(), why })
    })
}
