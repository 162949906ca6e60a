//! The operations networks are made of: the one place that names where they come from.

use scorefield_tensor::Tensor;

pub(crate) use scorefield_kernels::{
    Act, Padding, Resample, add, add_channels, attention, concat, conv2d_ready, fir, group_norm, linear, linear_ready, resample,
    silu,
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

/// `x Phi(x)`, `Phi` the distribution function of the standard normal (Hendrycks and Gimpel 2016), exactly: from the error function,
/// whose slope Burn knows exactly on every backend.
pub(crate) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let twice = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0;
    x * twice * 0.5
}

/// The exponentials along a dimension, divided by their sum. The largest is taken out first; it cancels, so it has no slope.
pub(crate) fn softmax<const D: usize>(x: Tensor<D>, dimension: usize) -> Tensor<D> {
    let top = x.clone().detach().max_dim(dimension);
    let exponentials = (x - top).exp();
    exponentials.clone() / exponentials.sum_dim(dimension)
}
