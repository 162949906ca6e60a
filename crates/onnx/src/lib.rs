//! Networks in ONNX files as denoisers.
//!
//! An ONNX file is a graph of operators with its weights: a network of any project, without the program that built it. Nothing else is
//! in the file, so what the network means has to be said ([`OnnxConfig`]): the process it was trained under, what it predicts, what it
//! is told of the time. With that it is a black-box `D(x; t) = c_skip x + c_out F(c_in x, c_noise)` ([`OnnxDenoiser`]) for every
//! solver, guidance and rule that needs evaluations only; there is no derivative, so likelihoods and posterior rules that need `J^T v`
//! do not take it.
//!
//! ```no_run
//! use scorefield_onnx::{OnnxConfig, OnnxDenoiser};
//! use scorefield_process::{GridKind, Prediction, ProcessConfig, TimeInput};
//! use scorefield_sample::{Job, SolverKind, sample};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let process: ProcessConfig = "discrete-linear".parse()?;
//! let config = OnnxConfig::new(process, Prediction::Noise, TimeInput::Nearest, &[3, 32, 32]);
//! let denoiser = OnnxDenoiser::open("unet.onnx", config)?;
//! let grid = GridKind::LogSnr.grid(&denoiser.config().process.build()?, 50)?;
//! let solver = "ddim".parse::<SolverKind>()?.build();
//! let drawn = sample(&denoiser, &*solver, &grid, &Job::new(0, 16, 3 * 32 * 32), |_, _| std::ops::ControlFlow::Continue(()));
//! # Ok(())
//! # }
//! ```
//!
//! **The runtime** stands behind the feature `runtime`, off by default; without it the crate compiles and opening a file is
//! [`OnnxError::NotBuilt`]. It is `rten`: pure Rust, 20 packages of which ten are new to the house (105 s of one core), no build script
//! that does more than look at the compiler and the target, the operators that exporters of PyTorch write, and it opens nothing but
//! files beside the model that are named as weights (`.data`, `.onnx_data`). The other well-kept one, `tract-onnx`, is 94 packages and
//! compiles assembler in a build script; its strength, optimising for fixed shapes, is not what batches of any size need.
//!
//! **Precision.** Networks run in single precision (half and double weights are converted when read, whole numbers have 32 bits).
//! States in double precision keep it outside the network.
//!
//! **Operators** have to say what exporters always say: a convolution without `kernel_shape` is refused by the runtime, though by the
//! standard it may be left out.
//!
//! **Rows** are independent if the network's are. A product may round differently when it has another number of rows, by about 1e-7 of
//! the largest number; with [`OnnxConfig::rows`] every evaluation has the same number of rows, and a sample's bits do not depend on its
//! company.
//!
//! **Broken and hostile files.** All lengths, the nesting and the number of operators are checked before the runtime sees a file, since
//! a lie there would end the process; whatever panics in the runtime afterwards is caught (`catch_unwind`) and becomes an error. A
//! network is a program, though: what it computes may take any time and memory, as its author wished. Models that nobody vouches for
//! belong in a process with limits.

mod config;
mod denoiser;
mod error;
mod pieces;
mod ports;
#[cfg(feature = "runtime")]
mod runtime;
#[cfg(not(feature = "runtime"))]
#[path = "absent.rs"]
mod runtime;

pub use config::{Classes, Names, OnnxConfig};
pub use denoiser::OnnxDenoiser;
pub use error::OnnxError;
