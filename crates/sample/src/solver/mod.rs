//! What a solver is, and the list of all of them ([`SolverKind`]).
//!
//! A new solver is one short file beside these (a struct with its options, `Solver` for the step, `Method` for its name on the
//! command line) and one line in the list in `kind.rs`; the tests walk that list.

mod adaptive_sde;
mod ancestral;
mod annealed_langevin;
mod churn;
mod clock;
mod consistency;
mod ddim;
mod ddpm;
mod deis;
mod dpm2;
mod dpm2_ancestral;
mod dpm_adaptive;
mod dpm_fast;
mod dpm_multistep;
mod dpm_solver;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod dpmpp_2s;
mod dpmpp_2s_ancestral;
mod dpmpp_3m;
mod dpmpp_3m_sde;
mod dpmpp_sde;
mod euler;
mod euler_ancestral;
mod euler_maruyama;
mod exponential;
mod heun;
pub(crate) mod key;
mod kind;
mod lagrange;
mod langevin;
mod multistep;
mod pndm;
mod predictor_corrector;
mod reverse;
mod reverse_noise;
mod runge_kutta;
mod sra;
mod underdamped_langevin;
mod unipc;

pub use adaptive_sde::AdaptiveSde;
pub use ancestral::Ancestral;
pub use annealed_langevin::{AnnealedLangevin, StepRule};
pub use churn::Churn;
pub use clock::Clock;
pub use consistency::Consistency;
pub use ddim::Ddim;
pub use ddpm::Ddpm;
pub use deis::{Basis, Deis};
pub use dpm_adaptive::{DpmAdaptive, ErrorNorm};
pub use dpm_fast::DpmFast;
pub use dpm_multistep::{DpmMultistep, Third};
pub use dpm_solver::{DpmSolver, Nodes};
pub use dpm2::Dpm2;
pub use dpm2_ancestral::Dpm2Ancestral;
pub use dpmpp_2m::DpmPp2M;
pub use dpmpp_2m_sde::DpmPp2MSde;
pub use dpmpp_2s::DpmPp2S;
pub use dpmpp_2s_ancestral::DpmPp2SAncestral;
pub use dpmpp_3m::DpmPp3M;
pub use dpmpp_3m_sde::{DpmPp3MSde, Formula};
pub use dpmpp_sde::DpmPpSde;
pub use euler::Euler;
pub use euler_ancestral::EulerAncestral;
pub use euler_maruyama::EulerMaruyama;
pub use exponential::{Predicts, Second, Start};
pub use heun::Heun;
pub use key::{Choice, Key};
pub use kind::{Method, SolverKind};
pub use langevin::Langevin;
pub use multistep::{EtdAb, Ipndm, Lms, Through};
pub use pndm::{Combined, Pndm};
pub use predictor_corrector::{Corrector, Norm, PredictorCorrector};
pub use reverse::{Predictor, Variance};
pub use reverse_noise::ReverseNoise;
pub use runge_kutta::{BogackiShampine, DormandPrince, Midpoint, Rk4, Stepping, Tsit5};
pub use sra::Sra;
pub use underdamped_langevin::UnderdampedLangevin;
pub use unipc::{Bh, UniPc};

use scorefield_process::{Denoiser, Leg};
use scorefield_tensor::{Batch, Noise};
use std::collections::VecDeque;
use std::fmt;

/// A way from `x_t` to `x_s`, `s < t`. Immutable: what it remembers between steps is in [`Past`], what it draws comes from
/// [`Noise`].
///
/// Every solver also takes legs that end where `sigma(s) = 0` (the grid of Karras et al. 2022 appends one): the step is then its
/// limit, which is finite.
pub trait Solver: fmt::Debug + Send + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// The order of convergence that it claims.
    fn order(&self) -> Order;

    /// Calls of the denoiser in a full step.
    fn evaluations_per_step(&self) -> usize {
        1
    }

    /// Whether it needs the learned variance of [`Denoiser::denoise_with_variance`]; a step with a model that has none then panics.
    fn needs_variance(&self) -> bool {
        false
    }

    /// Whether it samples models of paths' ends (consistency models) and no others; all the rest need posterior means.
    fn samples_path_ends(&self) -> bool {
        false
    }

    /// Carries the batch `x`, `[n, d]`, from time `leg.t` to time `leg.s`.
    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch;
}

/// How fast the error vanishes with the length of the steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// The end point of the probability flow, to the k-th power of the step.
    Deterministic(u32),
    /// Every path of the reverse SDE, to the k-th power (mean absolute error at the end, same Brownian path).
    Strong(f64),
    /// The law of the end point (errors of expectations), to the k-th power.
    Weak(u32),
    /// It does not converge to the law of the data as steps shrink, by design.
    None,
}

impl Order {
    /// Of a method of order `k` on the flow to which noise of a share `eta` is added, inflated by `s_noise`.
    fn with_noise(k: u32, eta: f64, s_noise: f64) -> Self {
        match (eta, s_noise) {
            (0.0, _) => Self::Deterministic(k),
            (_, 1.0) => Self::Weak(k),
            _ => Self::None,
        }
    }

    /// The number, if there is one.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::Deterministic(k) | Self::Weak(k) => Some(f64::from(k)),
            Self::Strong(k) => Some(k),
            Self::None => None,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deterministic(k) => write!(f, "order {k}"),
            Self::Strong(k) => write!(f, "strong order {k}"),
            Self::Weak(k) => write!(f, "weak order {k}"),
            Self::None => write!(f, "no order"),
        }
    }
}

/// One look at the model: `clean = D(x, t)`.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The time.
    pub t: f64,
    /// The state looked at.
    pub x: Batch,
    /// The posterior mean there.
    pub clean: Batch,
}

/// What a run remembers: its latest looks at the model and the count of evaluations.
#[derive(Clone, Debug, Default)]
pub struct Past {
    seen: VecDeque<Seen>,
    fresh: bool,
    /// What else a method carries from step to step, row by row (the step size and error history of adaptive ones).
    pub memo: Vec<Vec<f64>>,
    /// A state carried from step to step that is not one looked at (the corrected one of predictor-correctors).
    pub kept: Option<Batch>,
    pub(crate) evaluations: u64,
}

impl Past {
    /// How many looks are kept: enough for multistep methods of order four.
    const KEPT: usize = 4;

    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the look `clean = D(x, t)` at the start of a step; multistep methods find it by [`Past::back`], callers in
    /// [`Frame::clean`](crate::Frame).
    pub fn push(&mut self, t: f64, x: &Batch, clean: Batch) {
        self.seen.truncate(Self::KEPT - 1);
        self.seen.push_front(Seen { t, x: x.clone(), clean });
        self.fresh = true;
    }

    /// The look `k` pushes ago: 0 is the latest.
    pub fn back(&self, k: usize) -> Option<&Seen> {
        self.seen.get(k)
    }

    /// How many looks there are, up to the number kept.
    pub fn looks(&self) -> usize {
        self.seen.len()
    }

    /// Forgets the looks and the memo (after a jump in the state), not the count.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.memo.clear();
        self.kept = None;
        self.fresh = false;
    }

    /// Calls of the denoiser so far.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// The look of the step just taken, once.
    pub(crate) fn take_fresh(&mut self) -> Option<Batch> {
        std::mem::take(&mut self.fresh).then(|| self.seen.front().map(|s| s.clean.clone())).flatten()
    }
}
