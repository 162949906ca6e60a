//! The Frechet distance: both sets are read as Gaussians, and Gaussians have a closed form.
//!
//! `|m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1^{1/2} C_2 C_1^{1/2})^{1/2})` is the squared 2-Wasserstein distance of two normal laws
//! (Dowson and Landau 1982, eq. 4); on Inception features it is the FID of Heusel et al. 2017. Here it is taken on raw rows or
//! on random features, so its values are not FIDs and are comparable only with each other.

use crate::{EvalError, Rows};
use rayon::prelude::*;
use scorefield_tensor::{MAX_EIGEN, symmetric_eigen};

/// Mean `[d]` and covariance `[d, d]` (row-major, divided by `n - 1`).
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// The mean.
    pub mean: Vec<f64>,
    /// The covariance.
    pub covariance: Vec<f64>,
}

/// The moments of a set, by two passes in double precision.
///
/// # Errors
/// When there are fewer than two rows, more than [`MAX_EIGEN`] entries a row, or a number is not finite.
pub fn moments(rows: Rows<'_>) -> Result<Moments, EvalError> {
    let (n, d) = (rows.len(), rows.dim());
    if n < 2 {
        return Err(EvalError::TooFew { what: "a covariance", set: "the set", found: n, needed: 2 });
    }
    if d > MAX_EIGEN {
        return Err(EvalError::TooWide { what: "the Frechet distance", found: d, limit: MAX_EIGEN });
    }
    rows.check_finite("the set")?;
    let mut mean = vec![0.0; d];
    for row in rows.iter() {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v));
    }
    mean.iter_mut().for_each(|m| *m /= n as f64);
    let mut covariance = vec![0.0; d * d];
    covariance.par_chunks_mut(d).enumerate().for_each(|(i, line)| {
        for row in rows.iter() {
            let u = f64::from(row[i]) - mean[i];
            line.iter_mut().zip(row).zip(&mean).for_each(|((c, v), m)| *c += u * (f64::from(*v) - m));
        }
        line.iter_mut().for_each(|c| *c /= (n - 1) as f64);
    });
    Ok(Moments { mean, covariance })
}

/// The squared Frechet distance of two normal laws with the given moments.
///
/// # Panics
/// When dimensions differ or exceed [`MAX_EIGEN`].
#[track_caller]
pub fn gaussian_frechet(first: &Moments, second: &Moments) -> f64 {
    let d = first.mean.len();
    assert_eq!(d, second.mean.len(), "moments of {d} and of {} entries", second.mean.len());
    let shift: f64 = first.mean.iter().zip(&second.mean).map(|(a, b)| (a - b).powi(2)).sum();
    let trace = |c: &[f64]| (0..d).map(|i| c[i * d + i]).sum::<f64>();
    // Rounding may leave an eigenvalue a hair below zero.
    let root = symmetric_eigen(&first.covariance, d).map(|v| v.max(0.0).sqrt());
    let between = product(&product(&root, &second.covariance, d), &root, d);
    let cross: f64 = symmetric_eigen(&between, d).values.iter().map(|v| v.max(0.0).sqrt()).sum();
    shift + trace(&first.covariance) + trace(&second.covariance) - 2.0 * cross
}

/// The squared Frechet distance between two sets read as Gaussians, in squared units of the data. Biased upwards for small
/// sets, about in proportion to `d^2 / n`: compare equal sizes.
///
/// # Errors
/// As [`moments`], and when rows differ in length.
pub fn frechet_distance(x: Rows<'_>, y: Rows<'_>) -> Result<f64, EvalError> {
    if x.dim() != y.dim() {
        return Err(EvalError::Widths { what: "the Frechet distance", first: x.dim(), second: y.dim() });
    }
    Ok(gaussian_frechet(&moments(x)?, &moments(y)?))
}

/// The product of two row-major matrices `[d, d]`.
fn product(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let mut out = vec![0.0; d * d];
    out.par_chunks_mut(d).zip(a.par_chunks(d)).for_each(|(out, a)| {
        for (a, b) in a.iter().zip(b.chunks_exact(d)) {
            out.iter_mut().zip(b).for_each(|(o, b)| *o += a * b);
        }
    });
    out
}
