//! All distances at once, each beside the same distance between two real sets.
//!
//! The real rows are shuffled by a fixed stream and cut into halves A and B. Samples are compared with B, and so is A, with
//! as many rows of each: biases that depend on the size, such as those of V-statistics, precision and the Frechet distance,
//! are then the same on both sides, and `value / real_vs_real` reads as "how many times further than real data".

use crate::{
    EvalError, MAX_EIGEN, Rows, RowsBuf, energy_distance, frechet_distance, median_distance, mmd, precision_recall,
    sliced_wasserstein, total_variation,
};
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;
use serde::{Deserialize, Serialize};

/// A distance between samples and data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// What was measured.
    pub name: String,
    /// Between the samples and real rows.
    pub value: f64,
    /// The same between two real sets of the same sizes.
    pub real_vs_real: f64,
    /// Standard error of `value`; absent where no estimate is made.
    pub standard_error: Option<f64>,
}

/// Names of all metrics, in the order in which they are measured.
pub const METRICS: [&str; 8] = [
    "energy-distance",
    "energy-distance-unbiased",
    "mmd-squared",
    "sliced-wasserstein-2",
    "precision",
    "recall",
    "frechet",
    "total-variation",
];

/// What [`compare`] does.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareOptions {
    /// Names of the metrics; if left out, all that suit the rows: the Frechet distance up to [`MAX_EIGEN`] numbers, the total variation
    /// where rows take few values ([`CompareOptions::few`]).
    pub only: Option<Vec<String>>,
    /// Whether rows take few different values, as those of a few categories do.
    pub few: bool,
    /// Seed of the shuffle of the real rows and of the directions.
    pub seed: u64,
    /// Rows of each set that are looked at, at most: the cost grows with its square.
    pub limit: usize,
    /// Directions of the sliced Wasserstein distance.
    pub directions: usize,
    /// Neighbours that give a ball its radius in precision and recall.
    pub neighbours: usize,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { only: None, few: false, seed: 0, limit: 10_000, directions: 256, neighbours: 3 }
    }
}

/// Two halves of a set, equally many rows, after a shuffle that is a function of the seed.
pub fn halves(rows: Rows<'_>, seed: u64) -> (RowsBuf, RowsBuf) {
    let stream = Stream::new(seed, 0, Purpose::Order, 0, 0);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // Fisher and Yates, from the end.
    for i in (1..order.len()).rev() {
        order.swap(i, stream.below(i, i as u32 + 1) as usize);
    }
    let half = rows.len() / 2;
    (rows.take(&order[..half]), rows.take(&order[half..2 * half]))
}

/// Every distance between samples and real rows, the real rows halved by [`halves`].
///
/// # Errors
/// When a set is too small (four real rows and more, by the neighbours asked for), rows differ in length, or a number is not
/// finite.
pub fn compare(samples: Rows<'_>, real: Rows<'_>, options: &CompareOptions) -> Result<Vec<Metric>, EvalError> {
    let (a, b) = halves(real, options.seed);
    compare_halves(samples, a.view(), b.view(), options)
}

/// Every distance between samples and `reference`, beside that between `real` and `reference`. The sets are cut to the same
/// number of rows: `real` and `samples` to the smaller of both.
///
/// # Errors
/// As [`compare`].
pub fn compare_halves(
    samples: Rows<'_>,
    real: Rows<'_>,
    reference: Rows<'_>,
    options: &CompareOptions,
) -> Result<Vec<Metric>, EvalError> {
    let n = samples.len().min(real.len()).min(options.limit);
    let (samples, real, reference) = (samples.first(n), real.first(n), reference.first(options.limit));
    let mut out = Vec::new();
    let wanted = |name: &str| match &options.only {
        Some(names) => names.iter().any(|n| n == name),
        None => match name {
            "frechet" => samples.dim() <= MAX_EIGEN,
            "total-variation" => options.few,
            _ => true,
        },
    };
    let mut add = |name: &str, value: f64, real_vs_real: f64, standard_error: Option<f64>| {
        if wanted(name) {
            out.push(Metric { name: name.to_owned(), value, real_vs_real, standard_error });
        }
    };

    if wanted("energy-distance") || wanted("energy-distance-unbiased") {
        let (found, beside) = (energy_distance(samples, reference)?, energy_distance(real, reference)?);
        add("energy-distance", found.biased, beside.biased, Some(found.standard_error));
        add("energy-distance-unbiased", found.unbiased, beside.unbiased, Some(found.standard_error));
    }
    if wanted("mmd-squared") {
        // The bandwidth is a property of the real rows, so that it does not move with the samples.
        let bandwidth = median_distance(real, reference, 1000);
        let (found, beside) = (mmd(samples, reference, bandwidth)?, mmd(real, reference, bandwidth)?);
        add("mmd-squared", found.unbiased, beside.unbiased, Some(found.standard_error));
    }
    if wanted("sliced-wasserstein-2") {
        let sliced = |rows| sliced_wasserstein(rows, reference, 2.0, options.directions, options.seed);
        let (found, beside) = (sliced(samples)?, sliced(real)?);
        add("sliced-wasserstein-2", found.value, beside.value, Some(found.standard_error));
    }
    if wanted("precision") || wanted("recall") {
        let k = options.neighbours;
        let (found, beside) = (precision_recall(samples, reference, k)?, precision_recall(real, reference, k)?);
        // A share of n independent hits, the supports taken as given.
        let binomial = |share: f64, n: usize| Some((share * (1.0 - share) / n as f64).sqrt());
        add("precision", found.precision, beside.precision, binomial(found.precision, samples.len()));
        add("recall", found.recall, beside.recall, binomial(found.recall, reference.len()));
    }
    if wanted("frechet") {
        add("frechet", frechet_distance(samples, reference)?, frechet_distance(real, reference)?, None);
    }
    if wanted("total-variation") {
        let (found, beside) = (total_variation(samples, reference)?, total_variation(real, reference)?);
        add("total-variation", found.value, beside.value, Some(found.standard_error));
    }
    Ok(out)
}
