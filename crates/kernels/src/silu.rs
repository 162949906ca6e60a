//! SiLU, `x s(x)` with `s` the sigmoid (Elfwing et al. 2017; Ramachandran et al. 2017, "swish").

use crate::extension::KernelOps;
use crate::host::{Host, contiguous, fast, host, values};
use crate::math::{silu_gradient_into, silu_into};
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

/// A tensor of the same shape as another.
fn with_shape_of(values: Vec<f32>, like: &Host) -> Host {
    let n = values.len();
    host(values, [n]).reshape(like.layout().shape().clone())
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
