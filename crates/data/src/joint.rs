//! A table of three columns of categories whose joint law is known: what a model of tables can be held against.
//!
//! `p(i, j, k)` is proportional to `1 / ((1 + (2i - j)^2) (1 + (j - k)^2))`: a chain in which each column leans on the one before, the
//! first and the third are independent given the second, and no row is rare (the smallest probability is above 1/3110).

use scorefield_tensor::noise::Stream;

/// How many categories each column has.
pub const LEVELS: [usize; 3] = [3, 4, 5];

/// The exact joint law: 60 probabilities, that of `[i, j, k]` in place `(4 i + j) 5 + k`. They add up to 1.
pub fn probabilities() -> Vec<f64> {
    let [a, b, c] = LEVELS;
    let near = |x: usize, y: usize| 1.0 / (1.0 + (x as f64 - y as f64).powi(2));
    let weights: Vec<f64> = (0..a * b * c).map(row).map(|[i, j, k]| near(2 * i, j) * near(j, k)).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// The categories of a place in [`probabilities`].
pub fn row(place: usize) -> [usize; 3] {
    let [_, b, c] = LEVELS;
    [place / c / b, place / c % b, place % c]
}

/// Names of the columns and of their categories: `a` has `a0` to `a2`, and so on.
pub(crate) fn names() -> (Vec<String>, Vec<Vec<String>>) {
    let letters: Vec<String> = ('a'..).take(LEVELS.len()).map(String::from).collect();
    let categories = letters.iter().zip(LEVELS).map(|(letter, n)| (0..n).map(|i| format!("{letter}{i}")).collect()).collect();
    (letters, categories)
}

/// The place of a stream's row, by the distribution function `up_to[place]` (the probability of that place and those before).
pub(crate) fn draw(stream: &Stream, up_to: &[f64]) -> usize {
    let u = stream.uniform(20);
    // Rounding may leave the last a little below 1.
    up_to.partition_point(|&p| p <= u).min(up_to.len() - 1)
}
