//! DPM-Solver++ of second order on the reverse SDE, one step.
//!
//! k-diffusion's `dpmpp_sde` (Lu et al. 2022b, SDE-DPM-Solver++; at `eta = 1` also the singlestep sde-dpmsolver++ of diffusers), for any
//! process. In `y = x / alpha`, with the split `(down, up)` of [`Ancestral`](super::Ancestral): an ancestral Euler step to the
//! level `m = l (l_s / l)^r`, a look `D_m` there, and `y_s = (down / l) y_t + (1 - down / l) ((1 - f) D + f D_m) + up s_noise w` with
//! `f = 1 / (2 r)`.
//!
//! The noise `w` of the step and `w_m` of the look must belong to one path: `coupled` makes
//! `w = c w_m + sqrt(1 - c^2) w'` with `c` their correlation on the path of the reverse SDE (`eta = 1`),
//! `c = (l_s / m) sqrt((1 - m^2 / l^2) / (1 - l_s^2 / l^2))`, and the method is of weak order 2. Uncoupled, two draws are asked for, over `(t, m)` and over `(t, s)`, as k-diffusion does: independent unless the source
//! knows its path, and then of weak order 1. At `eta = 0` it is DPM-Solver++(2S), order 2. Two evaluations a step.

use super::ancestral::{Ancestral, towards};
use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Noise};

/// `y_s = (down / l) y_t + (1 - down / l) ((1 - f) D + f D_m) + up s_noise w`.
#[derive(Clone, Debug, PartialEq)]
pub struct DpmPpSde {
    /// The noise.
    pub ancestral: Ancestral,
    /// Where in the step, in log-SNR, the second look is.
    pub r: f64,
    /// Whether the noises of look and step belong to one path.
    pub coupled: bool,
}

impl Default for DpmPpSde {
    fn default() -> Self {
        Self { ancestral: Ancestral::default(), r: 0.5, coupled: true }
    }
}

impl Solver for DpmPpSde {
    fn name(&self) -> &'static str {
        "dpmpp-sde"
    }

    fn order(&self) -> Order {
        let path_matches = self.ancestral.eta == 0.0 || self.coupled;
        self.ancestral.order(if path_matches { 2 } else { 1 })
    }

    fn evaluations_per_step(&self) -> usize {
        2
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let (l, l_s) = (at_t.ratio(), at_s.ratio());
        let x0 = d.denoise(x, leg.t);
        past.push(leg.t, x, x0.clone());
        if l_s == 0.0 {
            return x0 * at_s.alpha;
        }

        // The look, with its noise.
        let middle = d.process().time_of_ratio(l * (l_s / l).powf(self.r));
        let at_m = d.process().at(middle);
        let m = at_m.ratio();
        let (down, up) = self.ancestral.split(l, m);
        let mut look = towards(x, &x0, &at_t, down, at_m.alpha);
        let w_m = (up > 0.0).then(|| noise.between(x, leg.t, middle));
        if let Some(w) = &w_m {
            look = look + w.clone() * (at_m.alpha * up * self.ancestral.s_noise);
        }
        let clean = d.denoise(&look, middle);

        // The step.
        let f = 0.5 / self.r;
        let (down, up) = self.ancestral.split(l, l_s);
        let ahead = towards(x, &(x0 * (1.0 - f) + clean * f), &at_t, down, at_s.alpha);
        let Some(w_m) = w_m else { return ahead };
        let w = if self.coupled {
            let share = ((l - m) * (l + m) / ((l - l_s) * (l + l_s))).sqrt();
            let c = (l_s / m * share).min(1.0);
            w_m * c + noise.between(x, middle, leg.s) * (1.0 - c * c).sqrt()
        } else {
            noise.between(x, leg.t, leg.s)
        };
        ahead + w * (at_s.alpha * up * self.ancestral.s_noise)
    }
}

impl Method for DpmPpSde {
    fn about(&self) -> &'static str {
        "DPM-Solver++ of second order on the reverse SDE, singlestep (Lu et al. 2022b; k-diffusion)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        let mut keys = self.ancestral.keys();
        keys.push(Key::number("r", "place of the second look in the step, in log-SNR", &mut self.r, 0.05..=1.0));
        keys.push(Key::switch("coupled", "one path for the noises of look and step", &mut self.coupled));
        keys
    }
}
