//! The stochastic solvers: strong orders on one Brownian path, the path that refines, equivalences, and a corrector that takes
//! sub-VP for VP.

use scorefield_process::oracle::{Gaussian, Mixture};
use scorefield_process::schedule::{SubVp, VpLinear};
use scorefield_process::{Denoiser, DenoiserExt, Grid, GridKind, Leg, Process, ProcessConfig, ProcessExt};
use scorefield_sample::check::{law_error, middle};
use scorefield_sample::{Finish, Job, Order, Past, Path, Solver, SolverKind, Trajectory, sample_driven};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, DType, Device, Noise, Purpose, Streams, batch_f64, rows_f64};
use scorefield_testkit::{Fit, assert_ks, fit_order, largest_difference, normal_cdf};
use std::ops::ControlFlow;

const MEAN: [f64; 2] = [0.4, -0.9];
const VARIANCE: [f64; 2] = [0.3, 1.7];
const ROWS: usize = 100;

fn solver(text: &str) -> Box<dyn Solver> {
    text.parse::<SolverKind>().expect("a solver").build()
}

/// Fine increments of a path and their time integrals over equal steps of the solver's clock, read at any coarseness.
struct Fine {
    /// `(Delta W, int (W - W_0))` of each fine step, both in units of one fine step.
    steps: Vec<[Vec<f64>; 2]>,
    /// Fine steps in a step asked for, and the place.
    coarse: usize,
    next: usize,
    /// Whether the integral is the path's own; if not, an independent normal stands for it.
    integral: bool,
}

impl Fine {
    fn new(n: usize, width: usize) -> Self {
        let draw = |k: usize, i: u8| {
            let mut z = vec![0.0; width];
            Stream::new(5, 0, Purpose::User, k as u32, i).fill_normal(&mut z);
            z
        };
        let step = |k: usize| {
            let (u, v) = (draw(k, 0), draw(k, 1));
            let integral = u.iter().zip(&v).map(|(u, v)| 0.5 * (u + v / 3f64.sqrt())).collect();
            [u, integral]
        };
        Self { steps: (0..n).map(step).collect(), coarse: 1, next: 0, integral: true }
    }

    fn of(&mut self, steps: usize) -> &mut Self {
        (self.coarse, self.next) = (self.steps.len() / steps, 0);
        self
    }

    /// `u` and `v` of the next step.
    fn read(&mut self, like: &Batch) -> (Batch, Batch) {
        let k = self.coarse as f64;
        let width = like.dims()[0] * like.dims()[1];
        let (mut w, mut z) = (vec![0.0; width], vec![0.0; width]);
        for [u, integral] in &self.steps[self.next..self.next + self.coarse] {
            for i in 0..width {
                z[i] += w[i] + integral[i];
                w[i] += u[i];
            }
        }
        self.next += self.coarse;
        let u: Vec<f64> = w.iter().map(|w| w / k.sqrt()).collect();
        let v = z.iter().zip(&u).map(|(z, u)| 3f64.sqrt() * (2.0 * z / k.powf(1.5) - u)).collect();
        let back = |x: Vec<f64>| batch_f64(x, like.dims()[0], &Device::default());
        (back(u), back(v))
    }
}

impl Noise for Fine {
    fn normal(&mut self, like: &Batch) -> Batch {
        self.read(like).0
    }
    fn with_integral(&mut self, like: &Batch, _: f64, _: f64) -> (Batch, Batch) {
        let place = self.next as u32;
        let (u, v) = self.read(like);
        if self.integral {
            return (u, v);
        }
        let mut z = vec![0.0; like.dims()[0] * like.dims()[1]];
        Stream::new(6, 0, Purpose::User, place, self.coarse as u8).fill_normal(&mut z);
        (u, batch_f64(z, like.dims()[0], &Device::default()))
    }
    fn begin(&mut self, _: u32) {}
}

