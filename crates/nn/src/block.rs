//! Residual blocks and attention of a U-Net.

use crate::layer::{Conv, ConvShape, Layout, Linear, Norm, Pass, Place};
use crate::ops::{self, Act, Resample, Tail};
use scorefield_tensor::Tensor;

/// What all blocks of a network share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockStyle {
    /// Width of the embedding.
    pub(crate) embedding: usize,
    /// Largest number of groups, and the least channels a group may have.
    pub(crate) groups: usize,
    pub(crate) group_width: usize,
    /// Groups of a block's first norm, where they are others.
    pub(crate) first_groups: Option<usize>,
    pub(crate) eps: f64,
    pub(crate) scale_shift: bool,
    /// Branches are added and multiplied by this.
    pub(crate) gain: f64,
    pub(crate) dropout: f64,
    /// Whether a resampling block has a 1x1 convolution beside even where the channels stay.
    pub(crate) resample_skip_conv: bool,
}

impl BlockStyle {
    /// The number of groups for `channels`.
    pub(crate) fn groups(&self, channels: usize) -> usize {
        self.groups.min(channels / self.group_width)
    }

    pub(crate) fn norm(&self, layout: &mut Layout, name: &str, channels: usize) -> Norm {
        layout.norm(name, channels, self.groups(channels), self.eps)
    }
}

/// `x, e -> gain (S R x + C1 drop silu(N1(C0 R silu(N0 x), e)))` (He et al. 2016; Ho et al. 2020, appendix B; Brock et al. 2019 for
/// the resampling `R`): the embedding is added before `N1` or scales and shifts after it.
#[derive(Clone, Debug)]
pub(crate) struct ResBlock {
    norm0: Norm,
    conv0: Conv,
    embed: Linear,
    norm1: Norm,
    conv1: Conv,
    skip: Option<Conv>,
    resample: Option<Resample>,
    style: BlockStyle,
}

impl ResBlock {
    pub(crate) fn new(
        layout: &mut Layout,
        name: impl ToString,
        inputs: usize,
        outputs: usize,
        resample: Option<Resample>,
        style: BlockStyle,
    ) -> Self {
        let told = if style.scale_shift { 2 * outputs } else { outputs };
        let skip = inputs != outputs || (resample.is_some() && style.resample_skip_conv);
        layout.within(name, |l| Self {
            norm0: l.norm("norm0", inputs, style.first_groups.unwrap_or(style.groups(inputs)), style.eps),
            conv0: l.conv("conv0", ConvShape::three(inputs, outputs), Place::Inner),
            embed: l.linear("embed", style.embedding, told, true, Place::Inner),
            norm1: style.norm(l, "norm1", outputs),
            conv1: l.conv("conv1", ConvShape::three(outputs, outputs), Place::Last),
            skip: skip.then(|| l.conv("skip", ConvShape::one(inputs, outputs), Place::Inner)),
            resample,
            style,
        })
    }

    pub(crate) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, e: &Tensor<2>) -> Tensor<4> {
        let mut h = self.norm0.forward(pass, x.clone(), None, Act::Silu);
        let mut x = x;
        if let Some(how) = self.resample {
            (h, x) = (ops::resample(h, how), ops::resample(x, how));
        }
        let told = self.embed.forward(pass, e.clone());
        let h = if self.style.scale_shift {
            let h = self.conv0.forward(pass, h);
            let c = h.dims()[1];
            let (scale, shift) = (told.clone().narrow(1, 0, c), told.narrow(1, c, c));
            self.norm1.forward(pass, h, Some((scale, shift)), Act::Silu)
        } else {
            self.norm1.forward(pass, self.conv0.forward_tail(pass, h, Tail::shift(told)), None, Act::Silu)
        };
        let x = match &self.skip {
            Some(skip) => skip.forward(pass, x),
            None => x,
        };
        self.conv1.forward_onto(pass, pass.dropout(h, self.style.dropout), x, self.style.gain)
    }
}

/// `x -> gain (x + P attention(Q N x, K N x, V N x))` over all pixels in row-major order, head after head.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    norm: Norm,
    qkv: Conv,
    out: Conv,
    heads: usize,
    gain: f64,
}

impl Attention {
    pub(crate) fn new(layout: &mut Layout, name: impl ToString, channels: usize, heads: usize, style: BlockStyle) -> Self {
        layout.within(name, |l| Self {
            norm: style.norm(l, "norm", channels),
            qkv: l.conv("qkv", ConvShape::one(channels, 3 * channels), Place::Qkv),
            out: l.conv("out", ConvShape::one(channels, channels), Place::Last),
            heads,
            gain: style.gain,
        })
    }

    pub(crate) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        let qkv = self.qkv.forward(pass, self.norm.forward(pass, x.clone(), None, Act::Identity)); // [n, 3 c, h, w]
        let y = ops::attention(qkv, self.heads, pass.precision());
        self.out.forward_onto(pass, y, x, self.gain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InitScheme, Mode, Params, QkvPacking};
    use scorefield_tensor::{TensorData, rows};

    /// One block of the ADM of NVlabs/edm, 32 to 128 channels: scale and shift, and two heads interleaved in the joint map.
    #[test]
    #[ignore = "needs ../shared/fixtures"]
    fn adm_block_with_two_heads() {
        let folder = scorefield_testkit::shared().join("checkpoints/edm/adm_block_2heads");
        let style = BlockStyle {
            embedding: 32,
            groups: 32,
            group_width: 4,
            first_groups: None,
            eps: 1e-5,
            scale_shift: true,
            gain: 1.0,
            dropout: 0.0,
            resample_skip_conv: false,
        };
        let mut layout = Layout::new(InitScheme::Adm);
        let block = ResBlock::new(&mut layout, "block", 32, 128, None, style);
        let attention = Attention::new(&mut layout, "attention", 128, 2, style);

        let mut file = npyz::npz::NpzArchive::open(folder.join("state_dict.npz")).unwrap();
        let mut weight = |name: &str| {
            let theirs = match name.split('.').collect::<Vec<_>>()[..] {
                ["block", "embed", end] => format!("affine.{end}"),
                ["attention", "norm", end] => format!("norm2.{end}"),
                ["attention", "out", end] => format!("proj.{end}"),
                [_, layer, end] => format!("{layer}.{end}"),
                _ => panic!("{name}"),
            };
            let values = file.by_name(&theirs).unwrap().unwrap().into_vec::<f32>().unwrap();
            if !theirs.starts_with("qkv") {
                return values;
            }
            let width = values.len() / 384;
            QkvPacking::Interleaved.rows(128, 2).iter().flat_map(|&r| values[r * width..(r + 1) * width].to_vec()).collect()
        };
        let values = layout.specs.iter().map(|s| weight(&s.name)).collect();
        let params = Params::from_host(&layout.specs, values, &Default::default()).unwrap();

        let bytes = std::fs::read(folder.join("io.safetensors")).unwrap();
        let io = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let numbers = |name: &str| -> Vec<f32> {
            io.tensor(name).unwrap().data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
        };
        let pass = Pass::new(&params, &layout.specs, &Mode::Eval);
        let x: Tensor<4> = pass.constant(numbers("x"), [2, 32, 8, 8]);
        // Their block is told the embedding after its last activation, as ours is.
        let e: Tensor<2> = Tensor::from_data(TensorData::new(numbers("emb"), [2, 32]), &x.device());
        let y = rows(attention.forward(&pass, block.forward(&pass, x, &e)));
        let stored = numbers("output");
        let error = y.iter().zip(&stored).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 1e-5 * 7.0, "{error}");
    }
}
