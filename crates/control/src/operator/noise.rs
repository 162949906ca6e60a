//! What a measurement adds to `A(x)`.

use super::error::within;
use super::{OperatorError, Uniforms, normal};
use std::f64::consts::TAU;

/// The law of a measurement given what is measured, entry by entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MeasurementNoise {
    /// `A(x)` itself.
    None,
    /// `A(x) + sigma z`, `z` standard normal.
    Gaussian {
        /// The deviation.
        sigma: f64,
    },
    /// Counted photons: `dark + n / peak`, `n` Poisson of mean `peak (A(x) - dark)`; below `dark` nothing is counted.
    Poisson {
        /// Photons a unit.
        peak: f64,
        /// The value of no light: -1 for pictures between -1 and 1, 0 for integrals of what is not negative.
        dark: f64,
    },
    /// The nearest of `levels` equidistant values from `low` to `high`.
    Quantise {
        /// How many values.
        levels: u32,
        /// The first.
        low: f64,
        /// The last.
        high: f64,
    },
}

/// Counts of a larger mean are drawn as rounded normals, at most `0.5 / sqrt(1e8)` from the true distribution function.
const LARGE: f64 = 1e8;

impl MeasurementNoise {
    /// The same law, when its numbers make one.
    ///
    /// # Errors
    /// When `sigma` is negative, `peak` not positive, there are fewer than two levels, `low < high` does not hold, or one is not finite.
    pub fn checked(self) -> Result<Self, OperatorError> {
        match self {
            Self::None => {}
            Self::Gaussian { sigma } => within("sigma", sigma, "finite and not negative", sigma.is_finite() && sigma >= 0.0)?,
            Self::Poisson { peak, dark } => {
                within("the peak", peak, "positive and finite", peak.is_finite() && peak > 0.0)?;
                within("the value of no light", dark, "finite", dark.is_finite())?;
            }
            Self::Quantise { levels, low, high } => {
                within("the number of levels", f64::from(levels), "at least 2", levels >= 2)?;
                within("the lowest level", low, "finite", low.is_finite())?;
                within("the highest level", high, "finite and above the lowest", high.is_finite() && high > low)?;
            }
        }
        Ok(self)
    }

    /// A measurement of `y = A(x)`, drawn.
    pub fn draw(&self, y: &[f64], uniform: &mut Uniforms<'_>) -> Vec<f64> {
        let mut one = |y: f64| match *self {
            Self::None => y,
            Self::Gaussian { sigma } => y + sigma * normal(uniform),
            Self::Poisson { peak, dark } => dark + poisson(peak * (y - dark), uniform) / peak,
            Self::Quantise { levels, low, high } => {
                let step = spacing(levels, low, high);
                low + step * ((y - low) / step).round().clamp(0.0, f64::from(levels) - 1.0)
            }
        };
        y.iter().map(|y| one(*y)).collect()
    }

    /// The variance of a measurement where `A(x) = y`, for rules that take the noise for Gaussian: `sigma^2`, `(y - dark) / peak`
    /// but at least that of one photon, `step^2 / 12`.
    pub fn variance(&self, y: f64) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::Gaussian { sigma } => sigma * sigma,
            Self::Poisson { peak, dark } => (y - dark).max(1.0 / peak) / peak,
            Self::Quantise { levels, low, high } => spacing(levels, low, high).powi(2) / 12.0,
        }
    }
}

fn spacing(levels: u32, low: f64, high: f64) -> f64 {
    (high - low) / (f64::from(levels) - 1.0)
}

/// A Poisson number by inversion: from the mode outwards, probabilities are taken from one uniform number until it is used up, which
/// takes about `sqrt(mean)` steps.
fn poisson(mean: f64, uniform: &mut Uniforms<'_>) -> f64 {
    // Also where the mean is not a number.
    if mean.is_nan() || mean <= 0.0 {
        return 0.0;
    }
    if mean > LARGE {
        return (mean + mean.sqrt() * normal(uniform)).round();
    }
    let mode = mean.floor();
    let at_mode = (mode * mean.ln() - mean - ln_factorial(mode)).exp();
    let mut left = uniform() - at_mode;
    let (mut down, mut up) = (at_mode, at_mode);
    let (mut below, mut above) = (mode, mode);
    while left > 0.0 && down.max(up) > 1e-300 {
        // P(n - 1) = P(n) n / mean; it ends by itself, P(-1) = 0.
        down *= below / mean;
        below -= 1.0;
        left -= down;
        if left <= 0.0 {
            return below;
        }
        above += 1.0;
        up *= mean / above;
        left -= up;
        if left <= 0.0 {
            return above;
        }
    }
    mode
}

/// `ln n!`: by the product up to 20, then by Stirling's series, whose next term is below 1e-13.
fn ln_factorial(n: f64) -> f64 {
    if n <= 20.0 {
        return (2..=n as u32).map(|k| f64::from(k).ln()).sum();
    }
    let r = 1.0 / (n * n);
    (n + 0.5) * n.ln() - n + 0.5 * TAU.ln() + (1.0 / 12.0 - r * (1.0 / 360.0 - r / 1260.0)) / n
}