/// The strong order: mean distance at the end from a run of 4096 steps of `sra` on the same path, whose grid is equal in log-SNR, the
/// clock of both.
fn strong_order(d: &dyn Denoiser, kind: &str, integral: bool) -> Fit {
    const FINE: usize = 4096;
    let mut fine = Fine::new(FINE, 2 * ROWS);
    let span = middle(d.process());
    let at = d.process().at(span.end);
    let start: Vec<f64> = (0..2 * ROWS).map(|i| at.alpha * MEAN[i % 2] + at.sigma * (i as f64).sin()).collect();
    let mut end = |kind: &str, steps: usize, integral: bool| {
        fine.integral = integral;
        let grid = GridKind::LogSnr.between(d.process(), span, steps + 1).expect("a grid");
        let (solver, x) = (solver(kind), batch_f64(start.clone(), ROWS, &Device::default()));
        rows_f64(Trajectory::new(d, solver.as_ref(), &grid, fine.of(steps), x).finish(Finish::Leave).run())
    };
    let reference = end("sra", FINE, true);
    fit_order(&[64, 128, 256, 512], |steps| {
        end(kind, steps, integral).iter().zip(&reference).map(|(a, b)| (a - b).abs()).sum::<f64>() / (2 * ROWS) as f64
    })
}

/// SRA follows the paths of the reverse SDE to order 1.5 and the first-order methods to order 1, on Gaussian data and on a mixture.
#[test]
fn strong_orders_are_as_told() {
    // Every second process: in log-SNR the methods see but the levels.
    for config in ProcessConfig::all().into_iter().step_by(2) {
        let process = || config.build().expect("usual constants");
        let gauss = Gaussian::new(process(), MEAN.to_vec(), VARIANCE.to_vec());
        let mixture = Mixture::isotropic(process(), &[0.3, 0.7], &[vec![-1.0, 0.5], vec![1.0, 0.0]], &[0.5, 0.4]);
        let both: [(&str, &dyn Denoiser); 2] = [("gauss", &gauss), ("mixture", &mixture)];
        for (law, d) in both {
            // At steps that are not tiny the smooth part of the error, of order 2, is as large as that of order 1.5.
            let fit = strong_order(d, "sra", true);
            assert!((1.4..2.1).contains(&fit.order), "{}, {law}, sra: {fit:?}", config.name());
            let fit = strong_order(d, "sra", false);
            assert!((fit.order - 1.0).abs() < 0.2, "{}, {law}, sra without the integral: {fit:?}", config.name());
            for kind in ["euler-ancestral", "dpmpp-2m-sde"] {
                let fit = strong_order(d, kind, true);
                assert!((fit.order - 1.0).abs() < 0.2, "{}, {law}, {kind}: {fit:?}", config.name());
            }
        }
    }
}

/// Euler-Maruyama on the library's own path, times uniform: strong order 1 against the path at 1024 steps.
#[test]
fn euler_maruyama_on_a_path_is_of_strong_order_one() {
    for config in ProcessConfig::all() {
        let d = Gaussian::new(config.build().expect("usual constants"), MEAN.to_vec(), VARIANCE.to_vec());
        let path = Path::new(d.process(), &GridKind::LogSnr, 4096).expect("a path");
        let end = |steps: usize| {
            let span = d.process().span();
            let whole = GridKind::LogSnr.between(d.process(), span, 4097).expect("a grid");
            // The middle of the way, between the same two times whatever the steps.
            let times = (0..=steps).map(|i| whole.times()[1500 + i * 1024 / steps]).collect();
            let grid = Grid::new(times).expect("decreasing");
            path.fits(&grid).expect("one time a cell");
            let mut noise = path.noise(Streams::new(9, (0..ROWS as u64).collect(), Purpose::Solver));
            let sigma = d.process().at(grid.times()[0]).sigma;
            let x = (0..2 * ROWS).map(|i| sigma * (i as f64).sin()).collect();
            let solver = solver("euler-maruyama");
            let run = Trajectory::new(&d, solver.as_ref(), &grid, noise.as_mut(), batch_f64(x, ROWS, &Device::default()));
            rows_f64(run.finish(Finish::Leave).run())
        };
        let reference = end(1024);
        let fit = fit_order(&[16, 32, 64], |steps| {
            end(steps).iter().zip(&reference).map(|(a, b)| (a - b).abs()).sum::<f64>() / (2 * ROWS) as f64
        });
        assert!((fit.order - 1.0).abs() < 0.2, "{}: {fit:?}", config.name());
    }
}

