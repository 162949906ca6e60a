//! The noise of the exponential integrators on the reverse SDE.
//!
//! In `y = x / alpha`, `lambda = -ln l`, the reverse SDE with a share `eta` of its noise is
//! `dy = -(1 + eta) (y - D) dlambda + sqrt(2 eta) l dw` (`eta` is the square of that of [`EulerMaruyama`](super::EulerMaruyama)).
//! With `D` held over a step `h` of `lambda` the state decays by `e^(-(1 + eta) h)` and gains noise of deviation
//! `l_s sqrt(1 - e^(-2 eta h))` (Lu et al. 2022b, section 5).

use super::{Key, Order};
use scorefield_process::Leg;
use scorefield_tensor::{Batch, Noise};

/// The two options that the methods share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReverseNoise {
    /// Share of the noise's variance: 0 the flow, 1 the reverse SDE.
    pub eta: f64,
    /// Inflation of the noise.
    pub s_noise: f64,
}

impl Default for ReverseNoise {
    fn default() -> Self {
        Self { eta: 1.0, s_noise: 1.0 }
    }
}

impl ReverseNoise {
    /// The keys.
    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::number("eta", "share of the noise: 0 the flow, 1 the reverse SDE", &mut self.eta, 0.0..=100.0),
            Key::number("s_noise", "inflation of the noise", &mut self.s_noise, 0.0..=f64::INFINITY),
        ]
    }

    /// The order of a method whose step on the flow has order `k`.
    pub(super) fn order(&self, k: u32) -> Order {
        Order::with_noise(k, self.eta, self.s_noise)
    }

    /// `(1 + eta) h`: the rate of decay over the step.
    pub(super) fn rate(&self, h: f64) -> f64 {
        (1.0 + self.eta) * h
    }

    /// The deviation of a step's noise on data, in units of `sigma_s`.
    pub(super) fn deviation(&self, h: f64) -> f64 {
        (-(-2.0 * self.eta * h).exp_m1()).sqrt()
    }

    /// `x` with the noise of a leg of the deviation given; at `eta = 0` nothing is drawn.
    pub(super) fn add(&self, x: Batch, deviation: f64, leg: Leg, noise: &mut dyn Noise) -> Batch {
        if self.eta == 0.0 {
            return x;
        }
        let w = noise.between(&x, leg.t, leg.s);
        x + w * (deviation * self.s_noise)
    }
}
