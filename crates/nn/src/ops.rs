//! The operations networks are made of: the one place that names where they come from.

use scorefield_tensor::Tensor;

pub(crate) use scorefield_kernels::{
    Act, Padding, Pool, Resample, add, add_channels, attention, concat, conv2d_ready, fir, group_norm, linear, linear_ready,
    pool, resample, silu,
};

/// `x + h` of rows.
pub(crate) fn add_rows(x: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
    let [n, d] = x.dims();
    add(x.reshape([n, d, 1, 1]), h.reshape([n, d, 1, 1]), 1.0).reshape([n, d])
}

/// The slope of SiLU, `s (1 + x (1 - s))` with `s` the sigmoid, from operations that can be differentiated again; the hyperbolic
/// tangent keeps the sigmoid from overflowing.
pub(crate) fn silu_slope(x: Tensor<2>) -> Tensor<2> {
    let s = ((x.clone() * 0.5).tanh() + 1.0) * 0.5;
    s.clone() * (x * (s * -1.0 + 1.0) + 1.0)
}
