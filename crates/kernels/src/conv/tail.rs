//! What follows a convolution's sums on their way to memory: `y = gain (sum + b[k] + shift[n, k] + residual[n, k, o])`.
//!
//! A network's block adds the embedding of the time to one convolution and its own input to another. Done by passes of their own, each
//! of these reads and writes all activations once more; here the numbers are still at hand. The order of the additions is that of the
//! separate operations, so that the bits are theirs too.
//!
//! Backward, with `g = gain dy`: the residual gets `g`, the shift its sum over a plane, the bias the sum of those over the pictures, and
//! the convolution itself `g`.

use crate::host::{Host, contiguous, dims, host, values};
use crate::join::{add, add_channels, scaled};
use crate::math::{BESIDE, sum, sums};
use crate::micro::lanes;
use crate::parallel::map_jobs;
use scorefield_tensor::Tensor;

/// What is done to the sums of a convolution `[n, k, oh, ow]` beside adding its bias.
#[derive(Clone, Debug)]
pub struct Tail {
    /// A number for each picture and channel, `[n, k]`, that is added.
    pub shift: Option<Tensor<2>>,
    /// A picture of the output's shape that is added.
    pub residual: Option<Tensor<4>>,
    /// What everything is multiplied by in the end.
    pub gain: f64,
}

impl Default for Tail {
    /// Nothing is done.
    fn default() -> Self {
        Self { shift: None, residual: None, gain: 1.0 }
    }
}

impl Tail {
    /// Adds a number to each channel of each picture.
    pub fn shift(e: Tensor<2>) -> Self {
        Self { shift: Some(e), ..Self::default() }
    }

    /// `gain (x + y)`, `y` the convolution.
    pub fn onto(x: Tensor<4>, gain: f64) -> Self {
        Self { residual: Some(x), gain, ..Self::default() }
    }

    /// The same by operations of their own on the convolution's output.
    ///
    /// # Panics
    /// When a shape differs.
    #[track_caller]
    pub fn after(self, y: Tensor<4>) -> Tensor<4> {
        let y = match self.shift {
            Some(e) => add_channels(y, e),
            None => y,
        };
        match self.residual {
            Some(x) => add(x, y, self.gain),
            None if self.gain == 1.0 => y,
            None => y.mul_scalar(self.gain),
        }
    }
}

/// A [`Tail`] and the bias as the bodies read them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish<'a> {
    pub bias: Option<&'a [f32]>,
    pub shift: Option<&'a [f32]>,
    pub residual: Option<&'a [f32]>,
    pub gain: f32,
}

lanes! {
    fn onto_plane(sums: &[f32], bias: f32, shift: f32, gain: f32, y: &mut [f32]) {
        for (y, sum) in y.iter_mut().zip(sums) {
            *y = (sum + bias + shift) * gain;
        }
    }

    fn onto_picture(sums: &[f32], bias: f32, shift: f32, residual: &[f32], gain: f32, y: &mut [f32]) {
        for ((y, sum), residual) in y.iter_mut().zip(sums).zip(residual) {
            *y = (sum + bias + shift + residual) * gain;
        }
    }
}

/// The formula on a run of outputs of one plane: sums, bias, shift and gain, and what is added of a picture.
pub(crate) fn finish(sums: &[f32], numbers: [f32; 3], residual: Option<&[f32]>, y: &mut [f32]) {
    let [bias, shift, gain] = numbers;
    match residual {
        Some(residual) => onto_picture(sums, bias, shift, residual, gain, y),
        None if numbers == [0.0, 0.0, 1.0] => y.copy_from_slice(sums),
        None => onto_plane(sums, bias, shift, gain, y),
    }
}

impl<'a> Finish<'a> {
    /// The sums as they are.
    pub(crate) const NONE: Self = Self::bias(None);

    /// A bias alone.
    pub(crate) const fn bias(bias: Option<&'a [f32]>) -> Self {
        Self { bias, shift: None, residual: None, gain: 1.0 }
    }

    /// Asserts that there is a number for every output of `n` pictures of `k` channels of `points`.
    pub(crate) fn check(&self, [n, k, points]: [usize; 3]) {
        let fits = |part: Option<&[f32]>, len: usize| part.is_none_or(|part| part.len() == len);
        assert!(fits(self.bias, k) && fits(self.shift, n * k) && fits(self.residual, n * k * points), "a tail of another size");
    }

    /// Bias, shift and gain of a channel of a picture, of `channels`.
    pub(crate) fn numbers(&self, picture: usize, channel: usize, channels: usize) -> [f32; 3] {
        [self.bias_of(channel), self.shift.map_or(0.0, |s| s[picture * channels + channel]), self.gain]
    }

    pub(crate) fn bias_of(&self, channel: usize) -> f32 {
        self.bias.map_or(0.0, |b| b[channel])
    }

    /// The residual's part of the outputs from `start` on.
    pub(crate) fn residual_at(&self, start: usize, len: usize) -> Option<&'a [f32]> {
        self.residual.map(|r| &r[start..start + len])
    }
}

/// From the gradient of what was written: that of the sums (and of the residual), and as asked for those of bias and shift.
pub(crate) fn gradients(dy: &Host, gain: f32, need_bias: bool, need_shift: bool) -> (Host, Option<Host>, Option<Host>) {
    let [n, k, height, width] = dims(dy);
    let g = if gain == 1.0 { contiguous(dy) } else { scaled(dy, gain) };
    if !need_bias && !need_shift {
        return (g, None, None);
    }
    let (points, from) = (height * width, values(&g));
    // The sums over the planes of each channel, picture by picture.
    let sums = map_jobs(k, from.len() < 1 << 16, |channel| -> Vec<f64> {
        let plane = |picture: usize| &from[(picture * k + channel) * points..][..points];
        let whole = n / BESIDE * BESIDE;
        let several = (0..whole).step_by(BESIDE).flat_map(|first| sums(std::array::from_fn(|i| plane(first + i))));
        several.chain((whole..n).map(|picture| sum(plane(picture)))).collect()
    });
    let bias = need_bias.then(|| host(sums.iter().map(|of| of.iter().sum::<f64>() as f32).collect(), [k]));
    let shift = need_shift.then(|| host((0..n * k).map(|i| sums[i % k][i / k] as f32).collect(), [n, k]));
    (g, bias, shift)
}
