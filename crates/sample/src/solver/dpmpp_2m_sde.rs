//! SDE-DPM-Solver++(2M) and SDE-DPM-Solver-2M: two-step exponential integrators on the reverse SDE.
//!
//! Lu et al. 2022b, section 5 and appendix; k-diffusion's `dpmpp_2m_sde`, diffusers' sde-dpmsolver++ and sde-dpmsolver. On the
//! reverse SDE of [`ReverseNoise`] with `h = lambda_s - lambda_t`, `g = (1 + eta) h`, `r = h_prev / h` and the difference
//! `D1 = (D - D_prev) / r`:
//! `y_s = e^-g y + (1 - e^-g) D + b D1 + l_s sqrt(1 - e^(-2 eta h)) s_noise w`, `b = (1 - e^-g) / 2` (midpoint) or
//! `1 - (1 - e^-g) / g` (heun). On the noise prediction `eps` instead:
//! `y_s = y - (1 + eta) l_s ((e^h - 1) eps + b E1) + sqrt(eta (l^2 - l_s^2)) w`, `b = (e^h - 1) / 2` or `(e^h - 1) / h - 1`.
//!
//! At `eta = 0` order 2 (midpoint on data is DPM-Solver++(2M)). With noise weak order 2, strong order 1: the difference to the look
//! before holds the noise of the step before, whose covariance with the state makes up for that of the noise within the step.
//! One evaluation a step; the first step and one that ends where `sigma = 0` are of first order.

use super::exponential::{Predicts, Second, lambda};
use super::{Key, Method, Order, Past, ReverseNoise, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// The second-order multistep solver on the reverse SDE.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DpmPp2MSde {
    /// The noise.
    pub noise: ReverseNoise,
    /// How the difference enters.
    pub solver: Second,
    /// What is extrapolated.
    pub on: Predicts,
    /// Whether the last leg is of first order.
    pub lower_order_final: bool,
}

impl Solver for DpmPp2MSde {
    fn name(&self) -> &'static str {
        "dpmpp-2m-sde"
    }

    fn order(&self) -> Order {
        self.noise.order(2)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let x0 = d.denoise(x, leg.t);
        let previous = past.back(0).cloned();
        past.push(leg.t, x, x0.clone());
        if at_s.sigma == 0.0 {
            return x0 * at_s.alpha;
        }
        let lambda = |t: f64| lambda(d.process(), t);
        let h = lambda(leg.s) - lambda(leg.t);
        let g = self.noise.rate(h);
        let previous = previous.filter(|_| !self.lower_order_final || leg.index + 1 < leg.count);
        let over_r = previous.as_ref().map(|p| h / (lambda(leg.t) - lambda(p.t)));

        let (ahead, deviation) = match self.on {
            Predicts::Data => {
                let whole = -(-g).exp_m1();
                let b = match self.solver {
                    Second::Midpoint => 0.5 * whole,
                    Second::Heun => 1.0 - whole / g,
                };
                let mut data = x0.clone() * whole;
                if let (Some(p), Some(over_r)) = (&previous, over_r) {
                    data = data + (x0 - p.clean.clone()) * (b * over_r);
                }
                let decay = (-g).exp() * at_s.alpha / at_t.alpha;
                (x.clone() * decay + data * at_s.alpha, at_s.sigma * self.noise.deviation(h))
            }
            Predicts::Noise => {
                let whole = h.exp_m1();
                let b = match self.solver {
                    Second::Midpoint => 0.5 * whole,
                    Second::Heun => whole / h - 1.0,
                };
                let eps = at_t.noise(x, &x0);
                let mut push = eps.clone() * whole;
                if let (Some(p), Some(over_r)) = (&previous, over_r) {
                    push = push + (eps - d.process().at(p.t).noise(&p.x, &p.clean)) * (b * over_r);
                }
                let ahead = x.clone() * (at_s.alpha / at_t.alpha) - push * (at_s.sigma * (1.0 + self.noise.eta));
                (ahead, at_s.sigma * (self.noise.eta * (2.0 * h).exp_m1()).sqrt())
            }
        };
        self.noise.add(ahead, deviation, leg, noise)
    }
}

impl Method for DpmPp2MSde {
    fn about(&self) -> &'static str {
        "SDE-DPM-Solver++(2M), two-step on the reverse SDE (Lu et al. 2022b)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        let mut keys = self.noise.keys();
        keys.extend([
            Key::choice("solver", "how the difference to the look before enters", &mut self.solver),
            Key::choice("on", "what is extrapolated", &mut self.on),
            Key::switch("lower_order_final", "first order on the last leg", &mut self.lower_order_final),
        ]);
        keys
    }
}
