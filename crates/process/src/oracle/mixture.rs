//! Gaussian mixtures: multimodal data whose score is still exact.

use super::blocks::{self, Piece};
use crate::{Denoiser, Differentiable, Process, ProcessExt};
use scorefield_tensor::{Batch, DType, Tensor, TensorData, rows, rows_f64};

/// One component: its weight, mean `[d]` and Cholesky-free covariance given by orthonormal axes and variances.
#[derive(Clone, Debug)]
struct Component {
    ln_weight: f64,
    mean: Vec<f64>,
    /// Rows are the eigenvectors of the covariance.
    axes: Vec<Vec<f64>>,
    variances: Vec<f64>,
}

/// `x_0 ~ sum_k w_k N(mu_k, C_k)` under a process.
///
/// With `M_k = alpha^2 C_k + sigma^2 I` and responsibilities `r_k ~ w_k N(x; alpha mu_k, M_k)`,
/// `E[x_0 | x] = sum_k r_k (mu_k + alpha C_k M_k^-1 (x - alpha mu_k))`. Covariances are kept by their eigenvectors, so one
/// decomposition serves every time.
#[derive(Debug)]
pub struct Mixture<P> {
    process: P,
    components: Vec<Component>,
}

impl<P: Process> Mixture<P> {
    /// A mixture of isotropic components: weights (normalised here), means, standard deviations.
    ///
    /// # Panics
    /// When there is no component, lengths differ, or a number is out of range.
    #[track_caller]
    pub fn isotropic(process: P, weights: &[f64], means: &[Vec<f64>], deviations: &[f64]) -> Self {
        let covariances: Vec<_> = means
            .iter()
            .zip(deviations)
            .map(|(m, s)| (0..m.len()).map(|i| (0..m.len()).map(|j| if i == j { s * s } else { 0.0 }).collect()).collect())
            .collect();
        Self::new(process, weights, means, &covariances)
    }

    /// A mixture with full covariances (`covariances[k][i][j]`, symmetric and positive definite).
    ///
    /// # Panics
    /// When there is no component, lengths differ, a weight is not positive or a covariance not positive definite.
    #[track_caller]
    pub fn new(process: P, weights: &[f64], means: &[Vec<f64>], covariances: &[Vec<Vec<f64>>]) -> Self {
        assert!(!weights.is_empty(), "a mixture needs a component");
        assert!(weights.len() == means.len() && means.len() == covariances.len(), "one mean and covariance a weight");
        let total: f64 = weights.iter().sum();
        let components = weights
            .iter()
            .zip(means)
            .zip(covariances)
            .map(|((w, mean), covariance)| {
                assert!(*w > 0.0, "weights must be positive, one is {w}");
                assert!(covariance.len() == mean.len() && mean.len() == means[0].len(), "dimensions differ");
                let (variances, axes) = eigen(covariance);
                assert!(variances.iter().all(|&v| v > 0.0), "a covariance is not positive definite: {variances:?}");
                Component { ln_weight: (w / total).ln(), mean: mean.clone(), axes, variances }
            })
            .collect();
        Self { process, components }
    }

    /// The components as they stand at one time.
    fn pieces(&self, t: f64) -> Vec<Piece> {
        let m = self.process.at(t);
        let piece = |c: &Component| {
            let d = c.mean.len();
            let total = |v: &f64| m.alpha * m.alpha * v + m.sigma * m.sigma;
            let along = |f: &dyn Fn(&f64) -> f64| {
                let entry = |i: usize, j: usize| c.axes.iter().zip(&c.variances).map(|(a, v)| a[i] * f(v) * a[j]).sum();
                (0..d * d).map(|at| entry(at / d, at % d)).collect()
            };
            Piece {
                ln_scale: c.ln_weight - c.variances.iter().map(|v| 0.5 * (std::f64::consts::TAU * total(v)).ln()).sum::<f64>(),
                mean: c.mean.clone(),
                centre: c.mean.iter().map(|v| m.alpha * v).collect(),
                precision: along(&|v| total(v).recip()),
                gain: along(&|v| m.alpha * v / total(v)),
            }
        };
        self.components.iter().map(piece).collect()
    }

