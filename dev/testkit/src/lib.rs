//! What tests measure with: order fits, Kolmogorov-Smirnov tests, finite differences, golden files, injected noise,
//! processes given by tables, laws on categories and distances from them. For tests only: everything panics on what it does not expect, with the numbers.

mod bank;
mod difference;
mod golden;
mod ks;
mod order;
mod random;
mod states;
mod table;

pub use bank::Bank;
pub use difference::{derivative, gradient};
pub use golden::{Golden, Target, reference, shared};
pub use ks::{assert_ks, ks_distance, ks_p_value, normal_cdf};
pub use order::{Fit, fit_order};
pub use random::Random;
pub use states::{dependent_table, heartbeat, multiplied, total_variation};
pub use table::Table;

/// The largest absolute difference of two lists.
///
/// # Panics
/// When their lengths differ.
#[track_caller]
pub fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "{} numbers against {}", a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    // A NaN on either side must not pass as agreement.
    differences.fold(0.0, |top, d| if d.is_nan() { f64::INFINITY } else { d.max(top) })
}
