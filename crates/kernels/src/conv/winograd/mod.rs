//! Convolutions of 3 x 3 with stride 1 by minimal filtering: F(4 x 4, 3 x 3), 36 products for 16 outputs in place of 144, and
//! F(2 x 2, 3 x 3), 16 for 4 in place of 36.
//!
//! Lavin and Gray 2016. The outputs are cut into tiles of 4 x 4 or 2 x 2. Patches of 6 x 6 or 4 x 4 are transformed to `V[p, c, tile]`,
//! filters to `U[p, k, c]`, each of the 36 or 16 points `p` is a matrix product `M[p] = U[p] V[p]`, and `M` is transformed back. A job takes some panels of
//! 32 tiles from the picture to the picture: `V` and a few channels of `M` stay in the second-level cache.
//!
//! Every number is one fixed sequence of roundings whatever the batch and the number of threads, as in [`direct`](super::direct); it
//! is another sequence than there, and errs by about ten times as much (some 1e-6 of the largest output).

mod filters;
mod places;
mod side;
mod tiles;
mod transform;
mod two;
mod weight_gradient;

pub(crate) use filters::Kept;
pub(crate) use side::Side;
pub(crate) use tiles::Tiling;
pub(crate) use weight_gradient::weight_gradient;

use super::geometry::Shape;
use super::tail::Finish;
use crate::gemm::BLOCK;
use crate::micro::disjoint::Disjoint;
use crate::micro::{HALF, Isa, PANEL, ROWS, Tile, tile};
use crate::parallel::{for_each_job, scratch, threads, unset};
use filters::{Filters, groups};
use places::{Patches, Places};
use std::ops::Range;
use tiles::GROUP;
use transform::Ending;

/// Groups of rows of `M` that are transformed back at once.
const BAND: usize = 6;
/// Groups of tiles in a panel.
const HALVES: usize = PANEL / GROUP;
/// Most panels of a job.
const PANELS: usize = 2;
/// Numbers between the points of `V`, `M` and `U` beside their own: without them all points would fall into the same lines of the cache.
const SKEW: usize = 16;

/// Whether a convolution can be done here.
pub(crate) fn applies(s: &Shape) -> bool {
    s.kernel == [3, 3] && s.stride == 1 && [s.pad.top, s.pad.left, s.pad.bottom, s.pad.right].iter().all(|p| *p <= 2)
}

/// The correlation `y[i] = sum_c filters[i, c] * src[c]` and its tail for every picture: `[n, rows, height, width]`.
pub(crate) fn correlate(t: &Tiling, src: &[f32], filters: &Filters<'_>, tail: Finish<'_>, out: &mut [f32]) {
    let (rows, sums) = (filters.rows, filters.sums);
    assert_eq!((rows, sums), (t.target.channels, t.source.channels), "filters of other channels");
    assert_eq!(src.len(), t.pictures * sums * t.source.area(), "a source of another size");
    assert_eq!(out.len(), t.pictures * rows * t.target.area(), "a target of another size");
    tail.check([t.pictures, rows, t.target.area()]);
    if out.is_empty() {
        return;
    }
    let isa = Isa::detect();
    assert!(t.side == filters.side, "filters for tiles of another size");
    let (cut, points) = (Cut::new(t, rows, sums), t.side.points());
    let out = Disjoint::new(out);
    let block = |block: usize| {
        let first = block * cut.panels * HALVES;
        first..t.groups().min(first + cut.panels * HALVES)
    };
    let v_step = cut.panels * sums * PANEL + SKEW;
    if cut.splits == 1 {
        for_each_job(cut.blocks, cut.serial, |job| {
            scratch(points * v_step, |v| {
                read_all(isa, t, src, block(job), 0..sums, &Disjoint::new(v), v_step);
                finish(isa, t, block(job), filters, 0..rows.div_ceil(ROWS), (v, v_step), tail, &out);
            });
        });
        return;
    }
    // Few tiles: the patches are transformed by all threads, then each takes some rows.
    scratch(cut.blocks * points * v_step, |v| {
        let patches = Disjoint::new(v);
        let shares = (2 * threads()).div_ceil(cut.blocks).min(sums);
        for_each_job(cut.blocks * shares, cut.serial, |job| {
            let (b, share) = (job / shares, job % shares);
            let channels = share * sums / shares..(share + 1) * sums / shares;
            // SAFETY: what a job writes in a block are the vectors of its own channels.
            let v = unsafe { patches.part(b * points * v_step, points * v_step) };
            read_all(isa, t, src, block(b), channels, &v, v_step);
        });
        let count = rows.div_ceil(ROWS);
        for_each_job(cut.blocks * cut.splits, cut.serial, |job| {
            let (b, split) = (job / cut.splits, job % cut.splits);
            let groups = split * count / cut.splits..(split + 1) * count / cut.splits;
            finish(isa, t, block(b), filters, groups, (&v[b * points * v_step..], v_step), tail, &out);
        });
    });
}

