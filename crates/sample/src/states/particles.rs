//! The law `p(x_0) r(x_0) / Z` drawn with several particles a sample: exact in the limit of many.
//!
//! Steps made with `p(x_0 | x_t) r(x_0) / Z` column by column ([`Multiplied`](super::Multiplied)) know of a column's evidence in that column
//! alone; the others learn of it through `x_t`, and where `x_t` has chosen before it tells, they never do. Sequential Monte Carlo mends
//! that (Gordon et al. 1993; Wu et al. 2023 for diffusions): of every sample `P` particles run side by side, the target at time `t` being
//! `p(x_t) psi_t(x_t)` with `psi_t = prod_j sum_k p(x_0^j = k | x_t) r_j(k)`, which is `r(x_0)` at the end. A particle's weight changes by
//!
//! `w_s / w_t = p(x_s | x_t) psi_s(x_s) / (p_r(x_s | x_t) psi_t(x_t))`,
//!
//! `p_r` being the multiplied step. Where the weights of a sample have become uneven (an effective number `(sum w)^2 / sum w^2` below
//! `P / 2`) its particles are drawn anew in proportion, by systematic resampling; at the end one is drawn. The error falls as `1 / P`.
//! What is drawn is the product with the law of the model's chain of so many steps, not with that of its limit.
//!
//! Particles of a sample see each other and nobody else, so a sample still depends on its number and the seed alone: particle `k` of
//! sample `i` draws from stream `i + 2^32 k`, so that the first is the sample's own, for samples numbered below `2^32`.

use super::Factor;
use crate::Frame;
use crate::trajectory::Walk;
use scorefield_process::Grid;
use scorefield_process::states::{Law, StatesDenoiser, StatesProcess, invert};
use scorefield_tensor::{Batch, Device, Int, Noise, Purpose, Streams, Tensor, TensorData, rows_f64};

/// The streams of so many particles of every sample, particle by particle.
pub(super) fn streams(seed: u64, samples: impl Iterator<Item = u64> + Clone, count: usize) -> Streams {
    let all = (0..count as u64).flat_map(|k| samples.clone().map(move |i| i + (k << 32)));
    Streams::new(seed, all.collect(), Purpose::Solver)
}

/// A run of several particles a sample: yields the states of the first of each, and at the end the ones drawn.
pub(super) struct Particles<'a> {
    denoiser: &'a dyn StatesDenoiser,
    factor: Factor,
    count: usize,
    noise: &'a mut Streams,
    walk: Walk,
    ends: bool,
    x: Batch,
    /// `ln w` of every particle without the `psi` of the state it is in.
    weights: Vec<f64>,
}

impl<'a> Particles<'a> {
    /// A run from wide rows, particle by particle, at the grid's first time; `factor` has a row for each sample.
    pub(super) fn new(
        denoiser: &'a dyn StatesDenoiser,
        factor: &Factor,
        count: usize,
        grid: &Grid,
        noise: &'a mut Streams,
        x: Batch,
        ends: bool,
    ) -> Self {
        let (factor, weights) = (factor.copies(count), vec![0.0; x.dims()[0]]);
        Self { denoiser, factor, count, noise, walk: Walk::new(grid, ends), ends, x, weights }
    }

    fn samples(&self) -> usize {
        self.weights.len() / self.count
    }

    /// `E[x_0 | x_t]` of all particles; conditions of a model are those of the samples, so that it sees one particle of each at a time.
    fn denoise(&self, t: f64) -> Batch {
        let n = self.samples();
        let copy = |k: usize| self.denoiser.denoise(&self.x.clone().narrow(0, k * n, n), t);
        Batch::cat((0..self.count).map(copy).collect(), 0)
    }

    fn weigh(&mut self, by: &Batch) {
        self.weights.iter_mut().zip(rows_f64(by.clone())).for_each(|(w, b)| *w += b);
    }

    /// The normalised weights of a sample's particles.
    fn shares(&self, sample: usize) -> Vec<f64> {
        let n = self.samples();
        let logs: Vec<f64> = (0..self.count).map(|k| self.weights[k * n + sample]).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let each: Vec<f64> = logs.iter().map(|v| (v - top).exp()).collect();
        let total: f64 = each.iter().sum();
        each.into_iter().map(|v| v / total).collect()
    }

