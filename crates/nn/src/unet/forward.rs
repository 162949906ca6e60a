//! The forward pass of the U-Net.

use super::build::resample;
use super::{Encoder, Head, Leave, ProgressiveInput, ResampleFilter, UNet, Unit};
use crate::layer::Pass;
use crate::ops::{self, Act};
use crate::{Description, Input, Mode, Network, Params};
use scorefield_tensor::{Batch, Tensor};

impl Network for UNet {
    fn description(&self) -> &Description {
        &self.description
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        let [n, channels, height, width] = self.description.pictures(&x, input, self.encoder.config.augment);
        let pass = Pass::new(p, self.params(), mode);
        let y = self.levels(&pass, x.reshape([n, channels, height, width]), input);
        let [rows, columns] = self.encoder.padding;
        let y = if self.encoder.padded() { y.narrow(2, rows.0, height).narrow(3, columns.0, width) } else { y };
        y.reshape([n, self.description.outputs()])
    }
}

impl UNet {
    fn levels(&self, pass: &Pass<'_>, x: Tensor<4>, input: &Input) -> Tensor<4> {
        let Encoded { mut h, mut skips, e } = self.encoder.forward(pass, x, input);
        // Up: each block sees what it has and one kept output, in this order.
        let mut output: Option<Tensor<4>> = None;
        for level in &self.up {
            for unit in &level.units {
                let skip = skips.pop().expect("one skip for every block on the way up");
                h = unit.forward(pass, ops::concat(h, skip), &e);
            }
            if let Some(head) = &level.output {
                let y = head.forward(pass, h.clone());
                output = Some(match output {
                    Some(below) => ops::add(ops::resample(below, resample(self.encoder.config.filter, true)), y, 1.0),
                    None => y,
                });
            }
            if let Some(leave) = &level.leave {
                h = leave.up(pass, h, &e);
            }
        }
        match (&self.head, output) {
            (Some(head), _) => head.forward(pass, h),
            (None, Some(output)) => output,
            (None, None) => unreachable!("a network without a head writes from every level"),
        }
    }
}

/// What stands after the middle.
pub(super) struct Encoded {
    /// The deepest pixels.
    pub(super) h: Tensor<4>,
    /// Every output on the way down.
    skips: Vec<Tensor<4>>,
    /// The embedding of what the network is told.
    e: Tensor<2>,
}

impl Encoder {
    fn padded(&self) -> bool {
        self.padding != [(0, 0); 2]
    }

    /// The way down, every output kept for the way up, and the middle.
    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, input: &Input) -> Encoded {
        let [n, _, height, width] = x.dims();
        let given = |shape: [usize; 2]| pass.constant(input.condition.clone().unwrap_or_default(), shape);
        let more = self.condition.as_ref().map(|linear| linear.forward(pass, given([n, linear.inputs])));
        let e = self.embedding.forward_with(pass, input, more);
        let [rows, columns] = self.padding;
        let padded = |x: Tensor<4>| if self.padded() { x.pad([(0, 0), (0, 0), rows, columns], 0.0) } else { x };
        let beside = (self.config.condition_channels > 0).then(|| {
            let channels = self.config.condition_channels;
            padded(given([n, channels * height * width]).reshape([n, channels, height, width]))
        });
        let x = padded(x);
        let mut h = self.stem.forward(pass, beside.map_or_else(|| x.clone(), |c| ops::concat(x.clone(), c)));
        let mut skips = vec![h.clone()];
        let mut picture = x;
        for level in &self.down {
            for unit in &level.units {
                h = unit.forward(pass, h, &e);
                skips.push(h.clone());
            }
            let Some(leave) = &level.leave else { continue };
            h = leave.down(pass, h, &e);
            if let Some(conv) = &level.input {
                (h, picture) = self.add_picture(pass, conv, h, picture);
            }
            skips.push(h.clone());
        }

        h = self.mid.first.forward(pass, h, &e);
        if let Some(attention) = &self.mid.attention {
            h = attention.forward(pass, h);
        }
        h = self.mid.second.forward(pass, h, &e);
        Encoded { h, skips, e }
    }

    /// The halved picture joins the level below; returns the level's input and the picture for the next.
    fn add_picture(
        &self,
        pass: &Pass<'_>,
        conv: &crate::layer::Conv,
        h: Tensor<4>,
        picture: Tensor<4>,
    ) -> (Tensor<4>, Tensor<4>) {
        let down = resample(self.config.filter, false);
        match (self.config.progressive_input, self.config.filter) {
            (ProgressiveInput::Skip, _) => {
                let picture = ops::resample(picture, down);
                (conv.forward_onto(pass, picture.clone(), h, 1.0), picture)
            }
            (_, ResampleFilter::Box) => {
                let joined = ops::add(ops::resample(conv.forward(pass, picture), down), h, self.gain);
                (joined.clone(), joined)
            }
            (_, ResampleFilter::Fir) => {
                let joined = conv.forward_onto(pass, ops::fir(picture, 2), h, self.gain);
                (joined.clone(), joined)
            }
        }
    }
}

impl Unit {
    fn forward(&self, pass: &Pass<'_>, h: Tensor<4>, e: &Tensor<2>) -> Tensor<4> {
        let h = self.block.forward(pass, h, e);
        match &self.attention {
            Some(attention) => attention.forward(pass, h),
            None => h,
        }
    }
}

impl Leave {
    fn down(&self, pass: &Pass<'_>, h: Tensor<4>, e: &Tensor<2>) -> Tensor<4> {
        match self {
            Self::Block(block) => block.forward(pass, h, e),
            Self::Conv(conv) => conv.forward(pass, h),
        }
    }

    fn up(&self, pass: &Pass<'_>, h: Tensor<4>, e: &Tensor<2>) -> Tensor<4> {
        match self {
            Self::Block(block) => block.forward(pass, h, e),
            Self::Conv(conv) => conv.forward(pass, ops::resample(h, ops::Resample::Up2Nearest)),
        }
    }
}

impl Head {
    fn forward(&self, pass: &Pass<'_>, h: Tensor<4>) -> Tensor<4> {
        self.conv.forward(pass, self.norm.forward(pass, h, None, Act::Silu))
    }
}
