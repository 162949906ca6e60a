//! Variance exploding with geometric levels: the continuous limit of NCSN.

use super::{ProcessError, increasing};
use crate::{Process, Span};
use scorefield_tensor::Dual;

/// `alpha = 1`, `sigma = sigma_min (sigma_max / sigma_min)^t` on `t` in [0, 1] (Song et al. 2021, eq. 30-31).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ve {
    sigma_min: f64,
    sigma_max: f64,
}

impl Ve {
    /// A process between the given levels. `sigma_max` should be about the largest distance between two data
    /// (Song and Ermon 2020, technique 1).
    ///
    /// # Errors
    /// Unless `0 < sigma_min < sigma_max`.
    pub fn new(sigma_min: f64, sigma_max: f64) -> Result<Self, ProcessError> {
        let (sigma_min, sigma_max) = increasing("ve", ["sigma_min", "sigma_max"], sigma_min, sigma_max)?;
        Ok(Self { sigma_min, sigma_max })
    }
}

impl Process for Ve {
    fn alpha(&self, _: Dual) -> Dual {
        Dual::constant(1.0)
    }

    fn sigma(&self, t: Dual) -> Dual {
        self.sigma_min * (t * (self.sigma_max / self.sigma_min).ln()).exp()
    }

    fn span(&self) -> Span {
        Span { start: 0.0, end: 1.0 }
    }
}
