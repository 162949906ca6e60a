//! Scaled dot-product attention (Vaswani et al. 2017): `o_i = sum_j p_ij v_j`, `p_i = softmax_j(q_i . k_j / sqrt(d))`.
//!
//! Queries are taken in blocks, so that of the `len x len` weights at most 2^16 (or twelve rows) exist at a time in a thread
//! (Dao et al. 2022 keep the same quantities). The backward pass keeps q, k, v, o and the row's `l_i = log sum_j e^(s_ij)`, and computes the weights again:
//!
//! * `p_ij = e^(s_ij - l_i)`, `D_i = do_i . o_i`, `dv_j = sum_i p_ij do_i`;
//! * `ds_ij = p_ij (do_i . v_j - D_i)`, `dq_i = sum_j ds_ij k_j / sqrt(d)`, `dk_j = sum_i ds_ij q_i / sqrt(d)`.

use crate::extension::KernelOps;
use crate::gemm::{BLOCK, Columns, Left, Matrix, Packed, Rows, blocks, product};
use crate::host::{Host, contiguous, dims, fast, host, values};
use crate::math::{dot, exp_in_place, max, sum};
use crate::micro::lanes;
use crate::parallel::{for_each_chunk, for_each_pair, scratch, unset};
use crate::record::Pullback;
use burn::backend::Dispatch;
use scorefield_tensor::Tensor;

/// Weights of a block of queries: 256 KiB.
const WEIGHTS: usize = 1 << 16;

/// Attention of `q` `[b, lq, d]` over `k` and `v` `[b, lk, d]`: `softmax(q k^T / sqrt(d)) v`, `[b, lq, d]`; `b` counts pictures
/// times heads. Differentiable in all three.
///
/// # Panics
/// When the sizes disagree.
#[track_caller]
pub fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
    let ([b, _, d], [kb, lk, kd]) = (q.dims(), k.dims());
    assert_eq!(([kb, kd], v.dims()), ([b, d], [b, lk, d]), "queries {:?}, keys {:?}, values {:?}", q.dims(), k.dims(), v.dims());
    if !(fast(&q) && fast(&k) && fast(&v)) {
        return portable(q, k, v);
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::attention(q.into_dispatch(), k.into_dispatch(), v.into_dispatch()))
}

/// The same from ordinary operations (the weights exist whole).
pub(crate) fn portable(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
    let scale = (q.dims()[2] as f64).sqrt().recip();
    burn::tensor::activation::softmax(q.matmul(k.swap_dims(1, 2)) * scale, 2).matmul(v)
}

/// Sizes of an attention.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    b: usize,
    lq: usize,
    lk: usize,
    d: usize,
    /// Queries in a block: a function of the sizes alone.
    block: usize,
}

impl Sizes {
    fn new(q: &Host, k: &Host) -> Self {
        let ([b, lq, d], [_, lk, _]) = (dims(q), dims(k));
        Self { b, lq, lk, d, block: (WEIGHTS / lk).clamp(12, 256).min(lq) }
    }

    fn queries<'a>(&self, x: &'a [f32], head: usize) -> &'a [f32] {
        &x[head * self.lq * self.d..][..self.lq * self.d]
    }

    fn keys<'a>(&self, x: &'a [f32], head: usize) -> &'a [f32] {
        &x[head * self.lk * self.d..][..self.lk * self.d]
    }

    fn scale(&self) -> f32 {
        (self.d as f64).sqrt().recip() as f32
    }
}

/// Cuts a room into parts.
fn split<const N: usize>(mut room: &mut [f32], sizes: [usize; N]) -> [&mut [f32]; N] {
    sizes.map(|size| {
        let (part, rest) = std::mem::take(&mut room).split_at_mut(size);
        room = rest;
        part
    })
}

lanes! {
    /// `ds <- p (ds - d) scale`.
    fn score_gradient(ds: &mut [f32], p: &[f32], d: f32, scale: f32) {
        for (ds, &p) in ds.iter_mut().zip(p) {
            *ds = p * (*ds - d) * scale;
        }
    }
}

