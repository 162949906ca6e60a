//! The transforms of F(4 x 4, 3 x 3): minimal filtering with the points 0, 1, -1, 2, -2 and infinity.
//!
//! Lavin and Gray 2016 ("Fast algorithms for convolutional neural networks"), section 4.1 and its matrices for F(4 x 4, 3 x 3):
//! `Y = A^T ((G g G^T) . (B^T d B)) A` for a filter `g` of 3 x 3, a patch `d` of 6 x 6 and outputs `Y` of 4 x 4. Each matrix is a
//! function of one line of numbers here and is applied to columns, then to rows. The gradients need the transposes of `A` and `G`.

#![allow(clippy::needless_range_loop, reason = "constant indices keep the vectors in registers; closures would not be inlined")]

use super::places::{Patches, Places};
use crate::micro::wide::{Wide, for_isa};

/// Outputs and inputs of a tile along one side, and products of a tile.
pub(crate) const OUT: usize = 4;
pub(crate) const IN: usize = 6;
pub(crate) const POINTS: usize = IN * IN;

/// `B^T d`.
#[inline(always)]
// SAFETY: the caller promises the instruction set of `W`, here and below.
unsafe fn data<W: Wide>(d: [W; 6]) -> [W; 6] {
    // SAFETY: as promised.
    unsafe {
        let (two, four) = (W::splat(2.0), W::splat(4.0));
        let (minus_two, minus_four, minus_five) = (W::splat(-2.0), W::splat(-4.0), W::splat(-5.0));
        let (a, b) = (d[2].fma(minus_four, d[4]), d[1].fma(minus_four, d[3]));
        let (c, e) = (d[4].sub(d[2]), d[3].sub(d[1]));
        [
            d[0].fma(four, d[2].fma(minus_five, d[4])),
            a.add(b),
            a.sub(b),
            e.fma(two, c),
            e.fma(minus_two, c),
            d[1].fma(four, d[3].fma(minus_five, d[5])),
        ]
    }
}

/// `A^T m`.
#[inline(always)]
// SAFETY: as above.
unsafe fn output<W: Wide>(m: [W; 6]) -> [W; 4] {
    // SAFETY: as promised.
    unsafe {
        let (two, four, eight) = (W::splat(2.0), W::splat(4.0), W::splat(8.0));
        let (a, b, c, e) = (m[1].add(m[2]), m[1].sub(m[2]), m[3].add(m[4]), m[3].sub(m[4]));
        [m[0].add(a).add(c), e.fma(two, b), c.fma(four, a), e.fma(eight, b).add(m[5])]
    }
}

/// `A y`: the transpose of [`output`].
#[inline(always)]
// SAFETY: as above.
unsafe fn output_transposed<W: Wide>(y: [W; 4]) -> [W; 6] {
    // SAFETY: as promised.
    unsafe {
        let (two, four, eight) = (W::splat(2.0), W::splat(4.0), W::splat(8.0));
        let (a, b) = (y[0].add(y[2]), y[1].add(y[3]));
        let (c, e) = (y[2].fma(four, y[0]), y[3].fma(eight, y[1].mul(two)));
        [y[0], a.add(b), a.sub(b), c.add(e), c.sub(e), y[3]]
    }
}

/// `G g`.
#[inline(always)]
// SAFETY: as above.
unsafe fn filter<W: Wide>(g: [W; 3]) -> [W; 6] {
    // SAFETY: as promised.
    unsafe {
        let (quarter, sixth, twelfth, less) = (W::splat(0.25), W::splat(-1.0 / 6.0), W::splat(1.0 / 12.0), W::splat(1.0 / 24.0));
        let (a, b) = (g[0].add(g[2]).mul(sixth), g[1].mul(sixth));
        let (c, e) = (g[0].mul(less).sub(g[2].mul(sixth)), g[1].mul(twelfth));
        [g[0].mul(quarter), a.add(b), a.sub(b), c.add(e), c.sub(e), g[2]]
    }
}

/// `G^T u`: the transpose of [`filter`].
#[inline(always)]
// SAFETY: as above.
unsafe fn filter_transposed<W: Wide>(u: [W; 6]) -> [W; 3] {
    // SAFETY: as promised.
    unsafe {
        let (quarter, sixth, twelfth, less) = (W::splat(0.25), W::splat(-1.0 / 6.0), W::splat(1.0 / 12.0), W::splat(1.0 / 24.0));
        let (a, b, c, e) = (u[1].add(u[2]).mul(sixth), u[1].sub(u[2]).mul(sixth), u[3].add(u[4]), u[3].sub(u[4]).mul(twelfth));
        [c.fma(less, u[0].fma(quarter, a)), b.add(e), a.add(u[5]).sub(c.mul(sixth))]
    }
}