/// Products of some groups of rows with the transformed patches of some tiles, and what becomes of them.
fn finish(
    isa: Isa,
    t: &Tiling,
    tiles: Range<usize>,
    filters: &Filters<'_>,
    range: Range<usize>,
    v: (&[f32], usize),
    tail: Finish<'_>,
    out: &Disjoint<'_>,
) {
    let (rows, points) = (filters.rows, t.side.points());
    let width = tiles.len().next_multiple_of(HALVES) * GROUP;
    let band = range.len().div_ceil(range.len().div_ceil(BAND));
    let m_step = band * ROWS * width + SKEW;
    let places: Vec<Places> = tiles.map(|g| t.places(g)).collect();
    let all: Vec<Range<usize>> = groups(rows).skip(range.start).take(range.len()).collect();
    scratch(points * m_step, |m| {
        for band in all.chunks(band) {
            multiply(isa, filters, band, places.len(), v, (m, m_step));
            let (top, bottom) = (band[0].start, band[band.len() - 1].end);
            for row in top..bottom {
                for (g, places) in places.iter().enumerate() {
                    let from = &m[(row - top) * width + g * GROUP..];
                    assert!(from.len() >= (points - 1) * m_step + GROUP);
                    let end = Ending {
                        bias: tail.bias_of(row),
                        shift: tail.shift.map_or([0.0; GROUP], |s| places.pictures.map(|n| s[n * rows + row])),
                        residual: tail.residual.map(|r| r[row * t.target.area()..].as_ptr()),
                        gain: tail.gain,
                    };
                    // SAFETY: the products of the row's tiles are vectors in `m`. A tile of one row is written by one job, and the
                    // masks keep it in its plane, which begins at `row * area` and whose pictures `at` counts; the residual is as large
                    // as the target.
                    unsafe {
                        let plane = out.start().add(row * t.target.area());
                        t.side.write_tiles(isa, from.as_ptr(), m_step, &end, plane, t.target.size[1], places);
                    }
                }
            }
        }
    });
}

/// How a correlation is cut into jobs: blocks of panels, and where these are few, ranges of rows.
struct Cut {
    panels: usize,
    blocks: usize,
    splits: usize,
    serial: bool,
}

impl Cut {
    fn new(t: &Tiling, rows: usize, sums: usize) -> Self {
        let all = t.groups().div_ceil(HALVES);
        let serial = threads() == 1 || t.tiles() * rows * sums < 1 << 12;
        let wanted = if serial { 1 } else { 2 * threads() };
        let panels = PANELS.min(all);
        let blocks = all.div_ceil(panels);
        let splits = match wanted.div_ceil(blocks) {
            1 => 1,
            // More and smaller jobs, so that the last one does not keep the others waiting for long.
            several => (2 * several).min(rows.div_ceil(2 * ROWS)),
        };
        Self { panels, blocks, splits, serial }
    }
}

