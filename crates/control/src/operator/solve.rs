//! The linear systems of posterior rules, by singular values where they are cheap and by conjugate gradients elsewhere.

use super::matrix::{axpy, dot};
use super::{Operator, OperatorError};

/// Where a solve stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The solution.
    pub x: Vec<f64>,
    /// Steps of conjugate gradients; 0 by singular values.
    pub iterations: usize,
    /// What is left of the right side, `|b - M x| / |b|`, computed anew from the solution.
    pub residual: f64,
}

/// The residual at which the functions that choose the method stop, and the most steps they take.
const TOLERANCE: f64 = 1e-10;
const LIMIT: usize = 2000;

type Product<'a> = &'a dyn Fn(&[f64], &mut [f64]);

/// Solves `M x = b` for a symmetric positive semi-definite `M` (Hestenes and Stiefel 1952), from `x = 0`. Stops at the residual
/// `tolerance`, after `limit` steps, or where `M` is zero along the direction.
fn gradients(product: Product<'_>, b: &[f64], tolerance: f64, limit: usize) -> Solution {
    let norm = dot(b, b).sqrt();
    let (mut x, mut r, mut p, mut q) = (vec![0.0; b.len()], b.to_vec(), b.to_vec(), vec![0.0; b.len()]);
    let (mut squared, mut iterations) = (dot(&r, &r), 0);
    while iterations < limit && squared.sqrt() > tolerance * norm {
        product(&p, &mut q);
        let curvature = dot(&p, &q);
        if curvature.is_nan() || curvature <= 0.0 {
            break;
        }
        let step = squared / curvature;
        axpy(step, &p, &mut x);
        axpy(-step, &q, &mut r);
        let before = std::mem::replace(&mut squared, dot(&r, &r));
        p.iter_mut().zip(&r).for_each(|(p, r)| *p = r + squared / before * *p);
        iterations += 1;
    }
    let residual = residual(product, &x, b);
    Solution { x, iterations, residual }
}

/// `|b - M x| / |b|`, zero for `b = 0`.
fn residual(product: Product<'_>, x: &[f64], b: &[f64]) -> f64 {
    let mut r = vec![0.0; b.len()];
    product(x, &mut r);
    r.iter_mut().zip(b).for_each(|(r, b)| *r = b - *r);
    let norm = dot(b, b).sqrt();
    if norm == 0.0 { 0.0 } else { dot(&r, &r).sqrt() / norm }
}

fn linear(operator: &dyn Operator) -> Result<(), OperatorError> {
    if operator.is_linear() { Ok(()) } else { Err(OperatorError::NotLinear { name: operator.name() }) }
}

/// `out = (A A^T + c I) v`.
fn normal(operator: &dyn Operator, c: f64, v: &[f64], out: &mut [f64]) {
    let mut x = vec![0.0; operator.inputs()];
    operator.adjoint(v, &mut x);
    operator.apply(&x, out);
    axpy(c, v, out);
}

/// `(A A^T + c I)^-1 y` by conjugate gradients, to a relative residual of `tolerance` or for `limit` steps. With `c = 0` the
/// system has a solution only when `y` is a measurement of something.
///
/// # Errors
/// When the operator is not linear, or `c` is negative or not finite.
#[track_caller]
pub fn cg(operator: &dyn Operator, c: f64, y: &[f64], tolerance: f64, limit: usize) -> Result<Solution, OperatorError> {
    linear(operator)?;
    shift(c)?;
    Ok(gradients(&|v, out| normal(operator, c, v, out), y, tolerance, limit))
}

fn shift(c: f64) -> Result<(), OperatorError> {
    super::error::within("the shift c", c, "finite and not negative", c.is_finite() && c >= 0.0)
}

/// `(A A^T + c I)^-1 y`, by singular values where the operator has them, else by [`cg`] to 1e-10 or 2,000 steps: look at the
/// residual of the solution. With `c = 0` it is the pseudo-inverse of `A A^T`.
///
/// # Errors
/// As [`cg`].
#[track_caller]
pub fn solve_normal(operator: &dyn Operator, c: f64, y: &[f64]) -> Result<Solution, OperatorError> {
    let Some(singular) = operator.singular() else { return cg(operator, c, y, TOLERANCE, LIMIT) };
    linear(operator)?;
    shift(c)?;
    let mut x = vec![0.0; y.len()];
    singular.filtered_inverse(c, y, &mut x);
    let residual = residual(&|v, out| normal(operator, c, v, out), &x, y);
    Ok(Solution { x, iterations: 0, residual })
}

/// The shortest of the states that fit best, `A^+ y`: by singular values, else by conjugate gradients on `A^T A x = A^T y`, whose
/// right side always has a solution. The residual is that of these equations.
///
/// # Errors
/// When the operator is not linear.
#[track_caller]
pub fn pseudo_inverse(operator: &dyn Operator, y: &[f64]) -> Result<Solution, OperatorError> {
    linear(operator)?;
    let mut b = vec![0.0; operator.inputs()];
    operator.adjoint(y, &mut b);
    let product = |x: &[f64], out: &mut [f64]| {
        let mut y = vec![0.0; operator.outputs()];
        operator.apply(x, &mut y);
        operator.adjoint(&y, out);
    };
    let Some(singular) = operator.singular() else { return Ok(gradients(&product, &b, TOLERANCE, LIMIT)) };
    let mut x = vec![0.0; b.len()];
    singular.pseudo_inverse(y, &mut x);
    let residual = residual(&product, &x, &b);
    Ok(Solution { x, iterations: 0, residual })
}

/// The proximal step `argmin_x |y - A x|^2 / (2 a) + |x - z|^2 / (2 b) = z + A^T (A A^T + a / b)^-1 (y - A z)`, with the solution of
/// [`solve_normal`] inside: its steps and its residual are told, `x` is the state.
///
/// # Errors
/// As [`cg`], and when `a` is negative or `b` not positive.
#[track_caller]
pub fn proximal(operator: &dyn Operator, y: &[f64], z: &[f64], a: f64, b: f64) -> Result<Solution, OperatorError> {
    linear(operator)?;
    super::error::within("the variance b of the state", b, "positive and finite", b > 0.0 && b.is_finite())?;
    let mut e = vec![0.0; y.len()];
    operator.apply(z, &mut e);
    e.iter_mut().zip(y).for_each(|(e, y)| *e = y - *e);
    let solution = solve_normal(operator, a / b, &e)?;
    let mut x = vec![0.0; z.len()];
    operator.adjoint(&solution.x, &mut x);
    axpy(1.0, z, &mut x);
    Ok(Solution { x, ..solution })
}
