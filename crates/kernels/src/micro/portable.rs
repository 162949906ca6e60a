//! Plain Rust bodies: for processors without the features, and the reference of the others' tests.

use super::{Gather, HALF, PANEL, Tile};
use std::ops::Range;

/// `acc + a b`, fused where the target does so in hardware.
#[inline(always)]
pub(super) fn multiply_add(a: f32, b: f32, acc: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { a.mul_add(b, acc) } else { a * b + acc }
}

/// See [`super::tile`].
pub(super) fn tile(t: Tile<'_>) {
    let width = if t.n > HALF { PANEL } else { HALF };
    for i in 0..t.m {
        let mut acc = [0.0f32; PANEL];
        for (k, b) in t.b.chunks_exact(PANEL).take(t.kc).enumerate() {
            let x = t.a[i * t.rs + k * t.cs];
            for (acc, &b) in acc.iter_mut().zip(b) {
                *acc = multiply_add(x, b, *acc);
            }
        }
        let row = &mut t.c[i * t.ldc..i * t.ldc + width];
        for (to, &sum) in row.iter_mut().zip(&acc) {
            *to = if t.add { *to + sum } else { sum };
        }
    }
}

/// See [`super::gather_runs`].
pub(super) fn gather_runs(g: &Gather<'_>, dst: &mut [f32]) {
    for c in 0..g.count {
        let to = &mut dst[c * g.step..][..HALF];
        to.fill(0.0);
        for run in g.runs.iter().filter(|run| run.mask != 0) {
            let (first, last) = (run.mask.trailing_zeros() as usize, 15 - run.mask.leading_zeros() as usize);
            let from = (g.base + c * g.plane + g.apart * first).wrapping_add_signed(run.offset as isize);
            let from = &g.src[from..=from + g.apart * (last - first)];
            if g.apart == 1 {
                to[first..=last].copy_from_slice(from);
            } else {
                to[first..=last].iter_mut().zip(from.iter().step_by(g.apart)).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// See [`super::transpose`].
pub(super) fn transpose(src: &[f32], lds: usize, dst: &mut [f32], ldd: usize, rows: Range<usize>, cols: Range<usize>) {
    // Blocks of 8 x 8 keep both sides in cache lines.
    for i0 in rows.clone().step_by(8) {
        for j in cols.clone() {
            for i in i0..(i0 + 8).min(rows.end) {
                dst[j * ldd + i] = src[i * lds + j];
            }
        }
    }
}
