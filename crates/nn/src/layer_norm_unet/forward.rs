//! The forward pass.

use super::{Block, LayerNormUNet, Level};
use crate::layer::Pass;
use crate::ops;
use crate::{Description, Input, Mode, Network, Params};
use scorefield_tensor::{Batch, Int, Tensor, TensorData};

impl Network for LayerNormUNet {
    fn description(&self) -> &Description {
        &self.description
    }

    /// [`Input::time`] is the index of a row of the table of times, rounded to the nearest integer.
    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        let [n, channels, height, width] = self.description.pictures(&x, input, false);
        let pass = Pass::new(p, self.params(), mode);
        let e = self.rows(&pass, input);

        // Down: what each level's blocks give is kept.
        let mut h = x.reshape([n, channels, height, width]);
        let mut kept = Vec::with_capacity(self.down.len());
        for (level, ways) in &self.down {
            h = level.forward(&pass, h, &e);
            kept.push(h.clone());
            h = between(ways, h, |way, h| way.forward(&pass, h));
        }
        h = self.mid.forward(&pass, h, &e);

        // Up: each level sees what was kept there and what comes from below, in this order.
        for ((ways, level), skip) in self.up.iter().zip(kept.into_iter().rev()) {
            h = between(ways, h, |way, h| way.forward(&pass, h));
            h = level.forward(&pass, ops::concat(skip, h), &e);
        }
        self.last.forward(&pass, h).reshape([n, self.description.outputs()])
    }
}

impl LayerNormUNet {
    /// The row of each time: `[n, time_width]`.
    #[track_caller]
    fn rows(&self, pass: &Pass<'_>, input: &Input) -> Tensor<2> {
        let row = |&t: &f64| self.config.row(t).unwrap_or_else(|what| panic!("{what}")) as i64;
        let (n, indices) = (input.time.len(), input.time.iter().map(row).collect::<Vec<_>>());
        let table: Tensor<2> = pass.tensor(self.table, [self.config.times, self.config.time_width]);
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [n]), &table.device());
        table.select(0, indices)
    }
}

/// Layers with an activation between one and the next.
fn between<L>(layers: &[L], h: Tensor<4>, forward: impl Fn(&L, Tensor<4>) -> Tensor<4>) -> Tensor<4> {
    layers.iter().enumerate().fold(h, |h, (i, layer)| forward(layer, if i == 0 { h } else { ops::silu(h) }))
}

impl Level {
    fn forward(&self, pass: &Pass<'_>, h: Tensor<4>, e: &Tensor<2>) -> Tensor<4> {
        let [first, second] = &self.time;
        let told = second.forward(pass, ops::silu(first.forward(pass, e.clone())));
        self.blocks.iter().fold(ops::add_channels(h, told), |h, block| block.forward(pass, h))
    }
}

impl Block {
    fn forward(&self, pass: &Pass<'_>, h: Tensor<4>) -> Tensor<4> {
        let h = match &self.norm {
            Some(norm) => norm.forward(pass, h),
            None => h,
        };
        self.convs.iter().fold(h, |h, conv| ops::silu(conv.forward(pass, h)))
    }
}
