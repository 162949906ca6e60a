//! A k-nearest-neighbour classifier: recognises the class of a sample with nothing trained but the labelled data.
//!
//! Cover and Hart 1967. Used to ask whether samples drawn for a class are of that class; the accuracy on held-out real rows
//! stands beside, since the rule itself errs.

use crate::{EvalError, Neighbour, Rows, nearest};

/// Labelled reference rows.
#[derive(Clone, Debug)]
pub struct Classifier<'a> {
    rows: Rows<'a>,
    labels: Vec<u32>,
    k: usize,
}

impl<'a> Classifier<'a> {
    /// A classifier by the `k` nearest of the given rows.
    ///
    /// # Panics
    /// When there is not one label a row, or `k` is zero.
    #[track_caller]
    pub fn new(rows: Rows<'a>, labels: &[u32], k: usize) -> Self {
        assert_eq!(rows.len(), labels.len(), "{} rows with {} labels", rows.len(), labels.len());
        assert!(k > 0, "a vote of no neighbours");
        Self { rows, labels: labels.to_vec(), k }
    }

    /// The label of each row: the majority among its neighbours; of equally frequent labels the one met first.
    ///
    /// # Errors
    /// When there are fewer than `k` reference rows, rows differ in length, or a number is not finite.
    pub fn classify(&self, rows: Rows<'_>) -> Result<Vec<u32>, EvalError> {
        Ok(nearest(rows, self.rows, self.k)?.iter().map(|near| self.vote(near)).collect())
    }

    /// The share of rows whose label is recognised, from 0 to 1.
    ///
    /// # Errors
    /// As [`Classifier::classify`], and when there is no row.
    ///
    /// # Panics
    /// When there is not one label a row.
    #[track_caller]
    pub fn accuracy(&self, rows: Rows<'_>, labels: &[u32]) -> Result<f64, EvalError> {
        assert_eq!(rows.len(), labels.len(), "{} rows with {} labels", rows.len(), labels.len());
        if rows.is_empty() {
            return Err(EvalError::TooFew { what: "accuracy", set: "the set to classify", found: 0, needed: 1 });
        }
        let right = self.classify(rows)?.iter().zip(labels).filter(|(found, label)| found == label).count();
        Ok(right as f64 / rows.len() as f64)
    }

    fn vote(&self, near: &[Neighbour]) -> u32 {
        let labels: Vec<u32> = near.iter().map(|b| self.labels[b.index]).collect();
        let count = |label: u32| labels.iter().filter(|&&l| l == label).count();
        // `max_by_key` keeps the last of equals, so the nearest comes last.
        labels.iter().rev().copied().max_by_key(|&l| count(l)).expect("k is at least one")
    }
}
