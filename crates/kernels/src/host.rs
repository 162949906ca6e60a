//! Between Burn's Flex tensors and slices.

use burn::backend::tensor::FloatTensor;
use burn::backend::{DispatchDevice, Flex};
use burn::tensor::{DType, Shape, Tensor, TensorData};

/// The Flex backend's tensor.
pub(crate) type Host = FloatTensor<Flex>;

/// Whether the fast bodies apply: `f32` on the Flex backend, tracked or not, and at least one element; never with the feature `ordinary`.
pub(crate) fn fast<const D: usize>(x: &Tensor<D>) -> bool {
    !cfg!(feature = "ordinary")
        && x.dtype() == DType::F32
        && matches!(x.device().without_autodiff().as_dispatch(), DispatchDevice::Flex(_))
        && x.dims().iter().all(|&d| d > 0)
}

/// A tensor whose numbers lie in order, so that [`values`] can lend them.
pub(crate) fn contiguous(x: &Host) -> Host {
    if x.is_contiguous() { x.clone() } else { x.to_contiguous() }
}

/// The numbers of a contiguous tensor.
///
/// # Panics
/// When the tensor is not `f32` or not contiguous: callers pass it through [`contiguous`].
#[track_caller]
pub(crate) fn values(x: &Host) -> &[f32] {
    x.as_slice::<f32>().expect("a contiguous f32 tensor")
}

/// A tensor from its numbers.
pub(crate) fn host<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Host {
    Host::from_data(TensorData::new(values, Shape::from(shape)))
}

/// The sizes of a tensor.
#[track_caller]
pub(crate) fn dims<const D: usize>(x: &Host) -> [usize; D] {
    let shape = x.layout().shape();
    std::array::from_fn(|i| shape[i])
}

/// A tensor of the same shape as another.
pub(crate) fn with_shape_of(values: Vec<f32>, like: &Host) -> Host {
    let n = values.len();
    host(values, [n]).reshape(like.layout().shape().clone())
}
