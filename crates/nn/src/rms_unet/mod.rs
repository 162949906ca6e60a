//! A U-Net with root-mean-square norms and linear attention: that of Wang (lucidrains), so that files of it can be run.
//!
//! Its plan is that of [`crate::UNet`]; what differs is inside. Norms divide each pixel by the root mean square of its channels (Zhang and
//! Sennrich 2019, over channels). Every level has attention, two blocks before it on the way down and on the way up: among all pixels
//! at some levels, linear in the number of pixels elsewhere (Katharopoulos et al. 2020; Shen et al. 2021), always with four learned
//! keys and values that no pixel owns. The size is halved by giving each patch of 2 x 2 pixels to one pixel.

mod attention;
mod block;
mod build;
mod config;
mod features;
mod forward;

pub use config::{RmsTimeFeatures, RmsUNetConfig};

use crate::Description;
use crate::layer::{Conv, Linear};
use attention::Attention;
use block::Block;
use features::Features;

/// The network of a [`RmsUNetConfig`] for pictures of one shape.
#[derive(Clone, Debug)]
pub struct RmsUNet {
    config: RmsUNetConfig,
    description: Description,
    features: Features,
    embed: [Linear; 2],
    stem: Conv,
    down: Vec<Level>,
    mid: (Block, Attention, Block),
    /// Deepest level first.
    up: Vec<Level>,
    last: Block,
    out: Conv,
}

/// Two blocks, attention, and the way to the next level.
#[derive(Clone, Debug)]
struct Level {
    blocks: [Block; 2],
    attention: Attention,
    /// Whether the pixels are doubled before `leave`.
    doubles: bool,
    leave: Conv,
}
