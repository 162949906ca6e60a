//! Two-dimensional convolution (cross-correlation with zero padding) of NCHW pictures.
//!
//! `y[n, k, o] = b[k] + sum_{c, i} w[k, c, i] x[n, c, s o + i - p]`.
//!
//! On the CPU in `f32` it is an implicit matrix product ([`direct`]): the patches of the input are packed panel by panel and
//! never exist as a whole; a 1 x 1 convolution is the same with one tap. Kernels of 3 x 3 with stride 1 go to [`winograd`] where that
//! pays.

mod direct;
pub(crate) mod geometry;
mod patches;
pub(crate) mod tail;
mod winograd;

use crate::bf16;
use crate::extension::KernelOps;
use crate::host::{Host, contiguous, dims, fast, host, values};
use crate::record::Pullback;
use burn::backend::Dispatch;
use burn::tensor::ops::{ConvOptions, PadMode};
use geometry::Shape;
use scorefield_tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tail::Finish;
pub use tail::Tail;

#[cfg(test)]
pub(crate) use direct::{
    forward as direct_forward, input_gradient as direct_input_gradient, weight_gradient as direct_weight_gradient,
};

/// Zeros around a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// No padding.
    pub const NONE: Self = Self::all(0);

    /// The same number of zeros on every side.
    pub const fn all(p: usize) -> Self {
        Self { top: p, left: p, bottom: p, right: p }
    }

    /// What keeps the size of a picture under a kernel of odd size `k` and stride 1.
    pub const fn same(k: usize) -> Self {
        Self::all(k / 2)
    }
}

/// Convolution: `x` `[n, c, h, w]`, `w` `[k, c, kh, kw]`, `bias` `[k]`; the result is
/// `[n, k, (h + top + bottom - kh) / stride + 1, (w + left + right - kw) / stride + 1]`.
///
/// `y[n, k, o] = b[k] + sum_{c, i} w[k, c, i] x[n, c, stride o + i - pad]`, zeros outside. Differentiable in all three.
///
/// # Panics
/// When the channels of `x` and `w`, or the length of the bias, disagree, the kernel is larger than the padded picture, or the
/// stride is zero.
#[track_caller]
pub fn conv2d(x: Tensor<4>, w: Tensor<4>, bias: Option<Tensor<1>>, stride: usize, pad: Padding) -> Tensor<4> {
    conv2d_ready(x, w, bias, stride, pad, None)
}

/// The numbers that products are made of; sums are in single precision either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// Single precision.
    #[default]
    #[serde(rename = "f32")]
    Single,
    /// bfloat16: eight bits of significand, the range of single precision. The gradients of strided convolutions and of attention are
    /// in single precision all the same, and so are, on processors without a matrix unit, convolutions that minimal filtering makes faster.
    #[serde(rename = "bf16")]
    Bf16,
}

/// The ways to compute a convolution in single precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// An implicit matrix product.
    Direct,
    /// Minimal filtering, F(2 x 2, 3 x 3) (Lavin and Gray 2016): 4 / 9 of the multiplications.
    MinimalTwo,
    /// Minimal filtering, F(4 x 4, 3 x 3): a quarter of the multiplications.
    MinimalFour,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Direct, Self::MinimalTwo, Self::MinimalFour];

    /// Which of them computes the convolution of `x` `[n, c, h, w]` with `w` `[k, c, kh, kw]`: a function of the layer and not of the
    /// batch, so that a picture's bits do not depend on its company.
    pub fn of(x: [usize; 4], w: [usize; 4], stride: usize, pad: Padding) -> Self {
        let s = Shape { n: x[0], c: x[1], size: [x[2], x[3]], k: w[0], kernel: [w[2], w[3]], stride, pad };
        fastest(&s)
    }

    /// Whether it can compute a convolution with such a kernel, stride and padding.
    pub fn applies(self, w: [usize; 4], stride: usize, pad: Padding) -> bool {
        let s = Shape { n: 1, c: w[1], size: [w[2], w[3]], k: w[0], kernel: [w[2], w[3]], stride, pad };
        self == Self::Direct || winograd::applies(&s)
    }
}

/// What a convolution or an affine map keeps of weights that do not change: filled by the first call that can use it, for these very weights from then on.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<Kept>);

