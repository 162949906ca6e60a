//! The gradient with respect to the weights, through the transforms: `dU[p] = dM[p] V[p]^T` with `dM = A dY A^T`, and
//! `dw = G^T dU G`.

use super::tiles::{GROUP, Tiling};
use super::transform::{POINTS, read_patches, read_tiles, write_filters};
use super::{SKEW, Shape, Side, read_plane};
use crate::micro::{Isa, PANEL, ROWS, Tile, tile, transpose};
use crate::parallel::{for_each_chunk, map_jobs, scratch, unset};
use std::ops::Range;

/// Channels out and in of a job: its sums stay in the second-level cache.
const OUTPUTS: usize = 128;
const INPUTS: usize = 2 * PANEL;
/// Tiles whose products are summed at once.
const TILES: usize = 2 * GROUP;

/// `dw[k, c, i] = sum over pictures and outputs of dy[k, o] x[c, o + i - p]`, as
/// [`direct::weight_gradient`](super::super::direct::weight_gradient).
///
/// The sum over the tiles is cut into a number of shares that depends on the sizes only.
pub(crate) fn weight_gradient(s: &Shape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let t = Tiling::forward(s, Side::Four);
    let blocks = t.tiles().div_ceil(TILES);
    let (down, across) = (s.k.div_ceil(OUTPUTS), s.c.div_ceil(INPUTS));
    let shares = (8 / (down * across)).min(blocks / 4).max(1);
    let mut dw = vec![0.0; s.k * s.c * 9];
    let parts = map_jobs(down * across * shares, false, |job| {
        let (share, place) = (job / (down * across), job % (down * across));
        let outputs = place / across * OUTPUTS..s.k.min((place / across + 1) * OUTPUTS);
        let inputs = place % across * INPUTS..s.c.min((place % across + 1) * INPUTS);
        part(&t, x, dy, outputs, inputs, share * blocks / shares..(share + 1) * blocks / shares)
    });
    for_each_chunk(&mut dw, s.c * 9, |k, row| {
        for (job, part) in parts.iter().enumerate() {
            let place = job % (down * across);
            let inputs = place % across * INPUTS..s.c.min((place % across + 1) * INPUTS);
            if place / across == k / OUTPUTS {
                let from = &part[k % OUTPUTS * inputs.len() * 9..][..inputs.len() * 9];
                row[inputs.start * 9..inputs.end * 9].iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
    });
    dw
}

/// The gradient for some channels from some blocks of tiles, `[k, c, 3, 3]`.
fn part(t: &Tiling, x: &[f32], dy: &[f32], outputs: Range<usize>, inputs: Range<usize>, blocks: Range<usize>) -> Vec<f32> {
    let isa = Isa::detect();
    let (rows, panels) = (outputs.len(), inputs.len().div_ceil(PANEL));
    let (u_step, m_step, v_step) = (rows * panels * PANEL + SKEW, rows * TILES + SKEW, panels * TILES * PANEL + SKEW);
    scratch(POINTS * (u_step + m_step + v_step + GROUP * GROUP), |room| {
        let (u, room) = room.split_at_mut(POINTS * u_step);
        let (m, room) = room.split_at_mut(POINTS * m_step);
        let (v, stage) = room.split_at_mut(POINTS * v_step);
        for block in blocks.clone() {
            for half in 0..TILES / GROUP {
                let group = block * (TILES / GROUP) + half;
                gradients(isa, t, dy, outputs.clone(), group, &mut m[half * GROUP..], m_step);
                patches(isa, t, x, inputs.clone(), group, stage, &mut v[half * GROUP * PANEL..], v_step);
            }
            for p in 0..POINTS {
                let (u, m, v) = (&mut u[p * u_step..], &m[p * m_step..], &v[p * v_step..]);
                for panel in 0..panels {
                    let groups = rows.div_ceil(ROWS);
                    for group in 0..groups {
                        let (top, bottom) = (group * rows / groups, (group + 1) * rows / groups);
                        let (a, b) = (&m[top * TILES..], &v[panel * TILES * PANEL..]);
                        let (c, ldc) = (&mut u[(top * panels + panel) * PANEL..], panels * PANEL);
                        let add = block > blocks.start;
                        tile(isa, Tile { m: bottom - top, n: PANEL, kc: TILES, a, rs: TILES, cs: 1, b, c, ldc, add });
                    }
                }
            }
        }
        // Back to 3 x 3.
        let mut dw = unset(rows * inputs.len() * 9);
        let mut g = [0.0; 9 * GROUP];
        for (row, to) in dw.chunks_exact_mut(inputs.len() * 9).enumerate() {
            for (i, to) in to.chunks_mut(GROUP * 9).enumerate() {
                let from = &u[row * panels * PANEL + i * GROUP..];
                assert!(from.len() >= (POINTS - 1) * u_step + GROUP);
                // SAFETY: 36 vectors of 16 in `u`, 9 in `g`.
                unsafe { write_filters(isa, from.as_ptr(), u_step, g.as_mut_ptr()) };
                for (l, filter) in to.chunks_exact_mut(9).enumerate() {
                    filter.iter_mut().enumerate().for_each(|(t, to)| *to = g[t * GROUP + l]);
                }
            }
        }
        dw
    })
}

/// `dM[p][k][tile]` of a group of tiles, points `step` apart.
fn gradients(isa: Isa, t: &Tiling, dy: &[f32], outputs: Range<usize>, group: usize, m: &mut [f32], step: usize) {
    let (from, area) = (t.targets(group), t.target.area());
    assert_eq!(dy.len(), t.pictures * t.target.channels * area, "a gradient of another size");
    for (row, k) in outputs.enumerate() {
        let to = &mut m[row * TILES..];
        assert!(to.len() >= (POINTS - 1) * step + GROUP);
        from.ask(dy.as_ptr().wrapping_add((k + 1) * area));
        read_plane(&from, dy, k * area, |dy, from| {
            // SAFETY: the rows are readable (see `read_plane`), and 36 vectors fit, as asserted.
            unsafe { read_tiles(isa, dy, from, to.as_mut_ptr(), step) }
        });
    }
}

/// `V[p][panel][tile][32 channels]` of a group of tiles, points `step` apart.
fn patches(isa: Isa, t: &Tiling, x: &[f32], inputs: Range<usize>, group: usize, stage: &mut [f32], v: &mut [f32], step: usize) {
    let (from, area) = (t.patches(group), t.source.area());
    assert_eq!(x.len(), t.pictures * t.source.channels * area, "a source of another size");
    let panels = inputs.len().div_ceil(PANEL);
    for first in (0..panels * PANEL).step_by(GROUP) {
        let count = inputs.len().saturating_sub(first).min(GROUP);
        if count < GROUP {
            stage.fill(0.0);
        }
        for l in 0..count {
            let to = &mut stage[l * GROUP..];
            assert!(to.len() >= (POINTS - 1) * GROUP * GROUP + GROUP);
            from.ask(x.as_ptr().wrapping_add((inputs.start + first + l + 1) * area));
            read_plane(&from, x, (inputs.start + first + l) * area, |x, from| {
                // SAFETY: the rows are readable (see `read_plane`), and 36 vectors fit, as asserted.
                unsafe { read_patches(isa, x, from, to.as_mut_ptr(), GROUP * GROUP) }
            });
        }
        let to = first / PANEL * TILES * PANEL + first % PANEL;
        for (p, from) in stage.chunks_exact(GROUP * GROUP).enumerate() {
            transpose(isa, from, GROUP, &mut v[p * step + to..], PANEL, GROUP, GROUP);
        }
    }
}
