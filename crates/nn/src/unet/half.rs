//! Half of a U-Net: from a picture to a few numbers.
//!
//! The way down and the middle as in [`super::UNet`], then a norm, an activation, the mean over the pixels of the deepest level and a linear
//! map (the `EncoderUNetModel` of Dhariwal and Nichol 2021 with `pool = "adaptive"`). The map starts at zero: all numbers alike.

use super::Encoder;
use crate::layer::{Linear, Norm, Pass};
use crate::ops::Act;
use crate::{Description, Input, Mode, Network, Params};
use scorefield_tensor::Batch;

/// The network from pictures of one shape to a few numbers.
#[derive(Clone, Debug)]
pub struct HalfUNet {
    pub(super) encoder: Encoder,
    pub(super) description: Description,
    pub(super) norm: Norm,
    pub(super) linear: Linear,
}

impl Network for HalfUNet {
    fn description(&self) -> &Description {
        &self.description
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        let [n, channels, height, width] = self.description.pictures(&x, input, self.encoder.config.augment);
        let pass = Pass::new(p, self.params(), mode);
        let deepest = self.encoder.forward(&pass, x.reshape([n, channels, height, width]), input).h;
        let h = self.norm.forward(&pass, deepest, None, Act::Silu);
        let [_, c, rows, columns] = h.dims();
        let mean = h.reshape([n * c, rows * columns]).mean_dim(1).reshape([n, c]);
        self.linear.forward(&pass, mean)
    }
}
