//! Gaussian data: the one law for which every solver, likelihood and posterior has a closed form.

use crate::{Denoiser, Differentiable, Process, ProcessExt};
use scorefield_tensor::{Batch, Tensor, TensorData};

/// `x_0 ~ N(mean, diag(variance))` under a process.
///
/// `E[x_0 | x_t] = mean + alpha v / (alpha^2 v + sigma^2) (x_t - alpha mean)`, entry by entry.
#[derive(Debug)]
pub struct Gaussian<P> {
    process: P,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl<P: Process> Gaussian<P> {
    /// The law with the given means and variances, one an entry.
    ///
    /// # Panics
    /// When the lengths differ or a variance is not positive.
    #[track_caller]
    pub fn new(process: P, mean: Vec<f64>, variance: Vec<f64>) -> Self {
        assert_eq!(mean.len(), variance.len(), "{} means with {} variances", mean.len(), variance.len());
        assert!(variance.iter().all(|&v| v > 0.0), "variances must be positive: {variance:?}");
        Self { process, mean, variance }
    }

    /// Mean and variance of entry `i` of `x_t`.
    pub fn marginal(&self, i: usize, t: f64) -> (f64, f64) {
        let m = self.process.at(t);
        (m.alpha * self.mean[i], m.alpha * m.alpha * self.variance[i] + m.sigma * m.sigma)
    }

    /// `ln p_t(x)` of one state, in nats.
    pub fn ln_density(&self, x: &[f64], t: f64) -> f64 {
        x.iter()
            .enumerate()
            .map(|(i, &x)| {
                let (mean, variance) = self.marginal(i, t);
                -0.5 * ((x - mean).powi(2) / variance + (std::f64::consts::TAU * variance).ln())
            })
            .sum()
    }

    /// `k x + (1 - k alpha) mean`, `k = alpha v / (alpha^2 v + sigma^2)`: at one time, or at one a row.
    fn affine(&self, x: &Batch, times: &[f64]) -> Batch {
        let (mut gains, mut offsets) = (Vec::new(), Vec::new());
        for m in times.iter().map(|t| self.process.at(*t)) {
            for (mean, v) in self.mean.iter().zip(&self.variance) {
                let k = m.alpha * v / (m.alpha * m.alpha * v + m.sigma * m.sigma);
                gains.push(k);
                offsets.push(mean - k * m.alpha * mean);
            }
        }
        let shape = [times.len(), self.mean.len()];
        let tensor = |values: Vec<f64>| Tensor::<2>::from_data(TensorData::new(values, shape), (&x.device(), x.dtype()));
        x.clone() * tensor(gains) + tensor(offsets)
    }

    /// Where the probability flow carries entry `i` of a state from `t` to `s`: standardised values are kept, so
    /// `x_s = m_s + sqrt(v_s / v_t) (x_t - m_t)`.
    pub fn flow(&self, i: usize, x: f64, t: f64, s: f64) -> f64 {
        let ((m_t, v_t), (m_s, v_s)) = (self.marginal(i, t), self.marginal(i, s));
        m_s + (v_s / v_t).sqrt() * (x - m_t)
    }
}

impl<P: Process> Gaussian<P> {
    /// `alpha v / (alpha^2 v + sigma^2)` for every entry: how far the posterior mean follows the state, the diagonal of its Jacobian.
    fn gains(&self, alpha: f64, sigma: f64) -> Vec<f64> {
        self.variance.iter().map(|v| alpha * v / (alpha * alpha * v + sigma * sigma)).collect()
    }
}

/// One row `[1, d]` in the element type and on the device of `like`.
fn row(values: Vec<f64>, like: &Batch) -> Batch {
    let d = values.len();
    Tensor::<2>::from_data(TensorData::new(values, [1, d]), (&like.device(), like.dtype()))
}

impl<P: Process> Denoiser for Gaussian<P> {
    fn process(&self) -> &dyn Process {
        &self.process
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let d = self.mean.len();
        assert_eq!(x.dims()[1], d, "a state of {} entries meets a law of {d}", x.dims()[1]);
        self.affine(x, &[t])
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        let n = x.dims()[0];
        assert_eq!(times.len(), n, "{} times for {n} rows", times.len());
        self.affine(x, times)
    }
}

impl<P: Process> Differentiable for Gaussian<P> {
    #[track_caller]
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let m = self.process.at(t);
        let clean = self.denoise(x, t);
        let v = cotangent(&clean);
        (clean, v * row(self.gains(m.alpha, m.sigma), x))
    }
}
