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
//! * [`model`]: the model file;
//! * [`eval`]: distances between sets of samples;
//! * [`tensor`], [`kernels`]: numbers, noise and the operations that take the time.
//!
//! On top stand [`Recipe`], a training run as a text, and [`Generate`], samples of a model by number.

mod auto;
mod generate;
mod recipe;
pub mod untrained;

pub use generate::{ClassChoice, Classes, Generate, GenerateError, Sampled};
pub use recipe::{Choices, Draft, NamedRecipe, Recipe, RecipeError, recipes};

pub use scorefield_data as data;
pub use scorefield_eval as eval;
pub use scorefield_kernels as kernels;
pub use scorefield_model as model;
pub use scorefield_nn as nn;
pub use scorefield_process as process;
pub use scorefield_sample as sample;
pub use scorefield_tensor as tensor;
pub use scorefield_train as train;
