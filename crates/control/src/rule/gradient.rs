//! Rules by one gradient: `D_y = D + sigma^2 / alpha J^T A^T C^-1 (y - A(D))`, `J = dD/dx`, with some `C` for the covariance of `y` given
//! `x_t`.

use super::{Jacobian, Rule, linear_only, positive};
use crate::measurement::{Measurement, like, rows_of};
use scorefield_process::{Differentiable, ProcessExt};
use scorefield_tensor::Batch;

/// `D + sigma^2 / alpha J^T A^T w(y - A(D))` by one product.
pub(super) fn guided(
    jacobian: Jacobian,
    d: &dyn Differentiable,
    measured: &Measurement,
    (x, t): (&Batch, f64),
    mut weigh: impl FnMut(Vec<f64>) -> Vec<f64>,
) -> Batch {
    let at = d.process().at(t);
    let (clean, pulled) = jacobian.first(d, x, t, &mut |clean| {
        let rows = rows_of(clean);
        let residual = measured.residual(&rows);
        like(measured.pull(&rows, &weigh(residual)), clean)
    });
    clean + pulled * (at.sigma.powi(2) / at.alpha)
}

/// Pseudo-inverse guidance: `C = sigma_y^2 + r^2 A A^T` with `r^2 = c sigma^2 / (c alpha^2 + sigma^2)`, the variance of `x_0` given `x_t` for
/// data of variance `c` (Song et al. 2023, eq. 7 and appendix A). Linear measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct PiGdm {
    /// The variance `c` of data.
    pub variance: f64,
    /// How the gradient is taken.
    pub jacobian: Jacobian,
}

impl Rule for PiGdm {
    fn name(&self) -> &'static str {
        "pigdm"
    }

    fn refuses(&self, measured: &Measurement) -> Option<&'static str> {
        linear_only(measured).or_else(|| positive(self.variance))
    }

    fn denoise(&self, d: &dyn Differentiable, measured: &Measurement, x: &Batch, t: f64) -> Batch {
        let spread = spread(self.variance, d, t);
        let floor = (measured.sigma().powi(2) / spread).max(LEAST);
        guided(self.jacobian, d, measured, (x, t), |residual| {
            // (sigma_y^2 + r^2 A A^T)^-1 = (sigma_y^2 / r^2 + A A^T)^-1 / r^2.
            measured.solve(floor, &residual).into_iter().map(|v| v / spread).collect()
        })
    }
}

/// The variance of `x_0` given `x_t` for normal data of variance `c`.
pub(super) fn spread(c: f64, d: &dyn Differentiable, t: f64) -> f64 {
    let at = d.process().at(t);
    c * at.sigma.powi(2) / (c * at.alpha.powi(2) + at.sigma.powi(2))
}

/// What stands for the noise of an exact measurement, so that directions that are hardly measured do not explode: for operators and data of
/// order one.
pub(super) const LEAST: f64 = 1e-10;

/// The least row sum that counts, as a share of the largest of its row of the batch.
const SHARE: f64 = 1e-2;

/// Tweedie moment projection: the diagonal of `sigma_y^2 + sigma^2 / alpha A J A^T` is replaced by its row sums, `sigma_y^2 + sigma^2 / alpha A J
/// A^T 1` (Boys et al. 2023, eq. 12 and 14). Two products with `J` a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Tmpd {
    /// How products are made.
    pub jacobian: Jacobian,
}

impl Default for Tmpd {
    fn default() -> Self {
        Self { jacobian: Jacobian::Difference }
    }
}

impl Rule for Tmpd {
    fn name(&self) -> &'static str {
        "tmpd"
    }

    fn refuses(&self, measured: &Measurement) -> Option<&'static str> {
        linear_only(measured)
    }

    fn denoise(&self, d: &dyn Differentiable, measured: &Measurement, x: &Batch, t: f64) -> Batch {
        let at = d.process().at(t);
        let (scale, m) = (at.sigma.powi(2) / at.alpha, measured.operator().outputs());
        let ones = vec![1.0; x.dims()[0] * m];
        let mut rows = Vec::new();
        let (clean, through) = self.jacobian.first(d, x, t, &mut |clean| {
            rows = rows_of(clean);
            like(measured.pull(&rows, &ones), clean)
        });
        // J is symmetric, so that J A^T 1 is the product with A^T 1 from either side.
        let sums = measured.apply(&rows_of(&through));
        let floor = measured.sigma().powi(2).max(LEAST);
        let mut residual = measured.residual(&rows);
        for (residual, sums) in residual.chunks_exact_mut(m).zip(sums.chunks_exact(m)) {
            // A variance is not negative; row sums of negative correlations may be, and of a learned Jacobian anything.
            let least = SHARE * sums.iter().fold(0.0_f64, |a, s| a.max(s.abs()));
            residual.iter_mut().zip(sums).for_each(|(r, s)| *r /= floor + scale * s.max(least));
        }
        let v = like(measured.pull(&rows, &residual), &clean);
        let pulled = self.jacobian.next(d, x, t, &clean, v);
        clean + pulled * scale
    }
}
