//! NEON: 6 x 16 register tiles, transposes of 4 x 4.

use super::wide::{Wide, read_some, write_some};
use super::{HALF, PANEL, Tile};
use std::arch::aarch64::*;

/// Rows of a register tile: 6 x 4 sums, 4 vectors of columns and a number of A in all lanes fit the 32 registers.
const ROWS: usize = 6;
/// Vectors of its columns.
const VECTORS: usize = HALF / 4;

/// See [`super::tile`].
///
/// # Safety
/// The operands lie inside their slices as [`super::tile`] checks.
#[target_feature(enable = "neon")]
pub(super) unsafe fn tile(t: Tile<'_>) {
    let columns = if t.n > HALF { PANEL } else { HALF };
    let passes = (t.m + ROWS - 1) / ROWS;
    for first in (0..columns).step_by(HALF) {
        for pass in 0..passes {
            let (top, bottom) = (pass * t.m / passes, (pass + 1) * t.m / passes);
            let a = t.a.as_ptr().wrapping_add(top * t.rs);
            let (b, c) = (t.b.as_ptr().wrapping_add(first), t.c.as_mut_ptr().wrapping_add(top * t.ldc + first));
            macro_rules! rows {
                ($($m:literal)*) => {
                    match bottom - top {
                        // SAFETY: rows and columns of the tile, whose extents the caller checked.
                        $($m => unsafe { kernel::<$m>(a, t.rs, t.cs, b, c, t.ldc, t.kc, t.add) },)*
                        _ => unreachable!("a pass has one to six rows"),
                    }
                };
            }
            rows!(1 2 3 4 5 6);
        }
    }
}

/// `M` rows of A by sixteen columns of a panel.
#[target_feature(enable = "neon")]
#[allow(clippy::needless_range_loop, clippy::too_many_arguments)] // constant indices keep the sums in registers
// SAFETY: `kc` columns of `M` rows of A, as many rows of B and `M` rows of C are there.
unsafe fn kernel<const M: usize>(
    mut a: *const f32,
    rs: usize,
    cs: usize,
    mut b: *const f32,
    c: *mut f32,
    ldc: usize,
    kc: usize,
    add: bool,
) {
    let mut acc = [[vdupq_n_f32(0.0); VECTORS]; M];
    for _ in 0..kc {
        let mut columns = [vdupq_n_f32(0.0); VECTORS];
        for v in 0..VECTORS {
            // SAFETY: a row of the panel.
            columns[v] = unsafe { vld1q_f32(b.add(4 * v)) };
        }
        for i in 0..M {
            // SAFETY: row i of A.
            let x = unsafe { vld1q_dup_f32(a.wrapping_add(i * rs)) };
            for v in 0..VECTORS {
                acc[i][v] = vfmaq_f32(acc[i][v], x, columns[v]);
            }
        }
        a = a.wrapping_add(cs);
        b = b.wrapping_add(PANEL);
    }
    for i in 0..M {
        for v in 0..VECTORS {
            let to = c.wrapping_add(i * ldc + 4 * v);
            // SAFETY: row i of C.
            unsafe { vst1q_f32(to, if add { vaddq_f32(vld1q_f32(to), acc[i][v]) } else { acc[i][v] }) };
        }
    }
}

/// Rows and columns of four vectors exchanged.
#[inline(always)]
// SAFETY: every processor of the target has the instructions.
unsafe fn turned(r: [float32x4_t; 4]) -> [float32x4_t; 4] {
    let (lo01, hi01) = (vreinterpretq_f64_f32(vzip1q_f32(r[0], r[1])), vreinterpretq_f64_f32(vzip2q_f32(r[0], r[1])));
    let (lo23, hi23) = (vreinterpretq_f64_f32(vzip1q_f32(r[2], r[3])), vreinterpretq_f64_f32(vzip2q_f32(r[2], r[3])));
    [
        vreinterpretq_f32_f64(vzip1q_f64(lo01, lo23)),
        vreinterpretq_f32_f64(vzip2q_f64(lo01, lo23)),
        vreinterpretq_f32_f64(vzip1q_f64(hi01, hi23)),
        vreinterpretq_f32_f64(vzip2q_f64(hi01, hi23)),
    ]
}

/// Transposes a block of 4 x 4 numbers.
///
/// # Safety
/// 4 rows of 4 numbers are readable at `src` and writable at `dst` with their distances.
#[target_feature(enable = "neon")]
pub(super) unsafe fn transpose4(src: *const f32, lds: usize, dst: *mut f32, ldd: usize) {
    // SAFETY: the caller's.
    unsafe {
        let rows = [vld1q_f32(src), vld1q_f32(src.add(lds)), vld1q_f32(src.add(2 * lds)), vld1q_f32(src.add(3 * lds))];
        let columns = turned(rows);
        vst1q_f32(dst, columns[0]);
        vst1q_f32(dst.add(ldd), columns[1]);
        vst1q_f32(dst.add(2 * ldd), columns[2]);
        vst1q_f32(dst.add(3 * ldd), columns[3]);
    }
}

/// Sixteen numbers as four vectors.
#[derive(Clone, Copy)]
pub(crate) struct Quads([float32x4_t; 4]);

