//! The total variation distance of two sets of rows that take few different values: tables of categories, short rows of bits.
//!
//! `TV = 1/2 sum_c |f_c - g_c|` over every row `c` that occurs in one of the sets, with the frequencies `f` and `g`. Two sets of one law `p`
//! are never at distance zero: about `1/2 sum_c sqrt(2/pi p_c (1 - p_c) (1/n + 1/m))` is between them, the noise of sampling.

use crate::rows::check_pair;
use crate::{EvalError, Rows};
use std::collections::HashMap;

/// A distance of frequencies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TotalVariation {
    /// The distance, from 0 to 1.
    pub value: f64,
    /// What two sets of these sizes would be at if they were of one law, that of both together.
    pub noise: f64,
    /// Standard error of `value` if both sets are of one law, each cell's difference taken as a normal of its own; of sets that differ
    /// clearly it is up to 1.7 times as large.
    pub standard_error: f64,
    /// Different rows in both sets together.
    pub cells: usize,
}

/// The total variation distance of the rows' frequencies. Rows are one cell when all their numbers are equal.
///
/// # Errors
/// When a set is empty, rows differ in length, or a number is not finite.
pub fn total_variation(x: Rows<'_>, y: Rows<'_>) -> Result<TotalVariation, EvalError> {
    check_pair("the total variation distance", x, y, 1)?;
    // Zero has two signs.
    let key = |row: &[f32]| row.iter().map(|v| (v + 0.0).to_bits()).collect::<Vec<u32>>();
    let mut counts: HashMap<Vec<u32>, [f64; 2]> = HashMap::new();
    for (set, rows) in [x, y].into_iter().enumerate() {
        rows.iter().for_each(|row| counts.entry(key(row)).or_default()[set] += 1.0);
    }
    let (n, m) = (x.len() as f64, y.len() as f64);
    let shares = 1.0 / n + 1.0 / m;
    let (mut value, mut noise, mut variance) = (0.0, 0.0, 0.0);
    // Sums in an order of their own: the map's is not the same twice.
    let mut cells: Vec<[f64; 2]> = counts.into_values().collect();
    cells.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    for [a, b] in &cells {
        let p = (a + b) / (n + m);
        let of_difference = p * (1.0 - p) * shares;
        value += 0.5 * (a / n - b / m).abs();
        noise += 0.5 * (2.0 / std::f64::consts::PI * of_difference).sqrt();
        variance += 0.25 * (1.0 - 2.0 / std::f64::consts::PI) * of_difference;
    }
    Ok(TotalVariation { value, noise, standard_error: variance.sqrt(), cells: cells.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::Purpose;
    use scorefield_tensor::noise::Stream;

    #[test]
    fn frequencies_are_compared() {
        let x = [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 2.0, 2.0];
        let y = [-0.0, 0.0, 0.0, 1.0];
        let found = total_variation(Rows::new(&x, 4, 2), Rows::new(&y, 2, 2)).unwrap();
        // 1/4, 1/2, 1/4 and 1/2, 1/2, 0.
        assert!((found.value - 0.25).abs() < 1e-12 && found.cells == 3, "{found:?}");
        let far = total_variation(Rows::new(&x[..2], 1, 2), Rows::new(&x[6..], 1, 2)).unwrap();
        assert!((far.value - 1.0).abs() < 1e-12, "{far:?}");
    }

    /// Two sets of one law are at the distance of the noise, within its error; another law is further.
    #[test]
    fn the_noise_of_sampling_is_foretold() {
        let draw = |seed: u64, n: usize, skew: f64| -> Vec<f32> {
            let stream = Stream::new(seed, 0, Purpose::User, 0, 0);
            (0..n).map(|i| (stream.uniform(i).powf(skew) * 12.0).floor() as f32).collect()
        };
        let of = |seed, skew| {
            let (x, y) = (draw(seed, 3000, 1.0), draw(seed + 100, 2000, skew));
            total_variation(Rows::new(&x, 3000, 1), Rows::new(&y, 2000, 1)).unwrap()
        };
        let found: Vec<TotalVariation> = (0..40).map(|seed| of(seed, 1.0)).collect();
        let mean = |of: &dyn Fn(&TotalVariation) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
        let (value, noise, error) = (mean(&|f| f.value), mean(&|f| f.noise), mean(&|f| f.standard_error));
        let spread = (found.iter().map(|f| (f.value - value).powi(2)).sum::<f64>() / 39.0).sqrt();
        assert!(
            (value / noise - 1.0).abs() < 0.1 && spread / error > 0.6 && spread / error < 1.5,
            "{value} {noise} {spread} {error}"
        );
        assert!(of(7, 1.3).value > 3.0 * noise);
    }
}
