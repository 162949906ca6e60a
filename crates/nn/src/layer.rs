//! The smallest layers: places in the list of parameters, and what is done with them.
//!
//! A [`Layout`] collects the descriptions while a network is put together; a layer keeps the indices it was given. In a [`Pass`] the
//! indices meet the numbers.

use crate::ops::{self, Act, Padding, Tail};
use crate::picture;
use crate::{Call, Init, Mode, ParamSpec, Params, Precision};
use scorefield_tensor::{DType, Streams, Tensor, TensorData, fill_survivors};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// Which published rule draws the weights. All are uniform; they differ in the variance and at the places where a branch joins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitScheme {
    /// Ho et al. 2020 and Song et al. 2021: variance `1 / fan_average`, biases zero, last layers of branches zero (1e-10 there).
    #[default]
    Ddpm,
    /// The DDPM++ and NCSN++ of Karras et al. 2022: as above, but last layers at 1e-5 of the usual deviation and the
    /// query-key-value map at `sqrt(0.2)` of it.
    Song,
    /// The ADM of Karras et al. 2022: variance `1 / (3 fan_in)` for weights and biases, last layers of branches zero.
    Adm,
}

/// Where in the network a weight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Inner,
    /// The last layer of a branch, or of the network.
    Last,
    /// The map to queries, keys and values.
    Qkv,
}

impl InitScheme {
    fn weight(self, fan_in: usize, fan_out: usize, place: Place) -> Init {
        match (self, place) {
            (Self::Ddpm | Self::Adm, Place::Last) => Init::Zeros,
            (Self::Ddpm, _) | (Self::Song, Place::Inner) => Init::fan_average(fan_in, fan_out, 1.0),
            (Self::Song, Place::Last) => Init::fan_average(fan_in, fan_out, 1e-10),
            (Self::Song, Place::Qkv) => Init::fan_average(fan_in, fan_out, 0.2),
            (Self::Adm, _) => Init::fan_in(fan_in, 1.0 / 3.0),
        }
    }

    fn bias(self, fan_in: usize, place: Place) -> Init {
        match (self, place) {
            (Self::Adm, Place::Inner | Place::Qkv) => Init::fan_in(fan_in, 1.0 / 3.0),
            _ => Init::Zeros,
        }
    }
}

/// Collects parameter descriptions under dotted names.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) specs: Vec<ParamSpec>,
    path: Vec<String>,
    scheme: InitScheme,
}

impl Layout {
    pub(crate) fn new(scheme: InitScheme) -> Self {
        Self { specs: Vec::new(), path: Vec::new(), scheme }
    }

    /// Everything `build` adds gets `name` before its own name.
    pub(crate) fn within<R>(&mut self, name: impl ToString, build: impl FnOnce(&mut Self) -> R) -> R {
        self.path.push(name.to_string());
        let built = build(self);
        self.path.pop();
        built
    }

    /// The full name of something called `name` here.
    pub(crate) fn name(&self, name: &str) -> String {
        self.path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".")
    }

    pub(crate) fn add(&mut self, name: &str, shape: &[usize], init: Init, trainable: bool) -> usize {
        self.specs.push(ParamSpec { name: self.name(name), shape: shape.to_vec(), init, trainable });
        self.specs.len() - 1
    }

    pub(crate) fn conv(&mut self, name: &str, shape: ConvShape, place: Place) -> Conv {
        let ConvShape { inputs, outputs, kernel, bias, .. } = shape;
        let area = kernel * kernel;
        let (fan_in, fan_out) = (inputs * area, outputs * area);
        self.within(name, |l| Conv {
            weight: l.add("weight", &[outputs, inputs, kernel, kernel], l.scheme.weight(fan_in, fan_out, place), true),
            bias: bias.then(|| l.add("bias", &[outputs], l.scheme.bias(fan_in, place), true)),
            shape,
        })
    }

    pub(crate) fn linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool, place: Place) -> Linear {
        self.within(name, |l| Linear {
            weight: l.add("weight", &[outputs, inputs], l.scheme.weight(inputs, outputs, place), true),
            bias: bias.then(|| l.add("bias", &[outputs], l.scheme.bias(inputs, place), true)),
            inputs,
            outputs,
        })
    }

    /// A linear map without bias whose weights are standard normal: a table of embeddings, one column an entry.
    pub(crate) fn table(&mut self, name: &str, entries: usize, outputs: usize) -> Linear {
        let weight = self.within(name, |l| l.add("weight", &[outputs, entries], Init::Normal { std: 1.0 }, true));
        Linear { weight, bias: None, inputs: entries, outputs }
    }

    pub(crate) fn norm(&mut self, name: &str, channels: usize, groups: usize, eps: f64) -> Norm {
        self.within(name, |l| Norm {
            weight: l.add("weight", &[channels], Init::Ones, true),
            bias: l.add("bias", &[channels], Init::Zeros, true),
            channels,
            groups,
            eps,
        })
    }
}

/// The geometry of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvShape {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) pad: Padding,
    /// How far apart neighbouring taps are. Above 1 the stride is 1 and the padding keeps the size.
    pub(crate) dilation: usize,
    pub(crate) bias: bool,
}