/// Calls `work` with a plane of the source and patches all of whose rows of eight can be read there, or with copies of both.
#[inline(always)]
fn read_plane(patches: &Patches, src: &[f32], plane: usize, work: impl FnOnce(*const f32, &Patches)) {
    if patches.within(src.len(), plane) {
        work(src[plane..].as_ptr(), patches);
    } else {
        read_sheltered(patches, src, plane, work);
    }
}

/// With copies. Apart, so that their room is not cleared where none are made.
#[cold]
#[inline(never)]
fn read_sheltered(patches: &Patches, src: &[f32], plane: usize, work: impl FnOnce(*const f32, &Patches)) {
    let (copy, local) = patches.sheltered(src, plane);
    work(copy.as_ptr(), &local);
}

/// Some channels of `V[p][panel][c][32]` for some groups of tiles, points `step` apart.
fn read_all(isa: Isa, t: &Tiling, src: &[f32], groups: Range<usize>, channels: Range<usize>, v: &Disjoint<'_>, step: usize) {
    let (all, area) = (t.source.channels, t.source.area());
    assert!(step >= groups.len().div_ceil(HALVES) * all * PANEL && channels.end <= all && v.len() >= t.side.points() * step);
    for (g, group) in groups.enumerate() {
        let patches: Patches = t.patches(group);
        let first = g / HALVES * all * PANEL + g % HALVES * HALF;
        for c in channels.clone() {
            patches.ask(src.as_ptr().wrapping_add((c + 1) * area));
            read_plane(&patches, src, c * area, |src, patches| {
                // SAFETY: the rows are readable (see `read_plane`); a channel of a group has its own vectors of sixteen in every point,
                // and the points have room for all, as asserted.
                unsafe { t.side.read_patches(isa, src, patches, v.start().add(first + c * PANEL), step) }
            });
        }
    }
}

/// `M[p] = U[p] V[p]` for some groups of rows and of tiles: `[p][row][panel][32]`.
fn multiply(
    isa: Isa,
    filters: &Filters<'_>,
    rows: &[Range<usize>],
    tiles: usize,
    (v, v_step): (&[f32], usize),
    (m, m_step): (&mut [f32], usize),
) {
    let (sums, panels) = (filters.sums, tiles.div_ceil(HALVES));
    for p in 0..filters.side.points() {
        let (v, m) = (&v[p * v_step..], &mut m[p * m_step..]);
        for first in (0..sums).step_by(BLOCK) {
            let kc = (sums - first).min(BLOCK);
            for panel in 0..panels {
                let b = &v[(panel * sums + first) * PANEL..][..kc * PANEL];
                // The second half of the last panel may lack its tiles.
                let n = (tiles - panel * HALVES).min(HALVES) * GROUP;
                for group in rows {
                    let (a, rs, cs) = filters.at(p, group, first);
                    let c = &mut m[((group.start - rows[0].start) * panels + panel) * PANEL..];
                    tile(isa, Tile { m: group.len(), n, kc, a, rs, cs, b, c, ldc: panels * PANEL, add: first > 0 });
                }
            }
        }
    }
}

/// `y = w * x` and its tail, as [`direct::forward`](super::direct::forward); the filters are transformed now, or were at the first call with
/// `ready`.
pub(crate) fn forward(s: &Shape, side: Side, x: &[f32], w: &[f32], tail: Finish<'_>, ready: Option<&Kept>) -> Vec<f32> {
    let t = Tiling::forward(s, side);
    let mut y = unset(s.n * s.k * t.target.area());
    let (k, c) = (s.k, s.c);
    if let Some(ready) = ready {
        let values = ready.values(w, [k, c], side);
        correlate(&t, x, &Filters::of(&values, k, c, side), tail, &mut y);
    } else {
        scratch(Filters::room(k, c, side), |room| correlate(&t, x, &Filters::new(w, [k, c], false, side, room), tail, &mut y));
    }
    y
}

