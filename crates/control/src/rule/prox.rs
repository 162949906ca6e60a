//! Rules without a gradient: the denoiser's answer moved towards the measurement.

use super::gradient::{LEAST, spread};
use super::{Rule, linear_only, positive};
use crate::measurement::{Measurement, like, rows_of};
use scorefield_process::{Differentiable, ProcessExt};
use scorefield_tensor::Batch;

/// `argmin_x |y - A x|^2 / sigma_y^2 + |x - D|^2 / v`: `D + A^T (sigma_y^2 / v + A A^T)^-1 (y - A D)`, linear measurements.
#[derive(Clone, Debug, PartialEq)]
pub enum Prox {
    /// `v = r^2`, the variance of `x_0` given `x_t` for data of variance `c`: with `sigma_y = 0` the projection of DDNM, `D + A^+ (y - A D)`
    /// (Wang et al. 2023, eq. 10).
    Ddnm {
        /// The variance `c` of data.
        variance: f64,
    },
    /// `v = (sigma / alpha)^2 / lambda` (Zhu et al. 2023, eq. 12).
    DiffPir {
        /// The weight `lambda` of the model.
        lambda: f64,
    },
}

impl Rule for Prox {
    fn name(&self) -> &'static str {
        match self {
            Self::Ddnm { .. } => "ddnm",
            Self::DiffPir { .. } => "diffpir",
        }
    }

    fn refuses(&self, measured: &Measurement) -> Option<&'static str> {
        let (Self::Ddnm { variance: number } | Self::DiffPir { lambda: number }) = self;
        linear_only(measured).or_else(|| positive(*number))
    }

    fn denoise(&self, d: &dyn Differentiable, measured: &Measurement, x: &Batch, t: f64) -> Batch {
        let v = match self {
            Self::Ddnm { variance } => spread(*variance, d, t),
            Self::DiffPir { lambda } => d.process().at(t).ratio().powi(2) / lambda,
        };
        let clean = d.denoise(x, t);
        let rows = rows_of(&clean);
        let floor = (measured.sigma().powi(2) / v).max(LEAST);
        let weighed = measured.solve(floor, &measured.residual(&rows));
        clean.clone() + like(measured.pull(&rows, &weighed), &clean)
    }
}
