//! The ground everything stands on: Burn's tensor under one name, [`Dual`] numbers that carry a slope,
//! [`Column`]s of per-row numbers, and the counter-based noise streams.
//!
//! States are rows: a [`Batch`] is a rank-2 tensor `[n, d]`, a picture being its `c * h * w` values in
//! row-major CHW order. The element type is a run-time property: networks work in `f32`, exact oracles also in `f64`.

pub mod brownian;
mod column;
mod device;
mod dual;
mod eigen;
mod lanes;
pub mod noise;
mod rows;
mod tracked;

pub use brownian::{Brownian, BrownianError};
pub use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};
pub use column::{Coefficient, Column, Known};
pub use device::{DeviceError, device_named};
pub use dual::Dual;
pub use eigen::{MAX_EIGEN, SymmetricEigen, symmetric_eigen};
pub use lanes::{NullaryFnOnce, Real, fill_normals, fill_survivors, vectorized};
pub use noise::{Noise, Purpose, Streams};
pub use rows::{batch, batch_f64, rows, rows_f64};
pub use tracked::Tracked;

/// `n` states of dimension `d`, one a row: `[n, d]`.
pub type Batch = Tensor<2>;
