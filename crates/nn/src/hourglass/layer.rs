//! The two branches of a transformer layer: `x <- x + attention(x)`, `x <- x + feed(x)`, both behind an AdaRMS norm.
//!
//! Attention compares directions (cosine similarity; Liu et al. 2022, Crowson et al. 2024, section 3.2): queries and keys are made
//! unit vectors, turned by where they are, and their product times a learned number a head goes into the softmax.

use super::norm::AdaRmsNorm;
use super::rotary::{Grid, rotate};
use super::{neighbourhood, window};
use crate::layer::{Linear, Pass};
use crate::ops;
use scorefield_tensor::Tensor;

/// Added to the square of a length before its root is taken.
const EPS: f64 = 1e-6;

/// Which tokens a layer lets see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Global,
    Window { size: usize, shift: usize },
    Neighbourhood { size: usize },
}

/// `x + W drop(attention(q, k, v))`, `[q | k | v] = V norm(x)`, each part head after head.
#[derive(Clone, Debug)]
pub(super) struct SelfAttention {
    pub(super) norm: AdaRmsNorm,
    pub(super) qkv: Linear,
    /// The factor of each head's products.
    pub(super) scale: usize,
    /// `[heads, d / 8]`.
    pub(super) frequencies: usize,
    pub(super) out: Linear,
    pub(super) heads: usize,
    pub(super) reach: Reach,
    pub(super) dropout: f64,
}

impl SelfAttention {
    /// `x` `[n t, c]`, `condition` `[n, m]`.
    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<2>, condition: &Tensor<2>, grid: &Grid) -> Tensor<2> {
        let ([tokens, c], [n, _]) = (x.dims(), condition.dims());
        let (heads, t, [h, w]) = (self.heads, grid.tokens(), grid.size);
        let d = c / heads;
        let qkv = self.qkv.forward_ready(pass, self.norm.forward(pass, x.clone(), condition)); // [n t, 3 c]

        // Queries and keys of length one, the queries times the factor of their head and the root that attention divides by.
        let qk = qkv.clone().narrow(1, 0, 2 * c).reshape([n, t, 2, heads, d]);
        let length = ((qk.clone() * qk.clone()).sum_dim(4) + EPS).sqrt();
        let factors = pass.tensor(self.scale, [heads]) * (d as f64).sqrt();
        let factors = Tensor::cat(vec![factors, pass.constant(vec![1.0; heads], [heads])], 0).reshape([1, 1, 2, heads, 1]);
        let turns = grid.turns(&pass.frozen(self.frequencies), heads);
        let [cos, sin] = turns.map(|table| pass.constant(table, [1, t, 1, heads, d / 4]));
        let qk = rotate(qk / length * factors, cos, sin).reshape([n, t, 2 * c]);

        let v = qkv.narrow(1, 2 * c, c).reshape([n, t, c]);
        let picture = Tensor::cat(vec![qk, v], 2).swap_dims(1, 2).reshape([n, 3 * c, h, w]);
        let y = match self.reach {
            Reach::Global => ops::attention(picture, heads, pass.precision()),
            Reach::Window { size, shift } => window::attention(&picture, heads, size, shift, pass.precision()),
            Reach::Neighbourhood { size } => neighbourhood::attention(pass, &picture, heads, size),
        };
        let y = y.reshape([n, c, t]).swap_dims(1, 2).reshape([tokens, c]);
        self.out.forward_onto(pass, drop_tokens(pass, y, n, self.dropout), x)
    }
}

/// `W drop(a gelu(b))`, `[a | b] = V x` (Shazeer 2020).
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) dropout: f64,
}

impl Feed {
    /// `y` and what becomes of `x`, both `[n t, c]`.
    pub(super) fn forward_onto(&self, pass: &Pass<'_>, x: Tensor<2>, y: Tensor<2>, n: usize) -> Tensor<2> {
        let hidden = self.down.inputs;
        let both = self.up.forward_ready(pass, x);
        let inner = both.clone().narrow(1, 0, hidden) * ops::gelu(both.narrow(1, hidden, hidden));
        self.down.forward_onto(pass, drop_tokens(pass, inner, n, self.dropout), y)
    }
}

/// Dropout of the tokens of `n` pictures, each with its own stream.
fn drop_tokens(pass: &Pass<'_>, x: Tensor<2>, n: usize, rate: f64) -> Tensor<2> {
    let [rows, width] = x.dims();
    match pass.mask([n, rows / n * width], rate) {
        Some(mask) => x * mask.reshape([rows, width]),
        None => x,
    }
}

/// A layer of the trunk.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) attention: SelfAttention,
    pub(super) norm: AdaRmsNorm,
    pub(super) feed: Feed,
}

impl Layer {
    /// `x` `[n t, c]`, `condition` `[n, m]`.
    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<2>, condition: &Tensor<2>, grid: &Grid) -> Tensor<2> {
        let x = self.attention.forward(pass, x, condition, grid);
        self.feed.forward_onto(pass, self.norm.forward(pass, x.clone(), condition), x, condition.dims()[0])
    }
}
