//! Attention with keys and values of its own, among all pixels and linear in their number.
//!
//! Queries, keys and values of a head are `q_p`, `k_m`, `v_m`, `p` a pixel, `m` a pixel or one of [`MEMORY`] learned pairs.
//!
//! * Full (Vaswani et al. 2017): `o_p = sum_m softmax_m(q_p . k_m / sqrt(d)) v_m`. The learned pairs are further pixels, whose queries
//!   are zero and whose outputs nobody reads.
//! * Linear (Shen et al. 2021, "Efficient attention", eq. 5; Katharopoulos et al. 2020): the softmax of the product becomes a
//!   product of softmaxes, of the queries over channels and of the keys over `m`, so that the sum over `m` is done once for all pixels:
//!   `o_p = C^T softmax_c(q_p) / sqrt(d)`, `C = sum_m softmax_m(k_m) v_m^T`.

use super::block::RmsNorm;
use crate::Init;
use crate::layer::{Conv, ConvShape, Layout, Pass, Place};
use crate::ops;
use scorefield_tensor::Tensor;

/// How many keys and values are learned.
pub(super) const MEMORY: usize = 4;

/// `x -> x + N1 P attention(QKV N0 x)`; only linear attention has the norm `N1`.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    norm: RmsNorm,
    qkv: Conv,
    /// Keys, then values, a row a channel, head after head: `[2, heads d, MEMORY]`.
    memory: usize,
    out: Conv,
    /// Of linear attention.
    out_norm: Option<RmsNorm>,
    heads: usize,
    /// Of all heads.
    width: usize,
}

impl Attention {
    pub(super) fn new(layout: &mut Layout, name: &str, channels: usize, [heads, d]: [usize; 2], full: bool) -> Self {
        let width = heads * d;
        layout.within(name, |l| Self {
            norm: RmsNorm::new(l, "norm", channels),
            qkv: l.conv("qkv", ConvShape::one(channels, 3 * width).unbiased(), Place::Qkv),
            memory: l.add("memory", &[2, width, MEMORY], Init::Normal { std: 1.0 }, true),
            out: l.conv("out", ConvShape::one(width, channels), Place::Inner),
            out_norm: (!full).then(|| RmsNorm::new(l, "out_norm", channels)),
            heads,
            width,
        })
    }

    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        let qkv = self.qkv.forward(pass, self.norm.forward(pass, x.clone())); // [n, 3 width, h, w]
        let memory = pass.tensor(self.memory, [1, 2 * self.width, MEMORY]);
        match &self.out_norm {
            None => self.out.forward_onto(pass, full(pass, qkv, memory, self.heads), x, 1.0),
            Some(norm) => ops::add(x, norm.forward(pass, self.out.forward(pass, linear(qkv, memory, self.heads))), 1.0),
        }
    }
}

/// Full attention: `qkv` `[n, 3 c, h, w]`, `memory` `[1, 2 c, m]`; the result is `[n, c, h, w]`.
fn full(pass: &Pass<'_>, qkv: Tensor<4>, memory: Tensor<3>, heads: usize) -> Tensor<4> {
    let ([n, channels, h, w], [.., m]) = (qkv.dims(), memory.dims());
    let (c, len) = (channels / 3, h * w);
    let queries = pass.constant(vec![0.0; c * m], [1, c, m]);
    let memory = Tensor::cat(vec![queries, memory], 1).repeat_dim(0, n);
    let places = Tensor::cat(vec![memory, qkv.reshape([n, channels, len])], 2).reshape([n, channels, m + len, 1]);
    ops::attention(places, heads, pass.precision()).narrow(2, m, len).reshape([n, c, h, w])
}

