//! The forward pass of the RefineNet.

use super::{Block, Refine, RefineNet, Told, Unit};
use crate::layer::Pass;
use crate::ops::{self, Pool, Resample};
use crate::picture::{elu, resize_corners};
use crate::{Description, Input, Mode, Network, Params};
use scorefield_tensor::{Batch, Int, Tensor, TensorData};

/// Side of the windows of chained residual pooling.
const WINDOW: usize = 5;

/// The index of each row's noise level, where the network has a table.
type Levels = Option<Tensor<1, Int>>;

impl Network for RefineNet {
    fn description(&self) -> &Description {
        &self.description
    }

    /// With a table, [`Input::time`] is the index of the noise level, rounded to the nearest integer; without, times are not looked at.
    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        let [n, channels, height, width] = self.description.pictures(&x, input, false);
        let levels: Vec<i64> = input.time.iter().filter_map(|&t| self.level(t)).collect();
        let levels: Levels =
            (levels.len() == n).then(|| Tensor::from_data(TensorData::new(levels, [n]), &p.values()[0].device()));
        let pass = Pass::new(p, self.params(), mode);

        // Down: what each stage leaves is kept.
        let mut h = self.stem.forward(&pass, x.reshape([n, channels, height, width]));
        let mut kept = Vec::with_capacity(self.down.len());
        for stage in &self.down {
            h = stage.iter().fold(h, |h, block| block.forward(&pass, h, &levels));
            kept.push(h.clone());
        }

        // Up: each refinement joins one of them with the refinement before it.
        let mut below: Option<Tensor<4>> = None;
        for (refine, stage) in self.refine.iter().zip(kept.into_iter().rev()) {
            below = Some(refine.forward(&pass, stage, below, &levels));
        }
        let h = below.expect("a network has at least one stage");
        let y = self.last.forward(&pass, elu(self.norm.forward(&pass, h, levels.as_ref())));
        y.reshape([n, self.description.outputs()])
    }

    /// Counted layer by layer: blocks that halve compute before they do.
    fn multiplications(&self) -> u64 {
        self.multiplications
    }
}

impl RefineNet {
    /// The index of a level; none without a table.
    #[track_caller]
    fn level(&self, time: f64) -> Option<i64> {
        self.config.level(time).unwrap_or_else(|what| panic!("{what}")).map(|level| level as i64)
    }
}

impl Block {
    fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, levels: &Levels) -> Tensor<4> {
        let h = self.conv0.forward(pass, elu(self.norm0.forward(pass, x.clone(), levels.as_ref())));
        let h = elu(self.norm1.forward(pass, h, levels.as_ref()));
        let skip = |x: Tensor<4>| match &self.skip {
            Some(skip) => skip.forward(pass, x),
            None => x,
        };
        if !self.halves {
            return self.conv1.forward_onto(pass, h, skip(x), 1.0);
        }
        // A mean of pixels and a 1 x 1 convolution commute; this order has a quarter of the products.
        let x = skip(ops::resample(x, Resample::Down2Mean));
        ops::add(x, ops::resample(self.conv1.forward(pass, h), Resample::Down2Mean), 1.0)
    }
}

impl Told {
    fn norm(&self, pass: &Pass<'_>, x: Tensor<4>, levels: &Levels) -> Tensor<4> {
        match &self.norm {
            Some(norm) => norm.forward(pass, x, levels.as_ref()),
            None => x,
        }
    }
}

fn unit(unit: &Unit, pass: &Pass<'_>, x: Tensor<4>, levels: &Levels) -> Tensor<4> {
    let [before @ .., last] = unit;
    let h = before.iter().fold(x.clone(), |h, step| step.conv.forward(pass, elu(step.norm(pass, h, levels))));
    last.conv.forward_onto(pass, elu(last.norm(pass, h, levels)), x, 1.0)
}

impl Refine {
    /// The stage's output and the refinement below, if there is one.
    fn forward(&self, pass: &Pass<'_>, stage: Tensor<4>, below: Option<Tensor<4>>, levels: &Levels) -> Tensor<4> {
        let size = [stage.dims()[2], stage.dims()[3]];
        let adapted = [Some(stage), below].into_iter().flatten().zip(&self.adapt);
        let mut inputs = adapted.map(|(x, units)| units.iter().fold(x, |x, u| unit(u, pass, x, levels)));

        // Fusion.
        let first = inputs.next().expect("the stage's output");
        let mut x = match self.fuse.split_first() {
            None => first,
            Some((own, others)) => {
                let one = |told: &Told, x: Tensor<4>| resize_corners(told.conv.forward(pass, told.norm(pass, x, levels)), size);
                others.iter().zip(inputs).fold(one(own, first), |sum, (told, x)| ops::add(sum, one(told, x), 1.0))
            }
        };

        // Chained residual pooling.
        x = elu(x);
        let mut path = x.clone();
        for told in &self.pool {
            let how = if told.norm.is_some() { Pool::Mean } else { Pool::Max };
            path = told.conv.forward(pass, ops::pool(told.norm(pass, path, levels), how, WINDOW));
            x = ops::add(x, path.clone(), 1.0);
        }
        self.out.iter().fold(x, |x, u| unit(u, pass, x, levels))
    }
}
