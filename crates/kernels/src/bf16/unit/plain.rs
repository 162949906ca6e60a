//! The block in plain Rust.

use super::{Block, EDGE, Square};
use crate::micro::lanes;

lanes! {
    /// Sixteen columns of one row: `sum over steps and pairs of a.low b.low + a.high b.high`, in order.
    fn row(offsets: &[usize], add: bool, a: &[Square], tall: usize, row: usize, b: &[Square], to: &mut [f32; EDGE]) {
        let mut sums = if add { *to } else { [0.0f32; EDGE] };
        for (step, &offset) in offsets.iter().enumerate() {
            for (pair, &left) in a[step * tall + row / EDGE].0[row % EDGE].iter().enumerate() {
                let (low, high) = (f32::from_bits(left << 16), f32::from_bits(left & 0xffff_0000));
                let right = &b[offset].0[pair];
                for l in 0..EDGE {
                    sums[l] = (sums[l] + low * f32::from_bits(right[l] << 16)) + high * f32::from_bits(right[l] & 0xffff_0000);
                }
            }
        }
        *to = sums;
    }
}

/// See [`super::Blocks::product`].
pub(crate) fn product<const M: usize, const N: usize>(steps: &[usize], add: bool, a: &[Square], b: &[Square], c: &mut Block) {
    for (r, to) in c.0[..M * EDGE].iter_mut().enumerate() {
        for (v, to) in to.as_chunks_mut().0[..N].iter_mut().enumerate() {
            row(steps, add, a, M, r, &b[v..], to);
        }
    }
}
