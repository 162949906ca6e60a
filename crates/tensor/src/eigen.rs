//! Eigenvalues of a symmetric matrix by Jacobi rotations.
//!
//! Slow beside a tridiagonal method but short and accurate to the last digits (Golub and Van Loan, section 8.5); the matrices
//! here are covariances of features and generators of Markov chains, with at most [`MAX_EIGEN`] entries, a second's work.

/// The largest matrix decomposed.
pub const MAX_EIGEN: usize = 256;

/// `A = V^T diag(values) V`, the rows of `V` being the eigenvectors.
#[derive(Clone, Debug)]
pub struct SymmetricEigen {
    /// Eigenvalues, in no particular order.
    pub values: Vec<f64>,
    /// Row `i` is the eigenvector of value `i`; row-major `[d, d]`.
    pub vectors: Vec<f64>,
}

/// Decomposes a symmetric row-major matrix `[d, d]`.
///
/// # Panics
/// When the matrix does not hold `d * d` numbers, or is larger than [`MAX_EIGEN`].
#[track_caller]
pub fn symmetric_eigen(matrix: &[f64], d: usize) -> SymmetricEigen {
    assert_eq!(matrix.len(), d * d, "a matrix of {} numbers is not {d} x {d}", matrix.len());
    assert!(d <= MAX_EIGEN, "a {d} x {d} matrix, at most {MAX_EIGEN} is taken");
    let mut a = matrix.to_vec();
    let mut v = vec![0.0; d * d];
    (0..d).for_each(|i| v[i * d + i] = 1.0);
    let scale: f64 = a.iter().map(|x| x * x).sum();
    for _sweep in 0..60 {
        let off: f64 = (0..d).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * d + j] * a[i * d + j]).sum();
        // Rounding alone leaves about d^2 1e-32 of the whole: a smaller bound would never be met.
        if off <= 1e-28 * scale {
            break;
        }
        for p in 0..d {
            for q in p + 1..d {
                // An entry below rounding moves no eigenvalue.
                if a[p * d + q].powi(2) > 1e-36 * scale {
                    rotate(&mut a, &mut v, d, p, q);
                }
            }
        }
    }
    SymmetricEigen { values: (0..d).map(|i| a[i * d + i]).collect(), vectors: v }
}

/// The rotation in the plane (p, q) that makes entry (p, q) vanish.
fn rotate(a: &mut [f64], v: &mut [f64], d: usize, p: usize, q: usize) {
    let theta = (a[q * d + q] - a[p * d + p]) / (2.0 * a[p * d + q]);
    // The smaller root of t^2 + 2 theta t - 1 = 0.
    let t = if theta == 0.0 { 1.0 } else { theta.signum() / (theta.abs() + theta.hypot(1.0)) };
    let c = t.hypot(1.0).recip();
    let s = t * c;
    let turn = |x: f64, y: f64| (c * x - s * y, s * x + c * y);
    for k in 0..d {
        (a[k * d + p], a[k * d + q]) = turn(a[k * d + p], a[k * d + q]);
    }
    for k in 0..d {
        (a[p * d + k], a[q * d + k]) = turn(a[p * d + k], a[q * d + k]);
        (v[p * d + k], v[q * d + k]) = turn(v[p * d + k], v[q * d + k]);
    }
}

impl SymmetricEigen {
    /// `V^T diag(f(values)) V`: a function of the matrix, row-major.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let d = self.values.len();
        let mut out = vec![0.0; d * d];
        for (value, axis) in self.values.iter().zip(self.vectors.chunks_exact(d.max(1))) {
            let y = f(*value);
            for (row, a) in out.chunks_exact_mut(d.max(1)).zip(axis) {
                row.iter_mut().zip(axis).for_each(|(o, b)| *o += y * a * b);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A v = lambda v`, `V V^T = I`, and the trace is the sum, on a matrix with a repeated eigenvalue and a random one.
    #[test]
    fn vectors_are_eigenvectors() {
        let random = |d: usize| -> Vec<f64> {
            let entry = |i: usize, j: usize| ((i * j + i + j) as f64 * 1.7).sin();
            (0..d * d).map(|k| entry(k / d, k % d)).collect()
        };
        let repeated = vec![2.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 2.0];
        for (matrix, d) in [(repeated, 3), (random(40), 40), (vec![5.0], 1), (vec![0.0; 4], 2)] {
            let e = symmetric_eigen(&matrix, d);
            for (i, axis) in e.vectors.chunks_exact(d).enumerate() {
                for (k, row) in matrix.chunks_exact(d).enumerate() {
                    let image: f64 = row.iter().zip(axis).map(|(a, b)| a * b).sum();
                    assert!((image - e.values[i] * axis[k]).abs() < 1e-12 * d as f64);
                }
                for (j, other) in e.vectors.chunks_exact(d).enumerate() {
                    let dot: f64 = axis.iter().zip(other).map(|(a, b)| a * b).sum();
                    assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
                }
            }
            let back = e.map(|v| v);
            assert!(back.iter().zip(&matrix).all(|(a, b)| (a - b).abs() < 1e-12 * d as f64));
        }
        let mut values = symmetric_eigen(&[2.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 2.0], 3).values;
        values.sort_by(f64::total_cmp);
        assert!(values.iter().zip([1.0, 1.0, 4.0]).all(|(a, b)| (a - b).abs() < 1e-13));
    }
}
