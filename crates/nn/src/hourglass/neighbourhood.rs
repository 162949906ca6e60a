//! Attention of each token to the `k x k` tokens around it (Hassani et al. 2023).
//!
//! Along a side of `h` tokens, token `i` sees those from `first(i) = clamp(i - (k - 1) / 2, 0, h - k)` on, `k` of them: near a border
//! the square stays inside the picture, and every token sees `k^2`. Queries are taken in tiles of up to 8 x 8; the neighbourhoods of a
//! tile of `t` lie within `m = min(t + k - 1, h)` tokens a side, which are gathered once, and a mask hides from each query what is not
//! its own. With `t = 8` and `k = 7` the products are four times the necessary ones, and large enough to be fast.

use crate::layer::Pass;
use scorefield_tensor::{Int, Tensor, TensorData};

/// Longest side of a tile.
const TILE: usize = 8;

/// How the queries and keys of a side are taken together.
#[derive(Clone, Debug)]
struct Side {
    /// Tiles, queries of a tile, keys of a tile.
    tiles: usize,
    queries: usize,
    keys: usize,
    /// The token of each key, tile after tile.
    tokens: Vec<i64>,
    /// Whether the query sees the key, `[tiles, queries, keys]`.
    seen: Vec<bool>,
}

/// The first token that token `i` of a side sees.
fn first(i: usize, side: usize, size: usize) -> usize {
    i.saturating_sub((size - 1) / 2).min(side - size)
}

impl Side {
    fn new(side: usize, size: usize) -> Self {
        let queries = (1..=TILE).rev().find(|&t| side.is_multiple_of(t)).expect("one divides");
        let (tiles, keys) = (side / queries, (queries + size - 1).min(side));
        let start = |tile: usize| first(tile * queries, side, size).min(side - keys);
        let tokens = (0..tiles).flat_map(|t| (start(t)..start(t) + keys).map(|token| token as i64)).collect();
        let sees = |tile: usize, query: usize, key: usize| {
            let first = first(tile * queries + query, side, size);
            (first..first + size).contains(&(start(tile) + key))
        };
        let seen = (0..tiles * queries * keys).map(|at| sees(at / keys / queries, at / keys % queries, at % keys)).collect();
        Self { tiles, queries, keys, tokens, seen }
    }
}

/// `softmax(q^T k / sqrt(d)) v` over the neighbourhood of each token: `qkv` `[n, 3 c, h, w]` to `[n, c, h, w]`, `d = c / heads`.
pub(super) fn attention(pass: &Pass<'_>, qkv: &Tensor<4>, heads: usize, size: usize) -> Tensor<4> {
    let [n, channels, height, width] = qkv.dims();
    let c = channels / 3;
    let d = c / heads;
    let (down, across) = (Side::new(height, size), Side::new(width, size));
    let (tiles, queries, keys) = (down.tiles * across.tiles, down.queries * across.queries, down.keys * across.keys);

    // Tiles of queries, and the keys and values that they need, each a matrix.
    let q = qkv.clone().narrow(1, 0, c).reshape([n, heads, d, down.tiles, down.queries, across.tiles, across.queries]);
    let q = q.permute([0, 1, 3, 5, 4, 6, 2]).reshape([n * heads * tiles, queries, d]);
    let device = qkv.device();
    let tokens = |side: &Side| Tensor::<1, Int>::from_data(TensorData::new(side.tokens.clone(), [side.tokens.len()]), &device);
    let gathered = qkv.clone().narrow(1, c, 2 * c).select(2, tokens(&down)).select(3, tokens(&across));
    let gathered = gathered.reshape([n, 2, heads, d, down.tiles, down.keys, across.tiles, across.keys]);
    let gathered = gathered.permute([1, 0, 2, 4, 6, 3, 5, 7]).reshape([2, n * heads * tiles, d, keys]);
    let part = |i: usize| gathered.clone().narrow(0, i, 1).reshape([n * heads * tiles, d, keys]);

    // Scores, the hidden ones minus infinity.
    let scores = q.matmul(part(0)) * (d as f64).sqrt().recip();
    let scores =
        scores.reshape([n * heads, tiles, queries, keys]) + pass.constant(mask(&down, &across), [1, tiles, queries, keys]);
    let weights = (scores.clone() - scores.max_dim(3).detach()).exp();
    let weights = weights.clone() / weights.sum_dim(3);

    let y = weights.reshape([n * heads * tiles, queries, keys]).matmul(part(1).swap_dims(1, 2));
    let y = y.reshape([n, heads, down.tiles, across.tiles, down.queries, across.queries, d]);
    y.permute([0, 1, 6, 2, 4, 3, 5]).reshape([n, c, height, width])
}

/// Zero where both sides see, `[tiles, queries, keys]` of both sides together.
fn mask(down: &Side, across: &Side) -> Vec<f32> {
    let rows = |side: &Side, tile: usize, query: usize| {
        let at = (tile * side.queries + query) * side.keys;
        at..at + side.keys
    };
    let mut mask = Vec::with_capacity(down.seen.len() * across.seen.len());
    for tile in 0..down.tiles * across.tiles {
        for query in 0..down.queries * across.queries {
            let above = &down.seen[rows(down, tile / across.tiles, query / across.queries)];
            let beside = &across.seen[rows(across, tile % across.tiles, query % across.queries)];
            let sees = above.iter().flat_map(|&a| beside.iter().map(move |&b| a && b));
            mask.extend(sees.map(|sees| if sees { 0.0 } else { f32::NEG_INFINITY }));
        }
    }
    mask
}
