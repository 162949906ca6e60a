//! The block in plain Rust.

use super::{EDGE, Rows, Square};
use crate::micro::lanes;

lanes! {
    /// Adds to sixteen columns of one row `sum over steps and pairs of a.low b.low + a.high b.high`, in order.
    fn row(offsets: &[usize], a: &[Square], tall: usize, row: usize, b: &[Square], to: &mut [f32; EDGE]) {
        let mut sums = *to;
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
///
/// # Safety
/// The rows hold 32 numbers each.
pub(crate) unsafe fn product<const M: usize, const N: usize>(steps: &[usize], a: &[Square], b: &[Square], c: Rows) {
    for r in 0..M * EDGE {
        for v in 0..N {
            let mut sums = [0.0; EDGE];
            if !c.from.is_null() {
                // SAFETY: sixteen numbers of row `r`, of any alignment that numbers have.
                sums = unsafe { *c.from.add(r * c.step + v * EDGE).cast() };
            }
            row(steps, a, M, r, &b[v..], &mut sums);
            // SAFETY: as above.
            unsafe { *c.to.add(r * c.apart + v * EDGE).cast() = sums };
        }
    }
}
