//! Churn: a little noise added before a deterministic step (Karras et al. 2022, algorithm 2, lines 4 to 6).

use super::Key;
use scorefield_process::{Leg, Process, ProcessExt};
use scorefield_tensor::{Batch, Noise};
use std::f64::consts::SQRT_2;

/// Raises the noise level `sigma / alpha` from `l` to `(1 + gamma) l`, `gamma = min(s_churn / n, sqrt 2 - 1)` for the `n` legs of the
/// grid, where `s_min <= l <= s_max`.
///
/// For any process: with `t'` the time of the raised level `l'`,
/// `x_t' = alpha(t') (x_t / alpha(t) + sqrt(l'^2 - l^2) s_noise w)`. Adding noise exactly carries `p_t` to `p_t'`, so the law is
/// kept and the order is that of the deterministic step; only `s_noise != 1` spoils it. A level above that of the process's span
/// is cut to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// Total churn over the run; 0 is none.
    pub s_churn: f64,
    /// Lowest noise level with churn.
    pub s_min: f64,
    /// Highest noise level with churn.
    pub s_max: f64,
    /// Inflation of the noise added; Karras et al. use up to 1.007 against loss of detail.
    pub s_noise: f64,
}

impl Default for Churn {
    fn default() -> Self {
        Self { s_churn: 0.0, s_min: 0.0, s_max: f64::INFINITY, s_noise: 1.0 }
    }
}

impl Churn {
    /// The four options.
    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        let any = 0.0..=f64::INFINITY;
        vec![
            Key::number("s_churn", "noise added over the run, 0 for none", &mut self.s_churn, any.clone()),
            Key::number("s_min", "lowest noise level with churn", &mut self.s_min, any.clone()),
            Key::number("s_max", "highest noise level with churn", &mut self.s_max, any.clone()),
            Key::number("s_noise", "inflation of the noise added", &mut self.s_noise, any),
        ]
    }

    /// Whether nothing is ever added.
    pub fn is_none(&self) -> bool {
        self.s_churn == 0.0
    }

    /// The state and time at the raised level. Noise is drawn at every leg when there is churn at all, so that the draws of a
    /// leg do not depend on the interval.
    pub(super) fn raise(&self, process: &dyn Process, x: &Batch, leg: Leg, noise: &mut dyn Noise) -> (Batch, f64) {
        if self.is_none() {
            return (x.clone(), leg.t);
        }
        let w = noise.normal(x);
        let at_t = process.at(leg.t);
        let level = at_t.ratio();
        let gamma = (self.s_churn / leg.count as f64).min(SQRT_2 - 1.0);
        if !(self.s_min..=self.s_max).contains(&level) {
            return (x.clone(), leg.t);
        }
        let raised = process.time_of_ratio(level * (1.0 + gamma)).max(leg.t);
        let at_raised = process.at(raised);
        let decay = at_raised.alpha / at_t.alpha;
        // alpha'^2 (l'^2 - l^2) without forming l: sigma'^2 - decay^2 sigma^2.
        let added = (at_raised.sigma.powi(2) - (decay * at_t.sigma).powi(2)).max(0.0).sqrt();
        (x.clone() * decay + w * (added * self.s_noise), raised)
    }
}

impl Churn {
    /// The order of a solver whose deterministic step has order `k`.
    pub(super) fn order(&self, k: u32) -> super::Order {
        match self {
            c if c.is_none() => super::Order::Deterministic(k),
            c if c.s_noise == 1.0 => super::Order::Weak(k),
            _ => super::Order::None,
        }
    }
}
