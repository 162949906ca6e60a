//! A law on finitely many rows of categories: its exact posterior probabilities under a process on states.

use crate::states::{StatesAt, StatesDenoiser, StatesProcess};
use rayon::prelude::*;
use scorefield_tensor::{Batch, DType, Known, batch_f64, rows_f64};

/// Rows of levels with their probabilities, under a process.
#[derive(Debug)]
pub struct Finite {
    process: StatesProcess,
    support: Vec<Vec<usize>>,
    weights: Vec<f64>,
}

impl Finite {
    /// A law on `support`, each row with a weight; weights need not sum to one.
    ///
    /// # Panics
    /// When there are numbers among the columns, a row does not fit them, or weights are negative or all zero.
    #[track_caller]
    pub fn new(process: StatesProcess, support: Vec<Vec<usize>>, weights: Vec<f64>) -> Self {
        let groups = process.columns().groups();
        assert!(groups.iter().all(|g| g.is_category()), "a finite law has categories only");
        let levels: Vec<usize> =
            process.parts().flat_map(|(g, k)| std::iter::repeat_n(k.map_or(0, |k| k.levels()), g.columns)).collect();
        let fits = |row: &Vec<usize>| row.len() == levels.len() && row.iter().zip(&levels).all(|(v, k)| v < k);
        assert!(support.iter().all(fits), "a row of the support has other columns");
        let total: f64 = weights.iter().sum();
        assert!(support.len() == weights.len() && weights.iter().all(|w| *w >= 0.0) && total > 0.0, "weights of no law");
        let weights = weights.iter().map(|w| w / total).collect();
        Self { process, support, weights }
    }

    /// The rows.
    pub fn support(&self) -> &[Vec<usize>] {
        &self.support
    }

    /// Their probabilities.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The entropy in nats.
    pub fn entropy(&self) -> f64 {
        -self.weights.iter().filter(|w| **w > 0.0).map(|w| w * w.ln()).sum::<f64>()
    }

    /// Row `i` of the support, wide, `[1, width]`.
    pub fn wide(&self, i: usize, like: &Batch) -> Batch {
        let narrow = batch_f64(self.support[i].iter().map(|&v| v as f64).collect(), 1, &like.device());
        self.process.columns().expand(&narrow).cast(like.dtype())
    }

    /// `p(x_0 = row i | x_t)` for every row of the support and of `x`, `[n, support]`, in double precision.
    pub fn posterior(&self, x: &Batch, t: f64) -> Vec<f64> {
        self.posterior_at(x, &self.process.at(t))
    }

    fn posterior_at<S: Known>(&self, x: &Batch, at: &StatesAt<S>) -> Vec<f64> {
        let likelihood = rows_f64(self.process.likelihood(&x.clone().cast(DType::F64), at));
        let (width, places) = (self.process.columns().width(), self.places());
        let of_row = |l: &[f64]| {
            let log = |(at, w): (&Vec<usize>, &f64)| w.ln() + at.iter().map(|&e| l[e].ln()).sum::<f64>();
            let logs: Vec<f64> = places.iter().zip(&self.weights).map(log).collect();
            let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // From a state that no row can lead to nothing is learnt.
            let each = logs.iter().zip(&self.weights).map(|(v, w)| if top == f64::NEG_INFINITY { *w } else { (v - top).exp() });
            let each: Vec<f64> = each.collect();
            let total: f64 = each.iter().sum();
            each.into_iter().map(move |v| v / total)
        };
        likelihood.par_chunks_exact(width).flat_map_iter(of_row).collect()
    }

    fn clean<S: Known>(&self, x: &Batch, at: &StatesAt<S>) -> Batch {
        let [n, width] = x.dims();
        let (posterior, places) = (self.posterior_at(x, at), self.places());
        let mut clean = vec![0.0; n * width];
        for (row, p) in clean.chunks_exact_mut(width).zip(posterior.chunks_exact(places.len())) {
            for (entries, p) in places.iter().zip(p) {
                entries.iter().for_each(|&e| row[e] += p);
            }
        }
        batch_f64(clean, n, &x.device()).cast(x.dtype())
    }

    /// The entries of a wide row that each row of the support fills.
    fn places(&self) -> Vec<Vec<usize>> {
        let starts: Vec<usize> =
            self.process.columns().groups().iter().flat_map(|g| (0..g.columns).map(move |c| g.entry + c * g.states)).collect();
        self.support.iter().map(|row| row.iter().zip(&starts).map(|(v, start)| start + v).collect()).collect()
    }
}

impl StatesDenoiser for Finite {
    fn process(&self) -> &StatesProcess {
        &self.process
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.clean(x, &self.process.at(t))
    }

    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        self.clean(x, &self.process.at_each(times))
    }
}
