//! Doubling and halving pictures: nearest neighbour, 2 x 2 means, and the FIR filter of StyleGAN2 and score_sde
//! (Zhang 2019, "Making convolutional networks shift-invariant again"; Song et al. 2021, appendix H).
//!
//! With `k = [1, 3, 3, 1]` and `K = k k^T / 64`, along one axis (`h = k / 8`, zeros outside):
//!
//! * [`fir`]: `y[i] = sum_a h[a] x[i + a - pad]`;
//! * `FirDown`: `y[i] = sum_a h[a] x[2 i + a - 1]`;
//! * `FirUp`: `y[i] = sum_a 2 h[a] z[i + a - 2]`, `z[2 m] = x[m]` and zero between.
//!
//! The filters are symmetric, so the transposes are the operations themselves: `FirDown^T = FirUp / 4`,
//! `FirUp^T = 4 FirDown`, `Up2Nearest^T = 4 Down2Mean`, `Down2Mean^T = Up2Nearest / 4`, `fir(pad)^T = fir(3 - pad)`: the backward
//! passes keep nothing.

use crate::extension::KernelOps;
use crate::host::{Host, contiguous, dims, fast, host, values};
use crate::micro::lanes;
use crate::parallel::{for_each_chunk, scratch, unset};
use crate::record::Pullback;
use burn::backend::Dispatch;
use burn::tensor::TensorData;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, PadMode};
use scorefield_tensor::Tensor;

/// A way to double or halve a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resample {
    /// `y[i, j] = x[i / 2, j / 2]`.
    Up2Nearest,
    /// Means of 2 x 2 blocks.
    Down2Mean,
    /// Zeros between the pixels, padded by 2 at top/left and 1 at bottom/right, correlated with `4 K`.
    FirUp,
    /// Padded by 1 on all sides, correlated with `K`, every second row and column from 0 on.
    FirDown,
}

impl Resample {
    /// Whether pictures grow.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Up2Nearest | Self::FirUp)
    }

    /// The transpose, as a factor times another of the four.
    const fn transpose(self) -> (f32, Self) {
        match self {
            Self::Up2Nearest => (4.0, Self::Down2Mean),
            Self::Down2Mean => (0.25, Self::Up2Nearest),
            Self::FirUp => (4.0, Self::FirDown),
            Self::FirDown => (0.25, Self::FirUp),
        }
    }
}

/// Doubles or halves the height and width of `x` `[n, c, h, w]`. Differentiable.
///
/// # Panics
/// When an odd height or width is to be halved.
#[track_caller]
pub fn resample(x: Tensor<4>, how: Resample) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    assert!(
        how.is_up() || (h.is_multiple_of(2) && w.is_multiple_of(2)),
        "{how:?} halves pictures of even height and width; this one is {h} x {w}: pad it to {} x {}",
        h.next_multiple_of(2),
        w.next_multiple_of(2)
    );
    if fast(&x) { Tensor::from_dispatch(<Dispatch as KernelOps>::resample(x.into_dispatch(), how)) } else { portable(x, how) }
}

/// Pads `x` `[n, c, h, w]` with `pad` zeros on every side and correlates every channel with `K`, stride 1: the result is
/// `[n, c, h + 2 pad - 3, w + 2 pad - 3]`. Differentiable.
///
/// # Panics
/// When `pad` is over 3 or the padded picture is smaller than the 4 x 4 filter.
#[track_caller]
pub fn fir(x: Tensor<4>, pad: usize) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    assert!(pad <= 3, "a padding of {pad} around a filter of 4: at most 3");
    assert!(h + 2 * pad >= 4 && w + 2 * pad >= 4, "a {h} x {w} picture padded by {pad} is smaller than the 4 x 4 filter");
    if fast(&x) { Tensor::from_dispatch(<Dispatch as KernelOps>::fir(x.into_dispatch(), pad)) } else { portable_fir(x, pad) }
}

/// `K` times a factor, as convolution weights `[1, 1, 4, 4]`.
fn filter(like: &Tensor<4>, factor: f64) -> Tensor<4> {
    let k = [1.0, 3.0, 3.0, 1.0];
    let values: Vec<f64> = k.iter().flat_map(|a| k.map(|b| factor * a * b / 64.0)).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, 4, 4]), (&like.device(), like.dtype()))
}

