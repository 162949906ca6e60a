//! A display's curve: brightness is a power of the signal.

use super::error::within;
use super::{Operator, OperatorError, assert_rows};

/// `y = low + r sign(u) |u|^g` with `u = (x - low) / r` and the range `r = high - low`, entry by entry: the two ends stay where
/// they are, and values below `low`, which noisy states have, are mirrored.
#[derive(Clone, Debug)]
pub struct Gamma {
    entries: usize,
    power: f64,
    low: f64,
    high: f64,
}

impl Gamma {
    /// Slopes are taken no nearer to `u = 0` than this: for powers below one they have no bound there.
    pub const NEAREST: f64 = 1e-6;

    /// Of rows of `entries` numbers; pictures lie between -1 and 1.
    ///
    /// # Errors
    /// When the power is not positive, or `low < high` does not hold, or one is not finite.
    pub fn new(entries: usize, power: f64, low: f64, high: f64) -> Result<Self, OperatorError> {
        within("the power", power, "positive and finite", power > 0.0 && power.is_finite())?;
        within("the lower end", low, "finite", low.is_finite())?;
        within("the upper end", high, "finite and above the lower one", high > low && high.is_finite())?;
        Ok(Self { entries, power, low, high })
    }
}

impl Operator for Gamma {
    fn name(&self) -> &'static str {
        "gamma"
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
        let range = self.high - self.low;
        for (y, x) in y.iter_mut().zip(x) {
            let u = (x - self.low) / range;
            *y = self.low + range * u.signum() * u.abs().powf(self.power);
        }
    }

    /// `dy / dx = g |u|^(g - 1)`.
    #[track_caller]
    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, x, v);
        assert_rows(self, out, v);
        for ((o, v), x) in out.iter_mut().zip(v).zip(x) {
            let u = ((x - self.low) / (self.high - self.low)).abs().max(Self::NEAREST);
            *o = v * self.power * u.powf(self.power - 1.0);
        }
    }
}
