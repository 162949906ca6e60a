//! A stochastic Runge-Kutta method of strong order 1.5 for additive noise, exponential.
//!
//! Roessler 2010 ("Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations"), SRA1,
//! with the linear part integrated exactly. In `y = x / alpha`, `lambda = -ln l` the reverse SDE with a degree `eta` of noise is
//! `dy = -c (y - D) dlambda + eta sqrt(2) l dw`, `c = 1 + eta^2`: its noise is additive. Over a step `h`, with `Delta W` and the time
//! integral `Delta Z = int (W - W_0) dlambda`:
//! `y_a = e^(-c a h) y + (1 - e^(-c a h)) D + (3/2) eta sqrt(2) l_s Delta Z / h` at `a = 3/4`,
//! `y_s = e^(-c h) y + (1 - e^(-c h)) D + (1 - (1 - e^(-c h)) / (c h)) (D_a - D) / a + N`,
//! `N = b_1 Delta W + (b_0 - b_1) Delta Z / h` with `b(u) = eta sqrt(2) l(u) e^(-c (h - u))` at both ends, scaled to its exact
//! variance (a change of relative size `h^2`, which the order does not see).
//!
//! Strong order 1.5 and weak order 2 where the source gives both normals of a step ([`Noise::with_integral`]); at `eta = 0` order 2.
//! Two evaluations a step.

use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};
use std::f64::consts::SQRT_2;

/// SRA1 in log-SNR with an exact linear part.
#[derive(Clone, Debug, PartialEq)]
pub struct Sra {
    /// Degree of noise: 0 the flow, 1 the reverse SDE.
    pub eta: f64,
}

impl Default for Sra {
    fn default() -> Self {
        Self { eta: 1.0 }
    }
}

/// Where in the step the second look is.
const A: f64 = 0.75;

impl Solver for Sra {
    fn name(&self) -> &'static str {
        "sra"
    }

    fn order(&self) -> Order {
        if self.eta == 0.0 { Order::Deterministic(2) } else { Order::Weak(2) }
    }

    fn evaluations_per_step(&self) -> usize {
        2
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let x0 = d.denoise(x, leg.t);
        past.push(leg.t, x, x0.clone());
        if at_s.sigma == 0.0 {
            return x0 * at_s.alpha;
        }
        let (l, l_s) = (at_t.ratio(), at_s.ratio());
        let h = (l / l_s).ln();
        let c = 1.0 + self.eta * self.eta;
        let y = x.clone() / at_t.alpha;

        // Delta W = sqrt(h) u and Delta Z / h = sqrt(h) (u + v / sqrt 3) / 2.
        let drawn = (self.eta > 0.0).then(|| noise.with_integral(x, leg.t, leg.s));
        let [b_0, b_1] = [l * (-c * h).exp(), l_s].map(|b| self.eta * SQRT_2 * b);

        // The look at a.
        let middle = d.process().time_of_ratio(l * (-A * h).exp());
        let at_m = d.process().at(middle);
        let passed = (-c * (l / at_m.ratio()).ln()).exp();
        let mut look = y.clone() * passed + x0.clone() * (1.0 - passed);
        if let Some((u, v)) = &drawn {
            let integral = (u.clone() + v.clone() / 3f64.sqrt()) * (0.5 * h.sqrt());
            look = look + integral * (1.5 * b_1);
        }
        let clean = d.denoise(&(look * at_m.alpha), middle);

        // The step.
        let whole = -(-c * h).exp_m1();
        let change = (clean - x0.clone()) * ((1.0 - whole / (c * h)) / A);
        let ahead = (y * (-c * h).exp() + x0 * whole + change) * at_s.alpha;
        let Some((u, v)) = drawn else { return ahead };
        // N = p u + q v before scaling; its exact variance is that of the linear SDE, (1 - e^(-2 eta^2 h)) l_s^2.
        let (p, q) = (0.5 * (b_0 + b_1) * h.sqrt(), (b_0 - b_1) * (h / 12.0).sqrt());
        let exact = l_s * (-(-2.0 * self.eta * self.eta * h).exp_m1()).sqrt();
        ahead + (u * p + v * q) * (at_s.alpha * exact / p.hypot(q))
    }
}

impl Method for Sra {
    fn about(&self) -> &'static str {
        "stochastic Runge-Kutta SRA1 of strong order 1.5 for additive noise (Roessler 2010)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![Key::number("eta", "degree of noise: 0 the flow, 1 the reverse SDE", &mut self.eta, 0.0..=10.0)]
    }
}