/// The same as [`fir`] from ordinary operations.
pub(crate) fn portable_fir(x: Tensor<4>, pad: usize) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let kernel = filter(&x, 1.0);
    let planes = x.reshape([n * c, 1, h, w]).pad((pad, pad, pad, pad), PadMode::Constant(0.0));
    let y = burn::tensor::module::conv2d(planes, kernel, None, ConvOptions::new([1; 2], [0; 2], [1; 2], 1));
    let [_, _, h, w] = y.dims();
    y.reshape([n, c, h, w])
}

/// The same as [`resample`] from ordinary operations.
pub(crate) fn portable(x: Tensor<4>, how: Resample) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    match how {
        Resample::Up2Nearest => x.reshape([n, c, h, 1, w, 1]).repeat(&[1, 1, 1, 2, 1, 2]).reshape([n, c, 2 * h, 2 * w]),
        Resample::Down2Mean => x.reshape([n, c, h / 2, 2, w / 2, 2]).mean_dim(3).mean_dim(5).reshape([n, c, h / 2, w / 2]),
        Resample::FirDown => {
            let kernel = filter(&x, 1.0);
            let planes = x.reshape([n * c, 1, h, w]);
            let options = ConvOptions::new([2; 2], [1; 2], [1; 2], 1);
            burn::tensor::module::conv2d(planes, kernel, None, options).reshape([n, c, h / 2, w / 2])
        }
        Resample::FirUp => {
            let kernel = filter(&x, 4.0);
            let planes = x.reshape([n * c, 1, h, w]);
            let options = ConvTransposeOptions::new([2; 2], [1; 2], [0; 2], [1; 2], 1);
            burn::tensor::module::conv_transpose2d(planes, kernel, None, options).reshape([n, c, 2 * h, 2 * w])
        }
    }
}

/// What one axis of a filter does: each output is a short weighted sum of inputs.
#[derive(Clone, Copy, Debug)]
enum Axis {
    Fir { pad: usize },
    Down,
    Up,
}

/// Weights of the filter along one axis.
const H: [f32; 4] = [0.125, 0.375, 0.375, 0.125];
/// Zeros on both sides of a row in hand: what the widest tap reaches beyond it.
const MARGIN: usize = 3;

impl Axis {
    fn len(self, n: usize) -> usize {
        match self {
            Self::Fir { pad } => n + 2 * pad - 3,
            Self::Down => n / 2,
            Self::Up => 2 * n,
        }
    }

    /// The inputs `(position, weight)` of output `i`; positions may lie outside.
    #[inline(always)]
    fn taps(self, i: usize) -> [(isize, f32); 4] {
        let i = i as isize;
        match self {
            Self::Fir { pad } => std::array::from_fn(|a| (i + a as isize - pad as isize, H[a])),
            Self::Down => std::array::from_fn(|a| (2 * i + a as isize - 1, H[a])),
            // z[i + a - 2] is x[(i + a) / 2 - 1] for even i + a: two of the four taps.
            Self::Up if i % 2 == 0 => [(i / 2 - 1, 0.25), (i / 2, 0.75), (-1, 0.0), (-1, 0.0)],
            Self::Up => [(i / 2, 0.75), (i / 2 + 1, 0.25), (-1, 0.0), (-1, 0.0)],
        }
    }

    /// Filters a row with [`MARGIN`] zeros on both sides.
    #[inline(always)]
    fn row(self, x: &[f32], y: &mut [f32]) {
        match self {
            Self::Fir { pad } => {
                let x = &x[MARGIN - pad..][..y.len() + 3];
                for (y, x) in y.iter_mut().zip(x.windows(4)) {
                    *y = (H[0] * x[0] + H[1] * x[1]) + (H[2] * x[2] + H[3] * x[3]);
                }
            }
            Self::Down => {
                let x = &x[MARGIN - 1..][..2 * y.len() + 2];
                for (j, y) in y.iter_mut().enumerate() {
                    *y = (H[0] * x[2 * j] + H[1] * x[2 * j + 1]) + (H[2] * x[2 * j + 2] + H[3] * x[2 * j + 3]);
                }
            }
            Self::Up => {
                let x = &x[MARGIN - 1..][..y.len() / 2 + 2];
                for (y, x) in y.chunks_exact_mut(2).zip(x.windows(3)) {
                    y[0] = 0.25 * x[0] + 0.75 * x[1];
                    y[1] = 0.75 * x[1] + 0.25 * x[2];
                }
            }
        }
    }
}

