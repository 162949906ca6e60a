//! The forward pass.

use super::AdaGnUNet;
use super::resample::{double, half, unfold};
use crate::layer::Pass;
use crate::ops;
use crate::{Description, Input, Mode, Network, Params};
use scorefield_tensor::{Batch, Tensor};

impl Network for AdaGnUNet {
    fn description(&self) -> &Description {
        &self.description
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        self.forward_with_log_variance(p, x, input, mode).0
    }
}

impl AdaGnUNet {
    /// [`Network::forward`], and the logarithm of a variance for each row, `[n]`, of a network with a `variance_channel`: the mean of that
    /// channel over the picture.
    ///
    /// # Panics
    /// As [`Network::forward`].
    #[track_caller]
    pub fn forward_with_log_variance(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> (Batch, Option<Tensor<1>>) {
        let [n, channels, height, width] = self.description.pictures(&x, input, self.config.augment);
        let pass = Pass::new(p, self.params(), mode);
        let cond = self.mapping.forward(&pass, input);
        let y = self.levels(&pass, x.reshape([n, channels, height, width]), &cond);

        let side = self.config.patch_size;
        let pixels = channels * side * side;
        let log_variance = self.config.variance_channel.then(|| {
            let [_, _, h, w] = y.dims();
            y.clone().narrow(1, pixels, 1).reshape([n, h * w]).mean_dim(1).reshape([n])
        });
        let y = if log_variance.is_some() { y.narrow(1, 0, pixels) } else { y };
        (unfold(y, side).reshape([n, self.description.outputs()]), log_variance)
    }

    fn levels(&self, pass: &Pass<'_>, x: Tensor<4>, cond: &Tensor<2>) -> Tensor<4> {
        // Down: what each level ends with is kept, but for the deepest, which the way up begins with.
        let mut h = self.stem.forward(pass, x);
        let mut skips: Vec<Tensor<4>> = Vec::with_capacity(self.down.len());
        for (level, units) in self.down.iter().enumerate() {
            if level > 0 {
                skips.push(h.clone());
                h = half(h);
            }
            h = units.iter().fold(h, |h, unit| unit.forward(pass, h, cond));
        }

        // Up: between two levels the picture is doubled and sees what the larger one ended with.
        for (i, units) in self.up.iter().enumerate() {
            if i > 0 {
                let skip = skips.pop().expect("one skip between two levels");
                h = ops::concat(double(h), skip);
            }
            h = units.iter().fold(h, |h, unit| unit.forward(pass, h, cond));
        }
        self.out.forward(pass, h)
    }
}
