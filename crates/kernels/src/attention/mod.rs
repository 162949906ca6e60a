//! Scaled dot-product attention (Vaswani et al. 2017) of a picture's pixels among themselves:
//! `o_q = sum_k p_kq v_k`, `p_kq = softmax_k(q_q . k_k / sqrt(d))`.
//!
//! Everything stays as pictures have it, channels of pixels: a block of 32 queries is 32 columns, their scores `S[k, q]` are the
//! product of `K^T` with those columns, the softmax runs down each column, and the columns that it leaves are at once the right operand of
//! `O = V P`. Of the `len x len` weights only those of a block exist (Dao et al. 2022 keep the same quantities). The backward pass keeps
//! q, k, v, o and `l_q = log sum_k e^(s_kq)`, and computes the weights again: see [`backward`].

mod backward;

use crate::bf16;
use crate::conv::Precision;
use crate::extension::KernelOps;
use crate::gemm::BLOCK;
use crate::host::{Host, contiguous, dims, fast, host, values};
use crate::math::exp;
use crate::micro::disjoint::Disjoint;
use crate::micro::{Isa, PANEL, ROWS, Tile, lanes, tile};
use crate::parallel::{for_each_job, scratch, unset};
pub(crate) use backward::AttentionPullback;
use burn::backend::Dispatch;
use scorefield_tensor::Tensor;

/// Attention of the pixels of `qkv` `[n, 3 c, h, w]`, whose channels are the queries, the keys and the values of all heads, a head being
/// `d = c / heads` consecutive channels: `softmax(q^T k / sqrt(d)) v` for each, `[n, c, h, w]`. Differentiable.
///
/// In bfloat16 queries, keys, values and weights are rounded before they are multiplied; sums and the softmax stay in single precision.
///
/// # Panics
/// When the channels are not three times a multiple of `heads`.
#[track_caller]
pub fn attention(qkv: Tensor<4>, heads: usize, precision: Precision) -> Tensor<4> {
    let [_, channels, ..] = qkv.dims();
    assert!(
        heads > 0 && channels.is_multiple_of(3 * heads),
        "{channels} channels are not queries, keys and values of {heads} heads"
    );
    if !fast(&qkv) {
        return portable(qkv, heads);
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::attention(qkv.into_dispatch(), heads, precision))
}

/// The same from ordinary operations (the weights exist whole).
pub(crate) fn portable(qkv: Tensor<4>, heads: usize) -> Tensor<4> {
    let [n, channels, h, w] = qkv.dims();
    let (c, len) = (channels / 3, h * w);
    let d = c / heads;
    let part = |i: usize| -> Tensor<3> { qkv.clone().narrow(1, i * c, c).reshape([n * heads, d, len]) };
    let scores = part(0).swap_dims(1, 2).matmul(part(1)) * (d as f64).sqrt().recip();
    let weights = burn::tensor::activation::softmax(scores, 2); // [n heads, query, key]
    part(2).matmul(weights.swap_dims(1, 2)).reshape([n, c, h, w])
}

/// Sizes of an attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Pictures times heads.
    pub(crate) jobs: usize,
    pub(crate) heads: usize,
    /// Channels of a head.
    pub(crate) d: usize,
    /// Pixels.
    pub(crate) len: usize,
}

impl Sizes {
    fn new(qkv: &Host, heads: usize) -> Self {
        let [n, channels, h, w] = dims(qkv);
        Self { jobs: n * heads, heads, d: channels / 3 / heads, len: h * w }
    }

    /// Numbers of a head: `[d, len]`.
    pub(crate) fn head(&self) -> usize {
        self.d * self.len
    }

    /// Where the queries, keys and values of a head begin in `qkv`.
    pub(crate) fn parts(&self, job: usize) -> [usize; 3] {
        let (picture, head) = (job / self.heads, job % self.heads);
        [0, 1, 2].map(|i| ((picture * 3 + i) * self.heads + head) * self.head())
    }

    /// Blocks of queries.
    pub(crate) fn blocks(&self) -> usize {
        self.len.div_ceil(PANEL)
    }

    pub(crate) fn scale(&self) -> f32 {
        (self.d as f64).sqrt().recip() as f32
    }
}

