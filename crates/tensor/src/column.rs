//! One number for the whole batch, or one number a row: the kinds of coefficient.
//!
//! A formula such as `x_t = alpha x_0 + sigma eps` is written once over a [`Coefficient`]: sampling uses a plain `f64`
//! (all rows share the time), training a [`Column`] (each row has its own), and training the schedule itself a
//! [`Tracked`](crate::Tracked) column. Columns live on the host in `f64`; they meet the
//! tensors only in [`Coefficient::scale`], so coefficients are exact whatever the element type of the states.

use crate::Batch;
use burn::tensor::{Tensor, TensorData};
use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Numbers that formulas are written in: `f64`, a [`Column`] with one number for each row, or a [`Tracked`](crate::Tracked) column
/// that derivatives are taken by.
pub trait Coefficient:
    Clone
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
{
    /// Row `i` of `x` times number `i` (or the one number): `[n, d]`.
    ///
    /// # Panics
    /// When a column's length is not the number of rows of `x`.
    fn scale(&self, x: Batch) -> Batch;

    /// Adds number `i` to each entry of row `i`.
    fn shift(&self, x: Batch) -> Batch;

    /// The constant `c` in the shape of `self`.
    fn constant(&self, c: f64) -> Self;

    /// Square root of every number.
    fn sqrt(&self) -> Self;

    /// Natural logarithm of every number.
    fn ln(&self) -> Self;

    /// `e^v - 1` of every number, without cancellation where numbers are known.
    fn exp_m1(&self) -> Self;

    /// Square of every number.
    fn square(&self) -> Self {
        self.clone() * self.clone()
    }

    /// Reciprocal of every number.
    fn recip(&self) -> Self;
}

/// Coefficients whose numbers are known on the host: any function can be applied to them.
pub trait Known: Coefficient {
    /// Applies a function to every number.
    fn map(&self, f: impl Fn(f64) -> f64) -> Self;

    /// The numbers for a batch of `n` rows.
    fn rows(&self, n: usize) -> Vec<f64>;
}

macro_rules! smooth_by_map {
    () => {
        fn constant(&self, c: f64) -> Self {
            self.map(|_| c)
        }

        fn sqrt(&self) -> Self {
            self.map(f64::sqrt)
        }

        fn ln(&self) -> Self {
            self.map(f64::ln)
        }

        fn exp_m1(&self) -> Self {
            self.map(f64::exp_m1)
        }

        fn recip(&self) -> Self {
            self.map(f64::recip)
        }
    };
}

impl Coefficient for f64 {
    fn scale(&self, x: Batch) -> Batch {
        x.mul_scalar(*self)
    }

    fn shift(&self, x: Batch) -> Batch {
        x.add_scalar(*self)
    }

    smooth_by_map!();
}

impl Known for f64 {
    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        f(*self)
    }

    fn rows(&self, n: usize) -> Vec<f64> {
        vec![*self; n]
    }
}

/// One number a row, kept on the host in double precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Column(pub Vec<f64>);

impl Column {
    /// The `[n, 1]` tensor of the column, in the element type and on the device of `like`.
    #[track_caller]
    pub fn tensor(&self, like: &Batch) -> Batch {
        let n = like.dims()[0];
        assert_eq!(self.0.len(), n, "a column of {} numbers meets a batch of {n} rows", self.0.len());
        Tensor::from_data(TensorData::new(self.0.clone(), [n, 1]), (&like.device(), like.dtype()))
    }

    fn zip(self, o: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.0.len(), o.0.len(), "columns of {} and {} numbers", self.0.len(), o.0.len());
        Self(self.0.into_iter().zip(o.0).map(|(a, b)| f(a, b)).collect())
    }
}

impl Coefficient for Column {
    fn scale(&self, x: Batch) -> Batch {
        let column = self.tensor(&x);
        x * column
    }

    fn shift(&self, x: Batch) -> Batch {
        let column = self.tensor(&x);
        x + column
    }

    smooth_by_map!();
}

impl Known for Column {
    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|&v| f(v)).collect())
    }

    fn rows(&self, n: usize) -> Vec<f64> {
        assert_eq!(self.0.len(), n, "a column of {} numbers asked for {n} rows", self.0.len());
        self.0.clone()
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Column {
            type Output = Self;
            fn $method(self, o: Self) -> Self {
                self.zip(o, f64::$method)
            }
        }
        impl $trait<f64> for Column {
            type Output = Self;
            fn $method(self, o: f64) -> Self {
                self.map(|v| f64::$method(v, o))
            }
        }
    )*};
}
operators!(Add add, Sub sub, Mul mul, Div div);

impl Neg for Column {
    type Output = Self;
    fn neg(self) -> Self {
        self.map(|v| -v)
    }
}
