//! Batches as a pure function of (seed, step): what a resumed run needs to know of its data is the step.
//!
//! Each epoch visits the examples in an order of its own, given by a keyed bijection of `0..n` (a Feistel network with cycle walking,
//! Black and Rogaway 2002), so no permutation is ever stored.

use crate::augment::{AugmentOptions, augment};
use crate::{Codec, Dataset, Shape};
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::{Stream, philox};

/// A batch on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostBatch {
    /// Encoded states, one after the other.
    pub x: Vec<f32>,
    /// Their classes.
    pub labels: Vec<Option<u32>>,
    /// What was done to each, as nine numbers, when pictures are augmented.
    pub augment: Option<Vec<[f32; 9]>>,
    /// What each is given with, encoded, one after the other; where examples are given with something.
    pub condition: Option<Vec<f32>>,
    /// The number of each training example in the run: `step * batch + i`.
    pub samples: Vec<u64>,
}

/// The batches of a run.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    data: &'a Dataset,
    codec: Codec,
    /// Whether each channel holds categories.
    categories: Vec<bool>,
    seed: u64,
    batch: usize,
    flip: bool,
    augment: Option<AugmentOptions>,
    /// How what examples are given with is encoded.
    condition: Option<Codec>,
}

impl<'a> Batches<'a> {
    /// Batches of `batch` examples; a data set smaller than that is repeated within a batch.
    ///
    /// # Panics
    /// When `batch` is zero.
    #[track_caller]
    pub fn new(data: &'a Dataset, codec: &Codec, seed: u64, batch: usize) -> Self {
        assert!(batch > 0, "a batch of nothing");
        let categories = codec.levels().iter().map(Option::is_some).collect();
        Self { data, codec: codec.clone(), categories, seed, batch, flip: false, augment: None, condition: None }
    }

    /// Whether pictures are mirrored left to right, each with probability one half.
    #[must_use]
    pub fn flip(self, flip: bool) -> Self {
        Self { flip, ..self }
    }

    /// Non-leaky augmentation of pictures.
    #[must_use]
    pub fn augment(self, augment: Option<AugmentOptions>) -> Self {
        Self { augment, ..self }
    }

    /// How what examples are given with is encoded.
    #[must_use]
    pub fn condition(self, condition: Option<Codec>) -> Self {
        Self { condition, ..self }
    }

    /// The batch of a step.
    pub fn at(&self, step: u64) -> HostBatch {
        let (n, d) = (self.data.len() as u64, self.data.shape().len());
        let samples: Vec<u64> = (0..self.batch as u64).map(|i| step * self.batch as u64 + i).collect();
        let mut x = vec![0.0; self.batch * d];
        let mut natural = vec![0.0; d];
        let mut labels = Vec::with_capacity(self.batch);
        let mut told = self.augment.as_ref().map(|_| Vec::with_capacity(self.batch));
        let mut given = self.condition.as_ref().map(|codec| Given::new(codec, self.batch));
        for (&sample, state) in samples.iter().zip(x.chunks_mut(d)) {
            let place = permute(sample % n, n, self.seed, sample / n) as usize;
            self.data.row(place, &mut natural);
            self.codec.encode_row(&natural, state);
            labels.push(self.data.label(place));
            if let Some(given) = &mut given {
                given.push(self.data, place);
            }
            let Shape::Image { height, width, .. } = self.data.shape() else {
                if let Some(told) = &mut told {
                    told.push([0.0; 9]);
                }
                continue;
            };
            let stream = Stream::new(self.seed, sample, Purpose::Augment, 0, 0);
            if self.flip && stream.word(0) & 1 == 1 {
                state.chunks_mut(width).for_each(<[f32]>::reverse);
                given.iter_mut().for_each(Given::mirror_last);
            }
            if let (Some(told), Some(options)) = (&mut told, &self.augment) {
                told.push(augment(state, (height, width), &self.categories, options, &stream));
            }
        }
        HostBatch { x, labels, augment: told, condition: given.map(|g| g.rows), samples }
    }
}

/// What the examples of a batch are given with, as it fills.
struct Given<'a> {
    codec: &'a Codec,
    natural: Vec<f32>,
    rows: Vec<f32>,
}

impl<'a> Given<'a> {
    fn new(codec: &'a Codec, batch: usize) -> Self {
        let d = codec.shape().len();
        Self { codec, natural: vec![0.0; d], rows: Vec::with_capacity(batch * d) }
    }

    fn push(&mut self, data: &Dataset, place: usize) {
        data.condition_row(place, &mut self.natural);
        let first = self.rows.len();
        self.rows.resize(first + self.natural.len(), 0.0);
        self.codec.encode_row(&self.natural, &mut self.rows[first..]);
    }

    /// Mirrors a picture as its example was; a vector has no left.
    fn mirror_last(&mut self) {
        if let Shape::Image { width, .. } = self.codec.shape() {
            let first = self.rows.len() - self.natural.len();
            self.rows[first..].chunks_mut(width).for_each(<[f32]>::reverse);
        }
    }
}

/// The place that `i` takes in epoch `epoch`: a bijection of `0..n`.
fn permute(i: u64, n: u64, seed: u64, epoch: u64) -> u64 {
    // Two halves of equal width whose square covers n.
    let half = (64 - (n - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    let key = [seed as u32, (seed >> 32) as u32];
    let mut x = i;
    loop {
        let (mut left, mut right) = (x >> half, x & mask);
        for round in 0..4 {
            let counter = [right as u32, epoch as u32, (epoch >> 32) as u32, u32::from(Purpose::Order as u8) << 24 | round];
            (left, right) = (right, (left ^ u64::from(philox(counter, key)[0])) & mask);
        }
        x = left << half | right;
        if x < n {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every epoch is a permutation, and no two of the first are the same.
    #[test]
    fn epochs_are_permutations() {
        for n in [1u64, 2, 3, 7, 64, 65, 1000] {
            let orders: Vec<Vec<u64>> = (0..3).map(|e| (0..n).map(|i| permute(i, n, 5, e)).collect()).collect();
            for order in &orders {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert!(sorted.iter().copied().eq(0..n), "{n}: {order:?}");
            }
            assert!(n < 7 || (orders[0] != orders[1] && orders[1] != orders[2]));
        }
    }

    #[test]
    fn a_batch_larger_than_the_set_repeats_it() {
        let data = Dataset::from_rows("three", Shape::Vector { dim: 1 }, vec![1.0, 2.0, 4.0], None);
        let codec = Codec::fit(&data, &Default::default()).unwrap();
        let batch = Batches::new(&data, &codec, 0, 7).at(3);
        assert_eq!(batch.x.len(), 7);
        assert_eq!(batch.samples, (21..28).collect::<Vec<_>>());
    }

    /// Half of the pictures are mirrored, within five standard errors, and a mirrored row is the row reversed.
    #[test]
    fn flips_are_fair() {
        let shape = Shape::Image { channels: 1, height: 1, width: 2 };
        let data = Dataset::from_rows("pair", shape, vec![0.0, 255.0], None);
        let codec = Codec::fit(&data, &Default::default()).unwrap();
        let batch = Batches::new(&data, &codec, 1, 10_000).flip(true).at(0);
        let flipped = batch.x.chunks(2).filter(|r| r[0] > r[1]).count() as f64;
        assert!((flipped - 5_000.0).abs() < 5.0 * 50.0, "{flipped}");
    }
}