/// What follows the transform back: `gain (y + bias + shift + residual)`, see [`Finish`](crate::conv::tail::Finish).
pub(crate) struct Ending {
    pub bias: f32,
    /// A number for each tile.
    pub shift: [f32; 16],
    /// A plane that lies as the target does.
    pub residual: Option<*const f32>,
    pub gain: f32,
}

for_isa! {
    /// `v[p] = B^T d B` of the patches of the plane at `src`, `v` being `step` numbers apart.
    ///
    /// # Safety
    /// Eight numbers are readable at every place of the patches; `v` has room for 36 vectors of 16.
    pub(crate) unsafe fn read_patches / read_patches_of(src: *const f32, from: &Patches, v: *mut f32, step: usize);

    /// `Y = A^T m A` and what follows, the numbers of `m` being `step` apart, to the places of the plane at `to`, rows `width` apart.
    ///
    /// # Safety
    /// What the masks let through lies in the plane, and in that of the residual; `m` holds 36 vectors of 16.
    pub(crate) unsafe fn write_tiles / write_tiles_of(m: *const f32, step: usize, end: &Ending, to: *mut f32, width: usize, places: &Places);

    /// `v[p] = A y A^T` of the tiles of the plane at `src`: what the gradient of the outputs is to the products.
    ///
    /// # Safety
    /// As [`read_patches`].
    pub(crate) unsafe fn read_tiles / read_tiles_of(src: *const f32, from: &Patches, v: *mut f32, step: usize);

    /// `u[p] = G g G^T` of sixteen filters, number `t` of each at `g + 16 t`, `u` being `step` numbers apart.
    ///
    /// # Safety
    /// `g` holds 9 vectors of 16, `u` has room for 36.
    pub(crate) unsafe fn read_filters / read_filters_of(g: *const f32, u: *mut f32, step: usize);

    /// `g = G^T u G` of sixteen filters, the gradient of [`read_filters`]; number `t` of each to `g + 16 t`.
    ///
    /// # Safety
    /// `u` holds 36 vectors of 16, `g` has room for 9.
    pub(crate) unsafe fn write_filters / write_filters_of(u: *const f32, step: usize, g: *mut f32);
}

/// Columns 0 to 5 of row `r` of the patches of a plane.
#[inline(always)]
// SAFETY: the contract of `read_patches`, and the instruction set of `W`.
pub(super) unsafe fn row<W: Wide>(src: *const f32, from: &Patches, r: usize) -> [W; 6] {
    let mut rows = [src; 16];
    for l in 0..16 {
        rows[l] = src.wrapping_offset(from.at[r][l]);
    }
    // SAFETY: as promised.
    unsafe { W::columns(&rows, &from.masks[r]) }
}

#[inline(always)]
// SAFETY: the contract of `read_patches`, and the instruction set of `W`.
unsafe fn read_patches_of<W: Wide>(src: *const f32, from: &Patches, v: *mut f32, step: usize) {
    // SAFETY: as promised.
    unsafe {
        // Written out: an array that is cleared first, or copied, would go through memory by calls.
        let d: [[W; 6]; 6] =
            [row(src, from, 0), row(src, from, 1), row(src, from, 2), row(src, from, 3), row(src, from, 4), row(src, from, 5)];
        macro_rules! column {
            ($j:literal) => {
                data([d[0][$j], d[1][$j], d[2][$j], d[3][$j], d[4][$j], d[5][$j]])
            };
        }
        let t = [column!(0), column!(1), column!(2), column!(3), column!(4), column!(5)];
        for r in 0..6 {
            store(data([t[0][r], t[1][r], t[2][r], t[3][r], t[4][r], t[5][r]]), v.add(r * IN * step), step);
        }
    }
}

/// Vectors `step` numbers apart.
#[inline(always)]
// SAFETY: they have room at `v`, and the instruction set of `W`.
pub(super) unsafe fn store<W: Wide, const N: usize>(line: [W; N], v: *mut f32, step: usize) {
    for j in 0..N {
        // SAFETY: as promised.
        unsafe { line[j].store(v.add(j * step)) };
    }
}

