//! Nearest neighbours, exactly, and what they say about memorising.
//!
//! A model that has memorised its data puts samples on top of training rows. Held-out rows tell how near to the training
//! data an honest sample lies: the ratio of the two nearest distances is about one for a model that has learned the law and
//! goes to zero for one that copies.

use crate::rows::{check_pair, squared_distance};
use crate::{EvalError, Rows};
use rayon::prelude::*;

/// A reference row and how far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Place among the reference rows.
    pub index: usize,
    /// Euclidean distance, in the units of the data.
    pub distance: f64,
}

/// For every query the `k` nearest references, nearest first; equal distances are ordered by index. `O(n m d)`, exact.
///
/// # Errors
/// When rows differ in length, a number is not finite, or there are fewer than `k` references.
pub fn nearest(queries: Rows<'_>, references: Rows<'_>, k: usize) -> Result<Vec<Vec<Neighbour>>, EvalError> {
    check_pair("the nearest neighbour", queries, references, 0)?;
    enough(references, k)?;
    Ok((0..queries.len()).into_par_iter().map(|i| search(queries.row(i), references, k, None)).collect())
}

/// For every row its `k` nearest other rows of the same set.
///
/// # Errors
/// When a number is not finite or there are fewer than `k + 1` rows.
pub fn nearest_others(rows: Rows<'_>, k: usize) -> Result<Vec<Vec<Neighbour>>, EvalError> {
    check_pair("the nearest neighbour", rows, rows, 0)?;
    enough(rows, k + 1)?;
    Ok((0..rows.len()).into_par_iter().map(|i| search(rows.row(i), rows, k, Some(i))).collect())
}

fn enough(rows: Rows<'_>, needed: usize) -> Result<(), EvalError> {
    if rows.len() < needed {
        let (what, set) = ("the nearest neighbour", "the reference set");
        return Err(EvalError::TooFew { what, set, found: rows.len(), needed });
    }
    Ok(())
}

fn search(query: &[f32], references: Rows<'_>, k: usize, except: Option<usize>) -> Vec<Neighbour> {
    let mut best: Vec<Neighbour> = Vec::with_capacity(k + 1);
    if k == 0 {
        return best;
    }
    for (index, row) in references.iter().enumerate() {
        if Some(index) == except {
            continue;
        }
        let distance = squared_distance(query, row);
        if best.len() == k && distance >= best[k - 1].distance {
            continue;
        }
        let place = best.partition_point(|b| b.distance <= distance);
        best.insert(place, Neighbour { index, distance });
        best.truncate(k);
    }
    best.iter_mut().for_each(|b| b.distance = b.distance.sqrt());
    best
}

/// How near samples lie to the training data, beside held-out data.
#[derive(Clone, Debug, PartialEq)]
pub struct Memorisation {
    /// The nearest training row of each sample.
    pub nearest: Vec<Neighbour>,
    /// Median nearest distance of the samples.
    pub samples: f64,
    /// Median nearest distance of the held-out rows.
    pub held_out: f64,
    /// `samples / held_out`: about 1 is honest, towards 0 is memorising. Infinite when held-out rows repeat training rows.
    pub ratio: f64,
    /// Share of samples that are at most a third as far from their nearest training row as from the second nearest
    /// (Yoon et al. 2023, section 3).
    pub copies: f64,
    /// The same share of the held-out rows.
    pub held_out_copies: f64,
}

/// The memorisation statistic of samples against the rows a model was trained on and rows it has not seen.
///
/// # Errors
/// When samples or held-out rows are none, there are fewer than two training rows, rows differ in length, or a number is not
/// finite.
pub fn memorisation(samples: Rows<'_>, training: Rows<'_>, held_out: Rows<'_>) -> Result<Memorisation, EvalError> {
    for (set, rows) in [("the set of samples", samples), ("the held-out set", held_out)] {
        if rows.is_empty() {
            return Err(EvalError::TooFew { what: "the memorisation statistic", set, found: 0, needed: 1 });
        }
    }
    let near_samples = nearest(samples, training, 2)?;
    let near_held_out = nearest(held_out, training, 2)?;
    let copies =
        |near: &[Vec<Neighbour>]| near.iter().filter(|b| 3.0 * b[0].distance <= b[1].distance).count() as f64 / near.len() as f64;
    let median = |near: &[Vec<Neighbour>]| {
        let mut distances: Vec<f64> = near.iter().map(|b| b[0].distance).collect();
        let middle = distances.len() / 2;
        *distances.select_nth_unstable_by(middle, f64::total_cmp).1
    };
    let (of_samples, of_held_out) = (median(&near_samples), median(&near_held_out));
    Ok(Memorisation {
        samples: of_samples,
        held_out: of_held_out,
        ratio: of_samples / of_held_out,
        copies: copies(&near_samples),
        held_out_copies: copies(&near_held_out),
        nearest: near_samples.into_iter().map(|b| b[0]).collect(),
    })
}
