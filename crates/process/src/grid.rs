//! At which times a sampler looks at the model.
//!
//! A grid of `n` steps holds `n` strictly decreasing times from the span's end to its start: `n - 1` legs, and one last
//! evaluation that replaces the state by its posterior mean. One network level is visited per step, so `n` steps of a
//! first-order method are `n` evaluations, and Heun's are `2n - 1` (Karras et al. 2022: 18 steps, 35 evaluations).

use crate::{Process, ProcessExt, Span};
use serde::{Deserialize, Serialize};

/// From time `t` down to time `s < t`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// Where the leg begins.
    pub t: f64,
    /// Where it ends.
    pub s: f64,
    /// Its place among the legs of the grid, from 0.
    pub index: usize,
    /// How many legs the grid has.
    pub count: usize,
}

/// Strictly decreasing times, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid(Vec<f64>);

/// Why a list of times is no grid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// There is no time at all.
    #[error("a grid needs at least one time; ask for one step or more")]
    Empty,
    /// Two neighbours do not decrease.
    #[error("a grid's times must decrease: time {index} is {value}, after {before}")]
    NotDecreasing {
        /// Place of the second of the two.
        index: usize,
        /// The second.
        value: f64,
        /// The first.
        before: f64,
    },
    /// A time is not a finite number.
    #[error("time {index} of the grid is {value}, not a finite number")]
    NotFinite {
        /// Its place.
        index: usize,
        /// What it is.
        value: f64,
    },
}

impl Grid {
    /// A grid of the caller's own times.
    ///
    /// # Errors
    /// When there is none, one is not finite, or they do not strictly decrease.
    pub fn new(times: Vec<f64>) -> Result<Self, GridError> {
        if times.is_empty() {
            return Err(GridError::Empty);
        }
        for (index, &value) in times.iter().enumerate() {
            if !value.is_finite() {
                return Err(GridError::NotFinite { index, value });
            }
            if index > 0 && times[index - 1] <= value {
                return Err(GridError::NotDecreasing { index, value, before: times[index - 1] });
            }
        }
        Ok(Self(times))
    }

    /// The times, from noise to data.
    pub fn times(&self) -> &[f64] {
        &self.0
    }

    /// The legs between neighbours.
    pub fn legs(&self) -> impl Iterator<Item = Leg> + '_ {
        let count = self.0.len() - 1;
        self.0.windows(2).enumerate().map(move |(index, w)| Leg { t: w[0], s: w[1], index, count })
    }
}

/// The spacings by name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GridKind {
    /// Equal steps in time (Song et al. 2021).
    Uniform,
    /// Equal steps in `(sigma / alpha)^(1/rho)` (Karras et al. 2022, eq. 5; rho = 7 there).
    Karras {
        /// The exponent: larger puts more steps next to the data.
        rho: f64,
    },
    /// Equal steps in the log signal-to-noise ratio (Lu et al. 2022).
    LogSnr,
}

impl GridKind {
    /// One of each, for tests and listings.
    pub fn all() -> [Self; 3] {
        [Self::Uniform, Self::Karras { rho: 7.0 }, Self::LogSnr]
    }

    /// The name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Karras { .. } => "karras",
            Self::LogSnr => "log-snr",
        }
    }

    /// `n` times of `process` over its span.
    ///
    /// # Errors
    /// When `n` is zero, or so large that neighbouring times coincide.
    pub fn grid(&self, process: &(impl Process + ?Sized), n: usize) -> Result<Grid, GridError> {
        self.between(process, process.span(), n)
    }

    /// `n` times of `process` over a span of the caller's.
    ///
    /// # Errors
    /// As [`GridKind::grid`].
    pub fn between(&self, process: &(impl Process + ?Sized), span: Span, n: usize) -> Result<Grid, GridError> {
        let (first, last) = (process.at(span.end), process.at(span.start));
        let mut times: Vec<f64> = (0..n)
            .map(|i| {
                let u = if n == 1 { 0.0 } else { i as f64 / (n - 1) as f64 };
                let between = |a: f64, b: f64| a + u * (b - a);
                match self {
                    Self::Uniform => between(span.end, span.start),
                    Self::Karras { rho } => {
                        let root = |m: &crate::Marginal| m.ratio().powf(rho.recip());
                        process.time_of_ratio(between(root(&first), root(&last)).powf(*rho))
                    }
                    Self::LogSnr => process.time_of(between(first.log_snr(), last.log_snr())),
                }
            })
            .collect();
        // The ends are the span's, exactly, whatever the inversion rounds to.
        if let Some(t) = times.first_mut() {
            *t = span.end;
        }
        if n > 1 {
            times[n - 1] = span.start;
        }
        Grid::new(times)
    }
}
