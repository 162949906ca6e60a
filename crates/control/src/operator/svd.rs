//! The singular values of a dense matrix, with both bases whole.
//!
//! The long side may be a hundred times the short one, and its whole basis would be a matrix that does not fit in memory. So the
//! matrix, laid tall, is first `Q [R; 0]` by Householder reflections, and `R = P diag(s) W^T` of the short side alone: the long basis is
//! `Q diag(P, I)`, applied reflection by reflection in `O(k n)`, and the short one is `W` (Golub and Van Loan, section 8.6.3).

use super::matrix::{axpy, dot};
use super::singular::cleaned;
use super::{Matrix, OperatorError, Singular};
use nalgebra::{DMatrix, SVD};

/// The longest short side that is decomposed.
pub const MAX_SVD: usize = 1024;

/// Steps of the iteration for each value; it takes two or three.
const SWEEPS: usize = 100;

/// `A = U diag(s) V^T` of a [`Matrix`] `[m, d]`, with `k = min(m, d)` values, largest first.
#[derive(Clone, Debug)]
pub struct Svd {
    values: Vec<f64>,
    /// The long side, `n`.
    long: usize,
    /// Whether the long basis is the left one.
    tall: bool,
    /// The orthogonal `P^T [k, k]`, row-major.
    p: Vec<f64>,
    /// The orthogonal `W^T [k, k]`, row-major.
    w: Vec<f64>,
    /// Reflection `i` is `I - v v^T` with `v` zero before entry `i`; one that is the identity is empty.
    reflections: Vec<Vec<f64>>,
}

impl Svd {
    /// Decomposes, in the order of `k^2 n` operations for a long side `n`.
    ///
    /// # Errors
    /// When the short side exceeds [`MAX_SVD`], or the iteration does not converge.
    pub fn new(matrix: &Matrix) -> Result<Self, OperatorError> {
        let (m, d) = (matrix.rows(), matrix.columns());
        let (n, k) = (m.max(d), m.min(d));
        if k > MAX_SVD {
            return Err(OperatorError::TooLarge { what: "a decomposition", first: k, second: k, limit: MAX_SVD * MAX_SVD });
        }
        // Of order one, so that no square overflows or vanishes.
        let largest = matrix.values().iter().fold(0.0, |a: f64, v| a.max(v.abs()));
        let scale = if largest > 0.0 { largest } else { 1.0 };
        let (tall, values) = (m >= d, matrix.values());
        // Column by column of the tall matrix.
        let mut columns: Vec<Vec<f64>> = (0..k)
            .map(|j| (0..n).map(|i| if tall { values[i * d + j] / scale } else { values[j * d + i] / scale }).collect())
            .collect();
        let reflections = triangular(&mut columns);
        let square = DMatrix::from_fn(k, k, |i, j| if i <= j { columns[j][i] } else { 0.0 });
        let failed = OperatorError::NoConvergence { rows: m, columns: d };
        let svd = SVD::try_new(square, true, true, f64::EPSILON, SWEEPS * k).ok_or_else(|| failed.clone())?;
        let (Some(u), Some(v_t)) = (svd.u, svd.v_t) else { return Err(failed) };
        let values = cleaned(svd.singular_values.iter().map(|s| s * scale).collect(), m, d);
        // Stored by rows; the matrices are stored by columns.
        let (p, w): (Vec<f64>, Vec<f64>) = (u.as_slice().to_vec(), v_t.transpose().as_slice().to_vec());
        let numbers = values.iter().chain(&p).chain(&w).chain(reflections.iter().flatten());
        if numbers.into_iter().any(|v| !v.is_finite()) {
            return Err(failed);
        }
        Ok(Self { values, long: n, tall, p, w, reflections })
    }

    /// `out = diag(P, I)^T Q^T x`.
    fn analyse_long(&self, x: &[f64], out: &mut [f64]) {
        let k = self.values.len();
        out.copy_from_slice(x);
        self.reflections.iter().enumerate().for_each(|(i, v)| reflect(v, &mut out[i..]));
        let head = out[..k].to_vec();
        product(&self.p, &head, &mut out[..k]);
    }

    /// `out = Q diag(P, I) c`.
    fn synthesise_long(&self, c: &[f64], out: &mut [f64]) {
        let k = self.values.len();
        out.copy_from_slice(c);
        transposed_product(&self.p, &c[..k], &mut out[..k]);
        self.reflections.iter().enumerate().rev().for_each(|(i, v)| reflect(v, &mut out[i..]));
    }

    #[track_caller]
    fn analyse(&self, long: bool, x: &[f64], out: &mut [f64]) {
        self.check(long, x, out);
        if long { self.analyse_long(x, out) } else { product(&self.w, x, out) }
    }

    #[track_caller]
    fn synthesise(&self, long: bool, c: &[f64], out: &mut [f64]) {
        self.check(long, c, out);
        if long { self.synthesise_long(c, out) } else { transposed_product(&self.w, c, out) }
    }

    #[track_caller]
    fn check(&self, long: bool, x: &[f64], out: &[f64]) {
        let n = if long { self.long } else { self.values.len() };
        assert!(x.len() == n && out.len() == n, "{} and {} entries, {n} are expected", x.len(), out.len());
    }
}

impl Singular for Svd {
    fn values(&self) -> &[f64] {
        &self.values
    }

    #[track_caller]
    fn to_right(&self, x: &[f64], out: &mut [f64]) {
        self.analyse(!self.tall, x, out);
    }

    #[track_caller]
    fn from_right(&self, c: &[f64], out: &mut [f64]) {
        self.synthesise(!self.tall, c, out);
    }

    #[track_caller]
    fn to_left(&self, y: &[f64], out: &mut [f64]) {
        self.analyse(self.tall, y, out);
    }

    #[track_caller]
    fn from_left(&self, c: &[f64], out: &mut [f64]) {
        self.synthesise(self.tall, c, out);
    }
}

/// Makes columns of equal length upper triangular by reflections (Golub and Van Loan, algorithm 5.2.1), which it returns: the first entry of
/// reflection `j` belongs to row `j`.
fn triangular(columns: &mut [Vec<f64>]) -> Vec<Vec<f64>> {
    let mut reflections = Vec::with_capacity(columns.len());
    for j in 0..columns.len() {
        let mut v = columns[j][j..].to_vec();
        let norm = dot(&v, &v).sqrt();
        if norm > 0.0 {
            // The sign that does not cancel.
            v[0] += norm.copysign(v[0]);
            let length = (2.0 / dot(&v, &v)).sqrt();
            v.iter_mut().for_each(|e| *e *= length);
        } else {
            v.clear();
        }
        columns[j..].iter_mut().for_each(|c| reflect(&v, &mut c[j..]));
        reflections.push(v);
    }
    reflections
}

/// `x -= v <v, x>`; nothing for an empty `v`.
fn reflect(v: &[f64], x: &mut [f64]) {
    if !v.is_empty() {
        let along = dot(v, x);
        axpy(-along, v, x);
    }
}

/// `y = M x` of a square matrix.
fn product(m: &[f64], x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(m.chunks_exact(x.len())).for_each(|(y, row)| *y = dot(row, x));
}

/// `y = M^T x` of a square matrix.
fn transposed_product(m: &[f64], x: &[f64], y: &mut [f64]) {
    y.fill(0.0);
    x.iter().zip(m.chunks_exact(x.len())).for_each(|(x, row)| axpy(*x, row, y));
}