/// Six vectors of a column, `step` numbers apart.
#[inline(always)]
// SAFETY: they lie at `m`, and the instruction set of `W`.
unsafe fn load<W: Wide>(m: *const f32, step: usize) -> [W; 6] {
    // SAFETY: as promised.
    unsafe {
        let at = |r: usize| m.add(r * IN * step);
        [W::load(at(0)), W::load(at(1)), W::load(at(2)), W::load(at(3)), W::load(at(4)), W::load(at(5))]
    }
}

#[inline(always)]
// SAFETY: the contract of `write_tiles`, and the instruction set of `W`.
unsafe fn write_tiles_of<W: Wide>(m: *const f32, step: usize, end: &Ending, to: *mut f32, width: usize, places: &Places) {
    // SAFETY: as promised.
    unsafe {
        macro_rules! column {
            ($j:literal) => {
                output(load(m.add($j * step), step))
            };
        }
        let t: [[W; 4]; 6] = [column!(0), column!(1), column!(2), column!(3), column!(4), column!(5)];
        for a in 0..4 {
            write_row(output([t[0][a], t[1][a], t[2][a], t[3][a], t[4][a], t[5][a]]), a, end, to, width, places);
        }
    }
}

/// Row `a` of sixteen tiles and what follows, up to four columns of which the masks let through those that exist.
#[inline(always)]
// SAFETY: the contract of `write_tiles`, and the instruction set of `W`.
pub(super) unsafe fn write_row<W: Wide>(y: [W; 4], a: usize, end: &Ending, to: *mut f32, width: usize, places: &Places) {
    // SAFETY: as promised.
    unsafe {
        let (bias, shift, gain) = (W::splat(end.bias), W::load(end.shift.as_ptr()), W::splat(end.gain));
        let mut y = y;
        let mut rows = [to; 16];
        for l in 0..16 {
            rows[l] = to.wrapping_add(places.at[l] + a * width);
        }
        for j in 0..4 {
            y[j] = y[j].add(bias).add(shift);
        }
        let Some(residual) = end.residual else {
            return W::store_rows([y[0].mul(gain), y[1].mul(gain), y[2].mul(gain), y[3].mul(gain)], &rows, &places.masks[a]);
        };
        let mut onto = [residual; 16];
        for l in 0..16 {
            onto[l] = residual.wrapping_add(places.at[l] + a * width);
        }
        W::store_rows_onto(y, &onto, end.gain, &rows, &places.masks[a]);
    }
}

#[inline(always)]
// SAFETY: the contract of `read_tiles`, and the instruction set of `W`.
unsafe fn read_tiles_of<W: Wide>(src: *const f32, from: &Patches, v: *mut f32, step: usize) {
    // SAFETY: as promised.
    unsafe {
        let y: [[W; 6]; 4] = [row(src, from, 0), row(src, from, 1), row(src, from, 2), row(src, from, 3)];
        macro_rules! column {
            ($j:literal) => {
                output_transposed([y[0][$j], y[1][$j], y[2][$j], y[3][$j]])
            };
        }
        let t = [column!(0), column!(1), column!(2), column!(3)];
        for r in 0..6 {
            store(output_transposed([t[0][r], t[1][r], t[2][r], t[3][r]]), v.add(r * IN * step), step);
        }
    }
}

#[inline(always)]
// SAFETY: the contract of `read_filters`, and the instruction set of `W`.
unsafe fn read_filters_of<W: Wide>(g: *const f32, u: *mut f32, step: usize) {
    // SAFETY: as promised.
    unsafe {
        let t = [filter(column_of::<W>(g, 0)), filter(column_of(g, 1)), filter(column_of(g, 2))];
        for r in 0..6 {
            store(filter([t[0][r], t[1][r], t[2][r]]), u.add(r * IN * step), step);
        }
    }
}

/// Column `j` of sixteen filters of 3 x 3.
#[inline(always)]
// SAFETY: the contract of `read_filters`, and the instruction set of `W`.
pub(super) unsafe fn column_of<W: Wide>(g: *const f32, j: usize) -> [W; 3] {
    // SAFETY: as promised.
    unsafe { [W::load(g.add(j * 16)), W::load(g.add((3 + j) * 16)), W::load(g.add((6 + j) * 16))] }
}

