//! A change of units.

use super::error::{finite, length, within};
use super::{Operator, OperatorError, assert_rows};

/// `y_i = shift_i + scale_i x_i`: states as natural numbers, so that what measures those can follow. With a shift it is not linear
/// in the sense of this module, though its Jacobian is the same everywhere.
#[derive(Clone, Debug)]
pub struct Affine {
    shift: Vec<f64>,
    scale: Vec<f64>,
}

impl Affine {
    /// With a shift and a scale an entry.
    ///
    /// # Errors
    /// When there are not as many of both, a scale is zero, or a number is not finite.
    pub fn new(shift: Vec<f64>, scale: Vec<f64>) -> Result<Self, OperatorError> {
        length("the scale", scale.len(), shift.len())?;
        finite("the shift", &shift)?;
        finite("the scale", &scale)?;
        within("a scale", 0.0, "other than zero", !scale.contains(&0.0))?;
        Ok(Self { shift, scale })
    }
}

impl Operator for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn inputs(&self) -> usize {
        self.shift.len()
    }

    fn outputs(&self) -> usize {
        self.shift.len()
    }

    fn is_linear(&self) -> bool {
        self.shift.iter().all(|v| *v == 0.0)
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        let units = self.shift.iter().zip(&self.scale);
        y.iter_mut().zip(x).zip(units).for_each(|((y, x), (shift, scale))| *y = shift + scale * x);
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        out.iter_mut().zip(v).zip(&self.scale).for_each(|((o, v), scale)| *o = scale * v);
    }
}
