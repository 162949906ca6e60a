//! Figures of encoded data from which defaults are made.
//!
//! Distances between the numbers of categories mean nothing: channels of categories are left out where there are channels of numbers. Of
//! categories alone the figures are those of their numbers, for whoever lays noise on these.

use crate::{Codec, Dataset};
use rayon::prelude::*;

/// Rows that pairwise figures look at, at most.
const PAIRS: usize = 2_000;

fn encoded(data: &Dataset, codec: &Codec, i: usize) -> Vec<f32> {
    let d = data.shape().len();
    let (mut natural, mut state) = (vec![0.0; d], vec![0.0; d]);
    data.row(i, &mut natural);
    codec.encode_row(&natural, &mut state);
    state
}

/// The state of example `i` without its categories, unless it has nothing else.
fn measured(data: &Dataset, codec: &Codec, i: usize) -> Vec<f32> {
    let state = encoded(data, codec, i);
    let levels = codec.levels();
    if levels.iter().all(Option::is_none) || levels.iter().all(Option::is_some) {
        return state;
    }
    let plane = data.shape().plane();
    state.chunks(plane).zip(levels).filter(|(_, levels)| levels.is_none()).flat_map(|(numbers, _)| numbers.to_vec()).collect()
}

/// `sigma_data` of Karras et al. 2022: the standard deviation of all encoded numbers about their one common mean.
pub fn sigma_data(data: &Dataset, codec: &Codec) -> f64 {
    let (mut sum, mut squares, mut n) = (0.0f64, 0.0f64, 0.0f64);
    for i in spread(data.len(), 20_000) {
        for v in measured(data, codec, i) {
            let v = f64::from(v);
            (sum, squares, n) = (sum + v, squares + v * v, n + 1.0);
        }
    }
    let mean = sum / n;
    (squares / n - mean * mean).max(1e-12).sqrt()
}

/// The largest distance between two encoded examples, over at most 2,000 of them: what `sigma_max` of a variance-exploding
/// process should be (Song and Ermon 2020, technique 1).
pub fn max_pairwise_distance(data: &Dataset, codec: &Codec) -> f64 {
    let rows: Vec<_> = spread(data.len(), PAIRS).map(|i| measured(data, codec, i)).collect();
    let farthest = |(i, a): (usize, &Vec<f32>)| {
        rows[..i].iter().map(|b| a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>()).fold(0.0, f64::max)
    };
    rows.par_iter().enumerate().map(farthest).reduce(|| 0.0, f64::max).sqrt()
}

/// How many encoded numbers lie outside the codec's range, of how many looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeCheck {
    /// Numbers outside.
    pub outside: u64,
    /// Numbers looked at.
    pub values: u64,
}

/// Looks for encoded numbers outside the codec's range.
pub fn outside_range(data: &Dataset, codec: &Codec) -> RangeCheck {
    let plane = data.shape().plane();
    let mut check = RangeCheck { outside: 0, values: 0 };
    for i in spread(data.len(), 20_000) {
        for (j, v) in encoded(data, codec, i).into_iter().enumerate() {
            let inside = codec.range(j / plane).is_none_or(|(low, high)| (low - 1e-4..=high + 1e-4).contains(&f64::from(v)));
            check.values += 1;
            check.outside += u64::from(!inside);
        }
    }
    check
}

/// At most `limit` places, evenly spread.
fn spread(n: usize, limit: usize) -> impl Iterator<Item = usize> {
    let take = n.min(limit);
    (0..take).map(move |k| k * n / take)
}
