//! Keeping what a model takes for clean data in the range that data have.
//!
//! Pictures lie in a box; a denoiser's output, above all a guided one's, need not. A static clip cuts it off at the box (Ho et
//! al. 2020). Dynamic thresholding (Saharia et al. 2022, section 2.3) first looks how far the sample as a whole sticks out and
//! pulls all of it back, which keeps saturated regions from filling up.

use crate::{Denoiser, Process, StepVariance};
use scorefield_tensor::{Batch, Tensor, TensorData, rows_f64};

/// A bound on the clean data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Into [-c, c], entry by entry.
    Static {
        /// `c`, in the units of the states.
        bound: f64,
    },
    /// With `s` the `p`-quantile of `|D|` over the entries of one sample, no less than 1 and no more than `max`: into [-s, s],
    /// then divided by `s`.
    Dynamic {
        /// `p`: 0.995 is usual.
        quantile: f64,
        /// The largest `s`; infinite for none, 1 for a static clip at 1.
        max: f64,
    },
}

/// A bound that bounds nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{parameter} is {found}, expected {expected}")]
pub struct ClipError {
    /// Which number.
    pub parameter: &'static str,
    /// What it is.
    pub found: f64,
    /// What would do.
    pub expected: &'static str,
}

impl Clip {
    /// A static clip into [-bound, bound].
    ///
    /// # Errors
    /// Unless the bound is finite and positive.
    pub fn at(bound: f64) -> Result<Self, ClipError> {
        if !(bound.is_finite() && bound > 0.0) {
            return Err(ClipError { parameter: "the bound of a clip", found: bound, expected: "a finite number above 0" });
        }
        Ok(Self::Static { bound })
    }

    /// Dynamic thresholding at a quantile, pulling back by at most `max` (infinite for no limit).
    ///
    /// # Errors
    /// Unless the quantile lies above 0 and at most at 1, and `max` is at least 1.
    pub fn dynamic(quantile: f64, max: f64) -> Result<Self, ClipError> {
        if !(quantile > 0.0 && quantile <= 1.0) {
            return Err(ClipError {
                parameter: "the quantile of a threshold",
                found: quantile,
                expected: "a number above 0 and at most 1",
            });
        }
        if max.is_nan() || max < 1.0 {
            return Err(ClipError { parameter: "the largest threshold", found: max, expected: "a number from 1" });
        }
        Ok(Self::Dynamic { quantile, max })
    }

    /// The bounded data, every row by itself, `[n, d]` to `[n, d]`.
    pub fn apply(&self, x: Batch) -> Batch {
        let [n, d] = x.dims();
        match *self {
            Self::Static { bound } => x.clamp(-bound, bound),
            Self::Dynamic { .. } if n * d == 0 => x,
            Self::Dynamic { quantile, max } => {
                let on = (&x.device(), x.dtype());
                let mut values = rows_f64(x);
                for row in values.chunks_exact_mut(d) {
                    let s = quantile_of(row, quantile).max(1.0).min(max);
                    // What is no number stays none.
                    row.iter_mut().filter(|v| !v.is_nan()).for_each(|v| *v = v.max(-s).min(s) / s);
                }
                Tensor::from_data(TensorData::new(values, [n, d]), on)
            }
        }
    }
}

/// The `p`-quantile of the magnitudes, linear between order statistics (the definition of NumPy and PyTorch): at place
/// `p (n - 1)` of the sorted list.
fn quantile_of(row: &[f64], p: f64) -> f64 {
    let mut sorted: Vec<f64> = row.iter().map(|v| v.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    let place = p * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (place - place.floor()) * (sorted[high] - sorted[low])
}

/// A denoiser whose clean data are kept in bounds.
#[derive(Clone, Debug)]
pub struct Thresholded<D> {
    denoiser: D,
    clip: Clip,
}

impl<D: Denoiser> Thresholded<D> {
    /// `denoiser`, bounded by `clip`.
    pub fn new(denoiser: D, clip: Clip) -> Self {
        Self { denoiser, clip }
    }
}

impl<D: Denoiser> Denoiser for Thresholded<D> {
    fn process(&self) -> &dyn Process {
        self.denoiser.process()
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.clip.apply(self.denoiser.denoise(x, t))
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        self.clip.apply(self.denoiser.denoise_each(x, times))
    }

    #[track_caller]
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let (clean, variance) = self.denoiser.denoise_with_variance(x, t);
        (self.clip.apply(clean), variance)
    }
}
