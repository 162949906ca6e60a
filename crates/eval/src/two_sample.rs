//! Kernel two-sample statistics: the energy distance and the maximum mean discrepancy.
//!
//! For a kernel `k` of the distance, `T = E k(X, X') + E k(Y, Y') - 2 E k(X, Y)` (Gretton et al. 2012, lemma 6). With
//! `k = -|x - y|` it is the energy distance `2 E|X - Y| - E|X - X'| - E|Y - Y'|` (Szekely and Rizzo 2013, eq. 2.5), with a
//! Gaussian kernel the squared MMD (Sejdinovic et al. 2013 show that they are one family), so both share this code.
//!
//! Two estimates: the U-statistic leaves out the pairs of a row with itself, is unbiased, and may be negative when the laws
//! agree; the V-statistic keeps them, is never negative, and exceeds the U-statistic by the share of the diagonal,
//! about `(1/n + 1/m) E|X - X'|` for the energy distance. Only V-statistics of equal sizes may be compared as ratios.
//!
//! All three means come from sums over rows, and so does the standard error. Leaving row `i` out changes each mean by a known
//! amount, which gives the delete-one jackknife of both samples (Efron and Stein 1981) without another distance. Where the
//! laws agree the statistic is degenerate: its variance is `2 (1/n + 1/m)^2 E k~(X, X')^2` with the doubly centred kernel
//! `k~(x, x') = k(x, x') - E k(x, X) - E k(X, x') + E k(X, X')` (Gretton et al. 2009, theorem 3), and a jackknife follows the
//! statistic into small values. The standard error is therefore the larger of the two.

use crate::rows::{check_pair, squared_distance};
use crate::{EvalError, Rows};
use rayon::prelude::*;

/// A two-sample statistic by both estimates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoSample {
    /// The U-statistic: unbiased, possibly negative.
    pub unbiased: f64,
    /// The V-statistic: biased upwards, never negative but for rounding.
    pub biased: f64,
    /// Standard error of the U-statistic: the two-sample jackknife's, at least that between two sets of one law.
    pub standard_error: f64,
}

/// The energy distance between the laws of `x` `[n, d]` and `y` `[m, d]`, in the units of the data; `O((n + m)^2 d)`.
///
/// ```
/// use scorefield_eval::{Rows, energy_distance};
/// // 2 * 3 - 0 - 0: both sets sit on a point.
/// let e = energy_distance(Rows::new(&[0.0, 0.0], 2, 1), Rows::new(&[3.0, 3.0], 2, 1)).unwrap();
/// assert_eq!((e.unbiased, e.biased), (6.0, 6.0));
/// ```
///
/// # Errors
/// When a set has fewer than two rows, rows differ in length, or a number is not finite.
pub fn energy_distance(x: Rows<'_>, y: Rows<'_>) -> Result<TwoSample, EvalError> {
    check_pair("the energy distance", x, y, 2)?;
    Ok(two_sample(x, y, |squared| -squared.sqrt()))
}

/// The squared maximum mean discrepancy under the kernel `exp(-|x - y|^2 / (2 h^2))`, without units
/// (Gretton et al. 2012, eq. 3 and 5). [`median_distance`] is the usual `h`.
///
/// # Errors
/// As [`energy_distance`].
///
/// # Panics
/// When `bandwidth` is not a positive number.
#[track_caller]
pub fn mmd(x: Rows<'_>, y: Rows<'_>, bandwidth: f64) -> Result<TwoSample, EvalError> {
    assert!(bandwidth > 0.0 && bandwidth.is_finite(), "a kernel of bandwidth {bandwidth}");
    check_pair("the maximum mean discrepancy", x, y, 2)?;
    let rate = -0.5 / (bandwidth * bandwidth);
    Ok(two_sample(x, y, |squared| (squared * rate).exp()))
}

/// The median distance between two different rows of both sets together, on at most `limit` evenly spaced rows of each
/// (Gretton et al. 2012, section 8). At least the smallest positive number, so that it can always serve as a bandwidth.
pub fn median_distance(x: Rows<'_>, y: Rows<'_>, limit: usize) -> f64 {
    let spaced = |rows: Rows<'_>| -> Vec<usize> {
        let k = rows.len().min(limit);
        (0..k).map(|i| i * rows.len() / k).collect()
    };
    let pooled: Vec<&[f32]> = spaced(x).iter().map(|&i| x.row(i)).chain(spaced(y).iter().map(|&i| y.row(i))).collect();
    let mut distances: Vec<f64> = (1..pooled.len())
        .into_par_iter()
        .flat_map_iter(|i| (0..i).map(|j| squared_distance(pooled[i], pooled[j])).collect::<Vec<_>>())
        .collect();
    if distances.is_empty() {
        return f64::MIN_POSITIVE;
    }
    let middle = distances.len() / 2;
    let (_, &mut median, _) = distances.select_nth_unstable_by(middle, f64::total_cmp);
    median.sqrt().max(f64::MIN_POSITIVE)
}

