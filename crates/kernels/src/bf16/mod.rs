//! Matrix products of numbers in bfloat16, summed in single precision.
//!
//! A number is cut to the eight leading bits of its significand, to the nearest and to the even one of two ([`round`]); a product of
//! two such numbers is exact in single precision. Operands are stored as pairs of consecutive terms of the sum in a word, the earlier one
//! in the low half, which is what the matrix units of x86 processors (AMX) and their AVX-512 instruction for bfloat16 read: see [`unit`].
//!
//! Which of the two, or the plain body, does the work is the processor's; they add in different orders, so that bits differ between
//! machines, and on one machine depend on nothing but a picture's own numbers.

mod attention;
mod conv;
mod linear;
mod pack;
mod rows;
mod strip;
mod unit;
mod weight_gradient;
mod weights;

pub(crate) use attention::attention;
pub(crate) use conv::{forward, input_gradient};
pub(crate) use linear::{Columns, input_gradient as linear_input_gradient, linear, weight_gradient as linear_weight_gradient};
pub(crate) use unit::Square;
pub(crate) use weight_gradient::weight_gradient;
pub(crate) use weights::Weights;

use crate::micro::lanes;
use unit::{BLOCK, EDGE, TERMS, Unit};

/// What computes products of bfloat16 on this machine, in words.
pub fn unit_name() -> &'static str {
    match unit::Unit::detect() {
        #[cfg(target_arch = "x86_64")]
        unit::Unit::Matrix => "matrix unit (AMX-BF16)",
        #[cfg(target_arch = "x86_64")]
        unit::Unit::Dot => "dot products (AVX512-BF16)",
        unit::Unit::Plain => "plain Rust",
    }
}

/// Whether products of bfloat16 are faster here than minimal filtering in single precision: a matrix unit makes eight times as many products, the
/// dot products twice as many, minimal filtering needs a quarter (and its transforms); plain Rust is slower than either.
pub(crate) fn outruns_filtering() -> bool {
    match unit::Unit::detect() {
        #[cfg(target_arch = "x86_64")]
        unit::Unit::Matrix => true,
        _ => false,
    }
}

/// The bits of a number in bfloat16: rounded to nearest, ties to even; NaN stays NaN.
#[inline(always)]
pub(crate) fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let up = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    // A NaN whose low bits carry would turn into an infinity.
    if bits & 0x7fff_ffff > 0x7f80_0000 { bits >> 16 | 0x40 } else { up }
}

lanes! {
    /// `to[i] = (low[i], high[i])`.
    pub(crate) fn pairs(low: &[f32], high: &[f32], to: &mut [u32]) {
        for ((to, &low), &high) in to.iter_mut().zip(low).zip(high) {
            *to = round(low) | round(high) << 16;
        }
    }

    /// `to[i] = (x[2 i], x[2 i + 1])`.
    pub(crate) fn neighbours(x: &[f32], to: &mut [u32]) {
        for (to, x) in to.iter_mut().zip(x.as_chunks::<2>().0) {
            *to = round(x[0]) | round(x[1]) << 16;
        }
    }

    /// `to[i] = (low[i], 0)`.
    pub(crate) fn singles(low: &[f32], to: &mut [u32]) {
        for (to, &low) in to.iter_mut().zip(low) {
            *to = round(low);
        }
    }
}

/// `[rows, len]` as the left operand of a product over the columns: squares `[32 rows][32 columns][2]`, zero outside.
fn left(unit: Unit, x: &[f32], rows: usize, len: usize, to: &mut [Square]) {
    let steps = len.div_ceil(TERMS);
    for (i, square) in to.iter_mut().enumerate() {
        let (row, first) = (i / 2 / steps * BLOCK + i % 2 * EDGE, i / 2 % steps * TERMS);
        let real = [EDGE.min(rows.saturating_sub(row)), TERMS.min(len - first)];
        if real == [EDGE, TERMS] {
            rows::square(unit, &x[row * len + first..], len, square);
            continue;
        }
        for (r, to) in square.0.iter_mut().enumerate() {
            let number = |c: usize| if r < real[0] && c < real[1] { round(x[(row + r) * len + first + c]) } else { 0 };
            to.iter_mut().enumerate().for_each(|(p, to)| *to = number(2 * p) | number(2 * p + 1) << 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_to_nearest_even() {
        let value = |x: f32| f32::from_bits(round(x) << 16);
        let ulp = 2f32.powi(-7);
        assert_eq!([value(1.0), value(1.0 + ulp / 2.0), value(1.0 + 1.5 * ulp)], [1.0, 1.0, 1.0 + 2.0 * ulp]);
        assert_eq!(value(1.0 + 0.5001 * ulp), 1.0 + ulp);
        assert_eq!([value(f32::MAX), value(f32::NEG_INFINITY)], [f32::INFINITY, f32::NEG_INFINITY]);
        assert!(value(f32::from_bits(0x7f80_0001)).is_nan() && value(f32::NAN).is_nan());
        let (low, high) = ([1.0f32, -2.0, 0.5], [3.0f32, 0.25, -0.0]);
        let mut to = [0; 3];
        pairs(&low, &high, &mut to);
        assert_eq!(to, [0x4040_3f80, 0x3e80_c000, 0x8000_3f00]);
        neighbours(&[1.0, 3.0, -2.0, 0.25], &mut to);
        assert_eq!(to[..2], [0x4040_3f80, 0x3e80_c000]);
        singles(&low, &mut to);
        assert_eq!(to, [0x3f80, 0xc000, 0x3f00]);
    }
}