lanes! {
    /// `s <- e^(scale s - top)` down each of the columns, with `top` their largest: the logarithm of their sum, and its reciprocal.
    pub(crate) fn softmax_columns(s: &mut [f32], scale: f32, l: &mut [f32; PANEL], shares: &mut [f32; PANEL]) {
        let rows = s.as_chunks_mut::<PANEL>().0;
        let mut tops = [f32::NEG_INFINITY; PANEL];
        for row in rows.iter() {
            for (top, &s) in tops.iter_mut().zip(row) {
                *top = if s > *top { s } else { *top };
            }
        }
        tops.iter_mut().for_each(|top| *top *= scale);
        let mut totals = [0.0f64; PANEL];
        for rows in rows.chunks_mut(64) {
            let mut sums = [0.0f32; PANEL];
            for row in rows {
                for ((s, &top), sum) in row.iter_mut().zip(&tops).zip(&mut sums) {
                    *s = exp(*s * scale - top);
                    *sum += *s;
                }
            }
            totals.iter_mut().zip(&sums).for_each(|(total, &sum)| *total += f64::from(sum));
        }
        for (((l, share), top), total) in l.iter_mut().zip(shares).zip(tops).zip(totals) {
            *l = (f64::from(top) + total.ln()) as f32;
            *share = (1.0 / total) as f32;
        }
    }

    /// `s <- e^(scale s - l)`.
    pub(crate) fn weigh_columns(s: &mut [f32], scale: f32, l: &[f32; PANEL]) {
        for row in s.as_chunks_mut::<PANEL>().0 {
            for (s, &l) in row.iter_mut().zip(l) {
                *s = exp(*s * scale - l);
            }
        }
    }

    /// `to[j] = from[j] shares[j]`.
    pub(crate) fn share_into(from: &[f32], shares: &[f32], to: &mut [f32]) {
        for ((to, from), share) in to.iter_mut().zip(from).zip(shares) {
            *to = from * share;
        }
    }
}

/// Columns `first..first + width` of `[rows, len]`, zero behind them.
pub(crate) fn columns(from: &[f32], len: usize, first: usize, width: usize, to: &mut [f32]) {
    for (row, to) in from.chunks_exact(len).zip(to.as_chunks_mut::<PANEL>().0) {
        match row[first..first + width].as_chunks::<PANEL>().0 {
            [row] => *to = *row,
            _ => {
                to[..width].copy_from_slice(&row[first..first + width]);
                to[width..].fill(0.0);
            }
        }
    }
}

/// `c[i, 32] (+)= sum_k a[i rs + k cs] b[k, 32]` for `m` rows.
pub(crate) fn times_columns(
    isa: Isa,
    m: usize,
    kc: usize,
    (a, rs, cs): (&[f32], usize, usize),
    b: &[f32],
    c: &mut [f32],
    add: bool,
) {
    for first in (0..kc).step_by(BLOCK) {
        let part = (kc - first).min(BLOCK);
        for i in (0..m).step_by(ROWS) {
            let (a, b, c) = (&a[i * rs + first * cs..], &b[first * PANEL..], &mut c[i * PANEL..]);
            tile(isa, Tile { m: (m - i).min(ROWS), n: PANEL, kc: part, a, rs, cs, b, c, ldc: PANEL, add: add || first > 0 });
        }
    }
}

/// The forward pass on Flex: the output and `l`.
pub(crate) fn host_forward(qkv: &Host, heads: usize, precision: Precision) -> (Host, Vec<f32>) {
    let [n, channels, h, w] = dims(qkv);
    let s = Sizes::new(qkv, heads);
    let qkv = contiguous(qkv);
    let x = values(&qkv);
    let mut o = unset(s.jobs * s.head());
    let mut l = unset(s.jobs * s.len);
    match precision {
        Precision::Single => forward(&s, x, &mut o, &mut l),
        Precision::Bf16 => bf16::attention(&s, x, &mut o, &mut l),
    }
    (host(o, [n, channels / 3, h, w]), l)
}

fn forward(s: &Sizes, x: &[f32], o: &mut [f32], l: &mut [f32]) {
    let isa = Isa::detect();
    let (o, l) = (Disjoint::new(o), Disjoint::new(l));
    let blocks = s.blocks();
    for_each_job(s.jobs * blocks, s.jobs * s.head() * s.len < 1 << 14, |job| {
        let (job, first) = (job / blocks, job % blocks * PANEL);
        let [q, k, v] = s.parts(job).map(|at| &x[at..at + s.head()]);
        let width = PANEL.min(s.len - first);
        scratch((s.len + 2 * s.d) * PANEL, |room| {
            let (weights, room) = room.split_at_mut(s.len * PANEL);
            let (queries, sums) = room.split_at_mut(s.d * PANEL);
            columns(q, s.len, first, width, queries);
            times_columns(isa, s.len, s.d, (k, 1, s.len), queries, weights, false);
            let (mut logs, mut shares) = ([0.0; PANEL], [0.0; PANEL]);
            softmax_columns(weights, s.scale(), &mut logs, &mut shares);
            times_columns(isa, s.d, s.len, (v, s.len, 1), weights, sums, false);
            for (channel, sums) in sums.as_chunks::<PANEL>().0.iter().enumerate() {
                // SAFETY: a block has its own columns of its own head.
                let to = unsafe { o.slice(job * s.head() + channel * s.len + first, width) };
                share_into(sums, &shares, to);
            }
            // SAFETY: as above.
            unsafe { l.slice(job * s.len + first, width) }.copy_from_slice(&logs[..width]);
        });
    });
}
