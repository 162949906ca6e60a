//! Predictor-corrector sampling.
//!
//! Song et al. 2021, algorithms 2 to 5: at every time Langevin steps on the score (the corrector), then a step of the reverse SDE
//! (the [`Predictor`]). A Langevin step is `x + e score + sqrt(2 e) w` with
//! `e = 2 (alpha_t / alpha_s)^2 (snr |w| / |score|)^2`; the factor is their `1 - beta` for variance-preserving processes and 1 for
//! exploding ones, and so is defined for every process, sub-VP included.
//!
//! They average both norms over the batch (`norm=batch`), which couples the samples. Here a sample must not depend on its
//! neighbours, so by default the ratio is the one expected of pure noise, `sigma_t` (`norm=expected`; with it the corrector is their
//! annealed Langevin dynamics, Song and Ermon 2019). A ratio for each row (`norm=row`) agrees with that in many dimensions, but
//! makes the step depend on the state: on Gaussian data the samples' spread comes out 24 % too large in 2 dimensions and 4 %
//! in 64, against 2 % and 4 % for `expected` (60 steps); a row's score can be next to nothing, so its ratio is cut at
//! `2 sigma_t`.
//!
//! For sub-VP `sigma_t` is its own `1 - alpha^2`, not the `sqrt(1 - alpha^2)` of VP: a corrector that takes the one for the other
//! samples a law that is too wide (there is a test).
//!
//! Langevin steps of fixed `snr` leave a bias that does not vanish with the grid: no order. Without them (`n_steps=0`) it is the
//! predictor: weak order 1 (`diffusion-flow`: order 1). `predictor=none` leaves the corrector alone. `1 + n_steps` evaluations a step.

use super::key::choice;
use super::{Key, Method, Order, Past, Predictor, Solver, Variance};
use scorefield_process::{Denoiser, DenoiserExt, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Coefficient, Column, Known, Noise, rows_f64};

choice! {
    /// Over what the norms of a Langevin step are taken.
    Norm {
        Expected = "expected": "Neither: the ratio of the norms is the one expected of pure noise, `sigma_t`.",
        Row = "row": "Each sample by itself.",
        Batch = "batch": "Averaged over the batch, as Song et al. do: samples then depend on each other.",
    }
}

/// The largest ratio of norms of a row, in units of `sigma_t`.
const CUT: f64 = 2.0;

/// The Langevin steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Corrector {
    /// Target ratio of the score's part to the noise's part of a step.
    pub snr: f64,
    /// Steps at each time.
    pub n_steps: usize,
    /// Over what the norms are taken.
    pub norm: Norm,
}

impl Default for Corrector {
    fn default() -> Self {
        Self { snr: 0.16, n_steps: 1, norm: Norm::default() }
    }
}

impl Corrector {
    /// One step from `x` with its score and fresh noise `w` at noise `sigma`; `decay = alpha_t / alpha_s`.
    fn correct(&self, x: Batch, score: Batch, w: Batch, sigma: f64, decay: f64) -> Batch {
        let ratio = match self.norm {
            // `min` takes the cut also for 0/0.
            Norm::Row => norms(&w).into_iter().zip(norms(&score)).map(|(w, s)| (w / s).min(CUT * sigma)).collect(),
            Norm::Expected => vec![sigma; x.dims()[0]],
            Norm::Batch => vec![norms(&w).iter().sum::<f64>() / norms(&score).iter().sum::<f64>(); x.dims()[0]],
        };
        let step = Column(ratio).map(|r| 2.0 * (decay * self.snr * r).powi(2));
        x + step.scale(score) + (step * 2.0).sqrt().scale(w)
    }
}

/// The Euclidean norm of every row, summed in double precision in the row's order, so that it depends on the row alone.
fn norms(x: &Batch) -> Vec<f64> {
    let d = x.dims()[1].max(1);
    rows_f64(x.clone()).chunks(d).map(|row| row.iter().map(|v| v * v).sum::<f64>().sqrt()).collect()
}

/// Langevin steps at `t`, then a step of the reverse SDE to `s`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PredictorCorrector {
    /// The step to the next time.
    pub predictor: Predictor,
    /// The variance of that step if it is ancestral: Song et al. take the small one for VE, the large one for VP.
    pub variance: Variance,
    /// The steps before it.
    pub corrector: Corrector,
}

impl Solver for PredictorCorrector {
    fn name(&self) -> &'static str {
        "pc"
    }

    fn order(&self) -> Order {
        match self.predictor {
            Predictor::None => Order::None,
            _ if self.corrector.n_steps > 0 => Order::None,
            Predictor::DiffusionFlow => Order::Deterministic(1),
            _ => Order::Weak(1),
        }
    }

    fn evaluations_per_step(&self) -> usize {
        1 + self.corrector.n_steps
    }

    fn needs_variance(&self) -> bool {
        self.predictor == Predictor::Ancestral && self.variance == Variance::Learned
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        let mut x = x.clone();
        for _ in 0..self.corrector.n_steps {
            let score = d.score(&x, leg.t);
            let w = noise.normal(&x);
            x = self.corrector.correct(x, score, w, at_t.sigma, at_t.alpha / at_s.alpha);
        }

        let variance = if self.predictor == Predictor::Ancestral { self.variance } else { Variance::Small };
        let (x0, learned) = variance.denoise(d, &x, leg.t);
        let (mean, deviation) = self.predictor.law(&x, &x0, leg, &at_t, &at_s);
        past.push(leg.t, &x, x0);
        if matches!(self.predictor, Predictor::None | Predictor::DiffusionFlow) {
            return mean;
        }
        mean + variance.noise(noise.between(&x, leg.t, leg.s), learned, deviation, &at_t, &at_s, false)
    }
}

impl Method for PredictorCorrector {
    fn about(&self) -> &'static str {
        "predictor-corrector: Langevin steps, then a step of the reverse SDE (Song et al. 2021)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        let Corrector { snr, n_steps, norm } = &mut self.corrector;
        vec![
            Key::choice("predictor", "the step of the reverse SDE", &mut self.predictor),
            Key::choice("variance", "of an ancestral step", &mut self.variance),
            Key::number("snr", "signal-to-noise ratio of a Langevin step", snr, 0.0..=10.0),
            Key::count("n_steps", "Langevin steps at each time", n_steps, 0..=100),
            Key::choice("norm", "norms of a Langevin step: the expected, each row's, or the batch's mean", norm),
        ]
    }
}
