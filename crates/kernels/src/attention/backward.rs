//! The backward pass of attention, block of queries by block of queries:
//!
//! * `p_kq = e^(s_kq - l_q)`, `D_q = do_q . o_q`, `dv_k = sum_q p_kq do_q`;
//! * `ds_kq = p_kq (v_k . do_q - D_q) / sqrt(d)`, `dq_q = sum_k ds_kq k_k`, `dk_k = sum_q ds_kq q_q`.

use super::{Sizes, columns, times_columns, weigh_columns};
use crate::host::{Host, contiguous, dims, host, values};
use crate::micro::{Isa, PANEL, ROWS, Tile, lanes, tile, transpose};
use crate::parallel::{for_each_chunk, scratch, unset};
use crate::record::Pullback;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct AttentionPullback {
    qkv: Host,
    heads: usize,
    o: Host,
    l: Vec<f32>,
}

impl AttentionPullback {
    pub(crate) fn new(qkv: Host, heads: usize, o: &Host, l: Vec<f32>) -> Self {
        Self { qkv: contiguous(&qkv), heads, o: o.clone(), l }
    }
}

lanes! {
    /// `sums[q] = sum over rows of a[q] b[q]`.
    fn dot_columns(a: &[f32], b: &[f32], sums: &mut [f32; PANEL]) {
        let mut totals = [0.0f32; PANEL];
        for (a, b) in a.as_chunks::<PANEL>().0.iter().zip(b.as_chunks::<PANEL>().0) {
            for ((total, a), b) in totals.iter_mut().zip(a).zip(b) {
                *total += a * b;
            }
        }
        *sums = totals;
    }

    /// `ds <- p (ds - d) scale`.
    fn score_gradient(ds: &mut [f32], p: &[f32], d: &[f32; PANEL], scale: f32) {
        for (ds, p) in ds.as_chunks_mut::<PANEL>().0.iter_mut().zip(p.as_chunks::<PANEL>().0) {
            for ((ds, p), d) in ds.iter_mut().zip(p).zip(d) {
                *ds = p * (*ds - d) * scale;
            }
        }
    }
}

/// `to[c, k] (+)= sum_q a[c, q] w[k, q]` over the queries of a block: `a` is 32 columns, `to` has rows of whole panels, `turned` is room.
fn over_queries(isa: Isa, a: &[f32], w: &[f32], keys: usize, to: &mut [f32], turned: &mut [f32], add: bool) {
    let (rows, wide) = (a.len() / PANEL, keys.next_multiple_of(PANEL));
    for first in (0..keys).step_by(PANEL) {
        let width = PANEL.min(keys - first);
        if width < PANEL {
            turned.fill(0.0);
        }
        transpose(isa, &w[first * PANEL..], PANEL, turned, PANEL, width, PANEL);
        for i in (0..rows).step_by(ROWS) {
            let (a, c) = (&a[i * PANEL..], &mut to[i * wide + first..]);
            tile(isa, Tile { m: (rows - i).min(ROWS), n: PANEL, kc: PANEL, a, rs: PANEL, cs: 1, b: turned, c, ldc: wide, add });
        }
    }
}

impl Pullback<1> for AttentionPullback {
    fn pull(self, d_o: Host, _: [bool; 1]) -> [Option<Host>; 1] {
        let s = Sizes::new(&self.qkv, self.heads);
        let d_o = contiguous(&d_o);
        let (x, o, d_o) = (values(&self.qkv), values(&self.o), values(&d_o));
        let isa = Isa::detect();
        let wide = s.len.next_multiple_of(PANEL);
        // A chunk of the gradient for each head: its queries, keys and values lie apart, so it is put together first.
        let mut heads = unset(s.jobs * 3 * s.head());
        for_each_chunk(&mut heads, 3 * s.head(), |job, to| {
            let [q, k, v] = s.parts(job).map(|at| &x[at..at + s.head()]);
            let range = job * s.head()..(job + 1) * s.head();
            let (o, d_o) = (&o[range.clone()], &d_o[range]);
            let (dq, rest) = to.split_at_mut(s.head());
            let (dk, dv) = rest.split_at_mut(s.head());
            scratch(2 * s.len * PANEL + 3 * s.d * PANEL + 2 * s.d * wide + PANEL * PANEL, |room| {
                let (p, room) = room.split_at_mut(s.len * PANEL);
                let (ds, room) = room.split_at_mut(s.len * PANEL);
                let (queries, room) = room.split_at_mut(s.d * PANEL);
                let (outputs, room) = room.split_at_mut(s.d * PANEL);
                let (sums, room) = room.split_at_mut(s.d * PANEL);
                let (keys, room) = room.split_at_mut(s.d * wide);
                let (contents, turned) = room.split_at_mut(s.d * wide);
                for first in (0..s.len).step_by(PANEL) {
                    let width = PANEL.min(s.len - first);
                    let (mut l, mut d) = ([0.0; PANEL], [0.0; PANEL]);
                    l[..width].copy_from_slice(&self.l[job * s.len + first..][..width]);
                    // D_q, while the room for sums holds o.
                    columns(d_o, s.len, first, width, outputs);
                    columns(o, s.len, first, width, sums);
                    dot_columns(outputs, sums, &mut d);
                    columns(q, s.len, first, width, queries);
                    // p_kq; columns that do not exist have no gradient behind them.
                    times_columns(isa, s.len, s.d, (k, 1, s.len), queries, p, false);
                    weigh_columns(p, s.scale(), &l);
                    over_queries(isa, outputs, p, s.len, contents, turned, first > 0);
                    times_columns(isa, s.len, s.d, (v, 1, s.len), outputs, ds, false);
                    score_gradient(ds, p, &d, s.scale());
                    over_queries(isa, queries, ds, s.len, keys, turned, first > 0);
                    times_columns(isa, s.d, s.len, (k, s.len, 1), ds, sums, false);
                    for (to, from) in dq.chunks_exact_mut(s.len).zip(sums.as_chunks::<PANEL>().0) {
                        to[first..first + width].copy_from_slice(&from[..width]);
                    }
                }
                for (to, from) in [(dk, keys), (dv, contents)] {
                    for (to, from) in to.chunks_exact_mut(s.len).zip(from.chunks_exact(wide)) {
                        to.copy_from_slice(&from[..s.len]);
                    }
                }
            });
        });
        [Some(host(self.join(&s, &heads), dims::<4>(&self.qkv)))]
    }
}

impl AttentionPullback {
    /// From `[picture, head, 3, d, len]` to `[picture, 3, head, d, len]`.
    fn join(&self, s: &Sizes, heads: &[f32]) -> Vec<f32> {
        if s.heads == 1 {
            return heads.to_vec();
        }
        let mut joined = unset(heads.len());
        for_each_chunk(&mut joined, s.head(), |i, to| {
            let (picture, part, head) = (i / s.heads / 3, i / s.heads % 3, i % s.heads);
            to.copy_from_slice(&heads[((picture * s.heads + head) * 3 + part) * s.head()..][..s.head()]);
        });
        joined
    }
}
