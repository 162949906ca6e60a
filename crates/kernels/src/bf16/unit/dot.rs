//! AVX512-BF16: sixteen sums of two products an instruction.

use super::{EDGE, Rows, Square};
use std::arch::x86_64::*;

/// Rows whose sums are in registers at once.
const ROWS: usize = 8;

/// Steps by which rows of A are asked for early.
const AHEAD: usize = 10;

/// Whether the processor has the instructions, with all that writing operands by vectors takes.
pub(crate) fn usable() -> bool {
    is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
}

/// See [`super::Blocks::product`].
///
/// # Safety
/// [`usable`]; A and B hold what the steps ask for, and the rows 32 numbers each.
#[target_feature(enable = "avx512f,avx512bf16")]
#[allow(clippy::needless_range_loop)] // constant indices keep the sums in registers
pub(crate) unsafe fn product<const M: usize, const N: usize>(steps: &[usize], a: &[Square], b: &[Square], c: Rows) {
    for first in (0..M * EDGE).step_by(ROWS) {
        let mut sums = [[_mm512_setzero_ps(); N]; ROWS];
        if !c.from.is_null() {
            for r in 0..ROWS {
                for v in 0..N {
                    // SAFETY: sixteen numbers of row `first + r`.
                    sums[r][v] = unsafe { _mm512_loadu_ps(c.from.add((first + r) * c.step + v * EDGE)) };
                }
            }
        }
        for (step, &offset) in steps.iter().enumerate() {
            let rows = &a[step * M + first / EDGE].0[first % EDGE..][..ROWS];
            // Weights come from memory in pieces that the hardware does not foresee.
            let ahead = rows.as_ptr().wrapping_byte_add(AHEAD * M * size_of::<Square>());
            for r in 0..ROWS {
                // A hint, wherever it points.
                _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(r).cast());
            }
            for pair in 0..EDGE {
                let mut columns = [_mm512_setzero_ps(); N];
                for (v, column) in columns.iter_mut().enumerate() {
                    // SAFETY: sixteen words of a square.
                    *column = unsafe { _mm512_loadu_ps(b[offset + v].0[pair].as_ptr().cast()) };
                }
                for r in 0..ROWS {
                    let left = _mm512_set1_epi32(rows[r][pair] as i32);
                    for v in 0..N {
                        // SAFETY: sixteen words are 32 numbers of two bytes.
                        let (left, right) = unsafe {
                            (std::mem::transmute::<__m512i, __m512bh>(left), std::mem::transmute::<__m512, __m512bh>(columns[v]))
                        };
                        sums[r][v] = _mm512_dpbf16_ps(sums[r][v], left, right);
                    }
                }
            }
        }
        for r in 0..ROWS {
            for v in 0..N {
                // SAFETY: as above.
                unsafe { _mm512_storeu_ps(c.to.add((first + r) * c.apart + v * EDGE), sums[r][v]) };
            }
        }
    }
}
