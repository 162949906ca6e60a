//! The variational bound of a discrete chain whose reverse steps have learned variances (Nichol and Dhariwal 2021, eq. 4 to 7, 15).
//!
//! Between levels `t > s` the posterior of `x_s` given `x_t` and `x_0` has the mean `c_0 x_0 + c_x x_t` and the variance
//! `v = G^2 sigma_s^2 / sigma_t^2`, `G^2 = sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2` and `c_0 = alpha_s G^2 / sigma_t^2`. The model
//! has `D` for `x_0` and a variance between `v` (beta tilde) and `G^2` (beta): `ln w = nu ln G^2 + (1 - nu) ln v`,
//! `nu = (output + 1) / 2`. A term is `KL = (ln(w / v) - 1 + v / w + c_0^2 (x_0 - D)^2 / w) / 2`.
//!
//! The last step, from the lowest level to clean data (`alpha = 1`, `sigma = 0`), is `-ln p(x_0 | x_t)`, a Gaussian of mean `D` integrated
//! over the cell of a byte (outermost cells to infinity), or its density for real numbers; its small variance, zero, is replaced by
//! that of the level above. `L_vlb` is the sum over `T` levels, estimated as `T` times the mean; bits a dimension. The term of the
//! prior has no parameters and is left out.

use scorefield_data::{Codec, Value};
use scorefield_process::{Process, ProcessExt};
use scorefield_tensor::{Batch, Coefficient, Column, Tensor, TensorData};

use crate::times::level;

/// A reverse step as numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ReverseStep {
    /// `c_0`.
    of_clean: f64,
    ln_small: f64,
    ln_large: f64,
}

impl ReverseStep {
    /// The step down from level `index` of `levels`.
    fn down(process: &dyn Process, index: usize, levels: usize) -> Self {
        let at_t = process.at(level(process, index, levels));
        if index == 0 {
            let above = Self::down(process, 1, levels);
            return Self { of_clean: 1.0, ln_small: above.ln_small, ln_large: 2.0 * at_t.sigma.ln() };
        }
        let at_s = process.at(level(process, index - 1, levels));
        // G^2 / sigma_t^2 from the log-SNRs, without cancellation.
        let fresh = -(at_t.log_snr() - at_s.log_snr()).exp_m1();
        Self {
            of_clean: at_s.alpha * fresh,
            ln_small: (fresh * at_s.sigma.powi(2)).ln(),
            ln_large: (fresh * at_t.sigma.powi(2)).ln(),
        }
    }
}

/// The cells of bytes in a state: half their width, the lowest and the highest value, for each of `d` numbers.
#[derive(Clone, Debug)]
struct Cells {
    half: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Cells {
    fn of(codec: &Codec) -> Option<Self> {
        if codec.value() != Value::Byte {
            return None;
        }
        let (d, channels) = (codec.shape().len(), codec.shape().channels());
        let range = |i: usize| codec.range(i / (d / channels));
        let ranges = (0..d).map(range).collect::<Option<Vec<_>>>()?;
        Some(Self {
            half: ranges.iter().map(|r| (r.1 - r.0) / 510.0).collect(),
            low: ranges.iter().map(|r| r.0).collect(),
            high: ranges.iter().map(|r| r.1).collect(),
        })
    }
}

/// The bound's terms for a batch, each row at its own level.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    steps: Vec<ReverseStep>,
    lowest: Vec<bool>,
    levels: usize,
    cells: Option<Cells>,
}

impl Bound {
    /// Of rows at the levels `at`, of `levels`.
    pub(crate) fn new(process: &dyn Process, at: &[usize], levels: usize, codec: &Codec) -> Self {
        Self {
            steps: at.iter().map(|&i| ReverseStep::down(process, i, levels)).collect(),
            lowest: at.iter().map(|&i| i == 0).collect(),
            levels,
            cells: Cells::of(codec),
        }
    }

    fn column(&self, of: fn(&ReverseStep) -> f64) -> Column {
        Column(self.steps.iter().map(of).collect())
    }

