//! Norms and residual blocks.
//!
//! `RMS(x) = x / sqrt(mean_c x_c^2) g_c` for each pixel, written `sqrt(C) x / max(|x|, 1e-12) g`: a pixel of zeros stays zero. The bound
//! is put on the square, under the root, whose slope at zero would be infinite.

use crate::Init;
use crate::layer::{Conv, ConvShape, Layout, Linear, Pass, Place};
use crate::ops;
use scorefield_tensor::Tensor;

/// The smallest squared length that is divided by.
const LEAST: f64 = 1e-24;

/// Division of each pixel by the root mean square of its channels, and a gain a channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct RmsNorm {
    gain: usize,
    channels: usize,
}

impl RmsNorm {
    pub(super) fn new(layout: &mut Layout, name: &str, channels: usize) -> Self {
        layout.within(name, |l| Self { gain: l.add("gain", &[channels], Init::Ones, true), channels })
    }

    /// The gain in units of the length: `sqrt(C) g`, `[1, C]`.
    fn gain(&self, pass: &Pass<'_>) -> Tensor<2> {
        pass.tensor(self.gain, [1, self.channels]) * (self.channels as f64).sqrt()
    }

    /// `x / max(|x|, 1e-12)` times one number a picture (or for all of them) and channel.
    fn scaled(&self, x: Tensor<4>, factor: Tensor<2>) -> Tensor<4> {
        let length = x.clone().square().sum_dim(1).clamp_min(LEAST).sqrt(); // [n, 1, h, w]
        let n = factor.dims()[0];
        x / length * factor.reshape([n, self.channels, 1, 1])
    }

    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        self.scaled(x, self.gain(pass))
    }

    /// `RMS(x) (1 + scale) + shift`, `scale` and `shift` `[n, C]`.
    fn modulated(&self, pass: &Pass<'_>, x: Tensor<4>, scale: Tensor<2>, shift: Tensor<2>) -> Tensor<4> {
        ops::add_channels(self.scaled(x, self.gain(pass) * (scale + 1.0)), shift)
    }
}

/// `x, e -> S x + silu(RMS(C1 drop silu(RMS(C0 x) (1 + s) + b)))`, `(s, b) = E e`, `S` a 1x1 convolution where the width changes.
#[derive(Clone, Debug)]
pub(super) struct Block {
    conv0: Conv,
    norm0: RmsNorm,
    embed: Linear,
    conv1: Conv,
    norm1: RmsNorm,
    skip: Option<Conv>,
    dropout: f64,
}

impl Block {
    pub(super) fn new(layout: &mut Layout, name: &str, [inputs, outputs]: [usize; 2], embedding: usize, dropout: f64) -> Self {
        layout.within(name, |l| Self {
            conv0: l.conv("conv0", ConvShape::three(inputs, outputs), Place::Inner),
            norm0: RmsNorm::new(l, "norm0", outputs),
            embed: l.linear("embed", embedding, 2 * outputs, true, Place::Inner),
            conv1: l.conv("conv1", ConvShape::three(outputs, outputs), Place::Inner),
            norm1: RmsNorm::new(l, "norm1", outputs),
            skip: (inputs != outputs).then(|| l.conv("skip", ConvShape::one(inputs, outputs), Place::Inner)),
            dropout,
        })
    }

    /// `e` comes with its activation applied.
    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, e: &Tensor<2>) -> Tensor<4> {
        let told = self.embed.forward(pass, e.clone());
        let c = self.norm0.channels;
        let (scale, shift) = (told.clone().narrow(1, 0, c), told.narrow(1, c, c));
        let h = ops::silu(self.norm0.modulated(pass, self.conv0.forward(pass, x.clone()), scale, shift));
        let h = self.conv1.forward(pass, pass.dropout(h, self.dropout));
        let h = ops::silu(self.norm1.forward(pass, h));
        let x = match &self.skip {
            Some(skip) => skip.forward(pass, x),
            None => x,
        };
        ops::add(x, h, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InitScheme, Mode, Params};
    use scorefield_tensor::{DType, Tensor, TensorData, rows_f64};

    /// Against a loop over pixels, modulated and not; a pixel of zeros gives zero (or the shift) and a finite slope.
    #[test]
    fn norms_equal_a_loop() {
        let mut layout = Layout::new(InitScheme::Adm);
        let norm = RmsNorm::new(&mut layout, "norm", 3);
        let gains = [0.5f32, -2.0, 1.5];
        let params = Params::from_host(&layout.specs, vec![gains.to_vec()], &Default::default()).unwrap().cast(DType::F64);
        let pass = Pass::new(&params, &layout.specs, &Mode::Eval);
        // Two pictures of three channels and two pixels; the second pixel of the first is zero.
        let x = [1.0, 0.0, 2.0, 0.0, -2.0, 0.0, 0.3, 4.0, -0.1, 1.0, 0.2, -7.0];
        let (scale, shift) = ([0.1, 0.2, -0.3, 1.0, -1.0, 0.0], [1.0, 2.0, 3.0, -1.0, -2.0, -3.0]);
        let device = Default::default();
        let tensor =
            |v: &[f64], shape: [usize; 2]| Tensor::<2>::from_data(TensorData::new(v.to_vec(), shape), (&device, DType::F64));
        let picture = |v: &[f64]| tensor(v, [2, 6]).reshape([2, 3, 1, 2]);
        let plain = rows_f64(norm.forward(&pass, picture(&x)));
        let told = rows_f64(norm.modulated(&pass, picture(&x), tensor(&scale, [2, 3]), tensor(&shift, [2, 3])));
        for (n, c, p) in (0..2).flat_map(|n| (0..3).flat_map(move |c| (0..2).map(move |p| (n, c, p)))) {
            let at = |c: usize| x[n * 6 + c * 2 + p];
            let mean = (0..3).map(|c| at(c) * at(c)).sum::<f64>() / 3.0;
            let normal = if mean == 0.0 { 0.0 } else { at(c) / mean.sqrt() * f64::from(gains[c]) };
            let i = n * 6 + c * 2 + p;
            assert!((plain[i] - normal).abs() < 1e-12, "{n} {c} {p}: {} {normal}", plain[i]);
            let expected = normal * (1.0 + scale[n * 3 + c]) + shift[n * 3 + c];
            assert!((told[i] - expected).abs() < 1e-12, "{n} {c} {p}: {} {expected}", told[i]);
        }

        let autodiff = scorefield_tensor::Device::default().autodiff();
        let leaf = Tensor::<4>::zeros([1, 3, 1, 1], (&autodiff, DType::F64)).require_grad();
        let constants = params.constants(&device);
        let y = norm.forward(&Pass::new(&constants, &layout.specs, &Mode::Eval), leaf.clone()).sum();
        let slope = rows_f64(leaf.grad(&y.backward()).unwrap());
        assert!(slope.iter().all(|v| v.is_finite()), "{slope:?}");
    }
}
