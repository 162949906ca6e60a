//! The operations networks are made of: the one place that calls them.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{activation, module};
use scorefield_tensor::{Tensor, TensorData};

/// Zero padding of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Padding {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) bottom: usize,
    pub(crate) right: usize,
}

impl Padding {
    pub(crate) const fn same(by: usize) -> Self {
        Self { top: by, left: by, bottom: by, right: by }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Identity,
    Silu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resample {
    Up2Nearest,
    Down2Mean,
    FirUp,
    FirDown,
}

pub(crate) fn conv2d(x: Tensor<4>, w: Tensor<4>, bias: Option<Tensor<1>>, stride: usize, pad: Padding) -> Tensor<4> {
    let mut options = ConvOptions::new([stride; 2], [0; 2], [1; 2], 1);
    options.padding = [(pad.top, pad.bottom), (pad.left, pad.right)];
    module::conv2d(x, w, bias, options)
}

pub(crate) fn linear(x: Tensor<2>, w: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let y = x.matmul(w.transpose());
    match bias {
        Some(b) => y + b.unsqueeze::<2>(),
        None => y,
    }
}

pub(crate) fn group_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    eps: f64,
    modulation: Option<(Tensor<2>, Tensor<2>)>,
    act: Act,
) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let grouped = x.reshape([n, groups, c / groups * h * w]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let y = (centred / variance.add_scalar(eps).sqrt()).reshape([n, c, h, w]);
    let mut y = y * gamma.reshape([1, c, 1, 1]) + beta.reshape([1, c, 1, 1]);
    if let Some((scale, shift)) = modulation {
        y = y * scale.add_scalar(1.0).reshape([n, c, 1, 1]) + shift.reshape([n, c, 1, 1]);
    }
    match act {
        Act::Identity => y,
        Act::Silu => silu(y),
    }
}

pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::silu(x)
}

pub(crate) fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
    let scale = (q.dims()[2] as f64).sqrt().recip();
    activation::softmax(q.matmul(k.transpose()).mul_scalar(scale), 2).matmul(v)
}

pub(crate) fn resample(x: Tensor<4>, how: Resample) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    match how {
        Resample::Up2Nearest => x.reshape([n, c, h, 1, w, 1]).expand([n, c, h, 2, w, 2]).reshape([n, c, 2 * h, 2 * w]),
        Resample::Down2Mean => x.reshape([n, c, h / 2, 2, w / 2, 2]).mean_dim(5).mean_dim(3).reshape([n, c, h / 2, w / 2]),
        Resample::FirDown => depthwise(x.pad([(0, 0), (0, 0), (1, 1), (1, 1)], 0.0), 1.0, 2),
        Resample::FirUp => {
            let zeros = Tensor::<6>::zeros([n, c, h, 2, w, 2], (&x.device(), x.dtype()));
            let spread = zeros.slice_assign([0..n, 0..c, 0..h, 0..1, 0..w, 0..1], x.reshape([n, c, h, 1, w, 1]));
            let spread: Tensor<4> = spread.reshape([n, c, 2 * h, 2 * w]);
            depthwise(spread.pad([(0, 0), (0, 0), (2, 1), (2, 1)], 0.0), 4.0, 1)
        }
    }
}

pub(crate) fn fir(x: Tensor<4>, pad: usize) -> Tensor<4> {
    depthwise(x.pad([(0, 0), (0, 0), (pad, pad), (pad, pad)], 0.0), 1.0, 1)
}

fn depthwise(x: Tensor<4>, gain: f64, stride: usize) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let k = [1.0, 3.0, 3.0, 1.0];
    let kernel: Vec<f64> = k.iter().flat_map(|a| k.iter().map(move |b| gain * a * b / 64.0)).collect();
    let kernel = Tensor::<4>::from_data(TensorData::new(kernel, [1, 1, 4, 4]), (&x.device(), x.dtype()));
    let y = conv2d(x.reshape([n * c, 1, h, w]), kernel, None, stride, Padding::same(0));
    let [_, _, h, w] = y.dims();
    y.reshape([n, c, h, w])
}
