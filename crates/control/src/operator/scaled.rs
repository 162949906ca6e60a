//! A measurement in other units.

use super::error::within;
use super::{Operator, OperatorError, Singular};

/// `y = g A(x)`; its singular values are `|g| s`, and the sign of `g` goes to the left basis.
#[derive(Debug)]
pub struct Scaled {
    operator: Box<dyn Operator>,
    gain: f64,
    values: Vec<f64>,
}

impl Scaled {
    /// `gain` times `operator`.
    ///
    /// # Errors
    /// When the gain is zero or not finite.
    pub fn new(gain: f64, operator: Box<dyn Operator>) -> Result<Self, OperatorError> {
        within("the gain", gain, "finite and not zero", gain.is_finite() && gain != 0.0)?;
        let values = operator.singular().map_or(Vec::new(), |a| a.values().iter().map(|s| gain.abs() * s).collect());
        Ok(Self { operator, gain, values })
    }

    fn decomposed(&self) -> &dyn Singular {
        self.operator.singular().expect("`singular` hands this out only where the operator has values")
    }
}

impl Operator for Scaled {
    fn name(&self) -> &'static str {
        "scaled"
    }

    fn inputs(&self) -> usize {
        self.operator.inputs()
    }

    fn outputs(&self) -> usize {
        self.operator.outputs()
    }

    fn is_linear(&self) -> bool {
        self.operator.is_linear()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        self.operator.apply(x, y);
        y.iter_mut().for_each(|y| *y *= self.gain);
    }

    #[track_caller]
    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        self.operator.pullback(x, v, out);
        out.iter_mut().for_each(|o| *o *= self.gain);
    }

    fn singular(&self) -> Option<&dyn Singular> {
        self.operator.singular().map(|_| self as &dyn Singular)
    }
}

impl Singular for Scaled {
    fn values(&self) -> &[f64] {
        &self.values
    }

    fn to_right(&self, x: &[f64], out: &mut [f64]) {
        self.decomposed().to_right(x, out);
    }

    fn from_right(&self, c: &[f64], out: &mut [f64]) {
        self.decomposed().from_right(c, out);
    }

    fn to_left(&self, y: &[f64], out: &mut [f64]) {
        self.decomposed().to_left(y, out);
        out.iter_mut().for_each(|o| *o *= self.gain.signum());
    }

    fn from_left(&self, c: &[f64], out: &mut [f64]) {
        self.decomposed().from_left(c, out);
        out.iter_mut().for_each(|o| *o *= self.gain.signum());
    }
}