/// On a path the samples of a seed at 50 and at 500 steps are near each other, and without one they are not.
#[test]
fn fifty_and_five_hundred_steps_follow_one_path() {
    let process = ProcessConfig::all()[0].build().expect("usual constants");
    let d = Mixture::isotropic(process, &[0.3, 0.7], &[vec![-1.0, 0.5], vec![1.0, 0.0]], &[0.3, 0.3]);
    for kind in ["ddim:eta=1", "euler-ancestral", "dpmpp-2m-sde", "sra"] {
        let solver = solver(kind);
        let draw = |steps: usize, tied: bool| {
            let path = Path::new(d.process(), &GridKind::LogSnr, 1024).expect("a path");
            let grid = GridKind::LogSnr.grid(d.process(), steps + 1).expect("a grid");
            path.fits(&grid).expect("one time a cell");
            let source = |s: Streams| -> Box<dyn Noise> { if tied { path.noise(s) } else { Box::new(s) } };
            let job = Job { dtype: DType::F64, batch: 33, ..Job::new(4, 100, 2) };
            let x = sample_driven(|_| &d, source, solver.as_ref(), &grid, &job, |_, _| ControlFlow::Continue(()));
            rows_f64(x.expect("samples"))
        };
        let distance = |tied: bool| {
            let (a, b) = (draw(50, tied), draw(500, tied));
            a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len() as f64
        };
        let (tied, free) = (distance(true), distance(false));
        assert!(tied < 0.25 * free, "{kind}: {tied} on one path, {free} without");
    }
}

/// One run with the noise of a seed.
fn end(d: &dyn Denoiser, kind: &str, grid: &Grid) -> Vec<f64> {
    let mut streams = Streams::new(2, (0..5).collect(), Purpose::Solver);
    let solver = solver(kind);
    let run = Trajectory::from_prior(d, solver.as_ref(), grid, &mut streams, 2, (&Device::default(), DType::F64));
    rows_f64(run.run())
}

/// Methods that are told to be the same are.
#[test]
fn equivalences_of_stochastic_solvers_hold() {
    for config in ProcessConfig::all() {
        let process = config.build().expect("usual constants");
        let d = Mixture::isotropic(process, &[0.3, 0.7], &[vec![-1.0, 0.5], vec![1.0, 0.0]], &[0.2, 0.1]);
        let grid = GridKind::LogSnr.grid(d.process(), 12).expect("a grid");
        for (one, other) in [
            ("euler-ancestral:eta=0.6", "ddim:eta=0.6"),
            ("euler-ancestral", "ddpm"),
            ("euler-maruyama:eta=0", "euler"),
            ("euler-maruyama", "pc:predictor=euler-maruyama,n_steps=0"),
            ("dpmpp-2m-sde:eta=0", "dpmpp-2m"),
            ("dpmpp-sde:eta=0", "dpmpp-2s-ancestral:eta=0"),
            ("annealed-langevin:rule=ncsn,step=0.4", "annealed-langevin"),
            ("langevin:step=0.2,n_steps=10", "annealed-langevin"),
        ] {
            let gap = largest_difference(&end(&d, one, &grid), &end(&d, other, &grid));
            assert!(gap < 1e-9, "{}: {one} and {other} differ by {gap}", config.name());
        }
    }
}

/// Langevin steps at the noise and the score of `sigma(alpha)`: the right one for sub-VP is `1 - alpha^2`.
#[derive(Debug)]
struct Langevin(fn(f64) -> f64);

impl Solver for Langevin {
    fn name(&self) -> &'static str {
        "planted"
    }
    fn order(&self) -> Order {
        Order::None
    }
    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let at_t = d.process().at(leg.t);
        // What a corrector sees that reads sigma off alpha by a formula of its own: the model's noise over that sigma.
        let sigma = (self.0)(at_t.alpha);
        let score = d.noise(x, leg.t) * -sigma.recip();
        let e = 2.0 * (0.3 * sigma).powi(2);
        let x = x.clone() + score * e + noise.normal(x) * (2.0 * e).sqrt();
        solver("ddpm").step(d, &x, leg, past, noise)
    }
}

