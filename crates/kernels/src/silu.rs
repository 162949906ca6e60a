//! SiLU, `x s(x)` with `s` the sigmoid (Elfwing et al. 2017; Ramachandran et al. 2017, "swish"), of numbers and of sums.

use crate::extension::KernelOps;
use crate::host::{Host, contiguous, fast, values, with_shape_of};
use crate::math::{silu_gradient_into, silu_into, silu_sum_gradient_into, silu_sum_into};
use crate::parallel::{for_each_chunk, unset};
use crate::record::Pullback;
use burn::backend::Dispatch;
use scorefield_tensor::Tensor;

/// Numbers a job takes at a time.
const CHUNK: usize = 1 << 13;

/// `x / (1 + e^-x)`, elementwise. The backward pass keeps `x` only: `d = s (1 + x (1 - s))`.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !fast(&x) {
        return portable(x);
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::silu(x.into_dispatch()))
}

/// `silu(x + h)` in one pass, both of one shape. The backward pass keeps the two and adds them again: both get `dy s (1 + z (1 - s))` at
/// `z = x + h`.
///
/// # Panics
/// When the shapes differ.
#[track_caller]
pub fn silu_sum<const D: usize>(x: Tensor<D>, h: Tensor<D>) -> Tensor<D> {
    assert_eq!(x.dims(), h.dims(), "terms of one shape");
    if !(fast(&x) && fast(&h)) {
        return portable(x + h);
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::silu_sum(x.into_dispatch(), h.into_dispatch()))
}

/// The same from ordinary operations.
pub(crate) fn portable<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    burn::tensor::activation::silu(x)
}

/// The forward pass on Flex.
pub(crate) fn host_forward(x: &Host) -> Host {
    let x = contiguous(x);
    let from = values(&x);
    let mut y = unset(from.len());
    for_each_chunk(&mut y, CHUNK, |i, y| silu_into(&from[i * CHUNK..][..y.len()], y));
    with_shape_of(y, &x)
}

/// The sum's on Flex.
pub(crate) fn host_sum(x: &Host, h: &Host) -> Host {
    let (x, h) = (contiguous(x), contiguous(h));
    let (from, more) = (values(&x), values(&h));
    let mut y = unset(from.len());
    for_each_chunk(&mut y, CHUNK, |i, y| silu_sum_into(&from[i * CHUNK..][..y.len()], &more[i * CHUNK..][..y.len()], y));
    with_shape_of(y, &x)
}

/// `dx = dy s (1 + x (1 - s))`.
#[derive(Clone, Debug)]
pub(crate) struct SiluPullback(pub(crate) Host);

impl Pullback<1> for SiluPullback {
    fn pull(self, dy: Host, _: [bool; 1]) -> [Option<Host>; 1] {
        let (x, dy) = (contiguous(&self.0), contiguous(&dy));
        drop(self.0);
        let (from, slope) = (values(&x), values(&dy));
        let mut dx = unset(from.len());
        for_each_chunk(&mut dx, CHUNK, |i, dx| {
            let range = i * CHUNK..i * CHUNK + dx.len();
            silu_gradient_into(&from[range.clone()], &slope[range], dx);
        });
        [Some(with_shape_of(dx, &x))]
    }
}

/// `dx = dh = dy s (1 + z (1 - s))`, `z = x + h`.
#[derive(Clone, Debug)]
pub(crate) struct SiluSumPullback(pub(crate) [Host; 2]);

impl Pullback<2> for SiluSumPullback {
    fn pull(self, dy: Host, _: [bool; 2]) -> [Option<Host>; 2] {
        let ([x, h], dy) = (self.0.map(|part| contiguous(&part)), contiguous(&dy));
        let (from, more, slope) = (values(&x), values(&h), values(&dy));
        let mut dz = unset(from.len());
        for_each_chunk(&mut dz, CHUNK, |i, dz| {
            let range = i * CHUNK..i * CHUNK + dz.len();
            silu_sum_gradient_into(&from[range.clone()], &more[range.clone()], &slope[range], dz);
        });
        let dz = with_shape_of(dz, &x);
        [Some(dz.clone()), Some(dz)]
    }
}