#[derive(Default)]
struct Kept {
    precision: Precision,
    /// Whether bfloat16 is faster than minimal filtering on this machine: asked once for all of a network's, because a guest's processor is
    /// slow to tell.
    halves_outrun_filtering: bool,
    /// In place of the rule's, to be timed.
    algorithm: Option<Algorithm>,
    filters: winograd::Kept,
    halves: Mutex<Option<Arc<bf16::Weights>>>,
    columns: Mutex<Option<Arc<bf16::Columns>>>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("precision", &self.precision).finish_non_exhaustive()
    }
}

impl Ready {
    /// Nothing yet, for products in some precision.
    pub fn new(precision: Precision) -> Self {
        Self::each(precision, 1).remove(0)
    }

    /// [`Ready::new`] for each of `count` weights.
    pub fn each(precision: Precision, count: usize) -> Vec<Self> {
        let halves_outrun_filtering = precision == Precision::Bf16 && bf16::outruns_filtering();
        let one = |_| Self(Arc::new(Kept { precision, halves_outrun_filtering, ..Kept::default() }));
        (0..count).map(one).collect()
    }

    /// The algorithm in single precision that computes a convolution of such sizes ([`Algorithm::of`]); `None` where it is made of bfloat16.
    pub fn algorithm(&self, x: [usize; 4], w: [usize; 4], stride: usize, pad: Padding) -> Option<Algorithm> {
        let chosen = self.0.algorithm.unwrap_or_else(|| Algorithm::of(x, w, stride, pad));
        let s = Shape { n: x[0], c: x[1], size: [x[2], x[3]], k: w[0], kernel: [w[2], w[3]], stride, pad };
        (!self.in_halves(&s)).then_some(chosen)
    }

    /// Nothing yet, for single precision and an algorithm of the caller's choice that [applies](Algorithm::applies).
    pub fn by(algorithm: Algorithm) -> Self {
        Self(Arc::new(Kept { algorithm: Some(algorithm), ..Kept::default() }))
    }

    /// What products are made of.
    pub fn precision(&self) -> Precision {
        self.0.precision
    }

    /// The weights `[outputs, inputs]` of an affine map in bfloat16, if that is the precision.
    pub(crate) fn columns(&self, w: &[f32], [outputs, inputs]: [usize; 2]) -> Option<Arc<bf16::Columns>> {
        (self.0.precision == Precision::Bf16).then(|| {
            let mut kept = self.0.columns.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get_or_insert_with(|| Arc::new(bf16::Columns::new(w, outputs, inputs))).clone()
        })
    }

    /// Whether a convolution is made of bfloat16.
    fn in_halves(&self, s: &Shape) -> bool {
        self.0.precision == Precision::Bf16 && (self.0.halves_outrun_filtering || fastest(s) != Algorithm::MinimalFour)
    }

    /// The weights `[rows, channels, taps]` in bfloat16, if that is the precision.
    fn halves(&self, w: &[f32], [rows, channels, taps]: [usize; 3]) -> Option<Arc<bf16::Weights>> {
        (self.0.precision == Precision::Bf16).then(|| {
            let mut kept = self.0.halves.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get_or_insert_with(|| Arc::new(bf16::Weights::new(w, rows, channels, taps))).clone()
        })
    }
}

/// [`conv2d`] with weights that are the same at every call with one `ready`: their transforms are made once.
///
/// # Panics
/// As [`conv2d`]. That the weights are the same is not checked.
#[track_caller]
pub fn conv2d_ready(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    pad: Padding,
    ready: Option<Ready>,
) -> Tensor<4> {
    conv2d_tail(x, w, bias, stride, pad, Tail::default(), ready)
}

