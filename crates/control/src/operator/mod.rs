//! One trait for all measurements: `y = A(x)` and the transpose of its Jacobian.
//!
//! A linear operator is its matrix `[m, d]`, never written out: `apply` is `A x`, `adjoint` is `A^T y`, and they are transposes to
//! rounding, because both are made of the same numbers. Operators whose singular values are cheap say so by [`Operator::singular`];
//! rules that divide by them ([`solve_normal`], [`pseudo_inverse`], [`proximal`]) fall back to conjugate gradients for the others.
//!
//! | operator | `y` | singular values |
//! |---|---|---|
//! | [`Identity`], [`Mask`] | all entries, or some | 1 |
//! | [`Separable`] | `R X C^T`: averages, bicubic, Gaussian blur | products of those of `R` and `C` |
//! | [`Convolution`] | blur by any [`Kernel`] | moduli of its transform where edges wrap, else none |
//! | [`Grey`] | a weighted mean of channels | the length of the weights |
//! | [`Dense`] | any matrix, random projections | decomposed up to a short side of [`MAX_SVD`] |
//! | [`PartialFourier`] | some Fourier coefficients | 1 |
//! | [`Radon`], [`Sparse`] | line integrals, any sparse matrix | none |
//! | [`Clip`], [`Gamma`], [`PhaseRetrieval`] | saturation, a power, Fourier amplitudes | not linear |
//! | [`Scaled`] | `g A(x)` | those of `A` |
//! | [`Affine`] | `shift + scale x`: other units | not linear |
//! | [`Composed`], [`Stacked`] | `A(B(x))`, several of one state | none |

mod affine;
mod clip;
mod composed;
mod convolution;
mod dense;
mod error;
mod fourier;
mod gamma;
mod grey;
mod identity;
mod kernel;
mod mask;
mod matrix;
mod noise;
mod partial_fourier;
mod phase;
mod radon;
mod random;
mod ray;
mod resample;
mod scaled;
mod separable;
mod shape;
mod singular;
mod solve;
mod sparse;
mod stacked;
mod svd;

pub use affine::Affine;
pub use clip::Clip;
pub use composed::Composed;
pub use convolution::{Convolution, Edge};
pub use dense::Dense;
pub use error::OperatorError;
pub use gamma::Gamma;
pub use grey::Grey;
pub use identity::Identity;
pub use kernel::Kernel;
pub use mask::{Half, Mask};
pub use matrix::Matrix;
pub use noise::MeasurementNoise;
pub use partial_fourier::PartialFourier;
pub use phase::PhaseRetrieval;
pub use radon::Radon;
pub use random::{Uniforms, normal};
pub use scaled::Scaled;
pub use separable::Separable;
pub use shape::Shape;
pub use singular::Singular;
pub use solve::{Solution, Stop, cg, cgls, proximal, pseudo_inverse, solve_normal};
pub use sparse::Sparse;
pub use stacked::Stacked;
pub use svd::{MAX_SVD, Svd};

use std::fmt::Debug;

/// A measurement `y = A(x)` of one row, `[d] -> [m]`.
///
/// # Panics
/// The methods panic when a slice has another length than [`Operator::inputs`] or [`Operator::outputs`]: a programmer's mistake.
pub trait Operator: Debug + Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> &'static str;

    /// Entries of a state, `d`.
    fn inputs(&self) -> usize;

    /// Entries of a measurement, `m`.
    fn outputs(&self) -> usize;

    /// `y = A(x)`; what `y` held is forgotten.
    fn apply(&self, x: &[f64], y: &mut [f64]);

    /// `out = J_A(x)^T v`. A linear operator does not look at `x`, which may then be empty.
    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]);

    /// Whether `A` is linear; then `J_A = A` everywhere.
    fn is_linear(&self) -> bool {
        true
    }

    /// The singular value decomposition, where it is cheap.
    fn singular(&self) -> Option<&dyn Singular> {
        None
    }

    /// `out = A^T y`; for an operator that is not linear, the pullback at `x = 0`.
    fn adjoint(&self, y: &[f64], out: &mut [f64]) {
        let origin = if self.is_linear() { Vec::new() } else { vec![0.0; self.inputs()] };
        self.pullback(&origin, y, out);
    }
}

/// An operator that several hold.
impl<A: Operator + ?Sized> Operator for std::sync::Arc<A> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn inputs(&self) -> usize {
        (**self).inputs()
    }

    fn outputs(&self) -> usize {
        (**self).outputs()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        (**self).apply(x, y);
    }

    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        (**self).pullback(x, v, out);
    }

    fn is_linear(&self) -> bool {
        (**self).is_linear()
    }

    fn singular(&self) -> Option<&dyn Singular> {
        (**self).singular()
    }

    fn adjoint(&self, y: &[f64], out: &mut [f64]) {
        (**self).adjoint(y, out);
    }
}

/// Panics, in the caller's name, when the slices are not a state and a measurement of the operator.
#[track_caller]
fn assert_rows(operator: &dyn Operator, x: &[f64], y: &[f64]) {
    let (name, d, m) = (operator.name(), operator.inputs(), operator.outputs());
    assert!(x.len() == d, "{name}: a state of {} entries, {d} are expected", x.len());
    assert!(y.len() == m, "{name}: a measurement of {} entries, {m} are expected", y.len());
}
