//! Why an operator cannot be made.

/// What was found, what was expected, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OperatorError {
    /// A list of another length.
    #[error("{what} has {found} entries, {expected} are expected; give one for each")]
    Length {
        /// The list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// Something without entries.
    #[error("{what} is empty; give at least one entry")]
    Empty {
        /// What it is.
        what: &'static str,
    },
    /// A number is infinite or not a number.
    #[error("{what}: entry {index} is {value}, a finite number is expected; clean the data first")]
    NotFinite {
        /// The list.
        what: &'static str,
        /// The entry.
        index: usize,
        /// What it is.
        value: f64,
    },
    /// A number is outside its range.
    #[error("{what} is {found}, but must be {expected}")]
    OutOfRange {
        /// The number.
        what: &'static str,
        /// What it is.
        found: f64,
        /// Its range in words.
        expected: &'static str,
    },
    /// A side is no multiple of the factor.
    #[error("a factor of {factor} does not divide a {side} of {length} pixels; crop the picture or choose a divisor")]
    Indivisible {
        /// The factor.
        factor: usize,
        /// "height" or "width".
        side: &'static str,
        /// Its length.
        length: usize,
    },
    /// A part lies outside the picture.
    #[error("{what} of {height} x {width} pixels does not fit into a picture of {rows} x {columns}; choose a smaller one")]
    DoesNotFit {
        /// The part.
        what: &'static str,
        /// Its height, its offset included.
        height: usize,
        /// Its width, its offset included.
        width: usize,
        /// The picture's height.
        rows: usize,
        /// The picture's width.
        columns: usize,
    },
    /// Every entry is zero.
    #[error("{what} is zero everywhere, nothing would be measured; give at least one entry other than zero")]
    Zero {
        /// What it is.
        what: &'static str,
    },
    /// No entry is known.
    #[error("the mask of {entries} entries keeps none; keep at least one")]
    NothingKnown {
        /// Entries of the mask.
        entries: usize,
    },
    /// Two operators do not fit together.
    #[error("{first} has {found} entries where {second} has {expected}; they must agree")]
    Mismatch {
        /// The one.
        first: &'static str,
        /// Its entries.
        found: usize,
        /// The other.
        second: &'static str,
        /// Its entries.
        expected: usize,
    },
    /// Something would hold too many numbers.
    #[error("{what} of {first} x {second} entries is too large, at most {limit} are supported; use a smaller one")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its rows.
        first: usize,
        /// Its columns.
        second: usize,
        /// The most entries.
        limit: usize,
    },
    /// A linear operator is needed.
    #[error("{name} is not linear, but solving needs a linear operator; use a rule that follows gradients")]
    NotLinear {
        /// The operator.
        name: &'static str,
    },
    /// The decomposition did not converge.
    #[error("the singular values of a matrix of {rows} x {columns} did not converge; scale it, or use it without them")]
    NoConvergence {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
}

/// Every number of a list is finite.
pub(super) fn finite(what: &'static str, values: &[f64]) -> Result<(), OperatorError> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(OperatorError::NotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}

/// A number satisfies a condition that is told in words.
pub(super) fn within(what: &'static str, found: f64, expected: &'static str, holds: bool) -> Result<(), OperatorError> {
    if holds { Ok(()) } else { Err(OperatorError::OutOfRange { what, found, expected }) }
}

/// A list has the expected length.
pub(super) fn length(what: &'static str, found: usize, expected: usize) -> Result<(), OperatorError> {
    if found == expected { Ok(()) } else { Err(OperatorError::Length { what, found, expected }) }
}
