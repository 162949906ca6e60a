//! AVX-512: 12 x 32 register tiles, masked loads, 16 x 16 transposes.

use super::{Gather, HALF, PANEL, Tile};
use std::arch::x86_64::*;

/// See [`super::tile`].
///
/// # Safety
/// The processor has AVX-512F and the operands lie inside their slices as [`super::tile`] checks.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn tile(t: Tile<'_>) {
    macro_rules! rows {
        ($($m:literal)*) => {
            match (t.m, t.n > 16, t.cs == 1) {
                // SAFETY: forwarded from the caller.
                $(
                    ($m, true, true) => unsafe { kernel::<$m, 2, true>(t) },
                    ($m, false, true) => unsafe { kernel::<$m, 1, true>(t) },
                    ($m, true, false) => unsafe { kernel::<$m, 2, false>(t) },
                    ($m, false, false) => unsafe { kernel::<$m, 1, false>(t) },
                )*
                _ => unreachable!("rows are checked by the caller"),
            }
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12)
}

/// Steps of the sum by which columns of A are asked for early.
const AHEAD: usize = 96;

/// `M` rows, `V` vectors of columns; `ROW`: rows of A are contiguous, otherwise its columns are.
#[target_feature(enable = "avx512f")]
#[allow(clippy::needless_range_loop)] // constant indices keep the accumulators in registers
// SAFETY: callers checked the tile's extents, and that the processor has the instructions.
unsafe fn kernel<const M: usize, const V: usize, const ROW: bool>(t: Tile<'_>) {
    // Distances between rows and between steps of the sum.
    let (row, step) = if ROW { (t.rs, 1) } else { (1, t.cs) };
    let (mut a, mut b) = (t.a.as_ptr(), t.b.as_ptr());
    let mut acc = [[_mm512_setzero_ps(); V]; M];
    macro_rules! one {
        ($u:expr) => {
            let mut column = [_mm512_setzero_ps(); V];
            for v in 0..V {
                // SAFETY: step k < kc of the panel, columns 16 v..16 v + 16 of its 32.
                column[v] = unsafe { _mm512_loadu_ps(b.wrapping_add($u * PANEL + v * 16)) };
            }
            for i in 0..M {
                // SAFETY: row i < M and step k < kc of A.
                let x = _mm512_set1_ps(unsafe { *a.wrapping_add(i * row + $u * step) });
                for v in 0..V {
                    acc[i][v] = _mm512_fmadd_ps(x, column[v], acc[i][v]);
                }
            }
        };
    }
    // Columns of A are asked for before they are needed: kept filters come from memory, and the hardware looks ahead within a page only.
    let ahead = if ROW { 0 } else { AHEAD * step };
    // Four steps at a time: the pointers to contiguous rows are then read once for four broadcasts.
    for _ in 0..t.kc / 4 {
        if !ROW {
            for u in 0..4 {
                // A hint, wherever it points.
                _mm_prefetch::<_MM_HINT_T0>(a.wrapping_add(ahead + u * step).cast());
            }
        }
        one!(0);
        one!(1);
        one!(2);
        one!(3);
        a = a.wrapping_add(4 * step);
        b = b.wrapping_add(4 * PANEL);
    }
    for _ in 0..t.kc % 4 {
        one!(0);
        a = a.wrapping_add(step);
        b = b.wrapping_add(PANEL);
    }
    for i in 0..M {
        for v in 0..V {
            let to = t.c.as_mut_ptr().wrapping_add(i * t.ldc + v * 16);
            // SAFETY: row i < M, columns 16 v..16 v + 16 of C.
            unsafe { _mm512_storeu_ps(to, if t.add { _mm512_add_ps(_mm512_loadu_ps(to), acc[i][v]) } else { acc[i][v] }) };
        }
    }
}

