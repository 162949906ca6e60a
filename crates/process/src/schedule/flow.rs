//! Rectified flow: the straight line from data to noise.

use crate::{Process, Span};
use scorefield_tensor::Dual;

/// `x_t = (1 - t) x_0 + t eps` (Liu et al. 2023; Lipman et al. 2023 with time running from data to noise).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RectifiedFlow;

impl Process for RectifiedFlow {
    fn alpha(&self, t: Dual) -> Dual {
        1.0 - t
    }

    fn sigma(&self, t: Dual) -> Dual {
        t
    }

    fn span(&self) -> Span {
        // At t = 1 the signal is gone and f = alpha'/alpha is singular; at t = 0 the noise is.
        Span { start: 1e-3, end: 0.999 }
    }
}