    /// Draws the particles of uneven samples anew; the rows they come from, if any moved.
    fn resample(&mut self) -> Option<Vec<usize>> {
        let (n, count) = (self.samples(), self.count);
        let mut from: Vec<usize> = (0..n * count).collect();
        let mut moved = false;
        for sample in 0..n {
            let shares = self.shares(sample);
            if 1.0 / shares.iter().map(|w| w * w).sum::<f64>() >= 0.5 * count as f64 {
                continue;
            }
            moved = true;
            let u = self.noise.stream(sample).uniform(0);
            for k in 0..count {
                from[k * n + sample] = invert(&shares, (k as f64 + u) / count as f64) * n + sample;
                self.weights[k * n + sample] = 0.0;
            }
        }
        self.noise.advance();
        moved.then_some(from)
    }

    /// A step of every particle.
    fn step(&mut self, t: f64, s: f64) {
        let process = self.denoiser.process();
        let (at_t, at_s) = (process.at(t), process.at(s));
        let mut clean = self.denoise(t);
        let (mut product, mut psi) = self.factor.product(process, &clean, &at_t);
        self.weigh(&psi);
        if let Some(from) = self.resample() {
            let of = |rows: &Batch| take(rows, &from);
            (self.x, clean, product, psi) = (of(&self.x), of(&clean), of(&product), of(&psi));
        }
        let (own, multiplied) =
            (process.posterior(&self.x, &clean, &at_t, &at_s), process.posterior(&self.x, &product, &at_t, &at_s));
        self.x = multiplied.draw(process.columns(), self.noise);
        self.weigh(&(log_ratio(process, &self.x, &own, &multiplied) - psi));
    }

    /// What is left of noise is taken off, and one particle of each sample is drawn.
    fn end(&mut self, denoised_at: Option<f64>) {
        let process = self.denoiser.process();
        if let Some(t) = denoised_at {
            let clean = self.denoise(t);
            let (wide, psi) = self.factor.product(process, &clean, &process.at(t));
            self.x = Law { wide, deviation: 0.0 }.draw(process.columns(), self.noise);
            self.weigh(&psi);
        } else {
            self.weigh(&self.factor.of_clean(process, &self.x));
        }
        let n = self.samples();
        let drawn = |sample: usize| invert(&self.shares(sample), self.noise.stream(sample).uniform(0)) * n + sample;
        let rows: Vec<usize> = (0..n).map(drawn).collect();
        self.noise.advance();
        self.x = take(&self.x, &rows);
        (self.count, self.weights) = (1, vec![0.0; n]);
    }
}

impl Iterator for Particles<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let (index, t, leg) = self.walk.next()?;
        if index > 0 {
            self.noise.begin(index as u32 - 1);
            match leg {
                Some(leg) => {
                    self.step(leg.t, leg.s);
                    if !self.ends && leg.index + 1 == leg.count {
                        self.end(None);
                    }
                }
                None => self.end(Some(t)),
            }
        }
        let n = self.samples();
        Some(Frame { index, t, x: self.x.clone().narrow(0, 0, n), clean: None })
    }
}

/// `ln p(x) - ln q(x)` of wide rows under two laws that differ in their wide rows alone, `[n, 1]`.
fn log_ratio(process: &StatesProcess, x: &Batch, p: &Law, q: &Law) -> Batch {
    let n = x.dims()[0];
    let parts = process.columns().groups().iter().map(|group| {
        let (x, of_p, of_q) = (group.of(x), group.of(&p.wide), group.of(&q.wide));
        if group.is_category() {
            let at = |law: Batch| {
                let chosen = (law * x.clone()).reshape([n, group.columns, group.states]).sum_dim(2);
                chosen.clamp_min(1e-30).log().reshape([n, group.columns]).sum_dim(1)
            };
            return at(of_p) - at(of_q);
        }
        // ((x - q)^2 - (x - p)^2) / 2 d^2; without a spread both laws are their means, and the ratio is that of the next look.
        let precision = if p.deviation > 0.0 { p.deviation.powi(-2) } else { 0.0 };
        ((of_p.clone() - of_q.clone()) * (x * 2.0 - of_p - of_q)).sum_dim(1) * (0.5 * precision)
    });
    parts.reduce(|a, b| a + b).expect("a state has a column")
}

fn take(rows: &Batch, from: &[usize]) -> Batch {
    let device: Device = rows.device();
    let places: Vec<i64> = from.iter().map(|&i| i as i64).collect();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [from.len()]), &device);
    rows.clone().select(0, places)
}
