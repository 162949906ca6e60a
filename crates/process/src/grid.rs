//! At which times a sampler looks at the model.
//!
//! A grid of `n` steps holds `n` strictly decreasing times from the span's end to its start: `n - 1` legs, and one last
//! evaluation that replaces the state by its posterior mean. One network level is visited per step, so `n` steps of a
//! first-order method are `n` evaluations, and Heun's are `2n - 1` (Karras et al. 2022: 18 steps, 35 evaluations).

mod beta;
mod kind;
mod text;
mod whole;

pub use kind::GridKind;
pub use text::GridTextError;
pub use whole::{leading, linspace, sections, trailing};

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
    /// A list of times has a length of its own.
    #[error("{found} steps were asked for, but the grid's own list has {expected}; leave the number of steps out")]
    Count {
        /// The steps asked for.
        found: usize,
        /// The length of the list.
        expected: usize,
    },
    /// A spacing of whole times on a process that has none.
    #[error(
        "grid {grid} places whole times of a discrete-time process, and this one is continuous; use uniform, log-snr or karras"
    )]
    Continuous {
        /// The grid.
        grid: &'static str,
    },
    /// More steps than a discrete-time process has times.
    #[error("{found} steps of {expected} whole times; ask for {expected} at most, or use uniform")]
    TooMany {
        /// The steps asked for.
        found: usize,
        /// The times there are.
        expected: usize,
    },
    /// A time or a level of a list is none of the process.
    #[error("{what} {index} of the list is {value}, expected a number from {low} to {high}")]
    Outside {
        /// "time" or "level".
        what: &'static str,
        /// Its place.
        index: usize,
        /// What it is.
        value: f64,
        /// The smallest of the process.
        low: f64,
        /// The largest.
        high: f64,
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
