//! Convolutions at several scales and a read-out by time: the network of pictures of Sohl-Dickstein et al. 2015 (appendix D.2; Barron et
//! al. 2013 for the layer).
//!
//! A layer sees far and near without losing the size: the picture `h` is halved `S - 1` times by means of 2 x 2 pixels, every scale has a
//! convolution of its own, all of one kernel, and the results are repeated to full size and added,
//!
//! `h <- softplus(sum_s U^s C_s D^s h)`, `D` the means, `U` the repetition,
//!
//! one convolution with a kernel that is wide and coarse outside. Beside the layers a perceptron may see the whole picture and give a
//! few more channels. Maps of the channels of every pixel follow, and the last gives the coefficients of bumps along the time
//! ([`crate::BumpsConfig`]), `y(t) = sum_j g_j(t) z_j`. Nothing before knows the time. The last map starts at zero.

mod build;
mod config;

pub use config::MultiScaleConfig;

use crate::activation::Activation;
use crate::bumps::read;
use crate::layer::{Conv, Linear, Pass};
use crate::ops::{self, Resample};
use crate::{Description, Input, Mode, Network, Params};
use scorefield_tensor::{Batch, Tensor};

/// The network of a [`MultiScaleConfig`] for pictures of one shape.
#[derive(Clone, Debug)]
pub struct MultiScale {
    config: MultiScaleConfig,
    description: Description,
    /// The layers, each a convolution for every scale, the finest first.
    layers: Vec<Vec<Conv>>,
    /// The maps of the whole picture.
    dense: Vec<Linear>,
    /// The maps of every pixel.
    pixel: Vec<Conv>,
    last: Conv,
}

impl Network for MultiScale {
    fn description(&self) -> &Description {
        &self.description
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        let [n, channels, height, width] = self.description.pictures(&x, input, false);
        let pass = Pass::new(p, self.params(), mode);

        let seen = (!self.dense.is_empty()).then(|| {
            let seen = self.whole(&pass, x.clone());
            let outputs = seen.dims()[1] / (height * width);
            seen.reshape([n, outputs, height, width])
        });
        let x = x.reshape([n, channels, height, width]);
        let local = self.layers.iter().fold(x, |h, scales| Activation::Softplus.apply(multi_scale(&pass, scales, h)));
        let h = match seen {
            Some(seen) if self.layers.is_empty() => seen,
            Some(seen) => ops::concat(local, seen),
            None => local,
        };
        let h = self.pixel.iter().fold(h, |h, map| map.forward(&pass, h).tanh());
        let z = self.last.forward(&pass, h); // [n, J c_out, h, w]
        let numbers = self.config.bumps.count * self.description.outputs();
        read(&self.config.bumps.told(&pass, input), z.reshape([n, numbers]))
    }
}

impl MultiScale {
    /// The perceptron of the whole picture, `[n, outputs h w]`.
    fn whole(&self, pass: &Pass<'_>, x: Batch) -> Batch {
        let layer = |h: Batch, (i, map): (usize, &Linear)| {
            // The picture is no hidden layer.
            if i == 0 { map.forward(pass, h).tanh() } else { map.forward_ready(pass, h).tanh() }
        };
        self.dense.iter().enumerate().fold(x, layer)
    }
}

/// `sum_s U^s C_s D^s x`, from the coarsest scale to the finest, so that each is repeated once.
fn multi_scale(pass: &Pass<'_>, scales: &[Conv], x: Tensor<4>) -> Tensor<4> {
    let Some((finest, coarser)) = scales.split_first() else { return x };
    if coarser.is_empty() {
        return finest.forward(pass, x);
    }
    let below = multi_scale(pass, coarser, ops::resample(x.clone(), Resample::Down2Mean));
    ops::add(finest.forward(pass, x), ops::resample(below, Resample::Up2Nearest), 1.0)
}