/// [`conv2d_ready`] and what follows it, `gain (conv(x) + shift + residual)`, without another pass over the output. Differentiable in
/// all that is added too; the bits are those of the separate operations.
///
/// # Panics
/// As [`conv2d_ready`], and when shift or residual have another shape than the output asks for.
#[track_caller]
pub fn conv2d_tail(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    pad: Padding,
    tail: Tail,
    ready: Option<Ready>,
) -> Tensor<4> {
    let ([n, c, height, width], [k, cw, kh, kw]) = (x.dims(), w.dims());
    assert!(stride > 0, "a convolution's stride is at least 1");
    assert_eq!(c, cw, "pictures of {c} channels meet weights for {cw}");
    assert!(
        height + pad.top + pad.bottom >= kh && width + pad.left + pad.right >= kw,
        "a {kh} x {kw} kernel is larger than the padded {height} x {width} picture ({pad:?})"
    );
    if let Some(b) = &bias {
        assert_eq!(b.dims()[0], k, "a bias of {} numbers for {k} channels", b.dims()[0]);
    }
    if let Some(e) = &tail.shift {
        assert_eq!(e.dims(), [n, k], "a number for each picture and channel");
    }
    if let Some(r) = &tail.residual {
        let size = Shape { n, c, size: [height, width], k, kernel: [kh, kw], stride, pad }.output();
        assert_eq!(r.dims(), [n, k, size[0], size[1]], "branches of one shape meet");
    }
    let added = tail.shift.as_ref().is_none_or(fast) && tail.residual.as_ref().is_none_or(fast);
    if !(fast(&x) && fast(&w) && bias.as_ref().is_none_or(fast) && added) {
        return tail.after(portable(x, w, bias, stride, pad));
    }
    // What is not there is a tensor without numbers.
    let device = x.device().without_autodiff();
    let bias = bias.unwrap_or_else(|| Tensor::zeros([0], &device)).into_dispatch();
    let shift = tail.shift.unwrap_or_else(|| Tensor::zeros([0; 2], &device)).into_dispatch();
    let residual = tail.residual.unwrap_or_else(|| Tensor::zeros([0; 4], &device)).into_dispatch();
    let (x, w) = (x.into_dispatch(), w.into_dispatch());
    let settings = Settings { stride, pad, gain: tail.gain as f32, ready };
    Tensor::from_dispatch(<Dispatch as KernelOps>::conv2d(x, w, bias, shift, residual, settings))
}

/// What a convolution is told beside tensors.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    stride: usize,
    pad: Padding,
    gain: f32,
    ready: Option<Ready>,
}

/// The same from ordinary operations, for other backends and element types.
pub(crate) fn portable(x: Tensor<4>, w: Tensor<4>, bias: Option<Tensor<1>>, stride: usize, pad: Padding) -> Tensor<4> {
    let padded = if pad == Padding::NONE { x } else { x.pad((pad.left, pad.right, pad.top, pad.bottom), PadMode::Constant(0.0)) };
    burn::tensor::module::conv2d(padded, w, bias, ConvOptions::new([stride; 2], [0; 2], [1; 2], 1))
}

fn shape(x: &Host, w: &Host, stride: usize, pad: Padding) -> Shape {
    let ([n, c, height, width], [k, _, kh, kw]) = (dims(x), dims(w));
    Shape { n, c, size: [height, width], k, kernel: [kh, kw], stride, pad }
}

/// The algorithm for a layer in single precision: a rule on the layer alone, because the batch must not change a sample's bits.
///
/// On small pictures large filters, four times as large when transformed for F(4 x 4), take longer to read than a small batch saves; for
/// F(2 x 2) they are less than twice as large. From 256 channels to 256, transformed before, directly, by F(2 x 2) and by F(4 x 4), two
/// cores of a Zen 4: on 8 x 8 one picture takes 0.41, 0.21 and 0.47 ms, four 1.55, 0.75 and 0.45, sixteen 6.3, 3.0 and 2.4; on 4 x 4 0.13,
/// 0.20 and 0.51, then 0.40, 0.20 and 0.43, then 1.6, 0.86 and 0.56. Filters of up to 2^14 weights stay in the second cache.
fn fastest(s: &Shape) -> Algorithm {
    let (area, few) = (s.size[0] * s.size[1], s.c * s.k <= 1 << 14);
    match winograd::applies(s) {
        true if area > 64 || area >= 9 && few => Algorithm::MinimalFour,
        true if area >= 16 => Algorithm::MinimalTwo,
        _ => Algorithm::Direct,
    }
}

/// Whether F(4 x 4) computes the gradients: where it computes the outputs, and on 8 x 8, since batches in training are not of one. Their
/// products are cut by channels in and out: with few of either most of a tile would be empty.
fn minimal_backward(s: &Shape) -> bool {
    let outputs = fastest(s);
    let large = outputs == Algorithm::MinimalFour || outputs == Algorithm::MinimalTwo && s.size[0] * s.size[1] >= 64;
    large && s.c >= 16 && s.k >= 16
}

