//! Denoising diffusion implicit models for categories: as little fresh noise as the marginals allow.
//!
//! Song, Meng and Ermon 2021, appendix A, for any kernel: `q(x_s | x_t, x_0) = c 1[x_s = x_t] + Q_s(x_0) - c Q_t(x_0)` has, averaged over
//! `q(x_t | x_0)`, the marginal `Q_s(x_0)` whatever `c` is, and is a law where `c <= min Q_s / Q_t` over all pairs of states. The largest `c`
//! keeps most of the present state; `c = 0` draws `x_0` anew and noises it. Towards a mask the largest `c` is the ancestral step. Numbers
//! take DDIM's step without noise, `x_s = alpha_s x_0 + sigma_s eps`.

use super::StatesSolver;
use crate::solver::Key;
use scorefield_process::Leg;
use scorefield_process::states::StatesDenoiser;
use scorefield_tensor::{Batch, Streams};

/// Keeps the present state with a share `1 - fresh` of the largest possible probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Implicit {
    /// From 0, as little fresh noise as can be, to 1, `x_0` drawn and noised anew.
    pub fresh: f64,
}

impl Default for Implicit {
    fn default() -> Self {
        Self { fresh: 0.0 }
    }
}

impl Implicit {
    pub(super) const ABOUT: &'static str =
        "DDIM for categories: keeps as much of the state as marginals allow (Song et al. 2021a, appendix A).";

    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        vec![Key::number("fresh", "share of noise drawn anew, 0 the least possible", &mut self.fresh, 0.0..=1.0)]
    }
}

impl StatesSolver for Implicit {
    fn name(&self) -> &'static str {
        "ddim"
    }

    fn step(&self, d: &dyn StatesDenoiser, x: &Batch, leg: Leg, noise: &mut Streams) -> Batch {
        let (process, clean) = (d.process(), d.denoise(x, leg.t));
        process.implicit(x, &clean, &process.at(leg.t), &process.at(leg.s), self.fresh).draw(process.columns(), noise)
    }
}
