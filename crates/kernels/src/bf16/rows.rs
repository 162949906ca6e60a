//! Short rows of numbers, a vector at a time: their ends must not be left to scalars.

use super::round;
use super::unit::{EDGE, Square, TERMS, Unit};
use crate::conv::tail;
use crate::micro::lanes;

lanes! {
    fn plain_halves(x: &[f32], to: &mut [u16]) {
        for (to, &x) in to.iter_mut().zip(x) {
            *to = round(x) as u16;
        }
    }
}

/// Numbers in bfloat16, two bytes each.
pub(crate) fn halves(unit: Unit, x: &[f32], to: &mut [u16]) {
    assert_eq!(x.len(), to.len(), "as many numbers");
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Plain {
        // SAFETY: units other than the plain one have AVX512-BF16; both slices have as many numbers.
        return unsafe { x86::halves(x, to) };
    }
    let _ = unit;
    plain_halves(x, to);
}

/// A square of a left operand: sixteen rows of 32 numbers, `apart` from each other.
pub(crate) fn square(unit: Unit, x: &[f32], apart: usize, to: &mut Square) {
    assert!(x.len() >= (EDGE - 1) * apart + TERMS, "sixteen rows of the terms of a step");
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Plain {
        // SAFETY: units other than the plain one have AVX512-BF16; the rows are there.
        return unsafe { x86::square(x, apart, to) };
    }
    let _ = unit;
    to.0.iter_mut().enumerate().for_each(|(r, to)| super::neighbours(&x[r * apart..][..TERMS], to));
}

/// [`tail::finish`], for short rows.
pub(crate) fn finish(unit: Unit, x: &[f32], numbers: [f32; 3], residual: Option<&[f32]>, to: &mut [f32]) {
    assert!(x.len() == to.len() && residual.is_none_or(|r| r.len() == x.len()), "as many numbers");
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Plain {
        // SAFETY: as above.
        return unsafe { x86::finish(x, numbers, residual, to) };
    }
    let _ = unit;
    tail::finish(x, numbers, residual, to);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;

    /// # Safety
    /// The processor has the instructions, and `to` is as long as `x`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub(super) unsafe fn halves(x: &[f32], to: &mut [u16]) {
        for at in (0..x.len()).step_by(EDGE) {
            let mask = ((1u32 << (x.len() - at).min(EDGE)) - 1) as u16;
            // SAFETY: the mask keeps both within their slices.
            unsafe {
                let words = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x.as_ptr().add(at)));
                let words = std::mem::transmute::<__m256bh, __m256i>(words);
                _mm256_mask_storeu_epi16(to.as_mut_ptr().add(at).cast(), mask, words);
            }
        }
    }

    /// # Safety
    /// The processor has the instructions, and `x` the rows.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn square(x: &[f32], apart: usize, to: &mut Square) {
        for (r, to) in to.0.iter_mut().enumerate() {
            // SAFETY: two vectors of a row; sixteen words, which begin a line of the cache.
            unsafe {
                let from = x.as_ptr().add(r * apart);
                let words = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from.add(EDGE)), _mm512_loadu_ps(from));
                _mm512_store_si512(to.as_mut_ptr().cast(), std::mem::transmute::<__m512bh, __m512i>(words));
            }
        }
    }

    /// # Safety
    /// As [`halves`], and of the residual.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn finish(x: &[f32], numbers: [f32; 3], residual: Option<&[f32]>, to: &mut [f32]) {
        let [bias, shift, gain] = numbers.map(|v| _mm512_set1_ps(v));
        for at in (0..x.len()).step_by(EDGE) {
            let mask = ((1u32 << (x.len() - at).min(EDGE)) - 1) as u16;
            // SAFETY: the mask keeps both within their slices.
            unsafe {
                let mut y = _mm512_add_ps(_mm512_add_ps(_mm512_maskz_loadu_ps(mask, x.as_ptr().add(at)), bias), shift);
                if let Some(residual) = residual {
                    y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, residual.as_ptr().add(at)));
                }
                _mm512_mask_storeu_ps(to.as_mut_ptr().add(at), mask, _mm512_mul_ps(y, gain));
            }
        }
    }
}
