//! Convolutions of 3 x 3 with stride 1 by minimal filtering, F(4 x 4, 3 x 3): 36 products for 16 outputs in place of 144.
//!
//! Lavin and Gray 2016. The outputs are cut into tiles of 4 x 4. Patches of 6 x 6 are transformed to `V[p, c, tile]`, filters to
//! `U[p, k, c]`, each of the 36 points `p` is a matrix product `M[p] = U[p] V[p]`, and `M` is transformed back. A job takes some panels of
//! 32 tiles from the picture to the picture: `V` and a few channels of `M` stay in the second-level cache.
//!
//! Every number is one fixed sequence of roundings whatever the batch and the number of threads, as in [`direct`](super::direct); it
//! is another sequence than there, and errs by about ten times as much (some 1e-6 of the largest output).

mod tiles;
mod transform;
mod weight_gradient;

pub(crate) use tiles::Tiling;
pub(crate) use weight_gradient::weight_gradient;

use super::geometry::Shape;
use super::tail::Finish;
use crate::gemm::BLOCK;
use crate::micro::disjoint::Disjoint;
use crate::micro::{HALF, Isa, PANEL, ROWS, Tile, tile, transpose};
use crate::parallel::{for_each_job, scratch, threads, unset};
use std::sync::{Arc, Mutex, PoisonError};
use tiles::GROUP;
use transform::{Ending, POINTS, Patches, Places, read_filters, read_patches, write_tiles};

/// Rows of `M` that are transformed back at once.
const BAND: usize = 64;
/// Most panels of a job.
const PANELS: usize = 2;
/// Numbers between the points of `V`, `M` and `U` beside their own: without them all points would fall into the same lines of the cache.
const SKEW: usize = 16;

/// Filters that a first call transforms for all that follow.
pub(crate) type Kept = Mutex<Option<Arc<Vec<f32>>>>;

/// Whether a convolution can be done here.
pub(crate) fn applies(s: &Shape) -> bool {
    s.kernel == [3, 3] && s.stride == 1 && [s.pad.top, s.pad.left, s.pad.bottom, s.pad.right].iter().all(|p| *p <= 2)
}

/// Transformed filters, `[36][rows, sums]`.
pub(crate) struct Filters<'a> {
    values: &'a [f32],
    rows: usize,
    sums: usize,
}

impl<'a> Filters<'a> {
    /// Numbers that the filters of a correlation take.
    pub(crate) fn room(rows: usize, sums: usize) -> usize {
        POINTS * Self::step(rows, sums)
    }

    fn step(rows: usize, sums: usize) -> usize {
        rows * sums + SKEW
    }

    /// Filters transformed before, by [`Filters::new`] into `values`.
    pub(crate) fn of(values: &'a [f32], rows: usize, sums: usize) -> Self {
        assert!(values.len() >= Self::room(rows, sums), "transformed filters of other channels");
        Self { values, rows, sums }
    }

