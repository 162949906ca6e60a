//! Norms, residual blocks and attention.

use super::AdaGnUNetConfig;
use crate::layer::{Conv, ConvShape, Layout, Linear, Pass, Place};
use crate::ops::{self, Act};
use scorefield_tensor::Tensor;

/// `GN(x) (1 + s) + b`, `(s, b) = M cond`, without weights of its own.
#[derive(Clone, Copy, Debug)]
struct AdaGn {
    map: Linear,
    channels: usize,
    groups: usize,
    eps: f64,
}

impl AdaGn {
    fn new(layout: &mut Layout, name: &str, channels: usize, config: &AdaGnUNetConfig) -> Self {
        // Zero at first, so that a fresh norm is a plain one.
        let map = layout.linear(name, config.mapping_width, 2 * channels, true, Place::Last);
        Self { map, channels, groups: config.groups_for(channels), eps: config.norm_eps }
    }

    fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, cond: &Tensor<2>) -> Tensor<4> {
        let c = self.channels;
        let told = self.map.forward(pass, cond.clone());
        let modulation = (told.clone().narrow(1, 0, c), told.narrow(1, c, c));
        let [gamma, beta] = [1.0, 0.0].map(|v| pass.constant(vec![v; c], [c]));
        ops::group_norm(x, gamma, beta, self.groups, self.eps, Some(modulation), Act::Identity)
    }
}

/// `x, cond -> S x + drop C1 gelu(N1(drop C0 gelu(N0(x, cond)), cond))`, `S` a 1x1 convolution without bias where the width changes; then
/// attention, where there is one.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    norm0: AdaGn,
    conv0: Conv,
    norm1: AdaGn,
    conv1: Conv,
    skip: Option<Conv>,
    attention: Option<Attention>,
    dropout: f64,
}

impl Unit {
    /// Of three widths: in, between the convolutions, out.
    pub(super) fn new(
        layout: &mut Layout,
        name: &str,
        [inputs, inner, outputs]: [usize; 3],
        attention: bool,
        config: &AdaGnUNetConfig,
    ) -> Self {
        layout.within(name, |l| Self {
            norm0: AdaGn::new(l, "norm0", inputs, config),
            conv0: l.conv("conv0", ConvShape::three(inputs, inner), Place::Inner),
            norm1: AdaGn::new(l, "norm1", inner, config),
            conv1: l.conv("conv1", ConvShape::three(inner, outputs), Place::Inner),
            skip: (inputs != outputs).then(|| l.conv("skip", ConvShape::one(inputs, outputs).unbiased(), Place::Inner)),
            attention: attention.then(|| Attention::new(l, "attention", outputs, config)),
            dropout: config.dropout,
        })
    }

    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, cond: &Tensor<2>) -> Tensor<4> {
        let h = self.conv0.forward(pass, ops::gelu(self.norm0.forward(pass, x.clone(), cond)));
        let h = self.drop_channels(pass, h);
        let h = self.conv1.forward(pass, ops::gelu(self.norm1.forward(pass, h, cond)));
        let h = self.drop_channels(pass, h);
        let x = match &self.skip {
            Some(skip) => skip.forward(pass, x),
            None => x,
        };
        let h = ops::add(x, h, 1.0);
        match &self.attention {
            Some(attention) => attention.forward(pass, h, cond),
            None => h,
        }
    }

    /// Whole channels, or none of them (Tompson et al. 2015).
    fn drop_channels(&self, pass: &Pass<'_>, h: Tensor<4>) -> Tensor<4> {
        let [n, c, ..] = h.dims();
        match pass.mask([n, c, 1, 1], self.dropout) {
            Some(mask) => h * mask,
            None => h,
        }
    }
}

/// `x, cond -> x + P attention(QKV N(x, cond))` over all pixels, head after head.
#[derive(Clone, Debug)]
struct Attention {
    norm: AdaGn,
    qkv: Conv,
    out: Conv,
    heads: usize,
}

impl Attention {
    fn new(layout: &mut Layout, name: &str, c: usize, config: &AdaGnUNetConfig) -> Self {
        layout.within(name, |l| Self {
            norm: AdaGn::new(l, "norm", c, config),
            qkv: l.conv("qkv", ConvShape::one(c, 3 * c), Place::Qkv),
            out: l.conv("out", ConvShape::one(c, c), Place::Last),
            heads: config.heads_for(c),
        })
    }

    fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, cond: &Tensor<2>) -> Tensor<4> {
        let qkv = self.qkv.forward(pass, self.norm.forward(pass, x.clone(), cond)); // [n, 3 c, h, w]
        let y = ops::attention(qkv, self.heads, pass.precision());
        self.out.forward_onto(pass, y, x, 1.0)
    }
}
