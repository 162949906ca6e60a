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

/// Arguments up to which [`sin_cos`] takes whole quarters of a turn off exactly enough.
const FAR: f32 = 1e5;

/// The sine and cosine of each number, of the numbers as they are: computed in double precision, errors below 1e-13, and rounded once.
///
/// Quarters of a turn are taken off by a product of two parts of `pi / 2` (Cody and Waite 1980), what is left, at most `pi / 4`, goes into
/// the Taylor polynomials of degrees 15 and 16. Numbers from 1e5 on are left to the standard library; those that are not finite give NaN.
///
/// # Panics
/// When there are not as many places as numbers.
pub fn sin_cos(x: &[f32], sin: &mut [f32], cos: &mut [f32]) {
    assert!(x.len() == sin.len() && x.len() == cos.len(), "a sine and a cosine for each number");
    sin_cos_near(x, sin, cos);
    for ((x, sin), cos) in x.iter().zip(sin).zip(cos).filter(|((x, _), _)| x.is_nan() || x.abs() >= FAR) {
        let (s, c) = f64::from(*x).sin_cos();
        (*sin, *cos) = (s as f32, c as f32);
    }
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
        let mut rest = [0.0f32; LANES];
        let rest = &mut rest[..stretch.len() - whole];
        for (i, (rest, &x)) in rest.iter_mut().zip(&stretch[whole..]).enumerate() {
            *rest = term(s * STRETCH + whole + i, x);
        }
        total += finished(&lanes, rest);
    }
    total
}

/// The sum of a stretch from its partial sums and the terms left over.
#[inline(always)]
fn finished(lanes: &[f32; LANES], rest: &[f32]) -> f64 {
    lanes.iter().chain(rest).fold(0.0, |sum, term| sum + f64::from(*term))
}

/// Slices whose sums are formed side by side: one sum waits for each of its additions.
pub(crate) const BESIDE: usize = 4;