    /// From weights `[k, c, 3, 3]`; `turned` for the gradient with respect to the input: channels exchanged, places reversed.
    pub(crate) fn new(w: &[f32], [k, c]: [usize; 2], turned: bool, room: &'a mut [f32]) -> Self {
        let (rows, sums) = if turned { (c, k) } else { (k, c) };
        let (isa, step) = (Isa::detect(), Self::step(rows, sums));
        assert!(room.len() >= Self::room(rows, sums), "room for transformed filters");
        let out = Disjoint::new(room);
        for_each_job(rows, rows * sums < 1 << 12, |row| {
            // SAFETY: jobs write different rows of the matrices.
            let at = |p: usize, s: usize, len: usize| unsafe { out.slice(p * step + row * sums + s, len) };
            let (mut square, mut g, mut u) = ([0.0; 16 * 16], [0.0; 9 * 16], [0.0; POINTS * 16]);
            for first in (0..sums).step_by(16) {
                let count = (sums - first).min(16);
                let (from, apart) = if turned { ((first * c + row) * 9, c * 9) } else { ((row * c + first) * 9, 9) };
                if count == 16 && from + 15 * apart + 16 <= w.len() {
                    // Sixteen numbers of each filter, of which nine are its own.
                    transpose(isa, &w[from..], apart, &mut square, 16, 16, 16);
                    for t in 0..9 {
                        g[if turned { 8 - t } else { t } * 16..][..16].copy_from_slice(&square[t * 16..][..16]);
                    }
                } else {
                    for l in 0..count {
                        for t in 0..9 {
                            g[if turned { 8 - t } else { t } * 16 + l] = w[from + l * apart + t];
                        }
                    }
                }
                // SAFETY: 9 and 36 vectors of 16.
                unsafe { read_filters(isa, g.as_ptr(), u.as_mut_ptr(), 16) };
                for (p, from) in u.chunks_exact(16).enumerate() {
                    at(p, first, count).copy_from_slice(&from[..count]);
                }
            }
        });
        Self { values: room, rows, sums }
    }
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
    let cut = Cut::new(t, rows, sums);
    let out = Disjoint::new(out);
    for_each_job(cut.blocks * cut.splits, cut.serial, |job| {
        let (block, split) = (job / cut.splits, job % cut.splits);
        let first = block * cut.panels * (PANEL / GROUP);
        let groups = first..t.groups().min(first + cut.panels * (PANEL / GROUP));
        let panels = groups.len().div_ceil(PANEL / GROUP);
        let band_rows = split * rows / cut.splits..(split + 1) * rows / cut.splits;
        let v_step = panels * sums * PANEL + SKEW;
        let height = BAND.min(band_rows.len());
        let m_step = height * panels * PANEL + SKEW;
        scratch(POINTS * (v_step + m_step), |room| {
            let (v, m) = room.split_at_mut(POINTS * v_step);
            read_all(isa, t, src, groups.clone(), panels, v, v_step);
            let places: Vec<Places> = groups.clone().map(|g| t.places(g)).collect();
            let bands = band_rows.len().div_ceil(BAND);
            for band in 0..bands {
                let top = band_rows.start + band * band_rows.len() / bands;
                let bottom = band_rows.start + (band + 1) * band_rows.len() / bands;
                multiply(isa, filters, top..bottom, panels, (v, v_step), (m, m_step));
                for row in top..bottom {
                    for (g, places) in places.iter().enumerate() {
                        let from = &m[(row - top) * panels * PANEL + g * GROUP..];
                        assert!(from.len() >= (POINTS - 1) * m_step + GROUP);
                        let end = Ending {
                            bias: tail.bias_of(row),
                            shift: tail.shift.map_or([0.0; GROUP], |s| places.pictures.map(|n| s[n * rows + row])),
                            residual: tail.residual.map(|r| r[row * t.target.area()..].as_ptr()),
                            gain: tail.gain,
                        };
                        // SAFETY: the products of the row's tiles are 36 vectors in `m`. A tile of one row is written by one job,
                        // and the masks keep it in its plane, which begins at `row * area` and whose pictures `at` counts; the
                        // residual is as large as the target.
                        unsafe {
                            let plane = out.start().add(row * t.target.area());
                            write_tiles(isa, from.as_ptr(), m_step, &end, plane, t.target.size[1], places);
                        }
                    }
                }
            }
        });
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
        let all = t.groups().div_ceil(PANEL / GROUP);
        let serial = threads() == 1 || t.tiles() * rows * sums < 1 << 12;
        let wanted = if serial { 1 } else { 2 * threads() };
        let mut panels = PANELS.min(all);
        while all.div_ceil(panels) < wanted && panels > 1 {
            panels -= 1;
        }
        let blocks = all.div_ceil(panels);
        let splits = if serial { 1 } else { wanted.div_ceil(blocks).min(rows.div_ceil(2 * ROWS)) };
        Self { panels, blocks, splits, serial }
    }
}

/// Calls `work` with a plane of the source and patches all of whose rows of eight can be read there, or with copies of both.
fn read_plane(patches: &Patches, src: &[f32], plane: usize, work: impl FnOnce(*const f32, &Patches)) {
    if patches.within(src.len(), plane) {
        work(src[plane..].as_ptr(), patches);
    } else {
        let (copy, local) = patches.sheltered(src, plane);
        work(copy.as_ptr(), &local);
    }
}

/// `V[p][panel][c][32]` of some groups of tiles, points `step` apart.
fn read_all(isa: Isa, t: &Tiling, src: &[f32], groups: std::ops::Range<usize>, panels: usize, v: &mut [f32], step: usize) {
    let (channels, area) = (t.source.channels, t.source.area());
    assert!(v.len() >= POINTS * step && step >= panels * channels * PANEL);
    for g in 0..panels * (PANEL / GROUP) {
        let to = &mut v[g / 2 * channels * PANEL + g % 2 * HALF..];
        if g >= groups.len() {
            // The second half of the last panel may lack its tiles.
            for p in 0..POINTS {
                (0..channels).for_each(|c| to[p * step + c * PANEL..][..HALF].fill(0.0));
            }
            continue;
        }
        let patches: Patches = t.patches(groups.start + g);
        for c in 0..channels {
            let to = &mut to[c * PANEL..];
            assert!(to.len() >= (POINTS - 1) * step + HALF);
            read_plane(&patches, src, c * area, |src, patches| {
                // SAFETY: the rows are readable (see `read_plane`), and 36 vectors fit, as asserted.
                unsafe { read_patches(isa, src, patches, to.as_mut_ptr(), step) }
            });
        }
    }
}

/// `M[p] = U[p] V[p]` for some rows: `[p][row][panel][32]`.
fn multiply(
    isa: Isa,
    filters: &Filters<'_>,
    rows: std::ops::Range<usize>,
    panels: usize,
    (v, v_step): (&[f32], usize),
    (m, m_step): (&mut [f32], usize),
) {
    let (sums, u_step) = (filters.sums, Filters::step(filters.rows, filters.sums));
    let groups = rows.len().div_ceil(ROWS);
    for p in 0..POINTS {
        let (u, v, m) = (&filters.values[p * u_step..], &v[p * v_step..], &mut m[p * m_step..]);
        for first in (0..sums).step_by(BLOCK) {
            let kc = (sums - first).min(BLOCK);
            for panel in 0..panels {
                let b = &v[(panel * sums + first) * PANEL..][..kc * PANEL];
                for group in 0..groups {
                    let (top, bottom) = (group * rows.len() / groups, (group + 1) * rows.len() / groups);
                    let a = &u[(rows.start + top) * sums + first..];
                    let c = &mut m[(top * panels + panel) * PANEL..];
                    let ldc = panels * PANEL;
                    tile(isa, Tile { m: bottom - top, n: PANEL, kc, a, rs: sums, cs: 1, b, c, ldc, add: first > 0 });
                }
            }
        }
    }
}

/// `y = w * x` and its tail, as [`direct::forward`](super::direct::forward); the filters are transformed now, or were at the first call with
/// `ready`.
pub(crate) fn forward(s: &Shape, x: &[f32], w: &[f32], tail: Finish<'_>, ready: Option<&Kept>) -> Vec<f32> {
    let t = Tiling::forward(s);
    let mut y = unset(s.n * s.k * t.target.area());
    let (k, c) = (s.k, s.c);
    if let Some(ready) = ready {
        let mut kept = ready.lock().unwrap_or_else(PoisonError::into_inner);
        let values = Arc::clone(kept.get_or_insert_with(|| {
            let mut room = unset(Filters::room(k, c));
            Filters::new(w, [k, c], false, &mut room);
            Arc::new(room)
        }));
        drop(kept);
        correlate(&t, x, &Filters::of(&values, k, c), tail, &mut y);
    } else {
        scratch(Filters::room(k, c), |room| correlate(&t, x, &Filters::new(w, [k, c], false, room), tail, &mut y));
    }
    y
}

/// The gradient with respect to the input, as [`direct::input_gradient`](super::direct::input_gradient).
pub(crate) fn input_gradient(s: &Shape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let t = Tiling::backward(s);
    let mut dx = unset(s.n * s.c * t.target.area());
    scratch(Filters::room(s.c, s.k), |room| correlate(&t, dy, &Filters::new(w, [s.k, s.c], true, room), Finish::NONE, &mut dx));
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
            assert_near(&forward(&s, &x, &w, tail, None), &direct::forward(&s, &x, &w, tail), &format!("forward {s:?}"));
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
            let all = with_threads(1, || forward(&s, &x, &w, Finish::NONE, None));
            assert_eq!(with_threads(3, || forward(&s, &x, &w, Finish::NONE, None)), all);
            let ready = Kept::default();
            for _ in 0..2 {
                assert_eq!(forward(&s, &x, &w, Finish::NONE, Some(&ready)), all, "transformed once");
            }
            let one = forward(&Shape { n: 1, ..s }, &x[(s.n - 1) * plane..], &w, Finish::NONE, None);
            assert_eq!(one, all[all.len() - one.len()..]);
            let dy = numbers(all.len(), 4);
            let dw = with_threads(1, || weight_gradient(&s, &x, &dy));
            assert_eq!(with_threads(3, || weight_gradient(&s, &x, &dy)), dw);
        }
    }
}
