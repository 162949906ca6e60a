//! The forward pass of the hourglass transformer.

use super::{Hourglass, tokens};
use crate::layer::Pass;
use crate::{Description, Input, Mode, Network, Params};
use scorefield_tensor::{Batch, Tensor};

impl Network for Hourglass {
    fn description(&self) -> &Description {
        &self.description
    }

    fn multiplications(&self) -> u64 {
        self.multiplications
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        let [n, channels, height, width] = self.description.pictures(&x, input, true);
        let pass = Pass::new(p, self.params(), mode);
        let condition = self.mapping.forward(&pass, input);

        let patches = tokens::cut(x.reshape([n, channels, height, width]), self.config.patch);
        let h = self.levels(&pass, self.enter.forward(&pass, patches), &condition);
        let patches = self.leave.forward(&pass, self.norm.forward(&pass, h));
        let y = tokens::paste(patches, self.grids[0].size, self.config.patch);
        y.reshape([n, self.description.outputs()])
    }
}

impl Hourglass {
    /// `[n t, c]`, the tokens of the first level, through all levels and back.
    fn levels(&self, pass: &Pass<'_>, mut h: Tensor<2>, condition: &Tensor<2>) -> Tensor<2> {
        // Down: what a level ends with is kept for the way up.
        let mut skips = Vec::with_capacity(self.down.len());
        for (level, grid) in self.down.iter().zip(&self.grids) {
            for layer in &level.layers {
                h = layer.forward(pass, h, condition, grid);
            }
            skips.push(h.clone());
            h = level.merge.forward_ready(pass, tokens::merge(h, grid.size));
        }

        // Middle.
        let deepest = &self.grids[self.down.len()];
        for layer in &self.mid {
            h = layer.forward(pass, h, condition, deepest);
        }

        // Up: the mean of what was kept and what comes from below, in a learned proportion.
        for ((level, grid), skip) in self.up.iter().zip(self.grids[..self.down.len()].iter().rev()).zip(skips.into_iter().rev()) {
            let split = tokens::split(level.split.forward_ready(pass, h), grid.size);
            h = skip.clone() + (split - skip) * pass.tensor(level.share, [1, 1]);
            for layer in &level.layers {
                h = layer.forward(pass, h, condition, grid);
            }
        }
        h
    }
}
