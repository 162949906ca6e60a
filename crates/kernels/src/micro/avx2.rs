//! AVX2 with fused multiply-add: a 12 x 32 tile is walked in pieces of 6 x 16 (12 accumulators of 16 registers); masked loads, 8 x 8 transposes.

use super::halves::{lanes_of, pair, quarters};
use super::{Gather, PANEL, Tile};
use std::arch::x86_64::*;

/// See [`super::tile`].
///
/// # Safety
/// The processor has AVX2 and FMA and the operands lie inside their slices as [`super::tile`] checks.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn tile(t: Tile<'_>) {
    let halves = t.n.div_ceil(16);
    for half in 0..halves {
        let mut i = 0;
        while i < t.m {
            let m = (t.m - i).min(6);
            // SAFETY: rows i..i + m and columns 16 half..16 half + 16 lie inside the tile that the caller checked.
            unsafe {
                let (a, b, c) =
                    (t.a.as_ptr().add(i * t.rs), t.b.as_ptr().add(half * 16), t.c.as_mut_ptr().add(i * t.ldc + half * 16));
                match m {
                    6 => kernel::<6>(&t, a, b, c),
                    5 => kernel::<5>(&t, a, b, c),
                    4 => kernel::<4>(&t, a, b, c),
                    3 => kernel::<3>(&t, a, b, c),
                    2 => kernel::<2>(&t, a, b, c),
                    _ => kernel::<1>(&t, a, b, c),
                }
            }
            i += m;
        }
    }
}

/// `M` rows of 16 columns.
#[target_feature(enable = "avx2,fma")]
// SAFETY: callers checked the tile's extents, and that the processor has the instructions.
unsafe fn kernel<const M: usize>(t: &Tile<'_>, a: *const f32, b: *const f32, c: *mut f32) {
    let mut acc = [[_mm256_setzero_ps(); 2]; M];
    // SAFETY (whole block): row < M, k < kc and 16 columns stay inside the slices that the caller checked.
    unsafe {
        for k in 0..t.kc {
            let (p, q) = (a.add(k * t.cs), b.add(k * PANEL));
            let (left, right) = (_mm256_loadu_ps(q), _mm256_loadu_ps(q.add(8)));
            for (i, acc) in acc.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*p.add(i * t.rs));
                acc[0] = _mm256_fmadd_ps(x, left, acc[0]);
                acc[1] = _mm256_fmadd_ps(x, right, acc[1]);
            }
        }
        for (i, acc) in acc.iter().enumerate() {
            for (v, &sum) in acc.iter().enumerate() {
                let to = c.add(i * t.ldc + v * 8);
                _mm256_storeu_ps(to, if t.add { _mm256_add_ps(_mm256_loadu_ps(to), sum) } else { sum });
            }
        }
    }
}

/// See [`super::gather_runs`].
///
/// # Safety
/// The processor has AVX2; every lane in a mask lies inside `src` for all channels; `dst` holds all rows.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn gather_runs(g: &Gather<'_>, dst: &mut [f32]) {
    for c in 0..g.count {
        let mut x = [_mm256_setzero_ps(); 2];
        for run in g.runs {
            let from = g.at(run, c);
            for (v, x) in x.iter_mut().enumerate() {
                let mask = run.mask >> (8 * v) & 0xff;
                // SAFETY: lanes outside the mask are not read; lanes inside were checked by the caller.
                *x = unsafe {
                    match mask {
                        0 => *x,
                        0xff => _mm256_loadu_ps(from.wrapping_add(8 * v)),
                        _ => _mm256_or_ps(*x, _mm256_maskload_ps(from.wrapping_add(8 * v), _mm256_castps_si256(lanes_of(mask)))),
                    }
                };
            }
        }
        // SAFETY: the caller owns the vectors behind `dst`.
        unsafe {
            let to = dst.as_mut_ptr().add(c * g.step);
            _mm256_storeu_ps(to, x[0]);
            _mm256_storeu_ps(to.add(8), x[1]);
        }
    }
}

/// Transposes a block of 8 x 8 numbers.
///
/// # Safety
/// The processor has AVX2; 8 rows of 8 numbers are readable at `src` and writable at `dst` with their distances.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn transpose8(src: *const f32, lds: usize, dst: *mut f32, ldd: usize) {
    // SAFETY: rows and columns below 8 of the block.
    unsafe {
        let mut rows = [src; 8];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = src.add(i * lds);
        }
        // Blocks of 4 x 4 side by side.
        for j in [0, 4] {
            let columns = quarters([pair(&rows, 0, j), pair(&rows, 1, j), pair(&rows, 2, j), pair(&rows, 3, j)]);
            for (q, column) in columns.into_iter().enumerate() {
                _mm256_storeu_ps(dst.add((j + q) * ldd), column);
            }
        }
    }
}