/// The gradient with respect to the input, as [`direct::input_gradient`](super::direct::input_gradient).
pub(crate) fn input_gradient(s: &Shape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let t = Tiling::backward(s);
    let mut dx = unset(s.n * s.c * t.target.area());
    let side = t.side;
    scratch(Filters::room(s.c, s.k, side), |room| {
        correlate(&t, dy, &Filters::new(w, [s.k, s.c], true, side, room), Finish::NONE, &mut dx)
    });
    dx
}

#[cfg(test)]
mod tests {
    use super::super::{Padding, direct};
    use super::*;
    use crate::testing::{numbers, with_threads};

    const SHAPES: [(usize, usize, usize, [usize; 2], Padding); 7] = [
        (1, 1, 1, [4, 4], Padding::all(1)),
        (2, 3, 5, [8, 8], Padding::all(1)),
        (3, 33, 20, [7, 9], Padding::all(1)),
        (9, 16, 70, [4, 4], Padding::all(1)),
        (1, 40, 130, [33, 17], Padding { top: 0, left: 1, bottom: 2, right: 0 }),
        (2, 300, 24, [10, 6], Padding::NONE),
        (40, 17, 18, [5, 3], Padding::all(2)),
    ];

    fn shape((n, c, k, size, pad): (usize, usize, usize, [usize; 2], Padding)) -> Shape {
        Shape { n, c, size, k, kernel: [3, 3], stride: 1, pad }
    }

    fn assert_near(ours: &[f32], right: &[f32], what: &str) {
        let largest = right.iter().fold(0f32, |m, v| m.max(v.abs()));
        let error = ours.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(ours.len() == right.len() && error <= 3e-5 * largest.max(1.0), "{what}: {error} of {largest}");
    }

    /// Forward and both gradients equal those of the direct algorithm, on every instruction set's transforms.
    #[test]
    fn the_same_as_direct() {
        for case in SHAPES {
            let s = shape(case);
            assert!(applies(&s));
            let (x, w, b) = (numbers(s.n * s.c * s.size[0] * s.size[1], 1), numbers(s.k * s.c * 9, 2), numbers(s.k, 3));
            let size = s.output();
            let dy = numbers(s.n * s.k * size[0] * size[1], 4);
            let tail = Finish::bias(Some(&b));
            for side in [Side::Two, Side::Four] {
                let what = format!("forward {side:?} {s:?}");
                assert_near(&forward(&s, side, &x, &w, tail, None), &direct::forward(&s, &x, &w, tail), &what);
            }
            assert_near(&input_gradient(&s, &dy, &w), &direct::input_gradient(&s, &dy, &w), &format!("input gradient {s:?}"));
            assert_near(&weight_gradient(&s, &x, &dy), &direct::weight_gradient(&s, &x, &dy), &format!("weight gradient {s:?}"));
        }
    }

    /// The bits of a picture's outputs depend neither on the other pictures nor on the number of threads.
    #[test]
    fn pictures_do_not_know_each_other() {
        for case in SHAPES {
            let s = shape(case);
            let plane = s.c * s.size[0] * s.size[1];
            let (x, w) = (numbers(s.n * plane, 1), numbers(s.k * s.c * 9, 2));
            let mut outputs = 0;
            for side in [Side::Two, Side::Four] {
                let forward = |s: &Shape, x: &[f32], ready: Option<&Kept>| forward(s, side, x, &w, Finish::NONE, ready);
                let all = with_threads(1, || forward(&s, &x, None));
                assert_eq!(with_threads(3, || forward(&s, &x, None)), all);
                let ready = Kept::default();
                for _ in 0..2 {
                    assert_eq!(forward(&s, &x, Some(&ready)), all, "transformed once");
                }
                let one = forward(&Shape { n: 1, ..s }, &x[(s.n - 1) * plane..], None);
                assert_eq!(one, all[all.len() - one.len()..]);
                outputs = all.len();
            }
            let dy = numbers(outputs, 4);
            let dw = with_threads(1, || weight_gradient(&s, &x, &dy));
            assert_eq!(with_threads(3, || weight_gradient(&s, &x, &dy)), dw);
        }
    }
}
