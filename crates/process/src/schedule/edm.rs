//! The process of Karras et al.: time is the noise level.

use super::{ProcessError, increasing};
use crate::{Process, Span};
use scorefield_tensor::Dual;

/// `alpha = 1`, `sigma = t` between `sigma_min` and `sigma_max` (Karras et al. 2022, table 1: 0.002 and 80).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edm {
    sigma_min: f64,
    sigma_max: f64,
}

impl Edm {
    /// A process used between the given levels.
    ///
    /// # Errors
    /// Unless `0 < sigma_min < sigma_max`.
    pub fn new(sigma_min: f64, sigma_max: f64) -> Result<Self, ProcessError> {
        let (sigma_min, sigma_max) = increasing("edm", ["sigma_min", "sigma_max"], sigma_min, sigma_max)?;
        Ok(Self { sigma_min, sigma_max })
    }
}

impl Process for Edm {
    fn alpha(&self, _: Dual) -> Dual {
        Dual::constant(1.0)
    }

    fn sigma(&self, t: Dual) -> Dual {
        t
    }

    fn span(&self) -> Span {
        Span { start: self.sigma_min, end: self.sigma_max }
    }
}
