//! One U-Net for pictures: DDPM, DDPM++, NCSN++ and ADM are configurations of it.
//!
//! The picture is convolved to `model_channels`, then goes down through levels of half the size each, through the middle, and up again,
//! every block on the way up seeing the output of one block on the way down (Ronneberger et al. 2015; Ho et al. 2020, appendix B).
//! What published networks do differently is a key of [`UNetConfig`]; what they all do is the code.

mod build;
pub(crate) mod config;
mod forward;
mod half;

pub use half::HalfUNet;

pub use config::{AttentionPlacement, DownPadding, ProgressiveInput, ProgressiveOutput, ResampleFilter, Resampling, UNetConfig};

use crate::Description;
use crate::block::{Attention, ResBlock};
use crate::embedding::Embedding;
use crate::layer::{Conv, Linear, Norm};

/// The network of a [`UNetConfig`] for pictures of one shape.
#[derive(Clone, Debug)]
pub struct UNet {
    encoder: Encoder,
    description: Description,
    /// Deepest level first.
    up: Vec<UpLevel>,
    /// None where the levels write to the output themselves.
    head: Option<Head>,
}

/// The way down and the middle, with all that both halves need.
#[derive(Clone, Debug)]
struct Encoder {
    config: UNetConfig,
    /// Rows added at the top and bottom, columns at the left and right, to reach a multiple of the deepest level's pixel.
    padding: [(usize, usize); 2],
    gain: f64,
    embedding: Embedding,
    /// Conditions to the embedding.
    condition: Option<Linear>,
    stem: Conv,
    down: Vec<DownLevel>,
    mid: Middle,
}

/// A residual block and the attention after it.
#[derive(Clone, Debug)]
struct Unit {
    block: ResBlock,
    attention: Option<Attention>,
}

#[derive(Clone, Debug)]
struct DownLevel {
    units: Vec<Unit>,
    /// To the next level; none at the deepest.
    leave: Option<Leave>,
    /// The path from the picture itself to the next level.
    input: Option<Conv>,
}

#[derive(Clone, Debug)]
struct UpLevel {
    units: Vec<Unit>,
    /// The path from this level to the output itself.
    output: Option<Head>,
    /// To the level above; none at the top.
    leave: Option<Leave>,
}

/// Half or double the size.
#[derive(Clone, Debug)]
enum Leave {
    Block(Box<ResBlock>),
    Conv(Conv),
}

#[derive(Clone, Debug)]
struct Middle {
    first: ResBlock,
    attention: Option<Attention>,
    second: ResBlock,
}

/// `conv(silu(GN h))`.
#[derive(Clone, Copy, Debug)]
struct Head {
    norm: Norm,
    conv: Conv,
}
