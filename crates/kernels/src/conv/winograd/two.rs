//! The transforms of F(2 x 2, 3 x 3): minimal filtering with the points 0, 1, -1 and infinity.
//!
//! Lavin and Gray 2016, section 4.1 and its matrices for F(2 x 2, 3 x 3): as [`transform`](super::transform), for patches of 4 x 4 and
//! outputs of 2 x 2. Patches and places are those of there with the first four rows and columns, and the first two.

#![allow(clippy::needless_range_loop, reason = "constant indices keep the vectors in registers; closures would not be inlined")]

use super::places::{Patches, Places};
use super::transform::{Ending, column_of, row, store, write_row};
use crate::micro::wide::{Wide, for_isa};

/// Outputs and inputs of a tile along one side.
pub(crate) const OUT: usize = 2;
pub(crate) const IN: usize = 4;

/// `B^T d`.
#[inline(always)]
// SAFETY: the caller promises the instruction set of `W`, here and below.
unsafe fn data<W: Wide>(d: [W; 4]) -> [W; 4] {
    // SAFETY: as promised.
    unsafe { [d[0].sub(d[2]), d[1].add(d[2]), d[2].sub(d[1]), d[1].sub(d[3])] }
}

/// `A^T m`.
#[inline(always)]
// SAFETY: as above.
unsafe fn output<W: Wide>(m: [W; 4]) -> [W; 2] {
    // SAFETY: as promised.
    unsafe { [m[0].add(m[1]).add(m[2]), m[1].sub(m[2]).sub(m[3])] }
}

/// `G g`.
#[inline(always)]
// SAFETY: as above.
unsafe fn filter<W: Wide>(g: [W; 3]) -> [W; 4] {
    // SAFETY: as promised.
    unsafe {
        let half = W::splat(0.5);
        let (a, b) = (g[0].add(g[2]).mul(half), g[1].mul(half));
        [g[0], a.add(b), a.sub(b), g[2]]
    }
}

for_isa! {
    /// [`super::transform::read_patches`] of patches of 4 x 4, 16 vectors.
    ///
    /// # Safety
    /// Eight numbers are readable at every place of the patches' first four rows; `v` has room for 16 vectors of 16.
    pub(crate) unsafe fn read_patches / read_patches_of(src: *const f32, from: &Patches, v: *mut f32, step: usize);

    /// [`super::transform::write_tiles`] of tiles of 2 x 2.
    ///
    /// # Safety
    /// What the masks let through, the first two numbers of the first two rows at most, lies in the plane, and in that of the residual; `m`
    /// holds 16 vectors of 16.
    pub(crate) unsafe fn write_tiles / write_tiles_of(m: *const f32, step: usize, end: &Ending, to: *mut f32, width: usize, places: &Places);

    /// [`super::transform::read_filters`] to 16 vectors.
    ///
    /// # Safety
    /// `g` holds 9 vectors of 16, `u` has room for 16.
    pub(crate) unsafe fn read_filters / read_filters_of(g: *const f32, u: *mut f32, step: usize);
}

#[inline(always)]
// SAFETY: the contract of `read_patches`, and the instruction set of `W`.
unsafe fn read_patches_of<W: Wide>(src: *const f32, from: &Patches, v: *mut f32, step: usize) {
    // SAFETY: as promised.
    unsafe {
        // Written out, as there.
        let d = [row::<W>(src, from, 0), row(src, from, 1), row(src, from, 2), row(src, from, 3)];
        macro_rules! column {
            ($j:literal) => {
                data([d[0][$j], d[1][$j], d[2][$j], d[3][$j]])
            };
        }
        let t = [column!(0), column!(1), column!(2), column!(3)];
        for r in 0..4 {
            store(data([t[0][r], t[1][r], t[2][r], t[3][r]]), v.add(r * IN * step), step);
        }
    }
}

#[inline(always)]
// SAFETY: the contract of `write_tiles`, and the instruction set of `W`.
unsafe fn write_tiles_of<W: Wide>(m: *const f32, step: usize, end: &Ending, to: *mut f32, width: usize, places: &Places) {
    // SAFETY: as promised.
    unsafe {
        let at = |r: usize, j: usize| m.add((r * IN + j) * step);
        macro_rules! column {
            ($j:literal) => {
                output([W::load(at(0, $j)), W::load(at(1, $j)), W::load(at(2, $j)), W::load(at(3, $j))])
            };
        }
        let t = [column!(0), column!(1), column!(2), column!(3)];
        for a in 0..2 {
            let y = output([t[0][a], t[1][a], t[2][a], t[3][a]]);
            // The masks hide the last two of four columns.
            write_row([y[0], y[1], y[1], y[1]], a, end, to, width, places);
        }
    }
}

#[inline(always)]
// SAFETY: the contract of `read_filters`, and the instruction set of `W`.
unsafe fn read_filters_of<W: Wide>(g: *const f32, u: *mut f32, step: usize) {
    // SAFETY: as promised.
    unsafe {
        let t = [filter(column_of::<W>(g, 0)), filter(column_of(g, 1)), filter(column_of(g, 2))];
        for r in 0..4 {
            store(filter([t[0][r], t[1][r], t[2][r]]), u.add(r * IN * step), step);
        }
    }
}
