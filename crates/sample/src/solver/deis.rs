//! DEIS: Adams-Bashforth steps in the noise prediction with exact linear part.
//!
//! Zhang and Chen 2023 ("Fast sampling of diffusion models with exponential integrator"), eq. 14 and 15, after the change of
//! variables `rho = sigma / alpha`: `x_s / alpha_s = x_t / alpha_t + sum_j c_j eps_j`, `c_j = int L_j drho` from `rho_t` to `rho_s`, with the Lagrange basis `L_j` at
//! the last `k` times. `basis=log-rho`: polynomials in `ln rho = -lambda`, integrated in closed form; that is the multistep integrator of
//! `exponential.rs` on noise. `basis=time`: polynomials in the process's time (the paper's tAB), by Gauss-Legendre quadrature along lambda.
//!
//! Order `k` (tAB0, tAB1, tAB2 of the paper are orders 1, 2, 3); one evaluation a step, and one more in the first of a third-order run unless
//! `start=low`, which makes it second order (see [`DpmMultistep`](super::DpmMultistep)). A leg to `sigma = 0` is `alpha_s D`.

use super::dpm_solver::second_order;
use super::exponential::{Leap, Predicts, Second, Start, weights};
use super::key::choice;
use super::{Key, Method, Order, Past, Seen, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

choice! {
    /// In what the noise prediction is taken to be a polynomial.
    Basis {
        LogRho = "log-rho": "In `ln(sigma / alpha)`.",
        Time = "time": "In the process's time.",
    }
}

/// Exponential Adams-Bashforth of order 1, 2 or 3 on the noise prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Deis {
    /// Order, 1 to 3.
    pub order: usize,
    /// The polynomials' variable.
    pub basis: Basis,
    /// How a run of third order begins.
    pub start: Start,
    /// Order 2 on the last leg but one and order 1 on the last.
    pub lower_order_final: bool,
}

impl Default for Deis {
    fn default() -> Self {
        Self { order: 3, basis: Basis::LogRho, start: Start::Full, lower_order_final: false }
    }
}

/// Places and weights of the eight-point rule of Gauss and Legendre on [-1, 1], the positive half (Abramowitz and Stegun, table 25.4).
const GAUSS: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];

/// `alpha_s int L_j drho` for polynomials in time, with `drho = -e^-lambda dlambda`.
fn time_weights(leap: &Leap<'_>, leg: Leg, looks: &[&Seen]) -> Vec<f64> {
    let places: Vec<f64> = looks.iter().map(|look| (look.t - leg.t) / (leg.s - leg.t)).collect();
    let mut moments = vec![0.0; places.len()];
    for (place, weight) in GAUSS.iter().flat_map(|(v, w)| [(-v, *w), (*v, *w)]) {
        let r = 0.5 * (1.0 + place);
        let u = (leap.time(r) - leg.t) / (leg.s - leg.t);
        // alpha_s e^-lambda at the place: sigma_s e^(lambda_s - lambda).
        let density = -0.5 * weight * leap.h * leap.scale * ((1.0 - r) * leap.h).exp();
        moments.iter_mut().enumerate().for_each(|(k, m)| *m += density * u.powi(k as i32));
    }
    weights(&places, &moments)
}

impl Solver for Deis {
    fn name(&self) -> &'static str {
        "deis"
    }

    fn order(&self) -> Order {
        let lowered = self.start == Start::Low || self.lower_order_final;
        Order::Deterministic(if lowered { self.order.min(2) } else { self.order } as u32)
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise) -> Batch {
        let at_s = d.process().at(leg.s);
        let first = Seen { t: leg.t, x: x.clone(), clean: d.denoise(x, leg.t) };
        let known = past.looks();
        past.push(leg.t, x, first.clean.clone());
        if at_s.sigma == 0.0 {
            return first.clean * at_s.alpha;
        }
        let leap = Leap::new(d.process(), leg.t, leg.s, Predicts::Noise);
        let allowed = if self.lower_order_final { self.order.min(leg.count - leg.index) } else { self.order };
        if known == 0 && allowed == 3 && self.start == Start::Full {
            return second_order(d, &first, &leap, 0.5, Predicts::Noise, Second::Heun);
        }
        let looks: Vec<&Seen> = (0..allowed.min(known + 1)).filter_map(|k| past.back(k)).collect();
        match self.basis {
            Basis::LogRho => leap.step(x, &leap.moments(looks.len()), looks),
            Basis::Time => leap.add(x, &time_weights(&leap, leg, &looks), &looks),
        }
    }
}

impl Method for Deis {
    fn about(&self) -> &'static str {
        "DEIS, exponential Adams-Bashforth on the noise prediction (Zhang and Chen 2023)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::count("order", "of the method", &mut self.order, 1..=3),
            Key::choice("basis", "the polynomials' variable", &mut self.basis),
            Key::choice("start", "the beginning of a run of third order", &mut self.start),
            Key::switch("lower_order_final", "orders 2 and 1 on the last two legs", &mut self.lower_order_final),
        ]
    }
}
