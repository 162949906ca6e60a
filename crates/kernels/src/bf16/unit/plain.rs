//! The block in plain Rust.

use super::{Block, EDGE, Square, Steps};
use crate::micro::lanes;

lanes! {
    /// Sixteen columns of one row: `sum over steps and pairs of a.low b.low + a.high b.high`, in order.
    fn row(offsets: &[usize], stride: usize, a: &[Square], squares: usize, row: usize, b: &[u32], to: &mut [f32; EDGE]) {
        let mut sums = [0.0f32; EDGE];
        for (step, &offset) in offsets.iter().enumerate() {
            for (pair, &left) in a[step * squares + row / EDGE].0[row % EDGE].iter().enumerate() {
                let (low, high) = (f32::from_bits(left << 16), f32::from_bits(left & 0xffff_0000));
                let right = &b[offset + pair * stride..][..EDGE];
                for l in 0..EDGE {
                    sums[l] = (sums[l] + low * f32::from_bits(right[l] << 16)) + high * f32::from_bits(right[l] & 0xffff_0000);
                }
            }
        }
        *to = sums;
    }
}

/// See [`super::Blocks::product`].
pub(crate) fn product<const M: usize, const N: usize>(steps: &Steps, a: &[Square], b: &[u32], c: &mut Block) {
    for (r, to) in c.0[..M * EDGE].iter_mut().enumerate() {
        for (v, to) in to.as_chunks_mut().0[..N].iter_mut().enumerate() {
            row(&steps.offsets, steps.stride, a, M, r, &b[v * EDGE..], to);
        }
    }
}
