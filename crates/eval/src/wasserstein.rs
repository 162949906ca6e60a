//! The sliced Wasserstein distance: optimal transport along random lines, where sorting solves it.
//!
//! `SW_p^p = E_theta W_p^p(theta . X, theta . Y)` over directions uniform on the sphere (Rabin et al. 2011; Bonneel et al.
//! 2015). In one dimension `W_p^p = int_0^1 |F^-1(u) - G^-1(u)|^p du`, a sum over the joint steps of both quantile functions,
//! exact for sets of different sizes.

use crate::rows::check_pair;
use crate::{EvalError, Rows};
use rayon::prelude::*;
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;

/// A sliced distance and how sure its average over directions is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlicedWasserstein {
    /// `(mean over directions of W_p^p)^(1/p)`, in the units of the data.
    pub value: f64,
    /// Standard error of `value` from the spread over directions alone (delta method).
    pub standard_error: f64,
}

/// The sliced p-Wasserstein distance over `directions` fixed directions: direction `i` is a function of `seed` and `i`.
///
/// # Errors
/// When a set is empty, rows differ in length, or a number is not finite.
///
/// # Panics
/// When no direction is asked for or `p` is below 1.
#[track_caller]
pub fn sliced_wasserstein(
    x: Rows<'_>,
    y: Rows<'_>,
    p: f64,
    directions: usize,
    seed: u64,
) -> Result<SlicedWasserstein, EvalError> {
    assert!(directions > 0 && p >= 1.0, "{directions} directions, p = {p}");
    check_pair("the sliced Wasserstein distance", x, y, 1)?;
    let costs: Vec<f64> = (0..directions)
        .into_par_iter()
        .map(|i| {
            let mut theta = vec![0.0; x.dim()];
            Stream::new(seed, i as u64, Purpose::Probe, 0, 0).fill_normal(&mut theta);
            let norm = theta.iter().map(|v| v * v).sum::<f64>().sqrt();
            theta.iter_mut().for_each(|v| *v /= norm);
            let project = |rows: Rows<'_>| -> Vec<f64> {
                rows.iter().map(|row| row.iter().zip(&theta).map(|(v, a)| f64::from(*v) * a).sum()).collect()
            };
            wasserstein_1d(&mut project(x), &mut project(y), p)
        })
        .collect();
    let count = directions as f64;
    let mean = costs.iter().sum::<f64>() / count;
    let spread =
        if directions > 1 { (costs.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (count - 1.0) / count).sqrt() } else { 0.0 };
    let value = mean.powf(p.recip());
    // d(c^(1/p)) = c^(1/p - 1) dc / p
    let standard_error = if mean > 0.0 { value / (p * mean) * spread } else { 0.0 };
    Ok(SlicedWasserstein { value, standard_error })
}

/// `W_p^p` between two sets of numbers, which are sorted in place.
///
/// # Panics
/// When a set is empty.
#[track_caller]
pub fn wasserstein_1d(x: &mut [f64], y: &mut [f64], p: f64) -> f64 {
    assert!(!x.is_empty() && !y.is_empty(), "sets of {} and {} numbers", x.len(), y.len());
    x.sort_unstable_by(f64::total_cmp);
    y.sort_unstable_by(f64::total_cmp);
    let (n, m) = (x.len(), y.len());
    // Shares are counted in units of 1 / (n m), exactly: row i of x ends at (i + 1) m, row j of y at (j + 1) n.
    let (mut i, mut j, mut at, mut sum) = (0, 0, 0u128, 0.0);
    while i < n && j < m {
        let (end_x, end_y) = ((i as u128 + 1) * m as u128, (j as u128 + 1) * n as u128);
        let to = end_x.min(end_y);
        sum += (to - at) as f64 * (x[i] - y[j]).abs().powf(p);
        at = to;
        i += usize::from(end_x == to);
        j += usize::from(end_y == to);
    }
    sum / (n as f64 * m as f64)
}