lanes! {
    /// Filters a plane of rows of `w` numbers along both axes: down the columns into `row` (with its margins), then along it.
    fn plane(axis: Axis, x: &[f32], w: usize, factor: f32, row: &mut [f32], y: &mut [f32]) {
        let (h, wide) = (x.len() / w, axis.len(w));
        row.fill(0.0);
        for (i, y) in y.chunks_exact_mut(wide).enumerate() {
            let middle = &mut row[MARGIN..MARGIN + w];
            middle.fill(0.0);
            for (at, weight) in axis.taps(i) {
                if at >= 0 && (at as usize) < h && weight != 0.0 {
                    let weight = weight * factor;
                    for (to, x) in middle.iter_mut().zip(&x[at as usize * w..][..w]) {
                        *to += weight * x;
                    }
                }
            }
            axis.row(row, y);
        }
    }
}

lanes! {
    /// Every number of a plane of rows of `w`, times a factor, to a 2 x 2 block.
    fn double(x: &[f32], w: usize, factor: f32, y: &mut [f32]) {
        for (x, rows) in x.chunks_exact(w).zip(y.chunks_exact_mut(4 * w)) {
            let (first, second) = rows.split_at_mut(2 * w);
            for (to, x) in first.chunks_exact_mut(2).zip(x) {
                to[0] = factor * x;
                to[1] = factor * x;
            }
            second.copy_from_slice(first);
        }
    }

    /// The sum of every 2 x 2 block of a plane of rows of `w`, times a factor.
    fn halve(x: &[f32], w: usize, factor: f32, y: &mut [f32]) {
        for (rows, y) in x.chunks_exact(2 * w).zip(y.chunks_exact_mut(w / 2)) {
            let (top, bottom) = rows.split_at(w);
            for ((y, t), b) in y.iter_mut().zip(top.chunks_exact(2)).zip(bottom.chunks_exact(2)) {
                *y = ((t[0] + t[1]) + (b[0] + b[1])) * factor;
            }
        }
    }
}

fn filtered(x: &Host, axis: Axis, factor: f32) -> Host {
    let [n, c, h, w] = dims(x);
    let x = contiguous(x);
    let x = values(&x);
    let size = [axis.len(h), axis.len(w)];
    let mut y = vec![0.0; n * c * size[0] * size[1]];
    for_each_chunk(&mut y, size[0] * size[1], |i, y| {
        scratch(w + 2 * MARGIN, |row| plane(axis, &x[i * h * w..][..h * w], w, factor, row, y));
    });
    host(y, [n, c, size[0], size[1]])
}

/// `factor` times the operation, on Flex.
pub(crate) fn host_resample(x: &Host, how: Resample, factor: f32) -> Host {
    let [n, c, h, w] = dims(x);
    match how {
        Resample::FirUp => filtered(x, Axis::Up, factor),
        Resample::FirDown => filtered(x, Axis::Down, factor),
        Resample::Up2Nearest => {
            let x = contiguous(x);
            let x = values(&x);
            let mut y = unset(4 * x.len());
            for_each_chunk(&mut y, 4 * w * h, |i, y| double(&x[i * h * w..][..h * w], w, factor, y));
            host(y, [n, c, 2 * h, 2 * w])
        }
        Resample::Down2Mean => {
            let x = contiguous(x);
            let x = values(&x);
            let mut y = unset(x.len() / 4);
            for_each_chunk(&mut y, h * w / 4, |i, y| halve(&x[i * h * w..][..h * w], w, 0.25 * factor, y));
            host(y, [n, c, h / 2, w / 2])
        }
    }
}

/// [`fir`] on Flex.
pub(crate) fn host_fir(x: &Host, pad: usize) -> Host {
    filtered(x, Axis::Fir { pad }, 1.0)
}

/// The transpose of a resampling.
#[derive(Clone, Debug)]
pub(crate) struct ResamplePullback(pub(crate) Resample);

impl Pullback<1> for ResamplePullback {
    fn pull(self, dy: Host, _: [bool; 1]) -> [Option<Host>; 1] {
        let (factor, how) = self.0.transpose();
        [Some(host_resample(&dy, how, factor))]
    }
}

/// The transpose of [`fir`].
#[derive(Clone, Debug)]
pub(crate) struct FirPullback(pub(crate) usize);

impl Pullback<1> for FirPullback {
    fn pull(self, dy: Host, _: [bool; 1]) -> [Option<Host>; 1] {
        [Some(host_fir(&dy, 3 - self.0))]
    }
}
