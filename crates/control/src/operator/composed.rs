//! One measurement of another's result.

use super::{Operator, OperatorError, assert_rows};

/// `y = A(B(x))`. The product's singular values are not those of its factors: solves run by conjugate gradients.
#[derive(Debug)]
pub struct Composed {
    outer: Box<dyn Operator>,
    inner: Box<dyn Operator>,
}

impl Composed {
    /// `outer` after `inner`.
    ///
    /// # Errors
    /// When `outer` does not take what `inner` gives.
    pub fn new(outer: Box<dyn Operator>, inner: Box<dyn Operator>) -> Result<Self, OperatorError> {
        let (found, expected) = (inner.outputs(), outer.inputs());
        if found != expected {
            let (first, second) = ("the result of the inner operator", "the state of the outer operator");
            return Err(OperatorError::Mismatch { first, found, second, expected });
        }
        Ok(Self { outer, inner })
    }
}

impl Operator for Composed {
    fn name(&self) -> &'static str {
        "composed"
    }

    fn inputs(&self) -> usize {
        self.inner.inputs()
    }

    fn outputs(&self) -> usize {
        self.outer.outputs()
    }

    fn is_linear(&self) -> bool {
        self.outer.is_linear() && self.inner.is_linear()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        let mut between = vec![0.0; self.inner.outputs()];
        self.inner.apply(x, &mut between);
        self.outer.apply(&between, y);
    }

    /// The chain rule: `J_B(x)^T J_A(B(x))^T v`.
    #[track_caller]
    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        let mut between = Vec::new();
        if !self.outer.is_linear() {
            between.resize(self.inner.outputs(), 0.0);
            // A linear composition may be asked without a state; this one is not linear.
            self.inner.apply(x, &mut between);
        }
        let mut pulled = vec![0.0; self.inner.outputs()];
        self.outer.pullback(&between, v, &mut pulled);
        self.inner.pullback(x, &pulled, out);
    }
}
