//! A process on states as it stands in a recipe or a model file, and what can be wrong with one.

use super::kernel::Transition;
use super::{ColumnKind, StatesProcess, Survival};
use crate::Process;
use scorefield_tensor::MAX_EIGEN;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A process on categories: how they jump, how fast they forget, in how many steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatesConfig {
    /// How categories jump.
    pub transition: Transition,
    /// How fast they forget.
    pub survival: Survival,
    /// Steps `T` of the chain that is trained and sampled.
    pub steps: usize,
}

impl Default for StatesConfig {
    fn default() -> Self {
        Self { transition: Transition::Uniform, survival: Survival::Reciprocal, steps: 1000 }
    }
}

/// More steps than this nobody could mean.
const MOST_STEPS: usize = 1_000_000;

impl StatesConfig {
    /// The process for columns, with a Gaussian process for those that are numbers.
    ///
    /// # Errors
    /// When a number of the configuration cannot be, or the columns do not fit.
    pub fn build(&self, kinds: Vec<ColumnKind>, numbers: Option<Box<dyn Process>>) -> Result<StatesProcess, StatesError> {
        if !(2..=MOST_STEPS).contains(&self.steps) {
            return Err(StatesError::Steps { found: self.steps });
        }
        StatesProcess::new(kinds, self.transition, self.survival.clone(), numbers)
    }

    /// The times of a chain of `steps` steps: `1, ..., 1/T, 0`.
    pub fn times(steps: usize) -> Vec<f64> {
        (0..=steps).rev().map(|i| i as f64 / steps as f64).collect()
    }
}

impl Transition {
    /// Whether a category of so many levels can jump so.
    pub(super) fn takes(self, column: usize, levels: usize) -> Result<(), StatesError> {
        match self {
            Self::Ordered { width } if !(width.is_finite() && width > 0.0) => Err(StatesError::Key {
                key: "transition.ordered.width",
                found: width.to_string(),
                expected: "a share of the range above 0",
            }),
            Self::Ordered { .. } if levels > MAX_EIGEN => Err(StatesError::TooManyLevels { column, levels, most: MAX_EIGEN }),
            _ => Ok(()),
        }
    }
}

/// Why there is no such process.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum StatesError {
    /// No columns.
    #[error("a state without columns; expected at least one")]
    Columns,
    /// A category with too few levels.
    #[error(
        "column {column} is a category of {levels} level(s): nothing can be noised there; expected at least 2, or leave the column out"
    )]
    Levels {
        /// Which.
        column: usize,
        /// How many.
        levels: usize,
    },
    /// A category with too many ordered levels.
    #[error(
        "column {column} has {levels} levels, and the transition ordered takes at most {most}; take uniform or absorbing, or merge levels"
    )]
    TooManyLevels {
        /// Which.
        column: usize,
        /// How many.
        levels: usize,
        /// How many can be.
        most: usize,
    },
    /// A number without a process.
    #[error("column {column} holds numbers, and there is no process for numbers; expected one beside that of the categories")]
    Number {
        /// Which.
        column: usize,
    },
    /// The process of the numbers cannot be built.
    #[error("the process of the columns that are numbers: {found}")]
    Numbers {
        /// Why not.
        found: String,
    },
    /// A number of steps that is none.
    #[error("states.steps = {found} cannot be: a chain has 2 to {MOST_STEPS} steps")]
    Steps {
        /// What was given.
        found: usize,
    },
    /// A rate that is none.
    #[error("beta_{place} = {found} cannot be: expected a probability above 0 and up to 1")]
    Beta {
        /// Which, from 1.
        place: usize,
        /// What was given.
        found: f64,
    },
    /// A constant out of range.
    #[error("states.{key} = {found} cannot be: expected {expected}")]
    Key {
        /// Which.
        key: &'static str,
        /// What was given.
        found: String,
        /// What may be.
        expected: &'static str,
    },
}
