//! Coefficients in a derivative graph: what a schedule that is itself trained is written in.
//!
//! The formulas of `Marginal`, `Prediction` and the reverse steps are generic over their [`Coefficient`]; over [`Tracked`] columns the
//! same lines give a loss whose gradient by every coefficient comes out of the tensors' own differentiation.

use crate::{Batch, Coefficient};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// One number a row, `[n, 1]`, which may be part of a derivative graph. Its element type is that of the batches it meets.
#[derive(Clone, Debug)]
pub struct Tracked(pub Batch);

impl Coefficient for Tracked {
    fn scale(&self, x: Batch) -> Batch {
        x * self.0.clone()
    }

    fn shift(&self, x: Batch) -> Batch {
        x + self.0.clone()
    }

    fn constant(&self, c: f64) -> Self {
        Self(self.0.zeros_like() + c)
    }

    fn sqrt(&self) -> Self {
        Self(self.0.clone().sqrt())
    }

    fn ln(&self) -> Self {
        Self(self.0.clone().log())
    }

    fn exp_m1(&self) -> Self {
        Self(self.0.clone().exp() - 1.0)
    }

    fn recip(&self) -> Self {
        Self(self.0.clone().recip())
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $by_number:ident),*) => {$(
        impl $trait for Tracked {
            type Output = Self;
            fn $method(self, o: Self) -> Self {
                Self(self.0.$method(o.0))
            }
        }
        impl $trait<f64> for Tracked {
            type Output = Self;
            fn $method(self, o: f64) -> Self {
                Self(self.0.$by_number(o))
            }
        }
    )*};
}
operators!(Add add add_scalar, Sub sub sub_scalar, Mul mul mul_scalar, Div div div_scalar);

impl Neg for Tracked {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0 * -1.0)
    }
}
