//! The law of a state all of whose columns are independent: a normal for each number, probabilities for each category.

use super::Columns;
use super::columns::like;
use scorefield_tensor::{Batch, Known, Noise, Streams, Tensor, rows_f64};

/// Below this a probability counts as this in a logarithm: what rounding leaves of zero.
const LEAST: f64 = 1e-30;

/// One law a row: wide rows of means and probabilities, and the standard deviation of the numbers.
#[derive(Clone, Debug)]
pub struct Law<S = f64> {
    /// Means of numbers, probabilities of states, `[n, width]`.
    pub wide: Batch,
    /// The standard deviation of the numbers.
    pub deviation: S,
}

impl<S: Known> Law<S> {
    /// A state drawn from each row's law, wide: a normal for every number, a uniform number for every category, by inversion. Row `i` draws
    /// from the streams' sample `i`.
    pub fn draw(&self, columns: &Columns, streams: &mut Streams) -> Batch {
        let n = self.wide.dims()[0];
        let mut values = rows_f64(self.wide.clone());
        let width = columns.width();
        if columns.groups().iter().any(|g| !g.is_category()) {
            let deviations = self.deviation.rows(n);
            let z = streams.normal(&Batch::zeros([n, columns.len()], (&self.wide.device(), self.wide.dtype())));
            let z = rows_f64(z);
            for (i, row) in values.chunks_exact_mut(width).enumerate() {
                for group in columns.groups().iter().filter(|g| !g.is_category()) {
                    for c in 0..group.columns {
                        row[group.entry + c] += deviations[i] * z[i * columns.len() + group.column + c];
                    }
                }
            }
        }
        if columns.groups().iter().any(|g| g.is_category()) {
            for (i, row) in values.chunks_exact_mut(width).enumerate() {
                let stream = streams.stream(i);
                for group in columns.groups().iter().filter(|g| g.is_category()) {
                    for c in 0..group.columns {
                        let law = &mut row[group.entry + c * group.states..][..group.states];
                        let place = invert(law, stream.uniform(group.column + c));
                        law.fill(0.0);
                        law[place] = 1.0;
                    }
                }
            }
            streams.advance();
        }
        like(values, n, &self.wide)
    }

    /// `KL(self || other)` in nats, summed over the columns of each row, `[n, 1]`. Numbers of both have the deviation of `self`.
    pub fn divergence(&self, other: &Batch, columns: &Columns) -> Batch {
        let parts = columns.groups().iter().map(|group| {
            if group.is_category() {
                divergence(group.cube(&self.wide), group.cube(other))
            } else {
                let error = self.deviation.recip().scale(group.of(other) - group.of(&self.wide));
                (error.clone() * error).sum_dim(1) * 0.5
            }
        });
        parts.reduce(|a, b| a + b).expect("a state has a column")
    }

    /// The entropy in nats, summed over the columns of each row, `[n, 1]`; of numbers the differential one.
    pub fn entropy(&self, columns: &Columns) -> Batch {
        let n = self.wide.dims()[0];
        let parts = columns.groups().iter().map(|group| {
            if group.is_category() {
                let p = group.cube(&self.wide);
                let nats = -(p.clone() * p.clamp_min(LEAST).log());
                nats.reshape([n, group.width()]).sum_dim(1)
            } else {
                let each = self.deviation.map(|d| 0.5 * (std::f64::consts::TAU * std::f64::consts::E * d * d).ln());
                (each * group.columns as f64).shift(self.wide.clone().narrow(1, 0, 1) * 0.0)
            }
        });
        parts.reduce(|a, b| a + b).expect("a state has a column")
    }
}

/// `sum q ln(q / p)` over the states of every column of every row, `[n, 1]`.
pub(super) fn divergence(q: Tensor<3>, p: Tensor<3>) -> Batch {
    let [n, m, k] = q.dims();
    let nats = q.clone() * (q.clamp_min(LEAST).log() - p.clamp_min(LEAST).log());
    nats.reshape([n, m * k]).sum_dim(1)
}

/// The place at which the distribution function of numbers in proportion to probabilities passes `u`.
pub fn invert(law: &[f64], u: f64) -> usize {
    let total: f64 = law.iter().map(|p| p.max(0.0)).sum();
    let mut left = u * total;
    for (i, p) in law.iter().enumerate() {
        if left < *p {
            return i;
        }
        left -= p.max(0.0);
    }
    // Rounding can leave a little: the last state that is possible.
    law.iter().rposition(|p| *p > 0.0).unwrap_or(0)
}
