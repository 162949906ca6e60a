//! Samplers of states with categories: what a solver is, and the list of all of them ([`StatesSolverKind`]).

mod ancestral;
mod confidence;
mod implicit;
mod kind;
mod multiplied;
mod particles;
mod run;
mod tau_leaping;

pub use ancestral::AncestralStates;
pub use confidence::{Confidence, UnmaskBy};
pub use implicit::Implicit;
pub use kind::StatesSolverKind;
pub use multiplied::{Factor, Multiplied};
pub use run::{StatesTrajectory, sample_states};
pub use tau_leaping::TauLeaping;

use scorefield_process::Leg;
use scorefield_process::states::{StatesDenoiser, StatesProcess};
use scorefield_tensor::{Batch, Streams};
use std::fmt;

/// A way from `x_t` to `x_s`, `s < t`, wide rows both. Immutable: what it draws comes from the streams.
pub trait StatesSolver: fmt::Debug + Send + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// Why it cannot sample under a process, if it cannot.
    fn refuses(&self, _process: &StatesProcess) -> Option<&'static str> {
        None
    }

    /// Calls of the denoiser in a step.
    fn evaluations_per_step(&self) -> usize {
        1
    }

    /// How many particles of a sample run side by side where its law is multiplied by a [`Factor`]; solvers of one take the factor into
    /// the denoiser ([`Multiplied`]).
    fn particles(&self) -> usize {
        1
    }

    /// Carries the batch `x`, `[n, width]`, from time `leg.t` to time `leg.s`.
    fn step(&self, d: &dyn StatesDenoiser, x: &Batch, leg: Leg, noise: &mut Streams) -> Batch;
}