/// A corrector that ignores sub-VP is caught: with VP's sigma in place of sub-VP's the samples' spread leaves the law's.
#[test]
fn a_corrector_that_ignores_sub_vp_is_caught() {
    let spread = |process: Box<dyn Process>, corrector: fn(f64) -> f64| {
        let d = Gaussian::new(process, MEAN.to_vec(), vec![0.02, 0.02]);
        let grid = GridKind::LogSnr.between(d.process(), middle(d.process()), 61).expect("a grid");
        let n = 2000;
        let mut streams = Streams::new(1, (0..n).collect(), Purpose::Solver);
        let planted = Langevin(corrector);
        let run = Trajectory::from_prior(&d, &planted, &grid, &mut streams, 2, (&Device::default(), DType::F64));
        let x = rows_f64(run.finish(Finish::Leave).run());
        let m = d.process().at(grid.times()[60]);
        let variance = m.alpha.powi(2) * 0.02 + m.sigma.powi(2);
        let square = x.chunks(2).map(|x| (x[0] - m.alpha * MEAN[0]).powi(2)).sum::<f64>() / n as f64;
        (square / variance).sqrt()
    };
    let vp = |a: f64| (1.0 - a * a).sqrt();
    let sub_vp = |a: f64| 1.0 - a * a;
    let of_vp = spread(Box::new(VpLinear::new(0.1, 20.0).expect("rates")), vp);
    let right = spread(Box::new(SubVp::new(0.1, 20.0).expect("rates")), sub_vp);
    let wrong = spread(Box::new(SubVp::new(0.1, 20.0).expect("rates")), vp);
    assert!((of_vp - 1.0).abs() < 0.1 && (right - 1.0).abs() < 0.1, "VP {of_vp}, sub-VP {right}");
    assert!((wrong - 1.0).abs() > 0.2, "VP's corrector on sub-VP: {wrong}");
}

/// Song et al.'s probability flow by the discrete kernel is of order 1: its mean and variance on Gaussian data.
#[test]
fn the_flow_by_the_discrete_kernel_is_of_first_order() {
    for config in ProcessConfig::all() {
        let d = Gaussian::new(config.build().expect("usual constants"), MEAN.to_vec(), VARIANCE.to_vec());
        let solver = solver("pc:predictor=diffusion-flow,n_steps=0");
        let fit = fit_order(&[256, 512, 1024], |steps| {
            let grid = GridKind::LogSnr.between(d.process(), middle(d.process()), steps + 1).expect("a grid");
            law_error(&d, 2, solver.as_ref(), &grid)
        });
        assert!((fit.order - 1.0).abs() < 0.15, "{}: {fit:?}", config.name());
    }
}

/// What fails the test of the law at its 150 steps for its error of first order passes it at 1200.
#[test]
fn first_order_methods_follow_the_data_at_enough_steps() {
    for config in ProcessConfig::all() {
        let d = Gaussian::new(config.build().expect("usual constants"), vec![0.6], vec![0.2]);
        for kind in ["euler-maruyama:eta=0", "euler-ancestral:eta=1.5", "pc:predictor=diffusion-flow,n_steps=0"] {
            let kind: SolverKind = kind.parse().expect("known options");
            let grid = kind.default_grid().grid(d.process(), 1200).expect("a grid");
            let mut streams = Streams::new(11, (0..2000).collect(), Purpose::Solver);
            let solver = kind.build();
            let run = Trajectory::from_prior(&d, solver.as_ref(), &grid, &mut streams, 1, (&Device::default(), DType::F64));
            let law = |v: f64| normal_cdf((v - 0.6) / 0.2f64.sqrt());
            assert_ks(&format!("{}, {kind}", config.name()), &rows_f64(run.run()), law, 1e-3);
        }
    }
}
