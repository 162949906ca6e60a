//! A matrix of few entries, row after row.

use super::shape::MAX_ENTRIES;
use super::{Operator, OperatorError, assert_rows};

/// `y_i = sum_k a_k x_(j_k)` over the entries of row `i`.
#[derive(Clone, Debug)]
pub struct Sparse {
    inputs: usize,
    /// Where every row ends.
    ends: Vec<usize>,
    entries: Vec<(u32, f64)>,
}

impl Sparse {
    /// From rows of `(column, value)`; columns may repeat, their values add up.
    ///
    /// # Errors
    /// When there is no row, a column is not below `inputs`, a value is not finite, or there are more than 2^30 columns.
    pub fn new(inputs: usize, rows: &[Vec<(usize, f64)>]) -> Result<Self, OperatorError> {
        if rows.is_empty() {
            return Err(OperatorError::Empty { what: "a sparse matrix" });
        }
        if inputs > MAX_ENTRIES {
            return Err(OperatorError::TooLarge {
                what: "a sparse matrix",
                first: rows.len(),
                second: inputs,
                limit: MAX_ENTRIES,
            });
        }
        let (mut ends, mut entries) = (Vec::with_capacity(rows.len()), Vec::new());
        for (index, row) in rows.iter().enumerate() {
            for (column, value) in row {
                if *column >= inputs {
                    let expected = "below the number of columns";
                    return Err(OperatorError::OutOfRange {
                        what: "a column of a sparse matrix",
                        found: *column as f64,
                        expected,
                    });
                }
                if !value.is_finite() {
                    return Err(OperatorError::NotFinite { what: "a row of a sparse matrix", index, value: *value });
                }
                entries.push((*column as u32, *value));
            }
            ends.push(entries.len());
        }
        Ok(Self { inputs, ends, entries })
    }

    fn rows(&self) -> impl Iterator<Item = &[(u32, f64)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.entries[start..*end])
    }
}

impl Operator for Sparse {
    fn name(&self) -> &'static str {
        "sparse"
    }

    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.ends.len()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        y.iter_mut().zip(self.rows()).for_each(|(y, row)| *y = row.iter().map(|(j, a)| a * x[*j as usize]).sum());
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        out.fill(0.0);
        v.iter().zip(self.rows()).for_each(|(v, row)| row.iter().for_each(|(j, a)| out[*j as usize] += a * v));
    }
}
