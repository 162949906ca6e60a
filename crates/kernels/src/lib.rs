//! Fused CPU operations, each with a portable body and its own backward.
//!
//! The functions take Burn's tensors. On the Flex backend in `f32` they run the bodies of this crate, tracked by autodiff or
//! not; in every other case (double precision, other backends) they are made of ordinary tensor operations, which Burn
//! differentiates. Both compute the same formulas, and the tests hold one against the other.
//!
//! What the fast bodies promise:
//! * Row `i` of a result depends on row `i` of the input only, to the bit, whatever the batch and the number of threads: every
//!   element is one fixed sequence of roundings, and threads only share out the elements.
//! * The backward pass keeps what its formula needs, only for the inputs that want a gradient, and frees it on the way.
//! * No buffer grows with batch times kernel area: patches of pictures are packed by panels of 32 columns.
//!
//! The crate knows tensors and arithmetic. It does not know what a network or a diffusion process is.

mod attention;
mod bf16;
mod conv;
mod extension;
mod gemm;
mod group_norm;
mod host;
mod join;
mod linear;
mod math;
mod micro;
pub mod optim;
mod parallel;
mod pool;
mod record;
mod resample;
mod silu;
#[cfg(test)]
mod testing;

pub use attention::attention;
pub use bf16::unit_name;
pub use conv::{Algorithm, Padding, Precision, Ready, Tail, conv2d, conv2d_ready, conv2d_tail};
pub use group_norm::{Act, group_norm};
pub use join::{add, add_channels, concat};
pub use linear::{linear, linear_onto, linear_ready};
pub use math::sin_cos;
pub use pool::{Pool, pool};
pub use resample::{Resample, fir, resample};
pub use silu::{silu, silu_sum};
