//! The forward pass.

use super::{Level, RmsUNet};
use crate::layer::Pass;
use crate::ops::{self, Resample};
use crate::{Description, Input, Mode, Network, Params};
use scorefield_tensor::{Batch, Tensor};

impl Network for RmsUNet {
    fn description(&self) -> &Description {
        &self.description
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        self.forward_given(p, x, None, input, mode)
    }
}

impl RmsUNet {
    /// [`Network::forward`], told an estimate of the clean rows, of the shape of `x`; none is an estimate of zeros. Only a network with
    /// `self_conditioning` looks at one.
    ///
    /// # Panics
    /// As [`Network::forward`], and when an estimate is given to a network that takes none or has another shape.
    #[track_caller]
    pub fn forward_given(&self, p: &Params, x: Batch, estimate: Option<Batch>, input: &Input, mode: &Mode) -> Batch {
        let [n, channels, height, width] = self.description.pictures(&x, input, false);
        let takes = self.config.self_conditioning;
        if let Some(estimate) = &estimate {
            assert!(takes, "an estimate for a network without self-conditioning");
            assert_eq!(estimate.dims(), [n, channels * height * width], "an estimate of the shape of the rows");
        }
        let pass = Pass::new(p, self.params(), mode);

        // The one activation that every block would apply to the embedding is applied here.
        let e = self.embed[0].forward(&pass, self.features.forward(&pass, input));
        let e = ops::silu(self.embed[1].forward(&pass, ops::gelu(e)));

        let x = if takes {
            let estimate = estimate.unwrap_or_else(|| x.zeros_like());
            Tensor::cat(vec![estimate, x], 1).reshape([n, 2 * channels, height, width])
        } else {
            x.reshape([n, channels, height, width])
        };
        self.levels(&pass, x, &e).reshape([n, self.description.outputs()])
    }

    fn levels(&self, pass: &Pass<'_>, x: Tensor<4>, e: &Tensor<2>) -> Tensor<4> {
        let stem = self.stem.forward(pass, x);

        // Down: what leaves the first block and the attention is kept for the way up.
        let mut h = stem.clone();
        let mut skips = Vec::with_capacity(2 * self.down.len());
        for level in &self.down {
            h = level.blocks[0].forward(pass, h, e);
            skips.push(h.clone());
            h = level.attention.forward(pass, level.blocks[1].forward(pass, h, e));
            skips.push(h.clone());
            h = level.leave(pass, h);
        }

        let (first, attention, second) = &self.mid;
        h = second.forward(pass, attention.forward(pass, first.forward(pass, h, e)), e);

        // Up: each block sees what it has and the last output kept, in this order.
        for level in &self.up {
            for block in &level.blocks {
                let skip = skips.pop().expect("one skip for every block on the way up");
                h = block.forward(pass, ops::concat(h, skip), e);
            }
            h = level.leave(pass, level.attention.forward(pass, h));
        }
        self.out.forward(pass, self.last.forward(pass, ops::concat(h, stem), e))
    }
}

impl Level {
    fn leave(&self, pass: &Pass<'_>, h: Tensor<4>) -> Tensor<4> {
        let h = if self.doubles { ops::resample(h, Resample::Up2Nearest) } else { h };
        self.leave.forward(pass, h)
    }
}