    /// For each component: `ln (w_k N(x; alpha mu_k, M_k))` and the coordinates of `x - alpha mu_k` along its axes.
    fn parts(&self, x: &[f64], alpha: f64, sigma: f64) -> Vec<(f64, Vec<f64>)> {
        self.components
            .iter()
            .map(|c| {
                let mut ln = c.ln_weight;
                let along = c
                    .axes
                    .iter()
                    .zip(&c.variances)
                    .map(|(axis, v)| {
                        let u: f64 = axis.iter().zip(x).zip(&c.mean).map(|((a, x), m)| a * (x - alpha * m)).sum();
                        let variance = alpha * alpha * v + sigma * sigma;
                        ln -= 0.5 * (u * u / variance + (std::f64::consts::TAU * variance).ln());
                        u
                    })
                    .collect();
                (ln, along)
            })
            .collect()
    }

    /// Mean and covariance of `x_t`: `alpha m` and `alpha^2 C + sigma^2 I`, with those of the data
    /// `m = sum_k w_k mu_k`, `C = sum_k w_k (C_k + (mu_k - m) (mu_k - m)^T)`.
    pub fn moments(&self, t: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let at = self.process.at(t);
        let d = self.components[0].mean.len();
        let mut mean = vec![0.0; d];
        for c in &self.components {
            mean.iter_mut().zip(&c.mean).for_each(|(m, v)| *m += c.ln_weight.exp() * v);
        }
        let mut covariance = vec![vec![0.0; d]; d];
        for c in &self.components {
            for (i, row) in covariance.iter_mut().enumerate() {
                for (j, entry) in row.iter_mut().enumerate() {
                    let within: f64 = c.axes.iter().zip(&c.variances).map(|(axis, v)| axis[i] * v * axis[j]).sum();
                    *entry += c.ln_weight.exp() * (within + (c.mean[i] - mean[i]) * (c.mean[j] - mean[j]));
                }
            }
        }
        for (i, row) in covariance.iter_mut().enumerate() {
            row.iter_mut().for_each(|v| *v *= at.alpha * at.alpha);
            row[i] += at.sigma * at.sigma;
        }
        (mean.iter().map(|m| at.alpha * m).collect(), covariance)
    }

    /// An exact sample of `alpha x_0 + sigma eps` from a uniform number, which chooses the component, and `d` standard normals; the
    /// data themselves at (1, 0).
    pub fn draw(&self, u: f64, z: &[f64], (alpha, sigma): (f64, f64)) -> Vec<f64> {
        let mut left = u;
        let chosen = self.components.iter().find(|c| {
            left -= c.ln_weight.exp();
            left < 0.0
        });
        let c = chosen.unwrap_or(&self.components[self.components.len() - 1]);
        let mut x: Vec<f64> = c.mean.iter().map(|m| alpha * m).collect();
        for ((axis, v), z) in c.axes.iter().zip(&c.variances).zip(z) {
            let along = (alpha * alpha * v + sigma * sigma).sqrt() * z;
            x.iter_mut().zip(axis).for_each(|(x, a)| *x += along * a);
        }
        x
    }

    /// `ln p_t(x)` of one state, in nats.
    pub fn ln_density(&self, x: &[f64], t: f64) -> f64 {
        let m = self.process.at(t);
        ln_sum_exp(self.parts(x, m.alpha, m.sigma).iter().map(|p| p.0))
    }

    /// `E[x_0 | x_t = x]` of one state.
    pub fn posterior_mean(&self, x: &[f64], t: f64) -> Vec<f64> {
        let m = self.process.at(t);
        let (alpha, sigma) = (m.alpha, m.sigma);
        let parts = self.parts(x, alpha, sigma);
        let total = ln_sum_exp(parts.iter().map(|p| p.0));
        let mut out = vec![0.0; x.len()];
        for (c, (ln, along)) in self.components.iter().zip(&parts) {
            let r = (ln - total).exp();
            out.iter_mut().zip(&c.mean).for_each(|(o, mean)| *o += r * mean);
            for ((axis, v), u) in c.axes.iter().zip(&c.variances).zip(along) {
                let gain = r * alpha * v / (alpha * alpha * v + sigma * sigma) * u;
                out.iter_mut().zip(axis).for_each(|(o, a)| *o += gain * a);
            }
        }
        out
    }

