//! Denoising diffusion restoration: steps in the basis of the singular vectors of the measurement.

use super::{Rule, Step};
use crate::measurement::{Measurement, like, rows_of};
use rayon::prelude::*;
use scorefield_process::{Differentiable, Process, ProcessExt};
use scorefield_sample::Past;
use scorefield_tensor::{Batch, Noise};

/// Kawar et al. 2022, eq. 8 and 12: with `x/alpha = V x^`, `y = U s V^T x_0 + n`, `y^_i = (U^T y)_i / s_i` and `r` the noise level,
///
/// * `s_i = 0`: `x^_s ~ N(D^ + sqrt(1 - eta^2) r_s (x^_t - D^) / r_t, eta^2 r_s^2)`;
/// * `r_s < sigma_y / s_i`: `x^_s ~ N(D^ + sqrt(1 - eta^2) r_s (y^ - D^) s_i / sigma_y, eta^2 r_s^2)`;
/// * otherwise `x^_s ~ N((1 - eta_b) D^ + eta_b y^, r_s^2 - eta_b^2 sigma_y^2 / s_i^2)`.
///
/// It brings its own step; the solver is not asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Ddrm {
    /// Share of fresh noise in what was not measured.
    pub eta: f64,
    /// Share of the measurement where its noise is below that of the time.
    pub eta_b: f64,
}

impl Default for Ddrm {
    /// The paper's.
    fn default() -> Self {
        Self { eta: 0.85, eta_b: 1.0 }
    }
}

impl Rule for Ddrm {
    fn name(&self) -> &'static str {
        "ddrm"
    }

    fn refuses(&self, measured: &Measurement) -> Option<&'static str> {
        if ![self.eta, self.eta_b].iter().all(|v| (0.0..=1.0).contains(v)) {
            return Some("takes eta and eta_b from 0 to 1");
        }
        let none = measured.operator().singular().is_none();
        none.then_some("needs singular values, which this measurement does not have at a fair price; take pigdm, diffpir or mmps")
    }

    /// The denoiser's own answer, and the measurement where that is exact.
    fn denoise(&self, d: &dyn Differentiable, measured: &Measurement, x: &Batch, t: f64) -> Batch {
        let clean = d.denoise(x, t);
        if measured.sigma() > 0.0 {
            return clean;
        }
        let rows = rows_of(&clean);
        let moved = self.spectral(measured, [&rows, &rows, &rows], [1.0, 0.0]);
        like(moved, &clean)
    }

    /// The measured directions about the measurement (eq. 7): `x^_T ~ N(y^, r_T^2 - sigma_y^2 / s^2)`, the others `N(0, r_T^2)`.
    fn start(&self, process: &dyn Process, measured: &Measurement, x: Batch, t: f64) -> Batch {
        let at = process.at(t);
        let z = rows_of(&(x.clone() / at.sigma));
        let zero = vec![0.0; z.len()];
        let whole = Self { eta: 1.0, eta_b: 1.0 };
        like(whole.spectral(measured, [&zero, &zero, &z], [at.ratio(), at.ratio()]), &x) * at.alpha
    }

    fn step(&self, step: &Step<'_>, x: &Batch, _: &mut Past, noise: &mut dyn Noise) -> Batch {
        let process = step.model.process();
        let (at_t, at_s) = (process.at(step.leg.t), process.at(step.leg.s));
        let clean = rows_of(&step.model.denoise(x, step.leg.t));
        let state = rows_of(&(x.clone() / at_t.alpha));
        let z = rows_of(&noise.normal(x));
        let moved = self.spectral(step.measured, [&clean, &state, &z], [at_t.ratio(), at_s.ratio()]);
        like(moved, x) * at_s.alpha
    }
}

impl Ddrm {
    /// The step from noise level `r_t` to `r_s` on `x / alpha`.
    fn spectral(&self, measured: &Measurement, [clean, state, z]: [&[f64]; 3], [r_t, r_s]: [f64; 2]) -> Vec<f64> {
        let operator = measured.operator();
        let (d, m, sigma) = (operator.inputs(), operator.outputs(), measured.sigma());
        let mut out = vec![0.0; clean.len()];
        out.par_chunks_mut(d).enumerate().for_each(|(i, out)| {
            let singular = operator.singular().expect("a rule is not asked for what it refuses");
            let values = singular.values();
            let of = |rows: &[f64]| {
                let mut to = vec![0.0; d];
                singular.to_right(&rows[i * d..(i + 1) * d], &mut to);
                to
            };
            // Noise is the same in every orthonormal basis.
            let (clean, state, z) = (of(clean), of(state), &z[i * d..(i + 1) * d]);
            let mut y = vec![0.0; m];
            singular.to_left(measured.row(i), &mut y);
            let kept = (1.0 - self.eta * self.eta).max(0.0).sqrt();
            let moved: Vec<f64> = (0..d)
                .map(|k| {
                    let s = values.get(k).copied().unwrap_or(0.0);
                    if s == 0.0 {
                        return clean[k] + kept * r_s / r_t * (state[k] - clean[k]) + self.eta * r_s * z[k];
                    }
                    let (seen, level) = (y[k] / s, sigma / s);
                    if r_s < level {
                        return clean[k] + kept * r_s / level * (seen - clean[k]) + self.eta * r_s * z[k];
                    }
                    let spread = (r_s * r_s - (self.eta_b * level).powi(2)).max(0.0).sqrt();
                    (1.0 - self.eta_b) * clean[k] + self.eta_b * seen + spread * z[k]
                })
                .collect();
            singular.from_right(&moved, out);
        });
        out
    }
}
