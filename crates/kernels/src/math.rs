//! Elementwise arithmetic on slices, the same bits on every vector width: no fused operations, fixed orders of summation.

use crate::micro::lanes;

/// `e^x` in single precision.
///
/// `x = n ln 2 + r`, `|r| <= ln 2 / 2`, `e^r` by its Taylor polynomial of degree 7 (remainder 5e-9 relative), and `2^n` put
/// into the exponent. Measured error at most 1.1e-7 relative (under 2 units in the last place) for `|x| < 87`. Saturates
/// outside: never infinite, and its reciprocal never subnormal (which the processor would compute a hundred times slower);
/// NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const HIGH: f32 = 0.693_145_75; // 15 bits of ln 2: n times it is exact
    const LOW: f32 = 1.428_606_8e-6;
    const ROUND: f32 = 12_582_912.0; // 1.5 2^23: adding it rounds to an integer that stands in the low bits
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 87.0 { 87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * HIGH) - n * LOW;
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    let y = (p * r * r + r) + 1.0;
    let power = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32).wrapping_add(127);
    y * f32::from_bits((power << 23) as u32)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `d/dx x s(x) = s (1 + x (1 - s))`, `s` the sigmoid; `1 - s = e^-x s` without cancellation.
#[inline(always)]
pub(crate) fn silu_slope(x: f32) -> f32 {
    let e = exp(-x);
    let s = 1.0 / (1.0 + e);
    s * (1.0 + x * (e * s))
}

/// Numbers summed in single precision before the sum goes into a double: keeps the error of long sums near that of short ones.
const STRETCH: usize = 1024;
/// Independent partial sums, one a lane of a vector.
const LANES: usize = 16;

#[inline(always)]
fn gather(x: &[f32], term: impl Fn(usize, f32) -> f32) -> f64 {
    let mut total = 0.0f64;
    for (s, stretch) in x.chunks(STRETCH).enumerate() {
        let mut lanes = [0.0f32; LANES];
        let whole = stretch.len() / LANES * LANES;
        for (v, vector) in stretch[..whole].chunks_exact(LANES).enumerate() {
            for (l, (lane, &x)) in lanes.iter_mut().zip(vector).enumerate() {
                *lane += term(s * STRETCH + v * LANES + l, x);
            }
        }
        let mut sum = 0.0f64;
        for lane in lanes {
            sum += f64::from(lane);
        }
        for (i, &x) in stretch[whole..].iter().enumerate() {
            sum += f64::from(term(s * STRETCH + whole + i, x));
        }
        total += sum;
    }
    total
}

lanes! {
    /// The sum.
    pub(crate) fn sum(x: &[f32]) -> f64 {
        gather(x, |_, x| x)
    }

    /// `sum (x - centre)^2`.
    pub(crate) fn sum_squared_from(x: &[f32], centre: f32) -> f64 {
        gather(x, |_, x| (x - centre) * (x - centre))
    }

    /// `sum (x - centre) y`.
    pub(crate) fn dot_from(x: &[f32], centre: f32, y: &[f32]) -> f64 {
        let y = &y[..x.len()];
        gather(x, |i, x| (x - centre) * y[i])
    }

    /// `y = x s(x)`.
    pub(crate) fn silu_into(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x * sigmoid(x);
        }
    }

    /// `dx = dy s (1 + x (1 - s))`.
    pub(crate) fn silu_gradient_into(x: &[f32], dy: &[f32], dx: &mut [f32]) {
        for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
            *dx = dy * silu_slope(x);
        }
    }

    /// `y = z s(z)`, `z = x + h`.
    pub(crate) fn silu_sum_into(x: &[f32], h: &[f32], y: &mut [f32]) {
        for ((y, &x), &h) in y.iter_mut().zip(x).zip(h) {
            let z = x + h;
            *y = z * sigmoid(z);
        }
    }

    /// `dz = dy s (1 + z (1 - s))`, `z = x + h`.
    pub(crate) fn silu_sum_gradient_into(x: &[f32], h: &[f32], dy: &[f32], dz: &mut [f32]) {
        for (((dz, &x), &h), &dy) in dz.iter_mut().zip(x).zip(h).zip(dy) {
            *dz = dy * silu_slope(x + h);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_two_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for i in 0..2_000_000 {
            let x = -87.0 + 174.0 * (i as f32 / 2_000_000.0);
            let want = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - want).abs() / want);
        }
        assert!(worst < 1.5e-7, "relative error {worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e30) > 0.0 && exp(1e30).is_finite() && exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_do_not_depend_on_the_vector_width() {
        let (x, y) = (crate::testing::numbers(5003, 1), crate::testing::numbers(5003, 2));
        let want: f64 = x.iter().zip(&y).map(|(x, y)| f64::from((x - 0.5) * y)).sum();
        assert!((dot_from(&x, 0.5, &y) - want).abs() < 1e-4);
        assert_eq!(dot_from(&x, 0.5, &y), gather(&x, |i, x| (x - 0.5) * y[i]));
        assert_eq!(sum(&x), gather(&x, |_, x| x));
        let mut z = vec![0.0; x.len()];
        silu_into(&x, &mut z);
        assert!(x.iter().zip(&z).all(|(&x, &z)| z == x * sigmoid(x)));
    }
}
