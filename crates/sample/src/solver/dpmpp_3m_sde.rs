//! SDE-DPM-Solver++(3M): the three-step exponential integrator on the reverse SDE.
//!
//! k-diffusion's `dpmpp_3m_sde`, for any process; notation as in [`DpmPp2MSde`](super::DpmPp2MSde). With
//! `p_2 = 1 - (1 - e^-g) / g`, `p_3 = p_2 / g - 1/2`, `r_0 = h_1 / h`, `r_1 = h_2 / h`, the differences `a = (D - D_1) / r_0` and
//! `b = (D_1 - D_2) / r_1`, `d_1 = a + (a - b) r_0 / (r_0 + r_1)`, `d_2 = (a - b) / (r_0 + r_1)`:
//! `y_s = e^-g y + (1 - e^-g) D + p_2 d_1 - p_3 d_2 + l_s sqrt(1 - e^(-2 eta h)) s_noise w`; with one look before, `p_2 a` alone.
//!
//! The quadratic through the three looks has the second-order term `d_2 (u / h)^2`, whose exact weight is `-2 p_3`; k-diffusion (and
//! Lu et al.'s multistep formula) has `-p_3`, as here. That, and the first step of first order, leave order 2 at `eta = 0` and weak
//! order 2 with noise, as measured. `formula=diffusers` is their sde-dpmsolver++ of order 3: the weight of `d_2` is `-p_2 / g - 1/2`, which
//! does not vanish with the step (order 1), with one look before `a` has the weight of the midpoint, `(1 - e^-g) / 2`; with
//! `lower_order_final` the last two legs are of orders 2 and 1. One evaluation a step.

use super::exponential::lambda;
use super::key::choice;
use super::{Key, Method, Order, Past, ReverseNoise, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

choice! {
    /// Whose formula.
    Formula {
        KDiffusion = "k-diffusion": "The sign that makes the second-order term vanish with the step.",
        Diffusers = "diffusers": "As their scheduler computes it.",
    }
}

/// The third-order multistep solver on the reverse SDE.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DpmPp3MSde {
    /// The noise.
    pub noise: ReverseNoise,
    /// Whose formula.
    pub formula: Formula,
    /// Whether the last leg is of first order and the one before it of second.
    pub lower_order_final: bool,
}

impl Solver for DpmPp3MSde {
    fn name(&self) -> &'static str {
        "dpmpp-3m-sde"
    }

    fn order(&self) -> Order {
        self.noise.order(if self.formula == Formula::Diffusers { 1 } else { 2 })
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let x0 = d.denoise(x, leg.t);
        // Looks that may be used: two, and at the end fewer.
        let left = if self.lower_order_final { leg.count - leg.index - 1 } else { 2 };
        let before = [0, 1].map(|k| past.back(k).filter(|_| k < left).cloned());
        past.push(leg.t, x, x0.clone());
        if at_s.sigma == 0.0 {
            return x0 * at_s.alpha;
        }
        let lambda = |t: f64| lambda(d.process(), t);
        let h = lambda(leg.s) - lambda(leg.t);
        let g = self.noise.rate(h);
        let p_2 = 1.0 + (-g).exp_m1() / g;
        let whole = -(-g).exp_m1();
        let (first, second) = match self.formula {
            Formula::KDiffusion => (p_2, 0.5 - p_2 / g),
            Formula::Diffusers => (0.5 * whole, -0.5 - p_2 / g),
        };

        let mut data = x0.clone() * whole;
        if let [Some(one), two] = before {
            let r_0 = (lambda(leg.t) - lambda(one.t)) / h;
            let a = (x0 - one.clean.clone()) / r_0;
            data = data
                + match two {
                    None => a * first,
                    Some(two) => {
                        let r_1 = (lambda(one.t) - lambda(two.t)) / h;
                        let b = (one.clean - two.clean) / r_1;
                        let bend = (a.clone() - b) / (r_0 + r_1);
                        a * p_2 + bend * (p_2 * r_0 + second)
                    }
                };
        }
        let ahead = x.clone() * ((-g).exp() * at_s.alpha / at_t.alpha) + data * at_s.alpha;
        self.noise.add(ahead, at_s.sigma * self.noise.deviation(h), leg, noise)
    }
}

impl Method for DpmPp3MSde {
    fn about(&self) -> &'static str {
        "SDE-DPM-Solver++(3M), three-step on the reverse SDE (k-diffusion)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        let mut keys = self.noise.keys();
        keys.extend([
            Key::choice("formula", "whose formula of the third order", &mut self.formula),
            Key::switch("lower_order_final", "second and first order on the last two legs", &mut self.lower_order_final),
        ]);
        keys
    }
}
