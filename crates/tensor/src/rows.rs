//! Host numbers to batches and back.

use crate::Batch;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// A batch `[n, d]` in `f32` from row-major numbers.
///
/// # Panics
/// When `values` does not hold `n * d` numbers.
#[track_caller]
pub fn batch(values: Vec<f32>, n: usize, device: &Device) -> Batch {
    let d = width(values.len(), n);
    Tensor::from_data(TensorData::new(values, [n, d]), (device, DType::F32))
}

/// A batch `[n, d]` in `f64` from row-major numbers.
///
/// # Panics
/// When `values` does not hold `n * d` numbers.
#[track_caller]
pub fn batch_f64(values: Vec<f64>, n: usize, device: &Device) -> Batch {
    let d = width(values.len(), n);
    Tensor::from_data(TensorData::new(values, [n, d]), (device, DType::F64))
}

#[track_caller]
fn width(len: usize, n: usize) -> usize {
    assert!(n > 0 && len.is_multiple_of(n), "{len} numbers do not make {n} rows");
    len / n
}

/// The numbers of a tensor in row-major order as `f32`.
pub fn rows<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just before")
}

/// The numbers of a tensor in row-major order as `f64`.
pub fn rows_f64<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().convert::<f64>().try_into_vec().expect("converted to f64 just before")
}
