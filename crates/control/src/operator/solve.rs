//! The linear systems of posterior rules, by singular values where they are cheap and by conjugate gradients elsewhere.

use super::error::within;
use super::matrix::{axpy, dot};
use super::{Operator, OperatorError};

/// Where a solve stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The solution.
    pub x: Vec<f64>,
    /// Steps of conjugate gradients; 0 by singular values.
    pub iterations: usize,
    /// What is left of the equation's right side, relative to it, computed anew from the solution.
    pub residual: f64,
}

/// When conjugate gradients stop. Singular values need no such thing.
///
/// The default is for exact work. A posterior rule solves at every step of a sampler and gains nothing beyond the error of its
/// approximations: `Stop { tolerance: 1e-3, limit: 20 }` is more like it. Tomography is the example: 60 angles of a picture of 256 x
/// 256 at `c = 0.01` are at 2e-6 after 2,000 steps, most of a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// The residual that is small enough, relative to the right side.
    pub tolerance: f64,
    /// The most steps, one `A` and one `A^T` each.
    pub limit: usize,
}

impl Default for Stop {
    fn default() -> Self {
        Self { tolerance: 1e-10, limit: 2000 }
    }
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

/// `|y - (A A^T + c I) x| / |y|`, zero for `y = 0`.
fn residual(operator: &dyn Operator, c: f64, y: &[f64], x: &[f64]) -> f64 {
    let mut r = vec![0.0; y.len()];
    normal(operator, c, x, &mut r);
    r.iter_mut().zip(y).for_each(|(r, y)| *r = y - *r);
    let norm = dot(y, y).sqrt();
    if norm == 0.0 { 0.0 } else { dot(&r, &r).sqrt() / norm }
}

/// `(A A^T + c I)^-1 y` by conjugate gradients (Hestenes and Stiefel 1952), from `x = 0` to a relative residual of
/// `stop.tolerance`. With `c = 0` the system has a solution only when `y` is a measurement of something.
///
/// # Errors
/// When the operator is not linear, or `c` is negative or not finite.
#[track_caller]
pub fn cg(operator: &dyn Operator, c: f64, y: &[f64], stop: Stop) -> Result<Solution, OperatorError> {
    linear(operator)?;
    shift(c)?;
    let (mut x, mut r, mut p, mut q) = (vec![0.0; y.len()], y.to_vec(), y.to_vec(), vec![0.0; y.len()]);
    let (mut squared, mut iterations) = (dot(y, y), 0);
    let norm = squared.sqrt();
    while iterations < stop.limit && squared.sqrt() > stop.tolerance * norm {
        normal(operator, c, &p, &mut q);
        let curvature = dot(&p, &q);
        // Nothing is measured along the direction, or a number was none.
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
    let residual = residual(operator, c, y, &x);
    Ok(Solution { x, iterations, residual })
}

fn shift(c: f64) -> Result<(), OperatorError> {
    within("the shift c", c, "finite and not negative", c.is_finite() && c >= 0.0)
}

/// `(A A^T + c I)^-1 y`, by singular values where the operator has them, else by [`cg`]: look at the residual of the
/// solution. With `c = 0` it is the pseudo-inverse of `A A^T`.
///
/// # Errors
/// As [`cg`].
#[track_caller]
pub fn solve_normal(operator: &dyn Operator, c: f64, y: &[f64], stop: Stop) -> Result<Solution, OperatorError> {
    let Some(singular) = operator.singular() else { return cg(operator, c, y, stop) };
    linear(operator)?;
    shift(c)?;
    let mut x = vec![0.0; y.len()];
    singular.filtered_inverse(c, y, &mut x);
    let residual = residual(operator, c, y, &x);
    Ok(Solution { x, iterations: 0, residual })
}

/// `A^+ y`, the shortest of the states that fit best, by conjugate gradients for least squares (Bjorck, Elfving and Strakos 1998,
/// CGLS): those of `A^T A x = A^T y`, which always have a solution, with the residual kept in the space of measurements, where it
/// does not lose the square of the condition. Stops when `|A^T (y - A x)|` is `stop.tolerance` of `|A^T y|`.
///
/// # Errors
/// When the operator is not linear.
#[track_caller]
pub fn cgls(operator: &dyn Operator, y: &[f64], stop: Stop) -> Result<Solution, OperatorError> {
    linear(operator)?;
    let (mut x, mut r, mut q) = (vec![0.0; operator.inputs()], y.to_vec(), vec![0.0; y.len()]);
    let mut s = x.clone();
    operator.adjoint(&r, &mut s);
    let (mut p, mut squared, mut iterations) = (s.clone(), dot(&s, &s), 0);
    let norm = squared.sqrt();
    while iterations < stop.limit && squared.sqrt() > stop.tolerance * norm {
        operator.apply(&p, &mut q);
        let curvature = dot(&q, &q);
        if curvature.is_nan() || curvature <= 0.0 {
            break;
        }
        let step = squared / curvature;
        axpy(step, &p, &mut x);
        axpy(-step, &q, &mut r);
        operator.adjoint(&r, &mut s);
        let before = std::mem::replace(&mut squared, dot(&s, &s));
        p.iter_mut().zip(&s).for_each(|(p, s)| *p = s + squared / before * *p);
        iterations += 1;
    }
    let residual = slope(operator, y, &x);
    Ok(Solution { x, iterations, residual })
}

/// `|A^T (y - A x)| / |A^T y|`, zero for `A^T y = 0`.
fn slope(operator: &dyn Operator, y: &[f64], x: &[f64]) -> f64 {
    let (mut r, mut s) = (vec![0.0; y.len()], vec![0.0; x.len()]);
    operator.adjoint(y, &mut s);
    let norm = dot(&s, &s).sqrt();
    operator.apply(x, &mut r);
    r.iter_mut().zip(y).for_each(|(r, y)| *r = y - *r);
    operator.adjoint(&r, &mut s);
    if norm == 0.0 { 0.0 } else { dot(&s, &s).sqrt() / norm }
}

/// `A^+ y`, the shortest of the states that fit best: by singular values, else by [`cgls`], whose residual is told; directions
/// that are measured more weakly than it are not resolved.
///
/// # Errors
/// When the operator is not linear.
#[track_caller]
pub fn pseudo_inverse(operator: &dyn Operator, y: &[f64], stop: Stop) -> Result<Solution, OperatorError> {
    let Some(singular) = operator.singular() else { return cgls(operator, y, stop) };
    linear(operator)?;
    let mut x = vec![0.0; operator.inputs()];
    singular.pseudo_inverse(y, &mut x);
    let residual = slope(operator, y, &x);
    Ok(Solution { x, iterations: 0, residual })
}

/// The proximal step `argmin_x |y - A x|^2 / (2 a) + |x - z|^2 / (2 b) = z + A^T (A A^T + a / b)^-1 (y - A z)`, with the solution of
/// [`solve_normal`] inside: its steps and its residual are told, `x` is the state.
///
/// # Errors
/// As [`cg`], and when `a` is negative or `b` not positive.
#[track_caller]
pub fn proximal(operator: &dyn Operator, y: &[f64], z: &[f64], a: f64, b: f64, stop: Stop) -> Result<Solution, OperatorError> {
    linear(operator)?;
    within("the variance a of the measurement", a, "finite and not negative", a >= 0.0 && a.is_finite())?;
    within("the variance b of the state", b, "positive and finite", b > 0.0 && b.is_finite())?;
    let mut e = vec![0.0; y.len()];
    operator.apply(z, &mut e);
    e.iter_mut().zip(y).for_each(|(e, y)| *e = y - *e);
    let solution = solve_normal(operator, a / b, &e, stop)?;
    let mut x = vec![0.0; z.len()];
    operator.adjoint(&solution.x, &mut x);
    axpy(1.0, z, &mut x);
    Ok(Solution { x, ..solution })
}
