//! Precision and recall of a generator: are samples inside the data's support, and is the data inside the samples'?
//!
//! Kynkaanniemi et al. 2019, eq. 1-2: a support is the union of balls around its points, each reaching to the point's k-th
//! nearest neighbour of its own set. Precision is the share of samples inside the real support, recall the share of real rows
//! inside the samples' support.

use crate::rows::{check_pair, squared_distance};
use crate::{EvalError, Rows, nearest_others};
use rayon::prelude::*;

/// Both shares, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// Share of samples within the support of the real rows.
    pub precision: f64,
    /// Share of real rows within the support of the samples.
    pub recall: f64,
}

/// Precision and recall with balls to the `k`-th neighbour (3 in the paper); biased by size, so compare equal sizes.
///
/// # Errors
/// When a set has at most `k` rows, rows differ in length, or a number is not finite.
///
/// # Panics
/// When `k` is zero.
#[track_caller]
pub fn precision_recall(samples: Rows<'_>, real: Rows<'_>, k: usize) -> Result<Coverage, EvalError> {
    assert!(k > 0, "balls that reach to no neighbour");
    check_pair("precision and recall", samples, real, k + 1)?;
    Ok(Coverage { precision: inside(samples, real, k)?, recall: inside(real, samples, k)? })
}

/// The share of queries that lie in at least one ball of the support.
fn inside(queries: Rows<'_>, support: Rows<'_>, k: usize) -> Result<f64, EvalError> {
    let radii: Vec<f64> = nearest_others(support, k)?.iter().map(|near| near[k - 1].distance.powi(2)).collect();
    let hits = (0..queries.len())
        .into_par_iter()
        .filter(|&i| {
            // The radius went through a square root: its square may round below the distance it came from.
            support.iter().zip(&radii).any(|(row, r)| squared_distance(queries.row(i), row) <= r * (1.0 + 1e-12))
        })
        .count();
    Ok(hits as f64 / queries.len() as f64)
}