#[inline(always)]
// SAFETY: the contract of `write_filters`, and the instruction set of `W`.
unsafe fn write_filters_of<W: Wide>(u: *const f32, step: usize, g: *mut f32) {
    // SAFETY: as promised.
    unsafe {
        macro_rules! column {
            ($j:literal) => {
                filter_transposed(load(u.add($j * step), step))
            };
        }
        let t: [[W; 3]; 6] = [column!(0), column!(1), column!(2), column!(3), column!(4), column!(5)];
        for r in 0..3 {
            let line = filter_transposed([t[0][r], t[1][r], t[2][r], t[3][r], t[4][r], t[5][r]]);
            store(line, g.add(r * 3 * 16), 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::micro::Isa;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32).map(|i| ((i * 7 + seed) as f32 * 1.37).sin()).collect()
    }

    /// Every instruction set transforms as plain Rust does, to the bit where that fuses too, and touches nothing that the masks hide.
    #[test]
    fn instruction_sets_agree() {
        use super::super::two;
        let mut from = Patches { at: [[0; 16]; IN], masks: [[0; 6]; IN], reach: [0, 0], lines: Vec::new() };
        let mut places = Places { at: [0; 16], pictures: [0; 16], masks: [[0; 16]; OUT] };
        for l in 0..16 {
            places.at[l] = l / 4 * 4 * 20 + l % 4 * 5;
            for r in 0..IN {
                from.at[r][l] = (l * 11 + r * 29) as isize;
                // Rows 1 and 4 are whole, as those of nearly all patches are.
                (0..6).for_each(|j| from.masks[r][j] |= u16::from((l + 3 * r + j) % 5 != 0 || r % 3 == 1) << l);
            }
            (0..OUT).for_each(|a| places.masks[a][l] = [15, 7, 15, 5, 0][(l + a) % 5]);
        }
        let (src, m, g) = (numbers(400, 1), numbers(POINTS * 16, 2), numbers(9 * 16, 3));
        let residual = numbers(20 * 16, 4);
        let mut halved = places.clone();
        halved.masks.iter_mut().flatten().for_each(|mask| *mask &= 3);
        let run = |isa: Isa| {
            let (mut v, mut w, mut u) = (vec![0.0f32; POINTS * 16], vec![0.0f32; POINTS * 16], vec![0.0f32; POINTS * 16]);
            let (mut back, mut plain, mut onto) = (vec![0.0f32; 9 * 16], vec![9.0f32; 20 * 16], vec![9.0f32; 20 * 16]);
            let mut small = [vec![0.0f32; 16 * 16], vec![0.0f32; 16 * 16], vec![9.0f32; 20 * 16]];
            let mut end = Ending { bias: 0.5, shift: std::array::from_fn(|l| l as f32 / 8.0), residual: None, gain: 0.75 };
            // SAFETY: rows of eight from 11 * 15 + 29 * 5 on end before 400; tiles lie in 16 rows of 20; vectors have room.
            unsafe {
                read_patches(isa, src.as_ptr(), &from, v.as_mut_ptr(), 16);
                read_tiles(isa, src.as_ptr(), &from, w.as_mut_ptr(), 16);
                read_filters(isa, g.as_ptr(), u.as_mut_ptr(), 16);
                write_filters(isa, m.as_ptr(), 16, back.as_mut_ptr());
                write_tiles(isa, m.as_ptr(), 16, &end, plain.as_mut_ptr(), 20, &places);
                end.residual = Some(residual.as_ptr());
                write_tiles(isa, m.as_ptr(), 16, &end, onto.as_mut_ptr(), 20, &places);
                two::read_patches(isa, src.as_ptr(), &from, small[0].as_mut_ptr(), 16);
                two::read_filters(isa, g.as_ptr(), small[1].as_mut_ptr(), 16);
                two::write_tiles(isa, m.as_ptr(), 16, &end, small[2].as_mut_ptr(), 20, &halved);
            }
            let hidden = |(i, y): (usize, &f32)| {
                let (row, column) = (i / 20, i % 20);
                let l = row / 4 * 4 + column / 5;
                let seen = column % 5 < 4 && places.masks[row % 4][l] >> (column % 5) & 1 == 1;
                assert!(seen != (*y == 9.0), "{isa:?} {i}: {y}");
            };
            plain.iter().enumerate().for_each(hidden);
            [[v, w, u, back, plain, onto].concat(), small.concat()].concat()
        };
        let expected = run(Isa::Portable);
        // Sets that fuse give the same bits; plain Rust does where the target fuses.
        let mut fused: Option<Vec<f32>> = None;
        for isa in Isa::all() {
            let ours = run(isa);
            for (i, (a, b)) in ours.iter().zip(&expected).enumerate() {
                assert!((a - b).abs() <= 2e-5, "{isa:?} {i}: {a} {b}");
            }
            if isa != Isa::Portable || cfg!(target_arch = "aarch64") {
                assert_eq!(*fused.get_or_insert(ours.clone()), ours, "{isa:?}");
            }
        }
    }
}
