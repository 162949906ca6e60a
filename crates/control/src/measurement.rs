//! What was measured of a sample: `y = A(x_0) + n`, `n` normal of deviation `sigma`.

use crate::operator::{Operator, Stop, cg};
use rayon::prelude::*;
use scorefield_tensor::{Batch, batch_f64, rows_f64};
use std::sync::Arc;

/// Where conjugate gradients stop within a step.
const STOP: Stop = Stop { tolerance: 1e-5, limit: 200 };

/// A measurement, the same for all samples or one for each row of the batch that it is used with; of `k` measurements and a batch of a multiple
/// of `k` rows, row `i` has measurement `i mod k`.
#[derive(Clone, Debug)]
pub struct Measurement {
    operator: Arc<dyn Operator>,
    y: Vec<f64>,
    sigma: f64,
}

/// Why there is no such measurement.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MeasurementError {
    /// Numbers that make no rows of the operator's outputs.
    #[error("a measurement of {found} numbers, but {operator} gives {expected} for a sample")]
    Length {
        /// Numbers there are.
        found: usize,
        /// Numbers that the operator gives.
        expected: usize,
        /// The operator.
        operator: &'static str,
    },
    /// A number that is none.
    #[error("number {place} of the measurement is {found}; expected finite numbers")]
    NotFinite {
        /// Its place.
        place: usize,
        /// What it is.
        found: f64,
    },
    /// A deviation that is none.
    #[error("noise of deviation {found}: expected a finite number from 0 on, in the model's units")]
    Sigma {
        /// What was given.
        found: f64,
    },
}

impl Measurement {
    /// `y` is one row of the operator's outputs for all samples, or one after the other for each of a batch; `sigma` the deviation of the
    /// noise in it, in the units of the model's states.
    ///
    /// # Errors
    /// When `y` makes no rows or has numbers that are not finite, or `sigma` is negative.
    pub fn new(operator: Arc<dyn Operator>, y: Vec<f64>, sigma: f64) -> Result<Self, MeasurementError> {
        let expected = operator.outputs();
        if expected == 0 || y.is_empty() || !y.len().is_multiple_of(expected.max(1)) {
            return Err(MeasurementError::Length { found: y.len(), expected, operator: operator.name() });
        }
        if let Some(place) = y.iter().position(|v| !v.is_finite()) {
            return Err(MeasurementError::NotFinite { place, found: y[place] });
        }
        if !(sigma >= 0.0 && sigma.is_finite()) {
            return Err(MeasurementError::Sigma { found: sigma });
        }
        Ok(Self { operator, y, sigma })
    }

    /// How it was measured.
    pub fn operator(&self) -> &dyn Operator {
        &*self.operator
    }

    /// What was measured, row after row.
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// The deviation of the noise.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// How many measurements there are.
    pub(crate) fn rows(&self) -> usize {
        self.y.len() / self.operator.outputs()
    }

    /// Panics unless the rows of a batch are states of the operator, and there is a measurement for each or one for all.
    #[track_caller]
    pub(crate) fn check(&self, x: &Batch) {
        let ([n, d], inputs, rows) = (x.dims(), self.operator.inputs(), self.rows());
        assert!(d == inputs, "states of {d} entries, {} takes {inputs}", self.operator.name());
        assert!(n.is_multiple_of(rows), "{rows} measurements for {n} rows of a batch");
    }

    /// The measurement of row `i` of a batch.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        let m = self.operator.outputs();
        let i = i % self.rows();
        &self.y[i * m..(i + 1) * m]
    }

    /// `A(x)` row by row.
    pub(crate) fn apply(&self, x: &[f64]) -> Vec<f64> {
        map(x, self.operator.inputs(), self.operator.outputs(), |_, x, y| self.operator.apply(x, y))
    }

    /// `y - A(x)` row by row.
    pub(crate) fn residual(&self, x: &[f64]) -> Vec<f64> {
        map(x, self.operator.inputs(), self.operator.outputs(), |i, x, out| {
            self.operator.apply(x, out);
            out.iter_mut().zip(self.row(i)).for_each(|(o, y)| *o = y - *o);
        })
    }

    /// `(A A^T + c)^-1 v` row by row, for a linear operator; without cheap singular values to what a step of a sampler needs of it.
    pub(crate) fn solve(&self, c: f64, v: &[f64]) -> Vec<f64> {
        let (operator, m) = (&*self.operator, self.operator.outputs());
        map(v, m, m, |_, v, out| match operator.singular() {
            Some(singular) => singular.filtered_inverse(c, v, out),
            None => {
                let solved = cg(operator, c, v, STOP).expect("rules that solve refuse what is not linear, and c is positive");
                out.copy_from_slice(&solved.x);
            }
        })
    }

    /// `J_A(x)^T v` row by row.
    pub(crate) fn pull(&self, x: &[f64], v: &[f64]) -> Vec<f64> {
        let (d, m) = (self.operator.inputs(), self.operator.outputs());
        map(v, m, d, |i, v, out| self.operator.pullback(&x[i * d..(i + 1) * d], v, out))
    }
}

/// `f(i, row i of x, row i of the result)` for every row, on all threads.
pub(crate) fn map(x: &[f64], from: usize, to: usize, f: impl Fn(usize, &[f64], &mut [f64]) + Sync) -> Vec<f64> {
    let mut out = vec![0.0; x.len() / from * to];
    out.par_chunks_mut(to).zip(x.par_chunks(from)).enumerate().for_each(|(i, (out, x))| f(i, x, out));
    out
}

/// Rows in double precision as a batch like another.
pub(crate) fn like(rows: Vec<f64>, other: &Batch) -> Batch {
    batch_f64(rows, other.dims()[0], &other.device()).cast(other.dtype())
}

/// The rows of a batch in double precision.
pub(crate) fn rows_of(x: &Batch) -> Vec<f64> {
    rows_f64(x.clone())
}
