//! The sub-variance-preserving process: the drift of VP with a variance that is never larger.

use super::{ProcessError, VpLinear};
use crate::{Process, Span};
use scorefield_tensor::Dual;

/// `alpha` as [`VpLinear`], `sigma = 1 - alpha^2`, hence `g^2 = beta (1 - alpha^4)` (Song et al. 2021, eq. 29, 34).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubVp(VpLinear);

impl SubVp {
    /// A process with the given rates; 0.1 and 20 are usual.
    ///
    /// # Errors
    /// Unless `0 < beta_min < beta_max`.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self, ProcessError> {
        Ok(Self(VpLinear::new(beta_min, beta_max).map_err(|e| ProcessError { process: "sub-vp", ..e })?))
    }
}

impl Process for SubVp {
    fn alpha(&self, t: Dual) -> Dual {
        self.0.alpha(t)
    }

    fn sigma(&self, t: Dual) -> Dual {
        -(self.0.ln_alpha(t) * 2.0).exp_m1()
    }

    fn span(&self) -> Span {
        // sigma ~ beta_min t falls faster than VP's: a later start keeps the noise level within single precision.
        Span { start: 1e-3, end: 1.0 }
    }
}
