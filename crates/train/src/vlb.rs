//! The variational bound of a discrete chain whose reverse steps have learned variances (Nichol and Dhariwal 2021, eq. 4 to 7, 15;
//! Sohl-Dickstein et al. 2015, eq. 14).
//!
//! A term is the divergence of the model's step from the posterior's, [`ReverseStep::divergence`]. The last step, from the lowest level
//! to clean data (`alpha = 1`, `sigma = 0`), is `-ln p(x_0 | x_t)`, a Gaussian of mean `D` integrated over the cell of a byte (outermost
//! cells to infinity), or its density for real numbers. `L_vlb` is the sum over `T` levels, estimated as `T` times the mean; bits a
//! dimension. The term of the prior has no parameters, unless the levels themselves are trained ([`crate::rates`]), and is left out.

use crate::times::level;
use scorefield_data::{Codec, Value};
use scorefield_process::{Marginal, Process, ProcessExt, ReverseStep, StepVariance};
use scorefield_tensor::{Batch, Coefficient, Column, Tensor, TensorData};

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
pub(crate) struct Bound<S = Column> {
    step: ReverseStep<S>,
    /// 1 for rows at the lowest level, else 0.
    lowest: S,
    levels: usize,
    cells: Option<Cells>,
}

impl Bound {
    /// Of rows at the levels `at`, of `levels`.
    pub(crate) fn new(process: &dyn Process, at: &[usize], levels: usize, codec: &Codec) -> Self {
        let law = |at: &[usize]| process.at_each(&at.iter().map(|&i| level(process, i, levels)).collect::<Vec<_>>());
        Self::of(at, levels, codec, lowest(at), law)
    }

    /// The mean of [`Bound::rows`] for a model with the large variance whose `D` has the expected squared error `errors[i]`.
    pub(crate) fn trivial(&self, errors: &[f64]) -> f64 {
        let mean_ln_cell = self.cells.as_ref().map(|c| c.half.iter().map(|h| (2.0 * h).ln()).sum::<f64>() / c.half.len() as f64);
        let term = |(i, error): (usize, &f64)| {
            let s = self.step.row(i);
            let square = error / s.ln_large.exp();
            if self.lowest.0[i] == 1.0 {
                // A cell is narrow: its probability is its width times the density, and no more than one.
                let nats = 0.5 * (std::f64::consts::TAU.ln() + s.ln_large + square);
                return mean_ln_cell.map_or(nats, |ln_cell| (nats - ln_cell).max(0.0));
            }
            let between = s.ln_large - s.ln_small;
            0.5 * (between - 1.0 + (-between).exp() + s.of_clean.powi(2) * square)
        };
        let sum: f64 = errors.iter().enumerate().map(term).sum();
        sum / errors.len() as f64 * self.levels as f64 / std::f64::consts::LN_2
    }
}

/// 1 for rows at the lowest level, else 0.
pub(crate) fn lowest(at: &[usize]) -> Column {
    Column(at.iter().map(|&i| f64::from(u8::from(i == 0))).collect())
}

impl<S: Coefficient> Bound<S> {
    /// Of rows at the levels `at`, where `law` has the laws of the states at levels, one a row, and `lowest` is [`lowest`].
    pub(crate) fn of(at: &[usize], levels: usize, codec: &Codec, lowest: S, law: impl Fn(&[usize]) -> Marginal<S>) -> Self {
        // The step above the last one stands in for it where it has none of its own.
        let upper: Vec<usize> = at.iter().map(|&i| i.max(1)).collect();
        let lower: Vec<usize> = upper.iter().map(|i| i - 1).collect();
        let above = ReverseStep::between(&law(&upper), &law(&lower));
        let step = ReverseStep::to_data(&law(at), &above).or(&lowest, above);
        Self { step, lowest, levels, cells: Cells::of(codec) }
    }