    /// `T` times each row's term in bits a dimension, `[n, 1]`: `x0` the data, `clean` the model's `D`, `output` what the network says
    /// of the variance, `2 nu - 1`; all `[n, d]` in one derivative graph.
    pub(crate) fn rows(&self, x0: &Batch, clean: Batch, output: Batch) -> Batch {
        let nu = (output + 1.0) * 0.5;
        let between = self.column(|s| s.ln_large - s.ln_small).scale(nu);
        let ln_variance = self.column(|s| s.ln_small).shift(between.clone());
        let narrow = (ln_variance.clone() * -0.5).exp();
        let error = (x0.clone() - clean) * narrow.clone();

        let shifted = self.column(|s| s.of_clean).scale(error.clone());
        let divergence = (between.clone() - 1.0 + (between * -1.0).exp() + shifted.clone() * shifted) * 0.5;
        let decoder = match &self.cells {
            Some(cells) => cells.surprise(x0, error, narrow),
            None => (error.clone() * error + ln_variance + std::f64::consts::TAU.ln()) * 0.5,
        };
        let share = |lowest: bool| Column(self.lowest.iter().map(|&l| f64::from(u8::from(l == lowest))).collect());
        let nats = share(true).scale(decoder) + share(false).scale(divergence);
        nats.mean_dim(1) * (self.levels as f64 / std::f64::consts::LN_2)
    }

    /// The mean of [`Bound::rows`] for a model with the large variance whose `D` has the expected squared error `errors[i]`.
    pub(crate) fn trivial(&self, errors: &[f64]) -> f64 {
        let mean_ln_cell = self.cells.as_ref().map(|c| c.half.iter().map(|h| (2.0 * h).ln()).sum::<f64>() / c.half.len() as f64);
        let term = |((s, lowest), error): ((&ReverseStep, &bool), &f64)| {
            let square = error / s.ln_large.exp();
            if *lowest {
                // A cell is narrow: its probability is its width times the density, and no more than one.
                let nats = 0.5 * (std::f64::consts::TAU.ln() + s.ln_large + square);
                return mean_ln_cell.map_or(nats, |ln_cell| (nats - ln_cell).max(0.0));
            }
            let between = s.ln_large - s.ln_small;
            0.5 * (between - 1.0 + (-between).exp() + s.of_clean.powi(2) * square)
        };
        let sum: f64 = self.steps.iter().zip(&self.lowest).zip(errors).map(term).sum();
        sum / self.steps.len() as f64 * self.levels as f64 / std::f64::consts::LN_2
    }
}

impl Cells {
    /// `-ln` of the probability of the cell of `x0`, where `error = (x0 - D) / w` and `narrow = 1 / w` for the deviation `w`.
    fn surprise(&self, x0: &Batch, error: Batch, narrow: Batch) -> Batch {
        let [n, d] = x0.dims();
        let row =
            |values: &[f64]| -> Batch { Tensor::from_data(TensorData::new(values.to_vec(), [1, d]), (&x0.device(), x0.dtype())) };
        let half = narrow * row(&self.half);
        let cdf = |z: Batch| ((z * 0.5f64.sqrt()).erf() + 1.0) * 0.5;
        let host = scorefield_tensor::rows_f64(x0.clone().inner());
        let mask = |is: &dyn Fn(usize, f64) -> bool| -> Batch {
            let values: Vec<f64> = host.iter().enumerate().map(|(k, v)| f64::from(u8::from(is(k % d, *v)))).collect();
            Tensor::from_data(TensorData::new(values, [n, d]), (&x0.device(), x0.dtype()))
        };
        let lowest = mask(&|i, v| v < self.low[i] + 0.5 * self.half[i]);
        let highest = mask(&|i, v| v > self.high[i] - 0.5 * self.half[i]);
        // From the cell's lower edge, or minus infinity, to its upper edge, or infinity.
        let above = cdf(error.clone() + half.clone()) * (highest.clone() * -1.0 + 1.0) + highest;
        let below = cdf(error - half) * (lowest * -1.0 + 1.0);
        (above - below).clamp_min(1e-12).log() * -1.0
    }
}
