//! Variance preserving along a cosine: the schedule of improved DDPM in continuous time.

use super::ProcessError;
use crate::{Process, Span};
use scorefield_tensor::Dual;
use std::f64::consts::FRAC_PI_2;

/// `alpha = cos(pi/2 (t + s) / (1 + s)) / cos(pi/2 s / (1 + s))`, `sigma^2 = 1 - alpha^2` (Nichol and Dhariwal 2021, eq. 17).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VpCosine {
    offset: f64,
}

impl VpCosine {
    /// A process with offset `s`; 0.008 is usual.
    ///
    /// # Errors
    /// Unless `0 <= s < 1`.
    pub fn new(offset: f64) -> Result<Self, ProcessError> {
        if !(0.0..1.0).contains(&offset) {
            let expected = "a number from 0 up to, but not including, 1";
            return Err(ProcessError { process: "vp-cosine", parameter: "offset", found: offset, expected });
        }
        Ok(Self { offset })
    }

    fn angle(&self, t: Dual) -> Dual {
        (t + self.offset) * (FRAC_PI_2 / (1.0 + self.offset))
    }
}

impl Process for VpCosine {
    fn alpha(&self, t: Dual) -> Dual {
        self.angle(t).cos() / self.angle(Dual::constant(0.0)).cos()
    }

    fn sigma(&self, t: Dual) -> Dual {
        // cos^2 a - cos^2 b = sin(b - a) sin(b + a), without the cancellation of 1 - alpha^2.
        let (a, b) = (self.angle(Dual::constant(0.0)), self.angle(t));
        ((b - a).sin() * (b + a).sin()).sqrt() / a.cos()
    }

    fn span(&self) -> Span {
        // alpha vanishes at t = 1; at 0.9995 the signal is 8e-4 of the noise. Next to the data sigma is 3e-3.
        Span { start: 1e-4, end: 0.9995 }
    }
}
