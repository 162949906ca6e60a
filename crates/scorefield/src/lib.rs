//! Score-based generative modelling through differential equations: one library over the crates of the house.
//!
//! A diffusion model learns the score `grad ln p_t(x)` of noised data; new data come from noise by solving a differential equation
//! along it. Each module is a crate of its own:
//!
//! * [`process`]: how data are noised, what a network predicts, exact oracles, grids of times;
//! * [`nn`]: the networks and their presets;
//! * [`data`]: where examples come from, how they become states and back, how samples are written;
//! * [`train`]: denoising score matching in a run folder;
//! * [`sample`]: solvers of the reverse equations;
//! * [`control`]: measurements, and rules that draw what they came from;
//! * [`model`]: the model file;
//! * `onnx`, with the feature of that name: networks in ONNX files as denoisers;
//! * [`eval`]: distances between sets of samples;
//! * [`tensor`], [`kernels`]: numbers, noise and the operations that take the time.
//!
//! On top stand [`Recipe`], a training run as a text, [`Generate`], samples of a model by number, [`solve`], samples given measurements, [`density`] and [`check`], what the
//! program measures of itself.
//!
//! ```
//! use scorefield::process::{GridKind, ProcessConfig, oracle::Mixture};
//! use scorefield::sample::{Job, SolverKind, sample};
//! use std::ops::ControlFlow;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let process = ProcessConfig::all()[0].build()?; // variance preserving, linear rate
//! let grid = GridKind::LogSnr.grid(&process, 20)?;
//! let law = Mixture::isotropic(process, &[1.0, 1.0], &[vec![-2.0], vec![2.0]], &[0.3, 0.3]);
//! let solver = "dpmpp-2m".parse::<SolverKind>()?.build();
//! let drawn = sample(&law, &*solver, &grid, &Job::new(0, 1000, 1), |_, _| ControlFlow::Continue(()));
//! let x = scorefield::tensor::rows(drawn.expect("nobody broke off"));
//! let (left, far) = (x.iter().filter(|v| **v < 0.0).count(), x.iter().filter(|v| v.abs() > 3.5).count());
//! assert!((400..600).contains(&left) && far == 0);
//! # Ok(())
//! # }
//! ```

mod auto;
pub mod check;
pub mod density;
mod error;
mod generate;
mod given;
mod guidance;
mod recipe;
pub mod solve;
mod states;
mod tally;
pub mod untrained;

pub use error::GenerateError;
pub use generate::{ClassChoice, Classes, Generate, Sampled, require_posterior_mean};
pub use given::Given;
pub use guidance::{Guidance, conditions};
pub use recipe::{Choices, Draft, NamedRecipe, Recipe, RecipeError, recipes};
pub use states::{GenerateStates, states_bounds};

pub use scorefield_control as control;
pub use scorefield_data as data;
pub use scorefield_eval as eval;
#[cfg(feature = "hub")]
pub use scorefield_hub as hub;
pub use scorefield_kernels as kernels;
pub use scorefield_model as model;
pub use scorefield_nn as nn;
#[cfg(feature = "onnx")]
pub use scorefield_onnx as onnx;
pub use scorefield_process as process;
pub use scorefield_sample as sample;
pub use scorefield_tensor as tensor;
pub use scorefield_train as train;