/// Linear attention, of the same shapes.
fn linear(qkv: Tensor<4>, memory: Tensor<3>, heads: usize) -> Tensor<4> {
    let ([n, channels, h, w], [.., m]) = (qkv.dims(), memory.dims());
    let (c, len) = (channels / 3, h * w);
    let d = c / heads;
    let part = |i: usize| -> Tensor<3> { qkv.clone().narrow(1, i * c, c).reshape([n * heads, d, len]) };
    let with_memory = |i: usize| {
        let learned = memory.clone().narrow(1, (i - 1) * c, c).repeat_dim(0, n).reshape([n * heads, d, m]);
        Tensor::cat(vec![learned, part(i)], 2)
    };
    let queries = ops::softmax(part(0), 1) * (d as f64).sqrt().recip();
    let keys = ops::softmax(with_memory(1), 2);
    // The transpose of C: [n heads, value channel, key channel].
    let context = with_memory(2).matmul(keys.swap_dims(1, 2));
    context.matmul(queries).reshape([n, c, h, w])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Params};
    use scorefield_tensor::noise::Stream;
    use scorefield_tensor::{DType, Purpose, TensorData, rows_f64};

    const N: usize = 2;
    const HEADS: usize = 2;
    const D: usize = 3;
    const LEN: usize = 6;

    fn numbers(count: usize, sample: u64) -> Vec<f64> {
        let mut values = vec![0.0f32; count];
        Stream::new(3, sample, Purpose::User, 0, 0).fill_normal_f32(&mut values);
        values.into_iter().map(f64::from).collect()
    }

    /// Number `i` of part `part` (query, key, value), head, channel and place of a picture; places below [`MEMORY`] are learned.
    fn at(qkv: &[f64], memory: &[f64], [n, part, head, c, place]: [usize; 5]) -> f64 {
        let channel = head * D + c;
        match place.checked_sub(MEMORY) {
            Some(pixel) => qkv[((n * 3 + part) * HEADS * D + channel) * LEN + pixel],
            None => memory[((part - 1) * HEADS * D + channel) * MEMORY + place],
        }
    }

    fn shares(scores: &[f64]) -> Vec<f64> {
        let total: f64 = scores.iter().map(|s| s.exp()).sum();
        scores.iter().map(|s| s.exp() / total).collect()
    }

    /// Both against sums over all pairs, from the formulas at the head of the file.
    #[test]
    fn both_equal_a_loop() {
        let (q, m) = (numbers(N * 3 * HEADS * D * LEN, 0), numbers(2 * HEADS * D * MEMORY, 1));
        let device = Default::default();
        let tensor = |v: &[f64], shape| Tensor::<3>::from_data(TensorData::new(v.to_vec(), shape), (&device, DType::F64));
        let qkv = tensor(&q, [N, 3 * HEADS * D, LEN]).reshape([N, 3 * HEADS * D, 2, 3]);
        let memory = tensor(&m, [1, 2 * HEADS * D, MEMORY]);
        // A parameter that says where constants live and in which precision.
        let specs = [crate::ParamSpec { name: "any".into(), shape: vec![1], init: Init::Zeros, trainable: true }];
        let params = Params::from_host(&specs, vec![vec![0.0]], &device).unwrap().cast(DType::F64);
        let pass = Pass::new(&params, &specs, &Mode::Eval);
        let found = [rows_f64(full(&pass, qkv.clone(), memory.clone(), HEADS)), rows_f64(linear(qkv, memory, HEADS))];

        let (places, root) = (MEMORY + LEN, (D as f64).sqrt());
        for (n, head) in (0..N).flat_map(|n| (0..HEADS).map(move |head| (n, head))) {
            let get = |part, c, place| at(&q, &m, [n, part, head, c, place]);
            for p in 0..LEN {
                let scores: Vec<f64> =
                    (0..places).map(|k| (0..D).map(|c| get(0, c, MEMORY + p) * get(1, c, k)).sum::<f64>() / root).collect();
                let weights = shares(&scores);
                let query = shares(&(0..D).map(|c| get(0, c, MEMORY + p)).collect::<Vec<_>>());
                for v in 0..D {
                    let full: f64 = (0..places).map(|k| weights[k] * get(2, v, k)).sum();
                    let linear: f64 = (0..D)
                        .map(|c| {
                            let keys = shares(&(0..places).map(|k| get(1, c, k)).collect::<Vec<_>>());
                            query[c] / root * (0..places).map(|k| keys[k] * get(2, v, k)).sum::<f64>()
                        })
                        .sum();
                    let i = ((n * HEADS + head) * D + v) * LEN + p;
                    for (kind, (found, expected)) in found.iter().zip([full, linear]).enumerate() {
                        assert!((found[i] - expected).abs() < 1e-12, "{kind}: {n} {head} {v} {p}: {} {expected}", found[i]);
                    }
                }
            }
        }
    }
}
