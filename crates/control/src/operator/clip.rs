//! A sensor that saturates: pictures of high dynamic range seen by an ordinary camera.

use super::error::within;
use super::{Operator, OperatorError, assert_rows};

/// `y = clip(g x, low, high)`, entry by entry; the slope is `g` strictly inside and zero where the sensor is saturated.
#[derive(Clone, Debug)]
pub struct Clip {
    entries: usize,
    gain: f64,
    low: f64,
    high: f64,
}

impl Clip {
    /// Of rows of `entries` numbers.
    ///
    /// # Errors
    /// When the gain is zero or not finite, or `low < high` does not hold.
    pub fn new(entries: usize, gain: f64, low: f64, high: f64) -> Result<Self, OperatorError> {
        within("the gain", gain, "finite and not zero", gain.is_finite() && gain != 0.0)?;
        within("the lower limit", low, "a number", !low.is_nan())?;
        within("the upper limit", high, "above the lower one", high > low)?;
        Ok(Self { entries, gain, low, high })
    }
}

impl Operator for Clip {
    fn name(&self) -> &'static str {
        "clip"
    }

    fn inputs(&self) -> usize {
        self.entries
    }

    fn outputs(&self) -> usize {
        self.entries
    }

    fn is_linear(&self) -> bool {
        false
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        y.iter_mut().zip(x).for_each(|(y, x)| *y = (self.gain * x).clamp(self.low, self.high));
    }

    #[track_caller]
    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, x, v);
        assert_rows(self, out, v);
        for ((o, v), x) in out.iter_mut().zip(v).zip(x) {
            let y = self.gain * x;
            *o = if y > self.low && y < self.high { self.gain * v } else { 0.0 };
        }
    }
}
