//! Attention within windows that move by half their size from layer to layer (Liu et al. 2021).
//!
//! Windows of `w x w` tokens moved by `s` reach over the border. The tokens beyond it are those of the opposite border, and a mask
//! keeps the two sides apart: so a window at a border is just a smaller one. Along a side of `h` tokens the cuts are then
//! `w - s`, `w`, ..., `w`, `s`, and each rectangle is an attention of its own, without a mask.

use crate::Precision;
use crate::ops;
use scorefield_tensor::Tensor;

/// `count` pieces of `size` tokens, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Band {
    start: usize,
    count: usize,
    size: usize,
}

/// The pieces of a side.
fn bands(side: usize, window: usize, shift: usize) -> Vec<Band> {
    let all = match shift {
        0 => vec![Band { start: 0, count: side / window, size: window }],
        _ => vec![
            Band { start: 0, count: 1, size: window - shift },
            Band { start: window - shift, count: side / window - 1, size: window },
            Band { start: side - shift, count: 1, size: shift },
        ],
    };
    all.into_iter().filter(|band| band.count > 0).collect()
}

/// [`ops::attention`] of `qkv` `[n, 3 c, h, w]` within windows moved by `shift < window` tokens: `[n, c, h, w]`.
pub(super) fn attention(qkv: &Tensor<4>, heads: usize, window: usize, shift: usize, precision: Precision) -> Tensor<4> {
    let [_, _, h, w] = qkv.dims();
    let strip = |rows: Band| {
        let strip = qkv.clone().narrow(2, rows.start, rows.count * rows.size);
        let piece = |columns: Band| {
            rectangles(strip.clone().narrow(3, columns.start, columns.count * columns.size), heads, rows, columns, precision)
        };
        Tensor::cat(bands(w, window, shift).into_iter().map(piece).collect(), 3)
    };
    Tensor::cat(bands(h, window, shift).into_iter().map(strip).collect(), 2)
}

/// Attention within each of equal rectangles.
fn rectangles(qkv: Tensor<4>, heads: usize, rows: Band, columns: Band, precision: Precision) -> Tensor<4> {
    let [n, channels, ..] = qkv.dims();
    let (down, across, h, w) = (rows.count, columns.count, rows.size, columns.size);
    let apart = qkv.reshape([n, channels, down, h, across, w]).permute([0, 2, 4, 1, 3, 5]);
    let y = ops::attention(apart.reshape([n * down * across, channels, h, w]), heads, precision);
    let c = channels / 3;
    y.reshape([n, down, across, c, h, w]).permute([0, 3, 1, 4, 2, 5]).reshape([n, c, down * h, across * w])
}
