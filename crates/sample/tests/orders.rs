//! Measured order equals claimed order, for every solver and process, on Gaussian data in double precision.

use scorefield_process::oracle::{Gaussian, Mixture};
use scorefield_process::{Denoiser, DenoiserExt, GridKind, Leg, Process, ProcessConfig, ProcessExt};
use scorefield_sample::check::{kinds, law_error, middle};
use scorefield_sample::solver::EulerMaruyama;
use scorefield_sample::{Finish, Order, Past, Solver, SolverKind, Trajectory};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Device, Noise, Purpose, batch_f64, rows_f64};
use scorefield_testkit::{Bank, Fit, fit_order};

const MEAN: [f64; 3] = [0.4, -0.9, 0.1];
const VARIANCE: [f64; 3] = [0.3, 1.7, 0.05];
const STEPS: [usize; 4] = [128, 256, 512, 1024];

type Law = Gaussian<Box<dyn Process>>;

fn laws() -> impl Iterator<Item = (&'static str, Law, Paths)> {
    // Orders suppose derivatives: a table of rates is left to the tests of laws.
    let smooth = |config: &ProcessConfig| config.build().expect("usual constants").smooth();
    ProcessConfig::all()
        .into_iter()
        .filter(smooth)
        .map(|config| (config.name(), config.build().expect("usual constants"), Paths::new(&config)))
        .map(|(name, process, paths)| (name, Gaussian::new(process, MEAN.to_vec(), VARIANCE.to_vec()), paths))
}

/// A mixture under a process, and where the flow carries a few states across the middle of the span.
///
/// Gaussian data would have closed forms, but their flow is so smooth that errors of leading order cancel: the midpoint rule in the
/// noise level shows order 3 there, methods of order 5 reach rounding before they show any.
struct Paths {
    law: Mixture<Box<dyn Process>>,
    ends: Vec<f64>,
}

impl Paths {
    fn new(config: &ProcessConfig) -> Self {
        let means = [vec![1.0, 0.5], vec![-1.2, 0.8], vec![0.2, -1.4]];
        let process = config.build().expect("usual constants");
        let law = Mixture::isotropic(process, &[0.5, 0.3, 0.2], &means, &[0.3, 0.5, 0.2]);
        let mut paths = Self { law, ends: Vec::new() };
        // Of order 5 in steps a twentieth of the finest that is compared with it.
        let reference: SolverKind = "dormand-prince:steps=fixed,clock=ratio".parse().expect("a solver");
        paths.ends = paths.run(reference.build().as_ref(), 3000);
        paths
    }

    fn run(&self, solver: &dyn Solver, steps: usize) -> Vec<f64> {
        let start = [1.3, -0.4, 2.1, -0.7, 0.2, 0.9, -1.0, 0.4];
        let process = self.law.process();
        let grid = GridKind::LogSnr.between(process, middle(process), steps + 1).expect("a grid");
        let m = process.at(grid.times()[0]);
        let x = start.iter().map(|z| z * (m.alpha * m.alpha + m.sigma * m.sigma).sqrt()).collect();
        let mut nothing = Bank::empty();
        let run = Trajectory::new(&self.law, solver, &grid, &mut nothing, batch_f64(x, 4, &Device::default()));
        rows_f64(run.finish(Finish::Leave).run())
    }

    /// The order of the end points. From order 4 on coarser steps are taken: finer ones would show rounding.
    fn order(&self, solver: &dyn Solver) -> Fit {
        let steps: &[usize] = match solver.order().number() {
            Some(k) if k >= 5.0 => &[32, 64, 128],
            Some(k) if k >= 4.0 => &[128, 256, 512],
            _ => &STEPS,
        };
        fit_order(steps, |n| self.run(solver, n).iter().zip(&self.ends).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
    }
}

/// The order of mean and variance of the end point.
fn law_order(d: &Law, solver: &dyn Solver) -> Fit {
    fit_order(&STEPS[1..], |steps| {
        let grid = GridKind::LogSnr.between(d.process(), middle(d.process()), steps + 1).expect("a grid");
        law_error(d, MEAN.len(), solver, &grid)
    })
}

/// Methods of order 5 are measured before they settle, where they converge faster: they must not be slower.
fn agrees(fit: &Fit, claimed: u32) -> bool {
    let excess = fit.order - f64::from(claimed);
    if claimed >= 5 { (-0.15..1.0).contains(&excess) } else { excess.abs() < 0.15 && fit.residual < 0.1 }
}

#[test]
fn measured_order_equals_claimed_order() {
    // One thread a process: the rows of a batch are too few to keep two cores busy.
    let of_law = |(name, d, paths): (&str, Law, Paths)| -> Vec<(bool, String)> {
        let measure = |kind: SolverKind| {
            let solver = kind.build();
            let (claimed, fit) = match solver.order() {
                Order::Deterministic(k) => (k, paths.order(solver.as_ref())),
                Order::Weak(k) => (k, law_order(&d, solver.as_ref())),
                Order::Strong(_) | Order::None => return None,
            };
            Some((agrees(&fit, claimed), format!("{name}, {kind}: claimed {claimed}, measured {fit:?}")))
        };
        kinds().into_iter().filter_map(measure).collect()
    };
    let measured: Vec<(bool, String)> = std::thread::scope(|scope| {
        let running: Vec<_> = laws().map(|law| scope.spawn(move || of_law(law))).collect();
        running.into_iter().flat_map(|r| r.join().expect("a measurement")).collect()
    });
    let wrong: Vec<&String> = measured.iter().filter(|m| !m.0).map(|m| &m.1).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(measured.len() >= 8 * 40, "only {} pairs were measured", measured.len());
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
            assert_eq!(agrees(&paths.order(&euler(factor)), 1), right, "{name}, Euler, factor {factor}");
            assert_eq!(agrees(&paths.order(&heun(factor)), 2), right, "{name}, Heun, factor {factor}");
            assert_eq!(agrees(&paths.order(&two_m(factor)), 2), right, "{name}, 2M, factor {factor}");
            assert_eq!(agrees(&law_order(&d, &maruyama(factor)), 1), right, "{name}, Euler-Maruyama, factor {factor}");
        }
    }
}
