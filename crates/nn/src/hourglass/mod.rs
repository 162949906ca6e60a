//! The hourglass transformer for pictures (Crowson et al. 2024, arXiv 2401.11605).
//!
//! A picture is cut into patches, each a token. On the way down, layers of attention among near tokens alternate with merging each 2x2
//! tokens into one; the layers of the middle see all tokens; on the way up each token is split again and meets, in a learned
//! proportion, what the level held on the way down. All layers are told one vector made of the time, the class and the augmentation.
//!
//! What is told as the time is the caller's; the published networks are told `ln(sigma) / 4`.

mod build;
mod config;
mod forward;
mod layer;
mod mapping;
mod neighbourhood;
mod norm;
mod rotary;
mod tokens;
mod window;

#[cfg(test)]
mod pairs;

pub use config::{HourglassAttention, HourglassConfig, HourglassLevel};

use crate::Description;
use crate::layer::Linear;
use layer::Layer;
use mapping::Mapping;
use norm::RmsNorm;
use rotary::Grid;

/// The network of a [`HourglassConfig`] for pictures of one shape.
#[derive(Clone, Debug)]
pub struct Hourglass {
    config: HourglassConfig,
    description: Description,
    /// Multiplications by weights for one picture.
    multiplications: u64,
    /// The tokens of each level, finest first.
    grids: Vec<Grid>,
    mapping: Mapping,
    enter: Linear,
    /// Finest level first.
    down: Vec<Down>,
    mid: Vec<Layer>,
    /// Deepest level first.
    up: Vec<Up>,
    norm: RmsNorm,
    leave: Linear,
}

/// A level on the way down.
#[derive(Clone, Debug)]
struct Down {
    layers: Vec<Layer>,
    merge: Linear,
}

/// A level on the way up.
#[derive(Clone, Debug)]
struct Up {
    split: Linear,
    /// The share of the split tokens in the mean with those of the way down.
    share: usize,
    layers: Vec<Layer>,
}
