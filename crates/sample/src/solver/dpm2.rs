//! k-diffusion's DPM2 (KDPM2): the midpoint rule over the noise level with the middle at `sqrt(l l')`.
//!
//! With `y = x / alpha`, `l = sigma / alpha`: `u = y + (sqrt(l l') - l) eps(y)`, `y' = y + (l' - l) eps(u)`. It differs from DPM-Solver-2 (Lu et al.
//! 2022, algorithm 1) in the plain Euler steps where that is exponential, and from Karras et al.'s midpoint in where the middle is.
//! Order 2 as steps shrink in the logarithm of the level; two evaluations a step, one where the leg ends at `sigma = 0` (Euler). Churn as
//! in [`Churn`].

use super::clock::Clock;
use super::{Churn, Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// The midpoint rule with the geometric middle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dpm2 {
    /// Noise added before each step.
    pub churn: Churn,
}

impl Solver for Dpm2 {
    fn name(&self) -> &'static str {
        "dpm-2"
    }

    fn order(&self) -> Order {
        self.churn.order(2)
    }

    fn evaluations_per_step(&self) -> usize {
        2
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let process = d.process();
        let (x, t) = self.churn.raise(process, x, leg, noise);
        let (at_t, at_s) = (process.at(t), process.at(leg.s));
        let y = Clock::Ratio.lower(&at_t, &x);
        let (eps, x0) = Clock::Ratio.look(d, &y, t);
        past.push(t, &x, x0.clone());
        if at_s.sigma == 0.0 {
            return x0 * at_s.alpha;
        }
        let (from, to) = (at_t.ratio(), at_s.ratio());
        let middle = (from * to).sqrt();
        let u = y.clone() + eps * (middle - from);
        let (eps, _) = Clock::Ratio.look(d, &u, process.time_of_ratio(middle));
        (y + eps * (to - from)) * at_s.alpha
    }
}

impl Method for Dpm2 {
    fn about(&self) -> &'static str {
        "midpoint rule over the noise level with the geometric middle (k-diffusion's DPM2) and optional churn"
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        self.churn.keys()
    }
}
