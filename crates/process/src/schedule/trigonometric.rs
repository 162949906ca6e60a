//! The trigonometric process: a quarter of a circle from data to noise.

use crate::{Process, Span};
use scorefield_tensor::Dual;
use std::f64::consts::FRAC_PI_2;

/// `alpha = cos(pi t / 2)`, `sigma = sin(pi t / 2)` on `t` in (0, 1): variance preserving, with `sigma / alpha = tan(pi t / 2)`
/// (Salimans and Ho 2022; the angle of Song et al. 2023 is `pi t / 2`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trigonometric;

impl Process for Trigonometric {
    fn alpha(&self, t: Dual) -> Dual {
        (t * FRAC_PI_2).cos()
    }

    fn sigma(&self, t: Dual) -> Dual {
        (t * FRAC_PI_2).sin()
    }

    fn span(&self) -> Span {
        // At t = 1 the signal is gone and f = alpha'/alpha is singular; at t = 0 the noise is.
        Span { start: 1e-3, end: 0.999 }
    }
}
