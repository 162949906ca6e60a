//! Pseudo numerical methods for diffusion models.
//!
//! Liu et al. 2022 ("Pseudo numerical methods for diffusion models on manifolds"): classical formulas for the slope, with the exact step
//! under a constant noise, DDIM's, in the place of the straight line: `phi(x, t, s, e) = alpha_s (x / alpha_t + (l_s - l_t) e)`, `l = sigma / alpha`
//! (their eq. 11 for any process). Their F-PNDM (`pndm`): three pseudo Runge-Kutta steps (eq. 13)
//! `e_1 = eps(x, t)`, `e_2 = eps(phi(x, t, m, e_1), m)`, `e_3 = eps(phi(x, t, m, e_2), m)`, `e_4 = eps(phi(x, t, s, e_3), s)`,
//! `x_s = phi(x, t, s, (e_1 + 2 e_2 + 2 e_3 + e_4) / 6)`, `m = (t + s) / 2`, then pseudo linear multistep (eq. 12)
//! `x_s = phi(x, t, s, (55 e_t - 59 e_(t-1) + 37 e_(t-2) - 9 e_(t-3)) / 24)`. With `skip_prk` the start is one pseudo improved Euler step
//! `phi(x, t, s, (e_1 + eps(phi(x, t, s, e_1), s)) / 2)` and the multistep formulas of orders 2 and 3.
//!
//! The weights are those of equal steps in `l` whatever the steps are, which leaves order 2 where steps vary slowly (their corollary
//! of section 3.3). Evaluations: 4 in each of the first three steps (`skip_prk`: 2 in the first), then 1. A leg that ends at `sigma = 0` is
//! never a Runge-Kutta step, as there is no noise to see at its end.
//!
//! `through=v` combines `v = alpha eps - sigma x_0` and converts the mean at the start of the step, `e = (alpha_t v + sigma_t x) / (alpha_t^2 + sigma_t^2)`, as
//! diffusers' scheduler does for networks that predict v: that conversion is right at the start of a step only, so the order is 1.

use super::key::choice;
use super::lagrange::weights;
use super::{Key, Method, Order, Past, Seen, Solver};
use scorefield_process::{Denoiser, Leg, Marginal, Process, ProcessExt};
use scorefield_tensor::{Batch, Noise};

choice! {
    /// What the formulas combine.
    Combined {
        Noise = "noise": "The expected noises.",
        V = "v": "The angular velocities `alpha eps - sigma x_0`: order 1, what diffusers does for networks that predict v.",
    }
}

impl Combined {
    fn of(self, process: &dyn Process, look: &Seen) -> Batch {
        let m: Marginal = process.at(look.t);
        let eps = m.noise(&look.x, &look.clean);
        match self {
            Self::Noise => eps,
            Self::V => eps * m.alpha - look.clean.clone() * m.sigma,
        }
    }

    /// `phi(x, t, s, e)`, `e` being the noise that a combination stands for.
    fn transfer(self, process: &dyn Process, x: &Batch, t: f64, s: f64, combined: Batch) -> Batch {
        let (at_t, at_s): (Marginal, Marginal) = (process.at(t), process.at(s));
        let eps = match self {
            Self::Noise => combined,
            Self::V => {
                let square = at_t.alpha.powi(2) + at_t.sigma.powi(2);
                combined * (at_t.alpha / square) + x.clone() * (at_t.sigma / square)
            }
        };
        x.clone() * (at_s.alpha / at_t.alpha) + eps * (at_s.alpha * (at_s.ratio() - at_t.ratio()))
    }
}

/// Pseudo linear multistep after a pseudo Runge-Kutta start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pndm {
    /// Starts with one pseudo improved Euler step and low orders in the place of three Runge-Kutta steps.
    pub skip_prk: bool,
    /// What the formulas combine.
    pub combined: Combined,
}

impl Pndm {
    /// The pseudo Runge-Kutta step from the look at its start; of two stages with `skip_prk`.
    fn start(&self, d: &dyn Denoiser, first: &Seen, s: f64) -> Batch {
        let (process, t) = (d.process(), first.t);
        let phi = |to: f64, e: Batch| self.combined.transfer(process, &first.x, t, to, e);
        let slope = |to: f64, e: &Batch| {
            let x = phi(to, e.clone());
            self.combined.of(process, &Seen { t: to, clean: d.denoise(&x, to), x })
        };
        let e_1 = self.combined.of(process, first);
        if self.skip_prk {
            let e_2 = slope(s, &e_1);
            return phi(s, (e_1 + e_2) * 0.5);
        }
        let m = 0.5 * (t + s);
        let e_2 = slope(m, &e_1);
        let e_3 = slope(m, &e_2);
        let e_4 = slope(s, &e_3);
        phi(s, (e_1 + e_2 * 2.0 + e_3 * 2.0 + e_4) * (1.0 / 6.0))
    }
}

impl Solver for Pndm {
    fn name(&self) -> &'static str {
        "pndm"
    }

    fn order(&self) -> Order {
        Order::Deterministic(if self.combined == Combined::V { 1 } else { 2 })
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        let process = d.process();
        let first = Seen { t: leg.t, x: x.clone(), clean: d.denoise(x, leg.t) };
        past.push(leg.t, x, first.clean.clone());
        let starting = past.looks() <= if self.skip_prk { 1 } else { 3 };
        if starting && process.at(leg.s).sigma > 0.0 {
            return self.start(d, &first, leg.s);
        }
        let nodes: Vec<f64> = (0..past.looks()).map(|k| -(k as f64)).collect();
        let seen = (0..nodes.len()).filter_map(|k| past.back(k)).map(|look| self.combined.of(process, look));
        let mean = weights(&nodes, 0.0).into_iter().zip(seen).map(|(w, e)| e * w).reduce(|a, b| a + b);
        self.combined.transfer(process, x, leg.t, leg.s, mean.expect("this step's own look was pushed just before"))
    }
}

impl Method for Pndm {
    fn about(&self) -> &'static str {
        "PNDM: pseudo linear multistep on the noise after a pseudo Runge-Kutta start (Liu et al. 2022)"
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::switch("skip_prk", "start with improved Euler and low orders", &mut self.skip_prk),
            Key::choice("through", "what the formulas combine", &mut self.combined),
        ]
    }
}
