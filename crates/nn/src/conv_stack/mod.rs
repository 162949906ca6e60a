//! A stack of wide convolutions at full size: the network that Yichizz published for digits.
//!
//! Nothing is halved and nothing skips. Block `i` is `h <- gelu(LN_i(C_i h))`, `C_i` a convolution that keeps the size, wide enough that
//! a few of them see most of a small picture, and `LN_i` the layer norm of the whole picture; a last convolution gives the output. The
//! network is told the time once, after block 0, by a number for every channel:
//!
//! `h <- h + M([sin(t f), cos(t f) - 1])`,
//!
//! with frozen frequencies `f` and `M` a perceptron; at `t = 0` all features are zero.

mod build;
mod config;
mod forward;

pub use config::ConvStackConfig;

use crate::Description;
use crate::layer::{Conv, Linear};
use crate::layer_norm::LayerNorm;

/// The network of a [`ConvStackConfig`] for pictures of one shape.
#[derive(Clone, Debug)]
pub struct ConvStack {
    config: ConvStackConfig,
    description: Description,
    /// Place of the frequencies among the parameters.
    frequencies: usize,
    embed: Vec<Linear>,
    blocks: Vec<(Conv, LayerNorm)>,
    last: Conv,
}
