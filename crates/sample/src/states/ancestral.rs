//! The chain backwards: `x_s` drawn from `sum_k q(x_s | x_t, x_0 = k) p(x_0 = k | x_t)`, column by column.
//!
//! Sohl-Dickstein et al. 2015; Hoogeboom et al. 2021, eq. 13; Austin et al. 2021, eq. 4; for numbers DDPM's step of the small variance. Any
//! sub-sequence of a chain's steps will do: laws between two times are exact, and what is lost with long steps is only that columns are
//! drawn as if they did not depend on each other.

use super::StatesSolver;
use crate::solver::Key;
use scorefield_process::Leg;
use scorefield_process::states::{StatesDenoiser, StatesProcess};
use scorefield_tensor::{Batch, Streams};

/// `x_s ~ p(x_s | x_t)`.
#[derive(Clone, Debug, PartialEq)]
pub struct AncestralStates {
    /// Particles of a sample where its law is multiplied by what else is known: 1 multiplies each step and no more, many draw the product.
    pub particles: usize,
    /// How often each step is made, the state being noised again in between (Lugmayr et al. 2022, RePaint): 1 is the chain itself.
    pub repeats: usize,
}

/// More particles than this nobody has memory for.
const MOST_PARTICLES: usize = 4096;
/// A step has streams for 256 draws, and each repeat takes up to four.
const MOST_REPEATS: usize = 60;

impl Default for AncestralStates {
    fn default() -> Self {
        Self { particles: 1, repeats: 1 }
    }
}

impl AncestralStates {
    pub(super) const ABOUT: &'static str =
        "The chain backwards, in any sub-sequence of its steps (Sohl-Dickstein et al. 2015, Austin et al. 2021).";

    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::count("particles", "of a sample whose law is multiplied", &mut self.particles, 1..=MOST_PARTICLES),
            Key::count("repeats", "of each step, noised again in between", &mut self.repeats, 1..=MOST_REPEATS),
        ]
    }
}

impl StatesSolver for AncestralStates {
    fn name(&self) -> &'static str {
        "ancestral"
    }

    fn evaluations_per_step(&self) -> usize {
        self.repeats
    }

    fn particles(&self) -> usize {
        self.particles
    }

    fn refuses(&self, process: &StatesProcess) -> Option<&'static str> {
        let both = self.repeats > 1 && self.particles > 1;
        let masked = self.repeats > 1 && process.columns().masked();
        if both {
            return Some("particles are weighed by steps made once; take repeats=1 or particles=1");
        }
        masked.then_some(
            "towards a mask a step made again would mask what is known, and filling in is exact without; take repeats=1",
        )
    }

    fn step(&self, d: &dyn StatesDenoiser, x: &Batch, leg: Leg, noise: &mut Streams) -> Batch {
        let process = d.process();
        let (at_t, at_s) = (process.at(leg.t), process.at(leg.s));
        let back = |x: &Batch, noise: &mut Streams| {
            process.posterior(x, &d.denoise(x, leg.t), &at_t, &at_s).draw(process.columns(), noise)
        };
        let mut next = back(x, noise);
        for _ in 1..self.repeats {
            let again = process.marginal(&next, &at_t.since(&at_s)).draw(process.columns(), noise);
            next = back(&again, noise);
        }
        next
    }
}
