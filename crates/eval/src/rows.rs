//! A set of states as rows of one slice.

use crate::EvalError;

/// `n` rows of `d` numbers, row-major, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f32],
    n: usize,
    d: usize,
}

impl<'a> Rows<'a> {
    /// A view of `values` as `n` rows.
    ///
    /// # Panics
    /// When `values` does not divide into `n` rows of at least one number.
    #[track_caller]
    pub fn new(values: &'a [f32], n: usize, d: usize) -> Self {
        assert!(d > 0 && values.len() == n * d, "{} numbers do not make {n} rows of {d}", values.len());
        Self { values, n, d }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Numbers a row.
    pub fn dim(&self) -> usize {
        self.d
    }

    /// All numbers, row after row.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// Row `i`.
    #[track_caller]
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.d..(i + 1) * self.d]
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.d)
    }

    /// The first rows, at most `n` of them.
    pub fn first(&self, n: usize) -> Self {
        let n = n.min(self.n);
        Self { values: &self.values[..n * self.d], n, d: self.d }
    }

    /// A copy of chosen rows, in the order given.
    pub fn take(&self, indices: &[usize]) -> RowsBuf {
        let values = indices.iter().flat_map(|&i| self.row(i).iter().copied()).collect();
        RowsBuf { values, n: indices.len(), d: self.d }
    }

    /// Checks that every number is finite; `set` names the rows in the error.
    ///
    /// # Errors
    /// On the first number that is not.
    pub fn check_finite(&self, set: &'static str) -> Result<(), EvalError> {
        match self.values.iter().position(|v| !v.is_finite()) {
            None => Ok(()),
            Some(at) => Err(EvalError::NotFinite { set, row: at / self.d, entry: at % self.d, value: self.values[at] }),
        }
    }
}

/// `n` rows of `d` numbers, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct RowsBuf {
    values: Vec<f32>,
    n: usize,
    d: usize,
}

impl RowsBuf {
    /// `n` rows out of row-major numbers.
    ///
    /// # Panics
    /// As [`Rows::new`].
    #[track_caller]
    pub fn new(values: Vec<f32>, n: usize, d: usize) -> Self {
        Rows::new(&values, n, d);
        Self { values, n, d }
    }

    /// The view that every measure takes.
    pub fn view(&self) -> Rows<'_> {
        Rows { values: &self.values, n: self.n, d: self.d }
    }
}

/// `|a - b|^2`: single-precision lanes over at most 512 numbers at a time, the parts summed in double precision, so that the
/// rounding error does not grow with the dimension (below 4e-6 relative) and one fixed order serves every machine.
#[inline]
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut total = 0.0f64;
    for (a, b) in a.chunks(512).zip(b.chunks(512)) {
        let mut lanes = [0.0f32; LANES];
        let (heads_a, heads_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest: f64 = heads_a.remainder().iter().zip(heads_b.remainder()).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        for (a, b) in heads_a.zip(heads_b) {
            for l in 0..LANES {
                let difference = a[l] - b[l];
                lanes[l] += difference * difference;
            }
        }
        total += lanes.iter().map(|&v| f64::from(v)).sum::<f64>() + rest;
    }
    total
}

/// Refuses rows of different lengths and sets below a size.
pub(crate) fn check_pair(what: &'static str, x: Rows<'_>, y: Rows<'_>, needed: usize) -> Result<(), EvalError> {
    if x.dim() != y.dim() {
        return Err(EvalError::Widths { what, first: x.dim(), second: y.dim() });
    }
    for (set, rows) in [("the first set", x), ("the second set", y)] {
        if rows.len() < needed {
            return Err(EvalError::TooFew { what, set, found: rows.len(), needed });
        }
        rows.check_finite(set)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squared_distances_equal_the_sum_in_double_precision() {
        for d in [1, 15, 16, 17, 511, 512, 513, 3072] {
            let a: Vec<f32> = (0..d).map(|i| (i as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..d).map(|i| (i as f32 * 0.11).cos()).collect();
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            let found = squared_distance(&a, &b);
            assert!((found - exact).abs() <= 4e-6 * exact, "{d}: {found} {exact}");
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_named() {
        let values = [0.0, 1.0, 2.0, f32::NAN, 4.0, 5.0];
        let error = Rows::new(&values, 2, 3).check_finite("samples").unwrap_err();
        assert!(error.to_string().starts_with("samples: row 1, entry 0 is NaN"), "{error}");
    }

    #[test]
    #[should_panic(expected = "5 numbers do not make 2 rows of 3")]
    fn ragged_rows_panic() {
        Rows::new(&[0.0; 5], 2, 3);
    }
}
