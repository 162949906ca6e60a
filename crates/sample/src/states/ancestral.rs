//! The chain backwards: `x_s` drawn from `sum_k q(x_s | x_t, x_0 = k) p(x_0 = k | x_t)`, column by column.
//!
//! Sohl-Dickstein et al. 2015; Hoogeboom et al. 2021, eq. 13; Austin et al. 2021, eq. 4; for numbers DDPM's step of the small variance. Any
//! sub-sequence of a chain's steps will do: laws between two times are exact, and what is lost with long steps is only that columns are
//! drawn as if they did not depend on each other.

use super::StatesSolver;
use crate::solver::Key;
use scorefield_process::Leg;
use scorefield_process::states::StatesDenoiser;
use scorefield_tensor::{Batch, Streams};

/// `x_s ~ p(x_s | x_t)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AncestralStates;

impl AncestralStates {
    pub(super) const ABOUT: &'static str =
        "The chain backwards, in any sub-sequence of its steps (Sohl-Dickstein et al. 2015, Austin et al. 2021).";

    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        Vec::new()
    }
}

impl StatesSolver for AncestralStates {
    fn name(&self) -> &'static str {
        "ancestral"
    }

    fn step(&self, d: &dyn StatesDenoiser, x: &Batch, leg: Leg, noise: &mut Streams) -> Batch {
        let (process, clean) = (d.process(), d.denoise(x, leg.t));
        process.posterior(x, &clean, &process.at(leg.t), &process.at(leg.s)).draw(process.columns(), noise)
    }
}
