//! The mathematics of noising.
//!
//! Data `x_0` become `x_t = alpha(t) x_0 + sigma(t) eps`, `eps ~ N(0, I)`. A [`Process`] is those two formulas; a
//! [`Denoiser`] is one function, `E[x_0 | x_t = x]`; everything else (score, noise, velocity, drift, diffusion, training
//! target) is derived from them, once, in [`Marginal`] and [`Prediction`].

mod denoiser;
mod directional;
pub mod grid;
mod marginal;
mod nearest;
pub mod oracle;
mod prediction;
mod process;
mod rescheduled;
mod reverse_step;
pub mod schedule;
pub mod states;
mod thresholded;

pub use denoiser::{Denoiser, DenoiserExt, Differentiable};
pub use directional::directional;
pub use grid::{Grid, GridError, GridKind, GridTextError, Leg};
pub use marginal::{Marginal, Posterior};
pub use nearest::nearest;
pub use prediction::{Coeffs, Prediction, TimeInput};
pub use process::{Process, ProcessExt, Span};
pub use rescheduled::{Rescheduled, common_span};
pub use reverse_step::{ReverseStep, StepVariance};
pub use schedule::{ProcessConfig, ProcessError, ProcessTextError};
pub use thresholded::{Clip, ClipError, Thresholded};
