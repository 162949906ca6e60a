//! Distances between sets of samples, each beside the same distance between two real sets.
//!
//! A distance between generated and real data means nothing alone: two finite sets drawn from one law are never at distance
//! zero. Every [`Metric`] therefore carries the same quantity measured between two real halves of the same sizes, and a
//! standard error. Nothing here knows of models or files: a set is [`Rows`], `n` states of `d` numbers.
//!
//! Results are deterministic: sums run in a fixed order whatever the number of threads, and random directions, features and
//! splits come from the counter-based streams under a fixed seed.

mod auroc;
mod classify;
mod compare;
mod coverage;
mod features;
mod frechet;
mod neighbours;
mod picture;
mod rows;
mod total_variation;
mod two_sample;
mod wasserstein;

pub use auroc::{Auroc, auroc};
pub use classify::Classifier;
pub use compare::{CompareOptions, METRICS, Metric, compare, compare_halves, halves};
pub use coverage::{Coverage, precision_recall};
pub use features::{FeatureSpace, Features, features};
pub use frechet::{Moments, frechet_distance, gaussian_frechet, moments};
pub use neighbours::{Memorisation, Neighbour, memorisation, nearest, nearest_others};
pub use picture::{psnr, ssim};
pub use rows::{Rows, RowsBuf};
pub use scorefield_tensor::{MAX_EIGEN, SymmetricEigen, symmetric_eigen};
pub use total_variation::{TotalVariation, total_variation};
pub use two_sample::{TwoSample, energy_distance, median_distance, mmd};
pub use wasserstein::{SlicedWasserstein, sliced_wasserstein, wasserstein_1d};

/// Why something cannot be measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// A set is too small for the statistic.
    #[error("{what} needs at least {needed} rows, but {set} has {found}; give it more samples")]
    TooFew {
        /// The statistic.
        what: &'static str,
        /// Which of the sets.
        set: &'static str,
        /// Rows it has.
        found: usize,
        /// Rows it takes.
        needed: usize,
    },
    /// The dense eigen-decomposition would be too large.
    #[error("{what} decomposes a {found} x {found} matrix, at most {limit} x {limit} is supported; use the random-conv features")]
    TooWide {
        /// The statistic.
        what: &'static str,
        /// Dimension of the rows.
        found: usize,
        /// The largest dimension taken.
        limit: usize,
    },
    /// Rows of different lengths were to be compared.
    #[error("{what} compares rows of {first} and of {second} numbers; both sets must hold the same kind of data")]
    Widths {
        /// The statistic.
        what: &'static str,
        /// Length of the first set's rows.
        first: usize,
        /// Length of the second set's rows.
        second: usize,
    },
    /// A number is not finite.
    #[error("{set}: row {row}, entry {entry} is {value}, not a finite number; no distance can be measured")]
    NotFinite {
        /// Which of the sets.
        set: &'static str,
        /// The row.
        row: usize,
        /// Its entry.
        entry: usize,
        /// What it is.
        value: f32,
    },
    /// An unknown feature space.
    #[error("there are no features called \"{found}\"; known are: {known}")]
    UnknownFeatures {
        /// The name asked for.
        found: String,
        /// The names there are.
        known: String,
    },
    /// The features are of pictures, the rows are not.
    #[error("the features \"{features}\" look at pictures; these rows of {dim} numbers are none ({found}); use \"raw\"")]
    NoPictures {
        /// The features asked for.
        features: &'static str,
        /// Length of a row.
        dim: usize,
        /// The shape that was given.
        found: String,
    },
}
