//! A U-Net with adaptive group norms: Crowson's `image_v1`, so that files of it can be run.
//!
//! Patches of the picture become pixels, go down through levels of half the size each and up again, each level on the way up seeing one
//! output of the level on the way down. Every norm is a group norm without weights of its own, scaled and shifted by the conditions (Dhariwal
//! and Nichol 2021, "adaptive group normalization"); these come from a network of their own, as in StyleGAN (Karras et al. 2019).
//! Pictures are halved and doubled by the filter `[1, 3, 3, 1] / 8` on a reflected border.

mod block;
mod build;
mod config;
mod forward;
mod mapping;
mod resample;

pub use config::AdaGnUNetConfig;

use crate::Description;
use crate::layer::Conv;
use block::Unit;
use mapping::Mapping;

/// The network of an [`AdaGnUNetConfig`] for pictures of one shape.
#[derive(Clone, Debug)]
pub struct AdaGnUNet {
    config: AdaGnUNetConfig,
    description: Description,
    mapping: Mapping,
    stem: Conv,
    down: Vec<Vec<Unit>>,
    /// Deepest level first.
    up: Vec<Vec<Unit>>,
    out: Conv,
}