impl ConvShape {
    /// An odd kernel that keeps the size.
    pub(crate) fn same(kernel: usize, inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, kernel, stride: 1, pad: Padding::same(kernel), dilation: 1, bias: true }
    }

    /// 3x3, padded by one.
    pub(crate) fn three(inputs: usize, outputs: usize) -> Self {
        Self::same(3, inputs, outputs)
    }

    /// 1x1.
    pub(crate) fn one(inputs: usize, outputs: usize) -> Self {
        Self::same(1, inputs, outputs)
    }

    /// Patches of `side` x `side` that do not overlap, each to one pixel. It is what others write as moving the pixels of a patch to
    /// channels, channel after channel and row after row, and a 1x1 convolution: the weights are the same numbers in the same order.
    pub(crate) fn patches(side: usize, inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, kernel: side, stride: side, pad: Padding::NONE, dilation: 1, bias: true }
    }

    /// The same without a bias.
    pub(crate) fn unbiased(self) -> Self {
        Self { bias: false, ..self }
    }
}

/// Cross-correlation with zero padding, and a bias or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv {
    weight: usize,
    bias: Option<usize>,
    shape: ConvShape,
}

impl Conv {
    pub(crate) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        self.forward_tail(pass, x, Tail::default())
    }

    /// `gain (y + C x)`.
    pub(crate) fn forward_onto(&self, pass: &Pass<'_>, x: Tensor<4>, y: Tensor<4>, gain: f64) -> Tensor<4> {
        self.forward_tail(pass, x, Tail::onto(y, gain))
    }

    /// [`Conv::forward`], and what follows on the way to memory.
    pub(crate) fn forward_tail(&self, pass: &Pass<'_>, x: Tensor<4>, tail: Tail) -> Tensor<4> {
        let ConvShape { inputs, outputs, kernel, stride, pad, dilation, .. } = self.shape;
        let conv = |x: Tensor<4>, tail: Tail| {
            pass.note(self.weight, &x.dims(), stride, pad, true);
            let w = pass.tensor(self.weight, [outputs, inputs, kernel, kernel]);
            let bias = self.bias.map(|b| pass.tensor(b, [outputs]));
            ops::conv2d_tail(x, w, bias, stride, pad, tail, pass.params.ready(self.weight))
        };
        if dilation == 1 {
            return conv(x, tail);
        }
        // The pixels that dilated taps see from one place all lie on one of the interleaved grids.
        let size = [x.dims()[2], x.dims()[3]];
        tail.after(picture::interlace(conv(picture::deinterlace(x, dilation), Tail::default()), dilation, size))
    }
}

/// `y = x W^T + b`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    weight: usize,
    bias: Option<usize>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Linear {
    pub(crate) fn forward(&self, pass: &Pass<'_>, x: Tensor<2>) -> Tensor<2> {
        pass.note(self.weight, &x.dims(), 1, Padding::NONE, false);
        let w = pass.tensor(self.weight, [self.outputs, self.inputs]);
        ops::linear(x, w, self.bias.map(|b| pass.tensor(b, [self.outputs])))
    }

    /// [`Linear::forward`] in the precision of the parameters: for layers between hidden ones, where most of the arithmetic is.
    pub(crate) fn forward_ready(&self, pass: &Pass<'_>, x: Tensor<2>) -> Tensor<2> {
        pass.note(self.weight, &x.dims(), 1, Padding::NONE, true);
        let w = pass.tensor(self.weight, [self.outputs, self.inputs]);
        ops::linear_ready(x, w, self.bias.map(|b| pass.tensor(b, [self.outputs])), pass.params.ready(self.weight))
    }

    /// `y +` [`Linear::forward_ready`].
    pub(crate) fn forward_onto(&self, pass: &Pass<'_>, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        pass.note(self.weight, &x.dims(), 1, Padding::NONE, true);
        let w = pass.tensor(self.weight, [self.outputs, self.inputs]);
        ops::linear_onto(x, w, self.bias.map(|b| pass.tensor(b, [self.outputs])), y, pass.params.ready(self.weight))
    }

    /// `dx W^T`: what the map does to a direction.
    pub(crate) fn tangent(&self, pass: &Pass<'_>, dx: Tensor<2>) -> Tensor<2> {
        ops::linear(dx, pass.tensor(self.weight, [self.outputs, self.inputs]), None)
    }

    /// `g W`: what it does to a gradient on its way back.
    pub(crate) fn transposed(&self, pass: &Pass<'_>, g: Tensor<2>) -> Tensor<2> {
        ops::linear(g, pass.tensor(self.weight, [self.outputs, self.inputs]).transpose(), None)
    }
}

/// Group normalisation over consecutive channels, biased variance (Wu and He 2018).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    weight: usize,
    bias: usize,
    channels: usize,
    groups: usize,
    eps: f64,
}

