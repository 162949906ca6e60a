//! The networks of NCSN and NCSNv2: a residual network whose later stages are dilated, and a cascade of refinements back to full size
//! (Song and Ermon 2019, appendix A; Song and Ermon 2020, appendix B; Lin et al. 2017, "RefineNet"; Yu and Koltun 2016).
//!
//! The picture is convolved to the width of stage 0. Each stage is two residual blocks. Later stages either halve the size in their first
//! block, or keep it and put the taps of their filters `d` pixels apart, which sees as far without losing places. Then, from the deepest
//! stage up, a refinement joins what a stage left with what the refinement below it gave:
//!
//! * each input goes through two residual units of two convolutions;
//! * the inputs are convolved to one width, resized to the stage's size and added (multi-resolution fusion);
//! * `x <- elu(x)`, then twice `p <- conv(pool(p))`, `x <- x + p` (chained residual pooling, windows of 5 x 5);
//! * residual units again, one, or three in the last refinement.
//!
//! With a table of noise levels this is the network of 2019: every convolution of blocks and refinements follows a norm whose scales are
//! looked up by the level, and pooling takes means. Without, it is that of 2020: refinements have no norms, pooling takes maxima, and the
//! network does not know the time at all. It does not divide by the noise level either, nor centre the picture: both are left to
//! whoever calls it.

mod build;
mod config;
mod forward;
mod norm;

pub use config::RefineNetConfig;

use crate::Description;
use crate::layer::Conv;
use norm::InstanceNormPlus;

/// The network of a [`RefineNetConfig`] for pictures of one shape.
#[derive(Clone, Debug)]
pub struct RefineNet {
    config: RefineNetConfig,
    description: Description,
    multiplications: u64,
    stem: Conv,
    /// The blocks of each stage from the full size.
    down: Vec<[Block; 2]>,
    /// Deepest stage first.
    refine: Vec<Refine>,
    norm: InstanceNormPlus,
    last: Conv,
}

/// `x -> S x + C1 elu(N1 C0 elu(N0 x))`, both branches halved at the end where the stage halves.
#[derive(Clone, Copy, Debug)]
struct Block {
    norm0: InstanceNormPlus,
    conv0: Conv,
    norm1: InstanceNormPlus,
    conv1: Conv,
    skip: Option<Conv>,
    halves: bool,
}

/// A convolution and the norm before it, in networks that are told the noise level.
#[derive(Clone, Copy, Debug)]
struct Told {
    norm: Option<InstanceNormPlus>,
    conv: Conv,
}

/// `x -> x + C elu(N C elu(N x))`.
type Unit = [Told; 2];

/// One refinement.
#[derive(Clone, Debug)]
struct Refine {
    /// Units of the stage's output and, but for the deepest, of the refinement below.
    adapt: Vec<[Unit; 2]>,
    /// One convolution an input; none where there is one input.
    fuse: Vec<Told>,
    pool: [Told; 2],
    out: Vec<Unit>,
}
