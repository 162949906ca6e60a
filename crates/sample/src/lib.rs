//! From noise to data: solvers, the one loop over time, guidance.
//!
//! A [`Solver`] carries a batch over one leg of a [`Grid`](scorefield_process::Grid); [`Trajectory`] is the loop over the legs
//! and an iterator, so progress, early stop and recording belong to the caller; [`sample`] cuts many samples into batches such
//! that sample `I` of seed `S` depends on neither. All see a model only as a [`Denoiser`](scorefield_process::Denoiser): nothing
//! here knows that networks exist.

pub mod check;
pub mod density;
mod evidence;
mod guidance;
pub mod named;
pub mod ode;
mod path;
mod run;
pub mod solver;
pub mod states;
pub mod tableau;
mod trajectory;

pub use evidence::{Evidence, Repeated};
pub use guidance::{Classified, Composed, Guided, NoisyClassifier};
pub use named::NamedError;
pub use path::{Path, PathError};
pub use run::{Job, prior, sample, sample_driven, sample_with};
pub use scorefield_process::nearest;
pub use solver::{Order, Past, Solver, SolverKind};
pub use trajectory::{Counted, Finish, Frame, Trajectory, Walk};
