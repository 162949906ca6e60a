//! Singular values: `A = U diag(s) V^T` with orthonormal bases of both spaces.
//!
//! In the bases, every measurement is a set of independent scalar ones, `(U^T y)_i = s_i (V^T x)_i`: what DDRM (Kawar et al. 2022),
//! DDNM (Wang et al. 2023) and PiGDM (Song et al. 2023) are written in. Coefficient `i < r` of either side belongs to value `s_i`;
//! those after it span what is not measured (right) and what cannot be reached (left).

/// The decomposition of an operator with `d` inputs, `m` outputs and `r` values, `r <= min(m, d)`.
///
/// # Panics
/// The methods panic when a slice has another length than the operator's inputs (right) or outputs (left).
#[allow(clippy::wrong_self_convention, reason = "the pairs to_right, from_right and to_left, from_left read as what they are")]
pub trait Singular {
    /// The values `s [r]`, none negative, in no order. Those below rounding are zero exactly, so `s > 0` tells what is measured.
    fn values(&self) -> &[f64];

    /// `out [d] = V^T x`.
    fn to_right(&self, x: &[f64], out: &mut [f64]);

    /// `out [d] = V c`.
    fn from_right(&self, c: &[f64], out: &mut [f64]);

    /// `out [m] = U^T y`.
    fn to_left(&self, y: &[f64], out: &mut [f64]);

    /// `out [m] = U c`.
    fn from_left(&self, c: &[f64], out: &mut [f64]);

    /// The pseudo-inverse `out [d] = A^+ y = V diag(1 / s) U^T y`, where values of zero give zero (Penrose 1955).
    fn pseudo_inverse(&self, y: &[f64], out: &mut [f64]) {
        let (mut left, mut right) = (vec![0.0; y.len()], vec![0.0; out.len()]);
        self.to_left(y, &mut left);
        for ((r, l), s) in right.iter_mut().zip(&left).zip(self.values()) {
            *r = if *s > 0.0 { l / s } else { 0.0 };
        }
        self.from_right(&right, out);
    }

    /// `out [m] = U f(s) U^T y`, a function of `(A A^T)^(1/2)`; what cannot be reached has `s = 0`.
    fn filter(&self, y: &[f64], out: &mut [f64], f: &dyn Fn(f64) -> f64) {
        let mut left = vec![0.0; y.len()];
        self.to_left(y, &mut left);
        let values = self.values();
        left.iter_mut().enumerate().for_each(|(i, l)| *l *= f(values.get(i).copied().unwrap_or(0.0)));
        self.from_left(&left, out);
    }

    /// The filtered inverse `out [m] = (A A^T + c I)^-1 y`; the pseudo-inverse of `A A^T` when `c` is zero.
    fn filtered_inverse(&self, c: f64, y: &[f64], out: &mut [f64]) {
        self.filter(y, out, &|s| if s * s + c > 0.0 { 1.0 / (s * s + c) } else { 0.0 });
    }

    /// The proximal step `argmin_x |y - A x|^2 / (2 a) + |x - z|^2 / (2 b)`. In the bases, with `e = U^T y - s V^T z`,
    /// `V^T x = V^T z + b s e / (b s^2 + a)`. With `a = 0` it is the projection of `z` onto `A x = y`.
    fn proximal(&self, y: &[f64], z: &[f64], a: f64, b: f64, out: &mut [f64]) {
        let (mut left, mut right) = (vec![0.0; y.len()], vec![0.0; z.len()]);
        self.to_left(y, &mut left);
        self.to_right(z, &mut right);
        for ((r, l), s) in right.iter_mut().zip(&left).zip(self.values()) {
            let weight = b * s * s + a;
            *r += if weight > 0.0 { b * s * (l - s * *r) / weight } else { 0.0 };
        }
        self.from_right(&right, out);
    }
}

/// Sets values below rounding to zero: `s <= max(s) max(m, d) eps`.
pub(super) fn cleaned(mut values: Vec<f64>, m: usize, d: usize) -> Vec<f64> {
    let floor = values.iter().fold(0.0, |a: f64, b| a.max(*b)) * m.max(d) as f64 * f64::EPSILON;
    values.iter_mut().filter(|s| **s <= floor).for_each(|s| *s = 0.0);
    values
}
