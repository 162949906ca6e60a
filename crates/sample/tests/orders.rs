//! The measurement of orders has teeth: mistakes planted into solvers are found by the very functions that `check` measures with.

use scorefield_process::oracle::Gaussian;
use scorefield_process::{Denoiser, DenoiserExt, GridKind, Leg, Process, ProcessExt};
use scorefield_sample::check::order::{Paths, of_law};
use scorefield_sample::check::{middle, processes};
use scorefield_sample::solver::EulerMaruyama;
use scorefield_sample::{Finish, Order, Past, Solver, Trajectory};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Device, Noise, Purpose, batch_f64, rows_f64};
use scorefield_testkit::{Bank, Fit, fit_order};

const MEAN: [f64; 3] = [0.4, -0.9, 0.1];
const VARIANCE: [f64; 3] = [0.3, 1.7, 0.05];

type Law = Gaussian<Box<dyn Process>>;

fn laws() -> impl Iterator<Item = (&'static str, Law, Paths<Box<dyn Process>>)> {
    processes().into_iter().map(|config| {
        let process = || config.build().expect("usual constants");
        (config.name(), Gaussian::new(process(), MEAN.to_vec(), VARIANCE.to_vec()), Paths::new(process()))
    })
}

fn agrees(fit: &Fit, claimed: u32) -> bool {
    (fit.order - f64::from(claimed)).abs() < 0.15 && fit.residual < 0.1
}

/// Euler-Maruyama follows the reverse SDE's own paths to order 1 (its noise is additive): the mean distance at the end between
/// coarse paths and one of 4096 steps driven by the same Brownian increments.
#[test]
fn euler_maruyama_is_of_strong_order_one() {
    const FINE: usize = 4096;
    let rows = 100;
    for (name, d, _) in laws() {
        let span = middle(d.process());
        let grid = |steps: usize| GridKind::Uniform.between(d.process(), span, steps + 1).expect("a grid");
        let normals: Vec<Vec<f64>> = (0..FINE as u32)
            .map(|k| {
                let mut w = vec![0.0; rows * 3];
                Stream::new(1, 0, Purpose::User, k, 0).fill_normal(&mut w);
                w
            })
            .collect();
        let start: Vec<f64> = (0..rows * 3)
            .map(|i| d.marginal(i % 3, span.end).0 + (i as f64 / 100.0).sin() * d.marginal(i % 3, span.end).1.sqrt())
            .collect();
        // The increment over a coarse step is the sum of the fine ones; normals are increments over the root of the step.
        let end = |steps: usize| {
            let sum = |chunk: &[Vec<f64>]| -> Vec<f64> {
                (0..rows * 3).map(|i| chunk.iter().map(|w| w[i]).sum::<f64>() / (chunk.len() as f64).sqrt()).collect()
            };
            let mut bank = Bank::new(normals.chunks(FINE / steps).map(sum).collect());
            let solver = EulerMaruyama::default();
            let run = Trajectory::new(&d, &solver, &grid(steps), &mut bank, batch_f64(start.clone(), rows, &Device::default()));
            rows_f64(run.finish(Finish::Leave).run())
        };
        let reference = end(FINE);
        let fit = fit_order(&[64, 128, 256], |steps| {
            end(steps).iter().zip(&reference).map(|(a, b)| (a - b).abs()).sum::<f64>() / (rows * 3) as f64
        });
        assert!(agrees(&fit, 1), "{name}: {fit:?}");
    }
}

/// A solver made by a closure, to plant mistakes in.
struct Planted<F>(Order, F);

impl<F> std::fmt::Debug for Planted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("planted")
    }
}

impl<F: Fn(&dyn Denoiser, &Batch, Leg, &mut Past, &mut dyn Noise) -> Batch + Send + Sync> Solver for Planted<F> {
    fn name(&self) -> &'static str {
        "planted"
    }
    fn order(&self) -> Order {
        self.0
    }
    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        (self.1)(d, x, leg, past, noise)
    }
}

/// The check has teeth: with the factor as it should be each of these passes, with a factor of two planted none does.
#[test]
fn a_planted_factor_of_two_is_rejected() {
    for (name, d, paths) in laws() {
        // Euler with twice the noise term of the velocity.
        let euler = |factor: f64| {
            Planted(Order::Deterministic(1), move |d: &dyn Denoiser, x: &Batch, leg: Leg, _: &mut Past, _: &mut dyn Noise| {
                let m = d.process().at(leg.t);
                let x0 = d.denoise(x, leg.t);
                let v = x0.clone() * m.d_alpha + m.noise(x, &x0) * (factor * m.d_sigma);
                x.clone() + v * (leg.s - leg.t)
            })
        };
        // Heun with the second slope weighted by 1 instead of 1/2 of a sum that stays 1: still consistent, of order 1.
        let heun = |factor: f64| {
            Planted(Order::Deterministic(2), move |d: &dyn Denoiser, x: &Batch, leg: Leg, _: &mut Past, _: &mut dyn Noise| {
                let h = leg.s - leg.t;
                let a = d.velocity(x, leg.t);
                let b = d.velocity(&(x.clone() + a.clone() * h), leg.s);
                x.clone() + (a * (1.0 - 0.5 * factor) + b * (0.5 * factor)) * h
            })
        };
        // DPM-Solver++(2M) that extrapolates by 1/r instead of 1/(2r): still consistent, of order 1.
        let two_m = |factor: f64| {
            Planted(Order::Deterministic(2), move |d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise| {
                let (m_t, m_s) = (d.process().at(leg.t), d.process().at(leg.s));
                let half = |t: f64| 0.5 * d.process().at(t).log_snr();
                let h = half(leg.s) - half(leg.t);
                let x0 = d.denoise(x, leg.t);
                let ahead = match past.back(0) {
                    Some(p) => x0.clone() + (x0.clone() - p.clean.clone()) * (0.5 * factor * h / (half(leg.t) - half(p.t))),
                    None => x0.clone(),
                };
                past.push(leg.t, x, x0);
                x.clone() * (m_s.sigma / m_t.sigma) - ahead * (m_s.alpha * (-h).exp_m1())
            })
        };
        // Euler-Maruyama with twice the score's share of the drift.
        let maruyama = |factor: f64| {
            Planted(Order::Weak(1), move |d: &dyn Denoiser, x: &Batch, leg: Leg, _: &mut Past, noise: &mut dyn Noise| {
                let m = d.process().at(leg.t);
                let (h, g2) = (leg.t - leg.s, m.diffusion_squared());
                let drift = d.score(x, leg.t) * (factor * g2) - x.clone() * m.drift();
                x.clone() + drift * h + noise.normal(x) * (g2 * h).sqrt()
            })
        };
        for factor in [1.0, 2.0] {
            let right = factor == 1.0;
            assert_eq!(paths.order(&euler(factor)).confirms(1.0), right, "{name}, Euler, factor {factor}");
            assert_eq!(paths.order(&heun(factor)).confirms(2.0), right, "{name}, Heun, factor {factor}");
            assert_eq!(paths.order(&two_m(factor)).confirms(2.0), right, "{name}, 2M, factor {factor}");
            assert_eq!(of_law(&d, 3, &maruyama(factor)).confirms(1.0), right, "{name}, Euler-Maruyama, factor {factor}");
        }
    }
}