/// See [`super::gather_runs`].
///
/// # Safety
/// The processor has AVX-512F; every lane in a mask lies inside `src` for all channels; `dst` holds all rows.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn gather_runs(g: &Gather<'_>, dst: &mut [f32]) {
    let mut to = dst.as_mut_ptr();
    // SAFETY (all blocks): lanes outside the masks are not read, lanes inside were checked by the caller, who owns the vectors behind `to`.
    match g.runs {
        [] => {
            for c in 0..g.count {
                // SAFETY: as above.
                unsafe { _mm512_storeu_ps(to.add(c * g.step), _mm512_setzero_ps()) };
            }
        }
        [run] => {
            let mut p = g.at(run, 0);
            for _ in 0..g.count {
                // SAFETY: as above.
                unsafe { _mm512_storeu_ps(to, _mm512_maskz_loadu_ps(run.mask, p)) };
                p = p.wrapping_add(g.plane);
                to = to.wrapping_add(g.step);
            }
        }
        [one, two] => {
            let (mut p, mut q) = (g.at(one, 0), g.at(two, 0));
            for _ in 0..g.count {
                // SAFETY: as above.
                unsafe {
                    let x = _mm512_maskz_loadu_ps(one.mask, p);
                    _mm512_storeu_ps(to, _mm512_mask_loadu_ps(x, two.mask, q));
                }
                p = p.wrapping_add(g.plane);
                q = q.wrapping_add(g.plane);
                to = to.wrapping_add(g.step);
            }
        }
        runs => {
            for c in 0..g.count {
                let mut x = _mm512_setzero_ps();
                for run in runs {
                    // SAFETY: as above.
                    x = unsafe { _mm512_mask_loadu_ps(x, run.mask, g.at(run, c)) };
                }
                // SAFETY: as above.
                unsafe { _mm512_storeu_ps(to.add(c * g.step), x) };
            }
        }
    }
}

/// See [`super::gather_runs`], every second number.
///
/// # Safety
/// As [`gather_runs`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn gather_every_second(g: &Gather<'_>, dst: &mut [f32]) {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    // A bit for every number of two vectors, of which the odd ones are left out.
    let spread = |mask: u16| (0..8).fold(0u16, |spread, l| spread | (mask >> l & 1) << (2 * l));
    let mut masks = [[0u16; 2]; HALF];
    masks.iter_mut().zip(g.runs).for_each(|(masks, run)| *masks = [spread(run.mask & 0xff), spread(run.mask >> 8)]);
    for c in 0..g.count {
        let mut x = _mm512_setzero_ps();
        for (run, [first, second]) in g.runs.iter().zip(masks) {
            let from = g.at(run, c);
            // SAFETY: numbers outside the masks are not read; those inside were checked by the caller.
            let (low, high) =
                unsafe { (_mm512_maskz_loadu_ps(first, from), _mm512_maskz_loadu_ps(second, from.wrapping_add(HALF))) };
            x = _mm512_mask_mov_ps(x, run.mask, _mm512_permutex2var_ps(low, even, high));
        }
        // SAFETY: the caller owns the vectors behind `dst`.
        unsafe { _mm512_storeu_ps(dst.as_mut_ptr().add(c * g.step), x) };
    }
}

/// Transposes a block of 16 x 16 numbers.
///
/// # Safety
/// The processor has AVX-512F; 16 rows of 16 numbers are readable at `src` and writable at `dst` with their distances.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn transpose16(src: *const f32, lds: usize, dst: *mut f32, ldd: usize) {
    let mut r = [_mm512_setzero_ps(); 16];
    for (i, row) in r.iter_mut().enumerate() {
        // SAFETY: row i < 16 of the block.
        *row = unsafe { _mm512_loadu_ps(src.add(i * lds)) };
    }
    // Pairs of rows, then pairs of pairs: each 128-bit lane q of s[4g + j] holds column 4q + j of rows 4g..4g + 4.
    let mut s = [_mm512_setzero_ps(); 16];
    for g in 0..4 {
        let (lo01, hi01) = (_mm512_unpacklo_ps(r[4 * g], r[4 * g + 1]), _mm512_unpackhi_ps(r[4 * g], r[4 * g + 1]));
        let (lo23, hi23) = (_mm512_unpacklo_ps(r[4 * g + 2], r[4 * g + 3]), _mm512_unpackhi_ps(r[4 * g + 2], r[4 * g + 3]));
        let pd = _mm512_castps_pd;
        s[4 * g] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(lo01), pd(lo23)));
        s[4 * g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(lo01), pd(lo23)));
        s[4 * g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(hi01), pd(hi23)));
        s[4 * g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(hi01), pd(hi23)));
    }
    for j in 0..4 {
        // A 4 x 4 transpose of 128-bit lanes over the groups of rows.
        let (a, b, c, d) = (s[j], s[4 + j], s[8 + j], s[12 + j]);
        let (ab_even, ab_odd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xDD>(a, b));
        let (cd_even, cd_odd) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xDD>(c, d));
        let columns = [
            _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even),
            _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd),
            _mm512_shuffle_f32x4::<0xDD>(ab_even, cd_even),
            _mm512_shuffle_f32x4::<0xDD>(ab_odd, cd_odd),
        ];
        for (q, column) in columns.into_iter().enumerate() {
            // SAFETY: column 4q + j < 16 of the block.
            unsafe { _mm512_storeu_ps(dst.add((4 * q + j) * ldd), column) };
        }
    }
}
