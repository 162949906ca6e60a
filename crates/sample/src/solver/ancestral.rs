//! The ancestral split: down the probability flow past the goal, then noise back up to it.
//!
//! In `y = x / alpha` with the level `l = sigma / alpha` every process is variance-exploding, `p(y; l) = p_data * N(0, l^2)`. To go
//! from level `l` to `m < l` one may follow the flow to a lower level `down` and add noise of deviation `up`,
//! `down^2 + up^2 = m^2`. Both halves carry the law exactly, so a method of order `k` on the flow gives weak order `k` whatever the
//! share of the noise. `up = min(m, eta m sqrt(1 - m^2 / l^2))`: `eta = 1` is the variance of DDPM's posterior (Ho et al. 2020),
//! `eta = 0` the flow, and from some `eta` on all noise is drawn afresh (`down = 0`).

use super::{Key, Order};
use scorefield_process::{Denoiser, Leg, Marginal, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// The two options that the ancestral methods share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ancestral {
    /// Share of the noise: 0 the flow, 1 DDPM's, more up to drawing all afresh.
    pub eta: f64,
    /// Inflation of the noise added.
    pub s_noise: f64,
}

impl Default for Ancestral {
    fn default() -> Self {
        Self { eta: 1.0, s_noise: 1.0 }
    }
}

impl Ancestral {
    /// The keys.
    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::number("eta", "share of the noise: 0 the flow, 1 that of DDPM", &mut self.eta, 0.0..=f64::INFINITY),
            Key::number("s_noise", "inflation of the noise added", &mut self.s_noise, 0.0..=f64::INFINITY),
        ]
    }

    /// The order of a method whose step on the flow has order `k`.
    pub(super) fn order(&self, k: u32) -> Order {
        Order::with_noise(k, self.eta, self.s_noise)
    }

    /// `(down, up)` on the way from level `l` to level `m`.
    pub(super) fn split(&self, l: f64, m: f64) -> (f64, f64) {
        let up = m.min(self.eta * m * ((l - m) * (l + m)).sqrt() / l);
        (((m - up) * (m + up)).sqrt(), up)
    }

    /// `x` with the noise of a leg added: `alpha_s up s_noise w`; nothing is drawn where nothing is added.
    pub(super) fn add(&self, x: Batch, up: f64, alpha: f64, leg: Leg, noise: &mut dyn Noise) -> Batch {
        if up == 0.0 {
            return x;
        }
        let w = noise.between(&x, leg.t, leg.s);
        x + w * (alpha * up * self.s_noise)
    }
}

/// The straight way in `y` to level `to`, as a state of the process at `at`: `alpha (D + (to / l) (x_t / alpha_t - D))`.
pub(super) fn towards(x: &Batch, x0: &Batch, at_t: &Marginal, to: f64, alpha: f64) -> Batch {
    let kept = to / at_t.ratio();
    x.clone() * (kept * alpha / at_t.alpha) + x0.clone() * (alpha * (1.0 - kept))
}

/// The look in the middle of the way from `x_t` down to level `down`: level `sqrt(l down)`, reached by an exponential Euler step.
/// Returns the state in `y`, its posterior mean and its level.
pub(super) fn middle(d: &dyn Denoiser, x: &Batch, x0: &Batch, t: f64, down: f64) -> (Batch, Batch, f64) {
    let at_t = d.process().at(t);
    let time = d.process().time_of_ratio((at_t.ratio() * down).sqrt());
    let at_m = d.process().at(time);
    let y = towards(x, x0, &at_t, at_m.ratio(), 1.0);
    let clean = d.denoise(&(y.clone() * at_m.alpha), time);
    (y, clean, at_m.ratio())
}