/// The forward pass on Flex of input, weights, and (each may be without numbers) bias, shift and residual.
pub(crate) fn host_forward([x, w, added @ ..]: [&Host; 5], settings: &Settings) -> Host {
    let s = shape(x, w, settings.stride, settings.pad);
    let (x, w, added) = (contiguous(x), contiguous(w), added.map(contiguous));
    let (x, w) = (values(&x), values(&w));
    let [bias, shift, residual] = added.each_ref().map(|a| Some(values(a)).filter(|a| !a.is_empty()));
    let tail = Finish { bias, shift, residual, gain: settings.gain };
    let ready = settings.ready.as_ref();
    let asked = ready.and_then(|r| r.0.algorithm).filter(|a| *a == Algorithm::Direct || winograd::applies(&s));
    let by_halves = ready.filter(|r| r.in_halves(&s));
    let halves = by_halves.and_then(|r| r.halves(w, [s.k, s.c, s.kernel[0] * s.kernel[1]]));
    let filters = ready.map(|r| &r.0.filters);
    let y = match (halves, asked.unwrap_or_else(|| fastest(&s))) {
        (Some(halves), _) => bf16::forward(&s, x, &halves, tail),
        (None, Algorithm::MinimalTwo) => winograd::forward(&s, winograd::Side::Two, x, w, tail, filters),
        (None, Algorithm::MinimalFour) => winograd::forward(&s, winograd::Side::Four, x, w, tail, filters),
        (None, Algorithm::Direct) => direct::forward(&s, x, w, tail),
    };
    let size = s.output();
    host(y, [s.n, s.k, size[0], size[1]])
}

/// A gradient from two of input, weights and gradient of the output.
type Gradient = fn(&Shape, &[f32], &[f32]) -> Vec<f32>;

/// What the backward pass needs: the input only for the gradient of the weights, and these only for that of the input.
#[derive(Clone, Debug)]
pub(crate) struct ConvPullback {
    x: Option<Host>,
    w: Option<Host>,
    shape: Shape,
    /// Whether the gradients are made of bfloat16.
    halves: bool,
    gain: f32,
}

impl ConvPullback {
    pub(crate) fn new([x, w, ..]: [Host; 5], need: [bool; 5], settings: &Settings) -> Self {
        let shape = shape(&x, &w, settings.stride, settings.pad);
        // As forward: what filtering makes there, its gradients are in single precision by whatever way.
        let halves = settings.ready.as_ref().is_some_and(|r| r.in_halves(&shape));
        let (x, w) = (need[1].then(|| contiguous(&x)), need[0].then(|| contiguous(&w)));
        Self { x, w, shape, halves, gain: settings.gain }
    }

    /// How the gradients with respect to weights and input are computed.
    fn algorithms(&self) -> (Gradient, Gradient) {
        let s = &self.shape;
        let within = |pad: usize, kernel: usize| pad < kernel;
        let [kh, kw] = s.kernel;
        let turns = s.stride == 1
            && [(s.pad.top, kh), (s.pad.bottom, kh), (s.pad.left, kw), (s.pad.right, kw)].iter().all(|&(p, k)| within(p, k));
        let minimal = minimal_backward(s);
        match (self.halves && turns, minimal) {
            (true, _) => (bf16::weight_gradient, bf16::input_gradient),
            (_, true) => (winograd::weight_gradient, winograd::input_gradient),
            (_, false) => (direct::weight_gradient, direct::input_gradient),
        }
    }
}

impl Pullback<5> for ConvPullback {
    fn pull(self, dy: Host, need: [bool; 5]) -> [Option<Host>; 5] {
        let s = self.shape;
        let (dy, bias, shift) = tail::gradients(&dy, self.gain, need[2], need[3]);
        let (by_weight, by_input) = self.algorithms();
        let dw = self.x.map(|x| host(by_weight(&s, values(&x), values(&dy)), [s.k, s.c, s.kernel[0], s.kernel[1]]));
        let dx = self.w.map(|w| host(by_input(&s, values(&dy), values(&w)), [s.n, s.c, s.size[0], s.size[1]]));
        [dx, dw, bias, shift, need[4].then_some(dy)]
    }
}
