//! Where branches meet: sums, sums with one number a channel, and channels side by side.

use crate::extension::KernelOps;
use crate::host::{Host, contiguous, dims, fast, host, values, with_shape_of};
use crate::micro::lanes;
use crate::parallel::{for_each_chunk, map_jobs, unset};
use crate::record::Pullback;
use burn::backend::Dispatch;
use scorefield_tensor::Tensor;

/// Numbers a job takes at a time.
const CHUNK: usize = 1 << 14;

/// `gain (x + h)`, both of one shape.
///
/// # Panics
/// When the shapes differ.
#[track_caller]
pub fn add(x: Tensor<4>, h: Tensor<4>, gain: f64) -> Tensor<4> {
    assert_eq!(x.dims(), h.dims(), "branches of one shape meet");
    if !(fast(&x) && fast(&h)) {
        let sum = x + h;
        return if gain == 1.0 { sum } else { sum.mul_scalar(gain) };
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::add(x.into_dispatch(), h.into_dispatch(), gain as f32))
}

/// `x[n, c, p] + e[n, c]`: `x` `[n, c, h, w]`, `e` `[n, c]`.
///
/// # Panics
/// When pictures or channels differ.
#[track_caller]
pub fn add_channels(x: Tensor<4>, e: Tensor<2>) -> Tensor<4> {
    let [n, c, ..] = x.dims();
    assert_eq!(e.dims(), [n, c], "a number for each picture and channel");
    if !(fast(&x) && fast(&e)) {
        return x + e.reshape([n, c, 1, 1]);
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::add_channels(x.into_dispatch(), e.into_dispatch()))
}

/// The channels of `x`, then those of `h`: `[n, c, h, w]` and `[n, d, h, w]` make `[n, c + d, h, w]`.
///
/// # Panics
/// When pictures or sizes differ.
#[track_caller]
pub fn concat(x: Tensor<4>, h: Tensor<4>) -> Tensor<4> {
    let ([n, _, height, width], [m, _, below, beside]) = (x.dims(), h.dims());
    assert_eq!((n, height, width), (m, below, beside), "pictures of one size meet");
    if !(fast(&x) && fast(&h)) {
        return Tensor::cat(vec![x, h], 1);
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::concat(x.into_dispatch(), h.into_dispatch()))
}

lanes! {
    fn add_into(x: &[f32], h: &[f32], gain: f32, y: &mut [f32]) {
        for ((y, x), h) in y.iter_mut().zip(x).zip(h) {
            *y = (x + h) * gain;
        }
    }

    fn scale_into(x: &[f32], gain: f32, y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = x * gain;
        }
    }

    fn shift_into(x: &[f32], shift: f32, y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = x + shift;
        }
    }
}

pub(crate) fn host_add(x: &Host, h: &Host, gain: f32) -> Host {
    host(added(x, h, gain), dims::<4>(x))
}

fn added(x: &Host, h: &Host, gain: f32) -> Vec<f32> {
    let (x, h) = (contiguous(x), contiguous(h));
    let (x, h) = (values(&x), values(&h));
    let mut y = unset(x.len());
    for_each_chunk(&mut y, CHUNK, |i, y| add_into(&x[i * CHUNK..][..y.len()], &h[i * CHUNK..][..y.len()], gain, y));
    y
}

/// `x + h` of one shape, whatever it is.
pub(crate) fn sum(x: &Host, h: &Host) -> Host {
    with_shape_of(added(x, h, 1.0), x)
}

/// `gain x`.
pub(crate) fn scaled(x: &Host, gain: f32) -> Host {
    let (shape, x) = (dims::<4>(x), contiguous(x));
    let from = values(&x);
    let mut y = unset(from.len());
    for_each_chunk(&mut y, CHUNK, |i, y| scale_into(&from[i * CHUNK..][..y.len()], gain, y));
    host(y, shape)
}

/// Both branches get `gain dy`.
#[derive(Clone, Debug)]
pub(crate) struct AddPullback(pub(crate) f32);

impl Pullback<2> for AddPullback {
    fn pull(self, dy: Host, _: [bool; 2]) -> [Option<Host>; 2] {
        if self.0 == 1.0 {
            return [Some(dy.clone()), Some(dy)];
        }
        let dx = scaled(&dy, self.0);
        [Some(dx.clone()), Some(dx)]
    }
}

pub(crate) fn host_add_channels(x: &Host, e: &Host) -> Host {
    let shape @ [_, _, height, width] = dims(x);
    let (x, e) = (contiguous(x), contiguous(e));
    let (x, e) = (values(&x), values(&e));
    let plane = height * width;
    let mut y = unset(x.len());
    for_each_chunk(&mut y, plane, |i, y| shift_into(&x[i * plane..][..plane], e[i], y));
    host(y, shape)
}

/// The picture gets `dy`, the number its sum over the pixels.
#[derive(Clone, Debug)]
pub(crate) struct AddChannelsPullback;

impl Pullback<2> for AddChannelsPullback {
    fn pull(self, dy: Host, need: [bool; 2]) -> [Option<Host>; 2] {
        let [n, c, height, width] = dims(&dy);
        let dy = contiguous(&dy);
        let (plane, from) = (height * width, values(&dy));
        let sums = need[1].then(|| {
            let of = |i: usize| from[i * c * plane..][..c * plane].chunks_exact(plane).map(|p| crate::math::sum(p) as f32);
            host(map_jobs(n, from.len() < CHUNK, |i| of(i).collect::<Vec<_>>()).concat(), [n, c])
        });
        [Some(dy), sums]
    }
}

pub(crate) fn host_concat(x: &Host, h: &Host) -> Host {
    let ([n, c, height, width], [_, d, _, _]) = (dims(x), dims(h));
    let (x, h) = (contiguous(x), contiguous(h));
    let (x, h) = (values(&x), values(&h));
    let plane = height * width;
    let mut y = unset(x.len() + h.len());
    // A job for each channel: pictures may be few.
    for_each_chunk(&mut y, plane, |i, y| {
        let (picture, channel) = (i / (c + d), i % (c + d));
        let from = if channel < c { &x[(picture * c + channel) * plane..] } else { &h[(picture * d + channel - c) * plane..] };
        y.copy_from_slice(&from[..plane]);
    });
    host(y, [n, c + d, height, width])
}

/// Each gets its channels back: how many the first has.
#[derive(Clone, Debug)]
pub(crate) struct ConcatPullback(pub(crate) usize);

impl Pullback<2> for ConcatPullback {
    fn pull(self, dy: Host, need: [bool; 2]) -> [Option<Host>; 2] {
        let [n, all, height, width] = dims(&dy);
        let dy = contiguous(&dy);
        let (plane, from) = (height * width, values(&dy));
        let part = |first: usize, count: usize| {
            let mut dx = unset(n * count * plane);
            for_each_chunk(&mut dx, plane, |i, dx| {
                let at = (i / count * all + first + i % count) * plane;
                dx.copy_from_slice(&from[at..at + plane]);
            });
            host(dx, [n, count, height, width])
        };
        [need[0].then(|| part(0, self.0)), need[1].then(|| part(self.0, all - self.0))]
    }
}
