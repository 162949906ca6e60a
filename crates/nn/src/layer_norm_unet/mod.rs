//! A small U-Net with layer norms of whole pictures and a table of times: the network of BrianPulfer/PapersReimplementations.
//!
//! Each level is three blocks `h <- silu(C1 silu(C0 LN h))`, without skips inside; before them the network is told the time by a
//! number for every channel, `h <- h + M_l(T[t])`, `T` a stored table with a row for each whole time and `M_l` a perceptron of the
//! level. Going down, a level is left by a convolution 4x4 of stride 2; the deepest, whose sides are odd, by one of 2x2, which takes a
//! pixel, before it. Transposed convolutions of the same geometry lead up again, and each level there sees what its counterpart left
//! beside what came from below.
//!
//! The first thing that happens to a picture is a norm of all of it: neither its mean nor its size are seen, nor is the number
//! that level 0 is told of the time where pictures have one channel.

mod build;
mod config;
mod forward;

pub use config::LayerNormUNetConfig;

use crate::Description;
use crate::layer::{Conv, Linear};
use crate::layer_norm::LayerNorm;
use crate::transposed::TransposedConv;

/// The network of a [`LayerNormUNetConfig`] for pictures of one shape.
#[derive(Clone, Debug)]
pub struct LayerNormUNet {
    config: LayerNormUNetConfig,
    description: Description,
    /// Place of the table of times among the parameters.
    table: usize,
    /// From the full size; each is left by its ways.
    down: Vec<(Level, Vec<Conv>)>,
    mid: Level,
    /// Deepest first; each is entered by its ways.
    up: Vec<(Vec<TransposedConv>, Level)>,
    last: Conv,
}

/// Three blocks told the time.
#[derive(Clone, Debug)]
struct Level {
    time: [Linear; 2],
    blocks: [Block; 3],
}

/// `h -> silu(C1 silu(C0 LN h))`; the very last block has no norm.
#[derive(Clone, Copy, Debug)]
struct Block {
    norm: Option<LayerNorm>,
    convs: [Conv; 2],
}
