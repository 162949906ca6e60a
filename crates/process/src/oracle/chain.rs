//! A Markov chain along the columns: categories that depend on their neighbours, at any length exactly.

use crate::states::{StatesAt, StatesDenoiser, StatesProcess};
use rayon::prelude::*;
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, DType, Known, Purpose, batch_f64, rows_f64};

/// `p(x) = first(x_1) prod_c P(x_(c-1), x_c)` over `n` columns of `K` levels each, under a process.
///
/// Noise acts on columns one by one, so `x_0` given `x_t` is a hidden Markov chain with the emissions `q(x_t | x_0 = k)` of each column, and
/// `E[x_0 | x_t]` is its forward-backward pass (Rabiner 1989, section III.A), `O(n K^2)` a row.
#[derive(Debug)]
pub struct MarkovChain {
    process: StatesProcess,
    levels: usize,
    states: usize,
    first: Vec<f64>,
    /// Row-major `[levels, levels]`.
    transition: Vec<f64>,
}

impl MarkovChain {
    /// The chain that starts in `first` and goes on by the rows of `transition`, `[levels, levels]`.
    ///
    /// # Panics
    /// When the process has numbers or columns of unlike levels, or a law has a negative entry or does not sum to one.
    #[track_caller]
    pub fn new(process: StatesProcess, first: Vec<f64>, transition: Vec<f64>) -> Self {
        let (levels, states) = match process.parts().collect::<Vec<_>>()[..] {
            [(group, Some(kernel))] => (kernel.levels(), group.states),
            _ => panic!("a chain has columns of one kind, categories of as many levels"),
        };
        let law = |p: &[f64]| p.iter().all(|v| *v >= 0.0) && (p.iter().sum::<f64>() - 1.0).abs() < 1e-9;
        let fits = first.len() == levels && transition.len() == levels * levels;
        assert!(
            fits && law(&first) && transition.chunks(levels).all(law),
            "no chain of {levels} levels: {first:?}, {transition:?}"
        );
        Self { process, levels, states, first, transition }
    }

    /// How many columns.
    #[allow(clippy::len_without_is_empty, reason = "a state has at least one column")]
    pub fn len(&self) -> usize {
        self.process.columns().len()
    }

    /// `ln p` of a row of levels, in nats.
    pub fn ln_probability(&self, row: &[usize]) -> f64 {
        let steps = row.windows(2).map(|w| self.transition[w[0] * self.levels + w[1]].ln());
        self.first[row[0]].ln() + steps.sum::<f64>()
    }

    /// The entropy of a row in nats: `H(first) + sum_c sum_k p_c(k) H(P(k, .))`.
    pub fn entropy(&self) -> f64 {
        let entropy = |p: &[f64]| -p.iter().filter(|v| **v > 0.0).map(|v| v * v.ln()).sum::<f64>();
        let (mut law, mut nats) = (self.first.clone(), entropy(&self.first));
        for _ in 1..self.len() {
            nats += self.transition.chunks(self.levels).zip(&law).map(|(row, p)| p * entropy(row)).sum::<f64>();
            law = self.after(&law);
        }
        nats
    }

    /// Rows of levels drawn from the law, one for each number, as narrow states `[n, columns]`.
    pub fn draw(&self, seed: u64, samples: &[u64], like: &Batch) -> Batch {
        let mut rows = Vec::with_capacity(samples.len() * self.len());
        for &sample in samples {
            let stream = Stream::new(seed, sample, Purpose::Synthetic, 0, 0);
            let mut law = &self.first[..];
            for column in 0..self.len() {
                let mut left = stream.uniform(column);
                let passed = law.iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                // Rounding can leave a little: the last level that is possible.
                let level = passed.or_else(|| law.iter().rposition(|p| *p > 0.0)).expect("a law has a possible level");
                law = &self.transition[level * self.levels..][..self.levels];
                rows.push(level as f64);
            }
        }
        batch_f64(rows, samples.len(), &like.device()).cast(like.dtype())
    }

    /// A law carried one column on.
    fn after(&self, law: &[f64]) -> Vec<f64> {
        (0..self.levels).map(|j| law.iter().enumerate().map(|(i, p)| p * self.transition[i * self.levels + j]).sum()).collect()
    }

    /// What is expected of the next column, given a number for each of its levels.
    fn before(&self, v: &[f64]) -> Vec<f64> {
        self.transition.chunks(self.levels).map(|row| row.iter().zip(v).map(|(p, v)| p * v).sum()).collect()
    }

    /// Smoothed probabilities of the levels from the likelihoods of a row's states, `[width]` to `[width]`.
    fn smooth(&self, likelihood: &[f64]) -> Vec<f64> {
        let (n, k) = (self.len(), self.levels);
        let mut out = vec![0.0; n * self.states];
        // Forwards: the law of each column given those before and itself.
        let mut law = self.first.clone();
        for (told, out) in likelihood.chunks(self.states).zip(out.chunks_mut(self.states)) {
            law.iter_mut().zip(told).for_each(|(p, l)| *p *= l);
            normalise(&mut law);
            out[..k].copy_from_slice(&law);
            law = self.after(&law);
        }
        // Backwards: times what the columns behind say.
        let mut behind = vec![1.0; k];
        for (told, out) in likelihood.chunks(self.states).zip(out.chunks_mut(self.states)).rev() {
            out.iter_mut().zip(&behind).for_each(|(p, b)| *p *= b);
            normalise(&mut out[..k]);
            behind.iter_mut().zip(told).for_each(|(b, l)| *b *= l);
            behind = self.before(&behind);
            normalise(&mut behind);
        }
        out
    }

    fn clean<S: Known>(&self, x: &Batch, at: &StatesAt<S>) -> Batch {
        let [n, width] = x.dims();
        let likelihood = rows_f64(self.process.likelihood(&x.clone().cast(DType::F64), at));
        let clean = likelihood.par_chunks_exact(width).flat_map_iter(|l| self.smooth(l)).collect();
        batch_f64(clean, n, &x.device()).cast(x.dtype())
    }
}

fn normalise(law: &mut [f64]) {
    let total: f64 = law.iter().sum();
    law.iter_mut().for_each(|p| *p /= total);
}

impl StatesDenoiser for MarkovChain {
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