    /// The Jacobian of [`Mixture::posterior_mean`] times `v`: `J = alpha / sigma^2 Cov[x_0 | x]`, which is symmetric.
    ///
    /// The covariance is that within the components, `alpha / sigma^2 Cov_k = alpha C_k M_k^-1`, and that of their means `m_k` about
    /// the common one: `J v = sum_k r_k (alpha C_k M_k^-1 v + alpha / sigma^2 m_k <m_k - m, v>)`.
    pub fn jacobian_times(&self, x: &[f64], t: f64, v: &[f64]) -> Vec<f64> {
        let m = self.process.at(t);
        let (alpha, sigma) = (m.alpha, m.sigma);
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let parts = self.parts(x, alpha, sigma);
        let total = ln_sum_exp(parts.iter().map(|p| p.0));
        let mean = self.posterior_mean(x, t);
        let mut out = vec![0.0; x.len()];
        for (c, (ln, along)) in self.components.iter().zip(&parts) {
            let r = (ln - total).exp();
            // m_k - m, with m_k the posterior mean within the component.
            let mut offset: Vec<f64> = c.mean.iter().zip(&mean).map(|(mk, m)| mk - m).collect();
            for ((axis, variance), u) in c.axes.iter().zip(&c.variances).zip(along) {
                let gain = alpha * variance / (alpha * alpha * variance + sigma * sigma);
                offset.iter_mut().zip(axis).for_each(|(o, a)| *o += gain * u * a);
                let within = r * gain * dot(axis, v);
                out.iter_mut().zip(axis).for_each(|(o, a)| *o += within * a);
            }
            // sum_k r_k m (m_k - m) = 0: the offset stands for m_k on both sides.
            let between = r * alpha / (sigma * sigma) * dot(&offset, v);
            out.iter_mut().zip(&offset).for_each(|(o, m)| *o += between * m);
        }
        out
    }
}

impl<P: Process> Differentiable for Mixture<P> {
    #[track_caller]
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        self.pullback_each(x, &vec![t; x.dims()[0]], cotangent)
    }

    #[track_caller]
    fn pullback_each(&self, x: &Batch, times: &[f64], cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let d = x.dims()[1];
        let clean = self.denoise_each(x, times);
        let v = rows_f64(cotangent(&clean));
        let back = by_row(x, times, |i, x, t| self.jacobian_times(x, t, &v[i * d..][..d]));
        (clean, back)
    }
}

/// A function of rows and times on the host, as a batch like `x`.
#[track_caller]
fn by_row(x: &Batch, times: &[f64], f: impl Fn(usize, &[f64], f64) -> Vec<f64>) -> Batch {
    let [n, d] = x.dims();
    assert_eq!(times.len(), n, "{} times for {n} rows", times.len());
    let host = rows_f64(x.clone());
    let out: Vec<f64> = host.chunks(d).zip(times).enumerate().flat_map(|(i, (row, &t))| f(i, row, t)).collect();
    Tensor::from_data(TensorData::new(out, [n, d]), (&x.device(), x.dtype()))
}

impl<P: Process> Denoiser for Mixture<P> {
    fn process(&self) -> &dyn Process {
        &self.process
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let [n, d] = x.dims();
        assert_eq!(d, self.components[0].mean.len(), "a state of {d} entries meets another law");
        let (pieces, options) = (self.pieces(t), (&x.device(), x.dtype()));
        if x.dtype() == DType::F32 {
            let out = blocks::means(&pieces, &rows(x.clone()), d);
            return Tensor::from_data(TensorData::new(out, [n, d]), options);
        }
        let out = blocks::means(&pieces, &rows_f64(x.clone()), d);
        Tensor::from_data(TensorData::new(out, [n, d]), options)
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        let d = x.dims()[1];
        assert_eq!(d, self.components[0].mean.len(), "a state of {d} entries meets another law");
        by_row(x, times, |_, row, t| self.posterior_mean(row, t))
    }
}

fn ln_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    top + terms.map(|v| (v - top).exp()).sum::<f64>().ln()
}

/// Eigenvalues and eigenvectors (as rows) of a symmetric matrix by Jacobi rotations: exact enough and short for the few
/// dimensions of an oracle.
fn eigen(matrix: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let d = matrix.len();
    let mut a = matrix.to_vec();
    let mut axes: Vec<Vec<f64>> = (0..d).map(|i| (0..d).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..100 {
        let off: f64 = (0..d).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
        if off < 1e-300 {
            break;
        }
        for p in 0..d {
            for q in p + 1..d {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let t = if theta == 0.0 { 1.0 } else { t };
                let (c, s) = ((t * t + 1.0).sqrt().recip(), t * (t * t + 1.0).sqrt().recip());
                for row in &mut a {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                rotate_rows(&mut a, p, q, c, s);
                rotate_rows(&mut axes, p, q, c, s);
            }
        }
    }
    ((0..d).map(|i| a[i][i]).collect(), axes)
}

/// Rows `p < q` turned into each other: `(p, q) <- (c p - s q, s p + c q)`.
fn rotate_rows(matrix: &mut [Vec<f64>], p: usize, q: usize, c: f64, s: f64) {
    let (upper, lower) = matrix.split_at_mut(q);
    for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}
