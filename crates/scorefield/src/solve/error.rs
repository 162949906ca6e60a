//! Why a question cannot be put, or has no answer.

use crate::GenerateError;
use scorefield_control::operator::OperatorError;
use scorefield_control::{MeasurementError, TaskError, TilesError};

/// What was asked, and what was expected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SolveError {
    /// The model cannot be asked.
    #[error(transparent)]
    Model(#[from] GenerateError),
    /// There is no such measurement of the model's states.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The measurement is none of the operator's.
    #[error(transparent)]
    Measurement(#[from] MeasurementError),
    /// Windows do not fit.
    #[error(transparent)]
    Tiles(#[from] TilesError),
    /// Units do not fit.
    #[error("the units of the model's data: {0}")]
    Units(#[from] OperatorError),
    /// A rule that does not take the measurement.
    #[error("rule {rule} on {operator}: {why}")]
    Refused {
        /// The rule.
        rule: &'static str,
        /// The operator.
        operator: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A request that makes no sense.
    #[error("{what}")]
    Request {
        /// What was found, and what was expected.
        what: String,
    },
    /// A measured number is impossible.
    #[error(
        "measurement {question}: number {place} is {found}, but such measurements of the model's data lie from {low} to {high}"
    )]
    Outside {
        /// Which measurement.
        question: String,
        /// The place in it.
        place: usize,
        /// What it is.
        found: f64,
        /// The least there can be.
        low: f64,
        /// The most.
        high: f64,
    },
    /// A sample came out infinite or as no number.
    #[error("sample {sample} of measurement {question} came out as {found}; more steps or another rule may help")]
    NotFinite {
        /// Which measurement.
        question: u64,
        /// Which sample.
        sample: u64,
        /// What stands in it.
        found: f32,
    },
}