    /// `T` times each row's term in bits a dimension, `[n, 1]`: `x0` the data, `clean` the model's `D`, `variance` what the network says
    /// of it; all `[n, d]` in one derivative graph.
    pub(crate) fn rows(&self, x0: &Batch, clean: Batch, variance: &StepVariance) -> Batch {
        let over_small = variance.over_small(&self.step);
        let error = x0.clone() - clean;
        let divergence = self.step.divergence(error.clone(), over_small.clone());
        let decoder = match &self.cells {
            Some(cells) => {
                let narrow = (self.step.ln_small.shift(over_small) * -0.5).exp();
                cells.surprise(x0, error * narrow.clone(), narrow)
            }
            None => self.step.surprise(error, over_small),
        };
        let nats = self.lowest.scale(decoder) + (-self.lowest.clone() + 1.0).scale(divergence);
        nats.mean_dim(1) * (self.levels as f64 / std::f64::consts::LN_2)
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

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_data::{Dataset, Shape};
    use scorefield_model::LearnedVariance;
    use scorefield_process::ProcessConfig;
    use scorefield_tensor::{Device, batch_f64, rows_f64};

    fn blend(output: Batch) -> StepVariance {
        LearnedVariance::Blend.of(output)
    }

    fn real() -> Codec {
        let data = Dataset::from_rows("line", Shape::Vector { dim: 1 }, vec![-1.0, 1.0], None);
        Codec::fit(&data, &Default::default()).unwrap()
    }

    fn bytes() -> Codec {
        let shape = Shape::Image { channels: 1, height: 1, width: 1 };
        Codec::fit(&Dataset::from_rows("byte", shape, vec![0.0, 255.0], None), &Default::default()).unwrap()
    }

    /// The terms, their sum and the prior's are the entropy of standard normal data, for which the large variance and the posterior
    /// mean make the chain exact: `E[L] = log2(2 pi e) / 2`. All terms are quadratic, so that signs for `x_0` and `eps` give exact means.
    #[test]
    fn the_bound_of_an_exact_chain_is_the_entropy() {
        let process = ProcessConfig::VpLinear { beta_min: 0.1, beta_max: 20.0 }.build().unwrap();
        let (codec, device) = (real(), Device::default());
        for levels in [2, 10, 50] {
            let bound = |variance: f64, gain: f64| {
                let mut sum = 0.0;
                for i in 0..levels {
                    let m = process.at(level(&process, i, levels));
                    let x0 = batch_f64(vec![1.0, 1.0, -1.0, -1.0], 4, &device);
                    let eps = batch_f64(vec![1.0, -1.0, 1.0, -1.0], 4, &device);
                    let clean = m.perturb(&x0, &eps) * (gain * m.alpha);
                    let rows = Bound::new(&process, &[i; 4], levels, &codec).rows(&x0, clean, &blend(eps * 0.0 + variance));
                    sum += rows_f64(rows).iter().sum::<f64>() / 4.0 / levels as f64;
                }
                let end = process.at(process.span().end);
                sum + 0.5 * (end.sigma.powi(2) - 1.0 - 2.0 * end.sigma.ln() + end.alpha.powi(2)) / std::f64::consts::LN_2
            };
            let entropy = 0.5 * (std::f64::consts::TAU * std::f64::consts::E).log2();
            assert!((bound(1.0, 1.0) - entropy).abs() < 1e-9, "{levels}: {} {entropy}", bound(1.0, 1.0));
            // No other variance or mean comes as low, and the slopes there are zero.
            assert!(bound(0.0, 1.0) > entropy + 1e-3 && bound(1.0, 2.0) > entropy + 0.1 && bound(1.2, 1.0) > entropy + 1e-4);
            assert!((bound(1.001, 1.0) - bound(0.999, 1.0)).abs() < 1e-6 * entropy);
        }
    }

    /// Cells of a byte are disjoint and cover the line.
    #[test]
    fn probabilities_of_bytes_sum_to_one() {
        let process = ProcessConfig::VpCosine { offset: 0.008 }.build().unwrap();
        let codec = bytes();
        let x0 = batch_f64((0..256).map(|v| 2.0 * f64::from(v) / 255.0 - 1.0).collect(), 256, &Device::default());
        for (mean, variance) in [(0.1, 0.5), (-0.97, 1.0), (2.0, -3.0)] {
            let bound = Bound::new(&process, &[0; 256], 8, &codec);
            let rows = rows_f64(bound.rows(&x0, x0.clone() * 0.0 + mean, &blend(x0.clone() * 0.0 + variance)));
            let sum: f64 = rows.iter().map(|bits| (-bits / 8.0).exp2()).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{mean} {variance}: {sum}");
        }
    }

    #[test]
    fn gradients_equal_differences() {
        let process = ProcessConfig::VpLinear { beta_min: 0.1, beta_max: 20.0 }.build().unwrap();
        let device = Device::default();
        let numbers = |v: &[f64]| batch_f64(v.to_vec(), v.len(), &device);
        // Data on both edges and inside, at the lowest level and above.
        let (x0, at) = ([-1.0, 1.0, 7.0 / 255.0, 0.2, -0.4], [0usize, 0, 0, 1, 5]);
        let (clean, output) = ([-0.9, 0.8, 0.02, 0.5, -0.1], [0.3, -0.2, 0.9, -0.5, 0.1]);
        for (codec, kind) in
            [real(), bytes()].into_iter().flat_map(|c| [(c.clone(), blend as fn(Batch) -> _), (c, StepVariance::Around)])
        {
            let bound = Bound::new(&process, &at, 6, &codec);
            let leaves = [clean, output].map(|v| numbers(&v).autodiff().require_grad());
            let rows = bound.rows(&numbers(&x0).autodiff(), leaves[0].clone(), &kind(leaves[1].clone()));
            let gradients = rows.sum().backward();
            for (which, leaf) in leaves.iter().enumerate() {
                let found = rows_f64(leaf.grad(&gradients).unwrap());
                for i in 0..x0.len() {
                    let value = |h: f64| {
                        let mut v = [clean, output];
                        v[which][i] += h;
                        rows_f64(bound.rows(&numbers(&x0), numbers(&v[0]), &kind(numbers(&v[1]))))[i]
                    };
                    let slope = (value(1e-5) - value(-1e-5)) / 2e-5;
                    assert!((found[i] - slope).abs() < 1e-5 * (1.0 + slope.abs()), "{which} {i}: {} {slope}", found[i]);
                }
            }
        }
    }
}