/// The forward pass on Flex: the output and `l`.
pub(crate) fn host_forward(q: &Host, k: &Host, v: &Host) -> (Host, Vec<f32>) {
    let s = Sizes::new(q, k);
    let (q, k, v) = (contiguous(q), contiguous(k), contiguous(v));
    let (q, k, v) = (values(&q), values(&k), values(&v));
    let (by_d, by_key) = (blocks(s.d, BLOCK), blocks(s.lk, BLOCK));
    let mut o = unset(s.b * s.lq * s.d);
    let mut l = unset(s.b * s.lq);
    for_each_pair(&mut o, s.lq * s.d, &mut l, s.lq, |head, o, l| {
        let (q, k, v) = (s.queries(q, head), s.keys(k, head), s.keys(v, head));
        let sizes = [Packed::room(s.d, s.lk), Packed::room(s.lk, s.d), s.block * s.lk];
        scratch(sizes.iter().sum(), |room| {
            let [keys, contents, weights] = split(room, sizes);
            let keys = Packed::new(&Columns::new(k, s.d, s.lk, &by_d), s.lk, &by_d, keys);
            let contents = Packed::new(&Rows::new(v, s.d, &by_key), s.d, &by_key, contents);
            for (i, (o, l)) in o.chunks_mut(s.block * s.d).zip(l.chunks_mut(s.block)).enumerate() {
                let q = &q[i * s.block * s.d..][..o.len()];
                let weights = &mut weights[..l.len() * s.lk];
                product(l.len(), s.lk, &by_d, &Left::rows(q, s.d, &by_d), &keys, &Matrix::new(s.lk, None), weights);
                for_each_pair(weights, s.lk, l, 1, |_, row, l| {
                    let top = max(row) * s.scale();
                    exp_in_place(row, s.scale(), top);
                    let total = sum(row);
                    l[0] = (f64::from(top) + total.ln()) as f32;
                    let share = total.recip() as f32;
                    row.iter_mut().for_each(|p| *p *= share);
                });
                product(l.len(), s.d, &by_key, &Left::rows(weights, s.lk, &by_key), &contents, &Matrix::new(s.d, None), o);
            }
        });
    });
    (host(o, [s.b, s.lq, s.d]), l)
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct AttentionPullback {
    q: Host,
    k: Host,
    v: Host,
    o: Host,
    l: Vec<f32>,
}

impl AttentionPullback {
    pub(crate) fn new([q, k, v]: [Host; 3], o: &Host, l: Vec<f32>) -> Self {
        Self { q: contiguous(&q), k: contiguous(&k), v: contiguous(&v), o: o.clone(), l }
    }
}

impl Pullback<3> for AttentionPullback {
    fn pull(self, d_o: Host, _: [bool; 3]) -> [Option<Host>; 3] {
        let s = Sizes::new(&self.q, &self.k);
        let d_o = contiguous(&d_o);
        let (q, k, v) = (values(&self.q), values(&self.k), values(&self.v));
        let (o, d_o, l) = (values(&self.o), values(&d_o), &self.l);
        let (by_d, by_key) = (blocks(s.d, BLOCK), blocks(s.lk, BLOCK));
        let (mut dq, mut dk, mut dv) = (unset(q.len()), unset(k.len()), unset(v.len()));
        let mut pairs: Vec<_> = dk.chunks_mut(s.lk * s.d).zip(dv.chunks_mut(s.lk * s.d)).collect();
        for_each_pair(&mut dq, s.lq * s.d, &mut pairs, 1, |head, dq, pair| {
            let (dk, dv) = (&mut *pair[0].0, &mut *pair[0].1);
            let (q, k, v) = (s.queries(q, head), s.keys(k, head), s.keys(v, head));
            let (o, d_o, l) = (s.queries(o, head), s.queries(d_o, head), &l[head * s.lq..][..s.lq]);
            let sizes = [Packed::room(s.d, s.lk), Packed::room(s.d, s.lk), s.block * s.lk, s.block * s.lk];
            scratch(sizes.iter().sum(), |room| {
                let [keys, contents, p, ds] = split(room, sizes);
                let keys = Packed::new(&Columns::new(k, s.d, s.lk, &by_d), s.lk, &by_d, keys);
                let contents = Packed::new(&Columns::new(v, s.d, s.lk, &by_d), s.lk, &by_d, contents);
                for (i, dq) in dq.chunks_mut(s.block * s.d).enumerate() {
                    let (rows, at) = (dq.len() / s.d, i * s.block);
                    let range = at * s.d..(at + rows) * s.d;
                    let (q, o, d_o, l) = (&q[range.clone()], &o[range.clone()], &d_o[range], &l[at..at + rows]);
                    let (p, ds) = (&mut p[..rows * s.lk], &mut ds[..rows * s.lk]);
                    let by_row = blocks(rows, BLOCK);
                    // The first block writes: reading fresh memory first would cost a second page fault.
                    let sum_up = if i == 0 { Matrix::new(s.d, None) } else { Matrix::adding(s.d) };

                    // p_ij = e^(s_ij - l_i)
                    product(rows, s.lk, &by_d, &Left::rows(q, s.d, &by_d), &keys, &Matrix::new(s.lk, None), p);
                    for_each_chunk(p, s.lk, |i, row| exp_in_place(row, s.scale(), l[i]));
                    // dv_j += sum_i p_ij do_i
                    let d_out = Rows::new(d_o, s.d, &by_row);
                    product(s.lk, s.d, &by_row, &Left::transposed(p, s.lk, &by_row), &d_out, &sum_up, dv);
                    // ds_ij = p_ij (do_i . v_j - D_i) / sqrt(d)
                    product(rows, s.lk, &by_d, &Left::rows(d_o, s.d, &by_d), &contents, &Matrix::new(s.lk, None), ds);
                    let p = &*p;
                    for_each_chunk(ds, s.lk, |i, row| {
                        let d = dot(&d_o[i * s.d..][..s.d], &o[i * s.d..][..s.d]) as f32;
                        score_gradient(row, &p[i * s.lk..], d, s.scale());
                    });
                    // dq_i = sum_j ds_ij k_j
                    let rows_of_k = Rows::new(k, s.d, &by_key);
                    product(rows, s.d, &by_key, &Left::rows(ds, s.lk, &by_key), &rows_of_k, &Matrix::new(s.d, None), dq);
                    // dk_j += sum_i ds_ij q_i
                    let rows_of_q = Rows::new(q, s.d, &by_row);
                    product(s.lk, s.d, &by_row, &Left::transposed(ds, s.lk, &by_row), &rows_of_q, &sum_up, dk);
                }
            });
        });
        [Some(host(dq, [s.b, s.lq, s.d])), Some(host(dk, [s.b, s.lk, s.d])), Some(host(dv, [s.b, s.lk, s.d]))]
    }
}
