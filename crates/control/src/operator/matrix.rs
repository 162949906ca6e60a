//! A matrix row by row, and where its rows are not zero: resampling matrices are bands.

use super::OperatorError;
use super::error::{finite, length};
use super::shape::MAX_ENTRIES;
use std::ops::Range;

/// A matrix `[rows, columns]`, row-major, of finite numbers.
#[derive(Clone, Debug)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
    /// For every row, the range outside which it is zero.
    bands: Vec<Range<usize>>,
}

impl Matrix {
    /// From its numbers, row by row.
    ///
    /// # Errors
    /// When a side is zero, the numbers are not `rows * columns`, too many (2^30), or not finite.
    pub fn new(rows: usize, columns: usize, values: Vec<f64>) -> Result<Self, OperatorError> {
        if rows == 0 || columns == 0 {
            return Err(OperatorError::Empty { what: "a matrix" });
        }
        length("the matrix", values.len(), Self::entries(rows, columns)?)?;
        finite("the matrix", &values)?;
        let bands = values
            .chunks_exact(columns)
            .map(|row| {
                let first = row.iter().position(|v| *v != 0.0).unwrap_or(0);
                first..row.iter().rposition(|v| *v != 0.0).map_or(0, |last| last + 1)
            })
            .collect();
        Ok(Self { rows, columns, values, bands })
    }

    /// How many entries a matrix has, when that is not too many.
    pub(super) fn entries(rows: usize, columns: usize) -> Result<usize, OperatorError> {
        match rows.checked_mul(columns) {
            Some(entries) if entries <= MAX_ENTRIES => Ok(entries),
            _ => Err(OperatorError::TooLarge { what: "a matrix", first: rows, second: columns, limit: MAX_ENTRIES }),
        }
    }

    /// Rows, `m`.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns, `d`.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The numbers, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The part of row `i` that is not zero, and the column where it begins.
    pub(super) fn band(&self, i: usize) -> (usize, &[f64]) {
        let Range { start, end } = self.bands[i].clone();
        (start, &self.values[i * self.columns + start..i * self.columns + end])
    }

    /// `y += M x`.
    pub(super) fn add_product(&self, x: &[f64], y: &mut [f64]) {
        for (i, y) in y.iter_mut().enumerate() {
            let (at, band) = self.band(i);
            *y += dot(band, &x[at..at + band.len()]);
        }
    }

    /// `x += M^T y`.
    pub(super) fn add_transposed_product(&self, y: &[f64], x: &mut [f64]) {
        for (i, y) in y.iter().enumerate() {
            let (at, band) = self.band(i);
            axpy(*y, band, &mut x[at..at + band.len()]);
        }
    }
}

/// `<a, b>`, in four sums, which the processor adds side by side.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (x, y) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = x.remainder().iter().zip(y.remainder()).map(|(a, b)| a * b).sum();
    for (x, y) in x.zip(y) {
        (0..4).for_each(|k| sums[k] += x[k] * y[k]);
    }
    sums.iter().sum::<f64>() + rest
}

/// `y += a x`.
pub(super) fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}