/// For each row of `x`, the sums of `k` and of `k^2` over all rows of `y`, in the order of `y`; blocks of `y` stay in cache.
fn row_sums(x: Rows<'_>, y: Rows<'_>, k: &(impl Fn(f64) -> f64 + Sync)) -> Vec<[f64; 2]> {
    const ROWS: usize = 16;
    let block = (1 << 16) / (4 * x.dim()) + 1;
    let mut sums = vec![[0.0; 2]; x.len()];
    sums.par_chunks_mut(ROWS).enumerate().for_each(|(c, sums)| {
        for from in (0..y.len()).step_by(block) {
            for (i, [sum, squares]) in sums.iter_mut().enumerate() {
                let row = x.row(c * ROWS + i);
                for j in from..(from + block).min(y.len()) {
                    let value = k(squared_distance(row, y.row(j)));
                    *sum += value;
                    *squares += value * value;
                }
            }
        }
    });
    sums
}

fn two_sample(x: Rows<'_>, y: Rows<'_>, k: impl Fn(f64) -> f64 + Sync) -> TwoSample {
    let (n, m) = (x.len() as f64, y.len() as f64);
    let across = |a: Rows<'_>, b: Rows<'_>| row_sums(a, b, &k).into_iter().map(|[sum, _]| sum).collect::<Vec<_>>();
    let (to_y, to_x) = (across(x, y), across(y, x));
    let (in_x, centred_x) = within(x, &k);
    let (in_y, centred_y) = within(y, &k);
    let total = |sums: &[f64]| sums.iter().sum::<f64>();
    let (xy, xx, yy) = (total(&to_y), total(&in_x), total(&in_y));

    let u = |xx: f64, n: f64, yy: f64, m: f64, xy: f64| xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - 2.0 * xy / (n * m);
    let unbiased = u(xx, n, yy, m, xy);
    // A row meets itself at distance zero.
    let own = k(0.0);
    let biased = (xx + n * own) / (n * n) + (yy + m * own) / (m * m) - 2.0 * xy / (n * m);

    // Leaving row i of x out takes its pairs out of two sums; each pair within x was counted twice.
    let of_x = jackknife(in_x.iter().zip(&to_y).map(|(own, cross)| u(xx - 2.0 * own, n - 1.0, yy, m, xy - cross)), n);
    let of_y = jackknife(in_y.iter().zip(&to_x).map(|(own, cross)| u(xx, n, yy - 2.0 * own, m - 1.0, xy - cross)), m);
    let of_one_law = (centred_x + centred_y) * (n.recip() + m.recip()).powi(2);
    TwoSample { unbiased, biased, standard_error: (of_x + of_y).max(of_one_law).sqrt() }
}

/// The sums of `k` between each row and the others of its set, and the mean square of the doubly centred kernel:
/// `E k~^2 = E k^2 - 2 E (E k(x, X))^2 + (E k)^2`.
fn within(rows: Rows<'_>, k: &(impl Fn(f64) -> f64 + Sync)) -> (Vec<f64>, f64) {
    let n = rows.len() as f64;
    let (own, sums) = (k(0.0), row_sums(rows, rows, k));
    let others: Vec<f64> = sums.iter().map(|[sum, _]| sum - own).collect();
    let means = others.iter().map(|s| s / (n - 1.0));
    let mean = means.clone().sum::<f64>() / n;
    let square_of_means = means.map(|a| a * a).sum::<f64>() / n;
    let square = sums.iter().map(|[_, squares]| squares - own * own).sum::<f64>() / (n * (n - 1.0));
    (others, (square - 2.0 * square_of_means + mean * mean).max(0.0))
}

/// `(n - 1) / n sum (T_i - mean T)^2` over the statistics with one row left out; zero where two rows leave no pair.
fn jackknife(without: impl Iterator<Item = f64> + Clone, n: f64) -> f64 {
    if n < 3.0 {
        return 0.0;
    }
    let mean = without.clone().sum::<f64>() / n;
    (n - 1.0) / n * without.map(|t| (t - mean).powi(2)).sum::<f64>()
}