/// An operation on each of the four vectors.
macro_rules! each {
    ($operation:ident: $($operand:expr),*) => {
        Self([
            $operation($($operand.0[0]),*),
            $operation($($operand.0[1]),*),
            $operation($($operand.0[2]),*),
            $operation($($operand.0[3]),*),
        ])
    };
}

/// The lanes of four whose bits are set.
#[inline(always)]
// SAFETY: every processor of the target has the instructions.
unsafe fn lanes(mask: u16, of: float32x4_t) -> float32x4_t {
    const BITS: [u32; 4] = [1, 2, 4, 8];
    // SAFETY: as above; four numbers.
    unsafe {
        let set = vtstq_u32(vdupq_n_u32(u32::from(mask)), vld1q_u32(BITS.as_ptr()));
        vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(of), set))
    }
}

// SAFETY: every processor of the target has the instructions; pointers are the caller's.
unsafe impl Wide for Quads {
    #[inline(always)]
    // SAFETY: nothing is asked for (so throughout, where no pointer is).
    unsafe fn splat(v: f32) -> Self {
        Self([vdupq_n_f32(v); 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: sixteen numbers are readable.
        unsafe { Self([vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))]) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for (v, part) in self.0.into_iter().enumerate() {
            // SAFETY: sixteen numbers are writable.
            unsafe { vst1q_f32(to.add(4 * v), part) };
        }
    }
    #[inline(always)]
    // SAFETY: as above.
    unsafe fn add(self, other: Self) -> Self {
        each!(vaddq_f32: self, other)
    }
    #[inline(always)]
    // SAFETY: as above.
    unsafe fn sub(self, other: Self) -> Self {
        each!(vsubq_f32: self, other)
    }
    #[inline(always)]
    // SAFETY: as above.
    unsafe fn mul(self, other: Self) -> Self {
        each!(vmulq_f32: self, other)
    }
    #[inline(always)]
    // SAFETY: as above.
    unsafe fn fma(self, factor: Self, other: Self) -> Self {
        each!(vfmaq_f32: other, self, factor)
    }

    #[inline(always)]
    // SAFETY: the contract of the trait.
    unsafe fn columns(rows: &[*const f32; 16], masks: &[u16; 6]) -> [Self; 6] {
        // SAFETY: eight numbers are readable in every row.
        unsafe {
            let mut out = [Self([vdupq_n_f32(0.0); 4]); 6];
            for g in 0..4 {
                let row = |l: usize, first: usize| vld1q_f32(rows[4 * g + l].add(first));
                let low = turned([row(0, 0), row(1, 0), row(2, 0), row(3, 0)]);
                let high = turned([row(0, 4), row(1, 4), row(2, 4), row(3, 4)]);
                for (j, column) in [low[0], low[1], low[2], low[3], high[0], high[1]].into_iter().enumerate() {
                    out[j].0[g] = lanes(masks[j] >> (4 * g), column);
                }
            }
            out
        }
    }

    #[inline(always)]
    // SAFETY: the contract of the trait.
    unsafe fn store_rows(columns: [Self; 4], to: &[*mut f32; 16], masks: &[u8; 16]) {
        for g in 0..4 {
            // SAFETY: numbers whose bits are not set are not written.
            unsafe {
                let rows = turned([columns[0].0[g], columns[1].0[g], columns[2].0[g], columns[3].0[g]]);
                for (l, row) in rows.into_iter().enumerate() {
                    store_masked(row, to[4 * g + l], masks[4 * g + l]);
                }
            }
        }
    }

    #[inline(always)]
    // SAFETY: the contract of the trait.
    unsafe fn store_rows_onto(columns: [Self; 4], onto: &[*const f32; 16], gain: f32, to: &[*mut f32; 16], masks: &[u8; 16]) {
        for g in 0..4 {
            // SAFETY: numbers whose bits are not set are neither read nor written.
            unsafe {
                let rows = turned([columns[0].0[g], columns[1].0[g], columns[2].0[g], columns[3].0[g]]);
                for (l, row) in rows.into_iter().enumerate() {
                    let l = 4 * g + l;
                    let there = load_masked(onto[l], masks[l]);
                    store_masked(vmulq_f32(vaddq_f32(row, there), vdupq_n_f32(gain)), to[l], masks[l]);
                }
            }
        }
    }
}

/// Writes the lanes whose bits are set.
#[inline(always)]
// SAFETY: these numbers are writable.
unsafe fn store_masked(row: float32x4_t, to: *mut f32, mask: u8) {
    // SAFETY: as above; four numbers.
    unsafe {
        if mask == 15 {
            return vst1q_f32(to, row);
        }
        let mut numbers = [0.0; 4];
        vst1q_f32(numbers.as_mut_ptr(), row);
        write_some(numbers, to, mask);
    }
}

/// Reads the lanes whose bits are set; the others are zero.
#[inline(always)]
// SAFETY: these numbers are readable.
unsafe fn load_masked(from: *const f32, mask: u8) -> float32x4_t {
    // SAFETY: as above; four numbers.
    unsafe { if mask == 15 { vld1q_f32(from) } else { vld1q_f32(read_some(from, mask).as_ptr()) } }
}
