//! Everything is measured as it is: denoising.

use super::{Operator, Singular, assert_rows};

/// `y = x`.
#[derive(Clone, Debug)]
pub struct Identity {
    values: Vec<f64>,
}

impl Identity {
    /// Of rows of `entries` numbers.
    pub fn new(entries: usize) -> Self {
        Self { values: vec![1.0; entries] }
    }
}

impl Operator for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn inputs(&self) -> usize {
        self.values.len()
    }

    fn outputs(&self) -> usize {
        self.values.len()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        y.copy_from_slice(x);
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        out.copy_from_slice(v);
    }

    fn singular(&self) -> Option<&dyn Singular> {
        Some(self)
    }
}

impl Singular for Identity {
    fn values(&self) -> &[f64] {
        &self.values
    }

    fn to_right(&self, x: &[f64], out: &mut [f64]) {
        out.copy_from_slice(x);
    }

    fn from_right(&self, c: &[f64], out: &mut [f64]) {
        out.copy_from_slice(c);
    }

    fn to_left(&self, y: &[f64], out: &mut [f64]) {
        out.copy_from_slice(y);
    }

    fn from_left(&self, c: &[f64], out: &mut [f64]) {
        out.copy_from_slice(c);
    }
}
