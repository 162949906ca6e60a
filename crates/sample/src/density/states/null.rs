//! What is known of data without a model: columns by themselves.

use scorefield_process::states::Columns;
use scorefield_tensor::{Batch, rows_f64};

/// `L_null` in nats a row: the mean log-likelihood of clean wide rows under independent columns, categories with the frequencies of the
/// rows' own levels, numbers normal about their means with the one variance of all. It is minus that law's entropy,
/// `sum_c sum_k f_ck ln f_ck - d/2 ln(2 pi e s^2)`, and `K - L_null` is what a model knows beyond it (Sohl-Dickstein et al. 2015, table 1).
/// A variance of zero counts as 1e-300.
///
/// # Panics
/// When there are no rows, or they do not fit the columns.
#[track_caller]
pub fn null_nats(columns: &Columns, x0: &Batch) -> f64 {
    let [n, width] = x0.dims();
    assert!(n > 0 && width == columns.width(), "{n} rows of {width} entries for a state of {}", columns.width());
    let values = rows_f64(x0.clone());
    let mean = |entry: usize| values.iter().skip(entry).step_by(width).sum::<f64>() / n as f64;
    let (mut nats, mut squares, mut numbers) = (0.0, 0.0, 0.0);
    for group in columns.groups() {
        for entry in group.entry..group.entry + group.width() {
            let mean = mean(entry);
            if group.is_category() {
                nats += if mean > 0.0 { mean * mean.ln() } else { 0.0 };
            } else {
                squares += values.iter().skip(entry).step_by(width).map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
                numbers += 1.0;
            }
        }
    }
    if numbers > 0.0 {
        let variance = (squares / numbers).max(1e-300);
        nats -= 0.5 * numbers * (std::f64::consts::TAU * std::f64::consts::E * variance).ln();
    }
    nats
}
