//! Moment matching: the covariance that belongs to the denoiser, its inverse by conjugate gradients.
//!
//! Rozet et al. 2024: `V[x_0 | x_t] = sigma^2 / alpha J` (Tweedie's second formula), so that with `p(x_0 | x_t)` as a normal
//!
//! `D_y = D + V A^T (sigma_y^2 + A V A^T)^-1 (y - A D)`,
//!
//! which is exact for normal data and linear `A`. A product with `V` is one with the denoiser's Jacobian, one an iteration.

use super::gradient::LEAST;
use super::{Jacobian, Rule, linear_only};
use crate::measurement::{Measurement, like, rows_of};
use scorefield_process::{Differentiable, ProcessExt};
use scorefield_tensor::Batch;

/// Moment matching posterior sampling.
#[derive(Clone, Debug, PartialEq)]
pub struct Mmps {
    /// Iterations of conjugate gradients, each a product with the Jacobian; with as many as measurements the system is solved exactly.
    pub iterations: usize,
    /// A row stops when its residual is below this share of where it began.
    pub tolerance: f64,
    /// How products are made.
    pub jacobian: Jacobian,
}

impl Default for Mmps {
    /// The paper finds that a few iterations do; with learned denoisers, whose Jacobians are neither symmetric nor positive, many do harm
    /// (docs/inverse-problems.md).
    fn default() -> Self {
        Self { iterations: 2, tolerance: 1e-6, jacobian: Jacobian::Difference }
    }
}

impl Rule for Mmps {
    fn name(&self) -> &'static str {
        "mmps"
    }

    fn refuses(&self, measured: &Measurement) -> Option<&'static str> {
        let sound = self.iterations > 0 && self.tolerance >= 0.0 && self.tolerance.is_finite();
        linear_only(measured).or_else(|| (!sound).then_some("takes an iteration at least, and a tolerance from 0 on"))
    }

    /// Iteration `k` multiplies by `V` once; the first product comes with `D` itself, and `V A^T` of the solution is the sum of products made
    /// on the way.
    fn denoise(&self, d: &dyn Differentiable, measured: &Measurement, x: &Batch, t: f64) -> Batch {
        let at = d.process().at(t);
        let (scale, m, n) = (at.sigma.powi(2) / at.alpha, measured.operator().outputs(), x.dims()[0]);
        let noise = measured.sigma().powi(2).max(LEAST);
        let mut residual = Vec::new();
        let mut rows = Vec::new();
        // V A^T r, J being symmetric.
        let (clean, pulled) = self.jacobian.first(d, x, t, &mut |clean| {
            rows = rows_of(clean);
            residual = measured.residual(&rows);
            like(measured.pull(&rows, &residual), clean)
        });
        let mut back = rows_of(&(pulled * scale));
        let width = measured.operator().inputs();
        let mut moved = vec![0.0; n * width];
        let mut direction = residual.clone();
        let mut size: Vec<f64> = residual.chunks_exact(m).map(square).collect();
        let enough: Vec<f64> = size.iter().map(|s| s * self.tolerance.powi(2)).collect();
        for k in 0..self.iterations {
            let going: Vec<bool> = size.iter().zip(&enough).map(|(s, e)| s > e && *s > 0.0).collect();
            if !going.contains(&true) {
                break;
            }
            if k > 0 {
                let v = like(measured.pull(&rows, &direction), &clean);
                back = rows_of(&(self.jacobian.next(d, x, t, &clean, v) * scale));
            }
            let mut product = measured.apply(&back);
            product.iter_mut().zip(&direction).for_each(|(p, v)| *p += noise * v);
            for i in (0..n).filter(|i| going[*i]) {
                let range = i * m..(i + 1) * m;
                let curvature = dot(&direction[range.clone()], &product[range.clone()]);
                // A denoiser that was learned need not have a positive Jacobian: what has been found so far is kept.
                if curvature <= 0.0 {
                    size[i] = 0.0;
                    continue;
                }
                let length = size[i] / curvature;
                for k in i * width..(i + 1) * width {
                    moved[k] += length * back[k];
                }
                for k in range.clone() {
                    residual[k] -= length * product[k];
                }
                let before = std::mem::replace(&mut size[i], square(&residual[range.clone()]));
                for k in range {
                    direction[k] = residual[k] + size[i] / before * direction[k];
                }
            }
        }
        clean.clone() + like(moved, &clean)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn square(a: &[f64]) -> f64 {
    dot(a, a)
}
