//! Matrices that resample one axis: averages, bicubic interpolation, Gaussian blur.
//!
//! Edges are mirrored between pixels: the picture goes on as `... x_1 x_0 | x_0 x_1 ...`, so constants stay constant.

use super::Matrix;
use super::OperatorError;
use super::error::within;

/// Where entry `i` of the mirrored continuation of `n` pixels is; the continuation has period `2 n`.
pub(super) fn mirrored(i: isize, n: usize) -> usize {
    let i = i.rem_euclid(2 * n as isize) as usize;
    if i < n { i } else { 2 * n - 1 - i }
}

/// The cubic kernel of Keys (1981, eq. 15), `a = -1/2`: third-order accurate, zero from 2 on.
fn keys(u: f64) -> f64 {
    let u = u.abs();
    if u <= 1.0 {
        (1.5 * u - 2.5) * u * u + 1.0
    } else if u < 2.0 {
        ((-0.5 * u + 2.5) * u - 4.0) * u + 2.0
    } else {
        0.0
    }
}

/// The factor divides the side.
fn divides(factor: usize, side: &'static str, length: usize) -> Result<(), OperatorError> {
    within("the factor", factor as f64, "at least 1", factor > 0)?;
    if length.is_multiple_of(factor) { Ok(()) } else { Err(OperatorError::Indivisible { factor, side, length }) }
}

/// `[n / k, n]`: the mean of every `k` pixels.
pub(super) fn average(n: usize, k: usize, side: &'static str) -> Result<Matrix, OperatorError> {
    divides(k, side, n)?;
    let mut values = vec![0.0; Matrix::entries(n / k, n)?];
    (0..n).for_each(|j| values[j / k * n + j] = 1.0 / k as f64);
    Matrix::new(n / k, n, values)
}

/// `[n / k, n]`: the cubic kernel stretched by `k`, which also removes what the coarse grid cannot hold. Pixel `i` is centred at
/// `(i + 1/2) k - 1/2`, and its weights add up to one.
pub(super) fn bicubic(n: usize, k: usize, side: &'static str) -> Result<Matrix, OperatorError> {
    divides(k, side, n)?;
    let centre = |i: usize| (i as f64 + 0.5) * k as f64 - 0.5;
    smoothing(n / k, n, 2.0 * k as f64, centre, |u| keys(u / k as f64))
}

/// `[n, n]`: a Gaussian of deviation `sigma` pixels, cut at four deviations and normalised.
pub(super) fn gaussian(n: usize, sigma: f64) -> Result<Matrix, OperatorError> {
    within("the deviation of the blur", sigma, "positive and finite", sigma > 0.0 && sigma.is_finite())?;
    // Below a thirtieth of a pixel the neighbour's weight is under 1e-190; beyond the mirror's period nothing is new.
    let reach = (4.0 * sigma).clamp(1.0, 4.0 * n as f64);
    smoothing(n, n, reach, |i| i as f64, |u| (-0.5 * (u / sigma) * (u / sigma)).exp())
}

/// Rows of normalised weights `kernel(j - centre(i))` over the pixels within `reach` of the centre, mirrored.
fn smoothing(
    m: usize,
    n: usize,
    reach: f64,
    centre: impl Fn(usize) -> f64,
    kernel: impl Fn(f64) -> f64,
) -> Result<Matrix, OperatorError> {
    let mut values = vec![0.0; Matrix::entries(m, n)?];
    for (i, row) in values.chunks_exact_mut(n).enumerate() {
        let u = centre(i);
        let taps = (u - reach).ceil() as isize..=(u + reach).floor() as isize;
        let total: f64 = taps.clone().map(|j| kernel(j as f64 - u)).sum();
        taps.for_each(|j| row[mirrored(j, n)] += kernel(j as f64 - u) / total);
    }
    Matrix::new(m, n, values)
}
