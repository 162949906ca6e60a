//! The operations networks are made of: the one place that names where they come from.

pub(crate) use scorefield_kernels::{Act, Padding, Resample, attention, conv2d, fir, group_norm, linear, resample, silu};
