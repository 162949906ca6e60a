//! Variance preserving with a linear rate: the continuous limit of DDPM's linear betas.

use super::{ProcessError, increasing};
use crate::{Process, Span};
use scorefield_tensor::Dual;

/// `beta(t) = beta_min + t (beta_max - beta_min)`, `alpha = exp(-1/2 int beta)`, `sigma^2 = 1 - alpha^2` on `t` in (0, 1]
/// (Song et al. 2021, eq. 32-33).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VpLinear {
    beta_min: f64,
    beta_max: f64,
}

impl VpLinear {
    /// A process with the given rates; 0.1 and 20 are DDPM's.
    ///
    /// # Errors
    /// Unless `0 < beta_min < beta_max`.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self, ProcessError> {
        let (beta_min, beta_max) = increasing("vp-linear", ["beta_min", "beta_max"], beta_min, beta_max)?;
        Ok(Self { beta_min, beta_max })
    }

    /// `ln alpha(t) = -t^2 (beta_max - beta_min) / 4 - t beta_min / 2`.
    pub(super) fn ln_alpha(&self, t: Dual) -> Dual {
        -(t * t * ((self.beta_max - self.beta_min) / 4.0)) - t * (self.beta_min / 2.0)
    }
}

impl Process for VpLinear {
    fn alpha(&self, t: Dual) -> Dual {
        self.ln_alpha(t).exp()
    }

    fn sigma(&self, t: Dual) -> Dual {
        // 1 - alpha^2 without cancellation: sigma ~ sqrt(beta_min t) next to the data.
        (-(self.ln_alpha(t) * 2.0).exp_m1()).sqrt()
    }

    fn span(&self) -> Span {
        Span { start: 1e-5, end: 1.0 }
    }
}