lanes! {
    /// The sum.
    pub(crate) fn sum(x: &[f32]) -> f64 {
        gather(x, |_, x| x)
    }

    /// [`sum`] of slices of one length, the same bits.
    pub(crate) fn sums(x: [&[f32]; BESIDE]) -> [f64; BESIDE] {
        let mut totals = [0.0f64; BESIDE];
        let len = x[0].len();
        for start in (0..len).step_by(STRETCH) {
            let stretches = x.map(|x| &x[start..len.min(start + STRETCH)]);
            let (vectors, rest) = (stretches[0].len() / LANES, stretches[0].len() / LANES * LANES);
            let mut lanes = [[0.0f32; LANES]; BESIDE];
            for v in 0..vectors {
                for (lanes, stretch) in lanes.iter_mut().zip(&stretches) {
                    for (lane, x) in lanes.iter_mut().zip(&stretch[v * LANES..][..LANES]) {
                        *lane += x;
                    }
                }
            }
            for ((total, lanes), stretch) in totals.iter_mut().zip(&lanes).zip(&stretches) {
                *total += finished(lanes, &stretch[rest..]);
            }
        }
        totals
    }

    /// `sum (x - centre)^2`.
    pub(crate) fn sum_squared_from(x: &[f32], centre: f32) -> f64 {
        gather(x, |_, x| (x - centre) * (x - centre))
    }

    /// `sum y` and `sum (x - centre) y`, each as [`sum`] adds.
    pub(crate) fn sum_and_dot(x: &[f32], centre: f32, y: &[f32]) -> [f64; 2] {
        let mut totals = [0.0f64; 2];
        for (x, y) in x.chunks(STRETCH).zip(y.chunks(STRETCH)) {
            let (mut sums, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
            let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
            for (x, y) in xs.iter().zip(ys) {
                for (sum, y) in sums.iter_mut().zip(y) {
                    *sum += y;
                }
                for ((sum, x), y) in products.iter_mut().zip(x).zip(y) {
                    *sum += (x - centre) * y;
                }
            }
            let mut rest = [0.0f32; LANES];
            for ((rest, x), y) in rest.iter_mut().zip(x_rest).zip(y_rest) {
                *rest = (x - centre) * y;
            }
            totals[0] += finished(&sums, y_rest);
            totals[1] += finished(&products, &rest[..y_rest.len()]);
        }
        totals
    }

    fn sin_cos_near(x: &[f32], sin: &mut [f32], cos: &mut [f32]) {
        const HIGH: f64 = 1.570_796_326_734_125_6; // 33 bits of pi / 2: the quarters of FAR times it are exact
        const LOW: f64 = 6.077_100_506_506_192e-11;
        const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 2^52
        for ((&x, sin), cos) in x.iter().zip(sin).zip(cos) {
            let x = f64::from(x);
            let shifted = x * std::f64::consts::FRAC_2_PI + ROUND;
            let (n, quarter) = (shifted - ROUND, shifted.to_bits());
            let r = (x - n * HIGH) - n * LOW;
            let z = r * r;
            let mut s = -1.0 / 1_307_674_368_000.0;
            s = s * z + 1.0 / 6_227_020_800.0;
            s = s * z - 1.0 / 39_916_800.0;
            s = s * z + 1.0 / 362_880.0;
            s = s * z - 1.0 / 5040.0;
            s = s * z + 1.0 / 120.0;
            s = s * z - 1.0 / 6.0;
            // Of a zero the sine has the sign.
            let s = if r == 0.0 { r } else { s * z * r + r };
            let mut c = 1.0 / 20_922_789_888_000.0;
            c = c * z - 1.0 / 87_178_291_200.0;
            c = c * z + 1.0 / 479_001_600.0;
            c = c * z - 1.0 / 3_628_800.0;
            c = c * z + 1.0 / 40_320.0;
            c = c * z - 1.0 / 720.0;
            c = c * z + 1.0 / 24.0;
            c = c * z - 0.5;
            let c = c * z + 1.0;
            let (a, b) = if quarter & 1 == 0 { (s, c) } else { (c, s) };
            *sin = if quarter & 2 == 0 { a } else { -a } as f32;
            *cos = if quarter.wrapping_add(1) & 2 == 0 { b } else { -b } as f32;
        }
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

    /// Rounded once from a value within 1e-13 of the true one: at most half a unit of the last place, and a little.
    #[test]
    fn sines_are_rounded_once() {
        let near = (0..400_000).map(|i| (i as f32 - 2e5) * 3.1e-4);
        let x: Vec<f32> = near.chain((0..100_000).map(|i| (i as f32 - 5e4) * 1.99)).chain([0.0, -0.0, 1e-30, 9e4]).collect();
        let x = [&x[..], &[1e5, -2e5, 3e38]].concat();
        let (mut sin, mut cos) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        sin_cos(&x, &mut sin, &mut cos);
        for ((x, sin), cos) in x.iter().zip(sin).zip(cos) {
            let (s, c) = f64::from(*x).sin_cos();
            for (ours, exact) in [(sin, s), (cos, c)] {
                let unit = 2f64.powi(exact.abs().max(1e-30).log2().floor() as i32 - 23);
                assert!((f64::from(ours) - exact).abs() <= 0.5 * unit + 2e-13, "{x}: {ours} {exact}");
            }
        }
        let (mut sin, mut cos) = ([0.0; 4], [0.0; 4]);
        sin_cos(&[0.0, -0.0, f32::INFINITY, f32::NAN], &mut sin, &mut cos);
        assert_eq!([sin[0].to_bits(), sin[1].to_bits()], [0, (-0.0f32).to_bits()]);
        assert!(cos[..2] == [1.0; 2] && sin[2].is_nan() && cos[2].is_nan() && sin[3].is_nan() && cos[3].is_nan());
    }

    #[test]
    fn sums_do_not_depend_on_the_vector_width() {
        let (x, y) = (crate::testing::numbers(5003, 1), crate::testing::numbers(5003, 2));
        let want: f64 = x.iter().zip(&y).map(|(x, y)| f64::from((x - 0.5) * y)).sum();
        assert!((sum_and_dot(&x, 0.5, &y)[1] - want).abs() < 1e-4);
        assert_eq!(sum_and_dot(&x, 0.5, &y), [sum(&y), gather(&x, |i, x| (x - 0.5) * y[i])]);
        assert_eq!(sum(&x), gather(&x, |_, x| x));
        for len in [0, 1, 15, 784, 1024, 2000] {
            let parts = std::array::from_fn(|i| &x[i * 1000..][..len]);
            assert_eq!(sums(parts), parts.map(sum), "side by side");
        }
        let mut z = vec![0.0; x.len()];
        silu_into(&x, &mut z);
        assert!(x.iter().zip(&z).all(|(&x, &z)| z == x * sigmoid(x)));
    }
}
