//! Several measurements of one state, one after another.

use super::{Operator, OperatorError, assert_rows};

/// `y = [A_1(x); A_2(x); ...]`.
#[derive(Debug)]
pub struct Stacked {
    parts: Vec<Box<dyn Operator>>,
}

impl Stacked {
    /// Of measurements of the same state.
    ///
    /// # Errors
    /// When there is none, or they take states of different sizes.
    pub fn new(parts: Vec<Box<dyn Operator>>) -> Result<Self, OperatorError> {
        let Some(expected) = parts.first().map(|part| part.inputs()) else {
            return Err(OperatorError::Empty { what: "a stack of operators" });
        };
        match parts.iter().map(|part| part.inputs()).find(|found| *found != expected) {
            Some(found) => Err(OperatorError::Mismatch {
                first: "the state of an operator of the stack",
                found,
                second: "the state of its first",
                expected,
            }),
            None => Ok(Self { parts }),
        }
    }

    /// The operators, in order.
    pub fn parts(&self) -> &[Box<dyn Operator>] {
        &self.parts
    }
}

impl Operator for Stacked {
    fn name(&self) -> &'static str {
        "stacked"
    }

    fn inputs(&self) -> usize {
        self.parts[0].inputs()
    }

    fn outputs(&self) -> usize {
        self.parts.iter().map(|part| part.outputs()).sum()
    }

    fn is_linear(&self) -> bool {
        self.parts.iter().all(|part| part.is_linear())
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        let mut at = 0;
        for part in &self.parts {
            part.apply(x, &mut y[at..at + part.outputs()]);
            at += part.outputs();
        }
    }

    /// `sum_i J_i(x)^T v_i`.
    #[track_caller]
    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        let (mut at, mut pulled) = (0, vec![0.0; out.len()]);
        out.fill(0.0);
        for part in &self.parts {
            part.pullback(x, &v[at..at + part.outputs()], &mut pulled);
            out.iter_mut().zip(&pulled).for_each(|(o, p)| *o += p);
            at += part.outputs();
        }
    }
}