impl Norm {
    /// `act(GN(x) (1 + scale) + shift)`.
    pub(crate) fn forward(
        &self,
        pass: &Pass<'_>,
        x: Tensor<4>,
        modulation: Option<(Tensor<2>, Tensor<2>)>,
        act: Act,
    ) -> Tensor<4> {
        let (gamma, beta) = (pass.tensor(self.weight, [self.channels]), pass.tensor(self.bias, [self.channels]));
        ops::group_norm(x, gamma, beta, self.groups, self.eps, modulation, act)
    }
}

/// One evaluation: the numbers of the parameters, and the streams of dropout.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    params: &'a Params,
    specs: &'a [ParamSpec],
    dropout: Option<RefCell<Streams>>,
}

impl<'a> Pass<'a> {
    #[track_caller]
    pub(crate) fn new(params: &'a Params, specs: &'a [ParamSpec], mode: &Mode) -> Self {
        assert_eq!(params.len(), specs.len(), "parameters given, parameters of the network");
        let dropout = match mode {
            Mode::Eval => None,
            Mode::Train { noise } => Some(RefCell::new(noise.clone())),
        };
        Self { params, specs, dropout }
    }

    /// Writes down that the layer of a weight is used.
    fn note(&self, weight: usize, input: &[usize], stride: usize, pad: Padding, rounded: bool) {
        self.params.note(|| {
            let spec = &self.specs[weight];
            let layer = spec.name.strip_suffix(".weight").unwrap_or(&spec.name).to_owned();
            Call { layer, input: input.to_vec(), weights: spec.shape.clone(), stride, pad, rounded }
        });
    }

    /// What products are made of.
    pub(crate) fn precision(&self) -> Precision {
        self.params.precision()
    }

    /// Parameter `index` in its shape.
    pub(crate) fn tensor<const D: usize>(&self, index: usize, shape: [usize; D]) -> Tensor<D> {
        self.params.values()[index].clone().reshape(shape)
    }

    /// The numbers of a parameter that is not trained, on the host.
    pub(crate) fn frozen(&self, index: usize) -> Vec<f32> {
        scorefield_tensor::rows(self.params.values()[index].clone().inner())
    }

    /// Host numbers beside the parameters: their device and element type.
    pub(crate) fn constant<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        let (device, dtype) = match self.params.values().first() {
            Some(p) => (p.device(), p.dtype()),
            None => (Default::default(), DType::F32),
        };
        Tensor::from_data(TensorData::new(values, shape), (&device, dtype))
    }

    /// Inverted dropout: each number survives with probability `1 - rate` and is divided by it. Nothing in evaluation.
    pub(crate) fn dropout<const D: usize>(&self, x: Tensor<D>, rate: f64) -> Tensor<D> {
        match self.mask(x.dims(), rate) {
            Some(mask) => x * mask,
            None => x,
        }
    }

    /// The factors of [`Pass::dropout`], for what has to be dropped together.
    pub(crate) fn mask<const D: usize>(&self, dims: [usize; D], rate: f64) -> Option<Tensor<D>> {
        let streams = self.dropout.as_ref().filter(|_| rate > 0.0)?;
        let mut streams = streams.borrow_mut();
        let width: usize = dims[1..].iter().product();
        let mut mask = vec![0.0f32; dims[0] * width];
        if width > 0 {
            let rows: Vec<_> = (0..dims[0]).map(|i| streams.stream(i)).collect();
            fill_survivors(&mut mask, width, rate, |i| rows[i]);
        }
        streams.advance();
        Some(self.constant(mask, dims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InitScheme;
    use scorefield_tensor::rows;

    /// Patches to pixels are the pixels of a patch moved to channels `(c, row, column)` and a map of channels with the same numbers, with a
    /// bias and without.
    #[test]
    fn patches_are_channels_mapped() {
        let (side, [c, h, w], outputs) = (2, [2, 4, 6], 3);
        for bias in [true, false] {
            let mut layout = Layout::new(InitScheme::Adm);
            let shape = ConvShape::patches(side, c, outputs);
            let conv = layout.conv("conv", if bias { shape } else { shape.unbiased() }, Place::Inner);
            assert_eq!(layout.specs.len(), 1 + usize::from(bias));
            let params = Params::init(&layout.specs, 3, &Default::default());
            let x: Vec<f32> = (0..c * h * w).map(|i| (i as f32 * 1.3).sin()).collect();
            let pass = Pass::new(&params, &layout.specs, &Mode::Eval);
            let y = rows(conv.forward(&pass, pass.constant(x.clone(), [1, c, h, w])));
            let (weights, zeros) = (params.to_host(), vec![0.0; outputs]);
            let shifts = weights.get(1).unwrap_or(&zeros);
            for (o, i, j) in (0..outputs).flat_map(|o| (0..2).flat_map(move |i| (0..3).map(move |j| (o, i, j)))) {
                let moved = |k: usize| x[(k / 4) * h * w + (2 * i + k / 2 % 2) * w + 2 * j + k % 2];
                let expected: f32 = shifts[o] + (0..4 * c).map(|k| weights[0][o * 4 * c + k] * moved(k)).sum::<f32>();
                let found = y[(o * 2 + i) * 3 + j];
                assert!((found - expected).abs() < 1e-6, "{o} {i} {j}: {found} {expected}");
            }
        }
    }
}
