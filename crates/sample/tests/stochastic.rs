//! The stochastic solvers: strong orders on one Brownian path, the path that refines, and equivalences.

use scorefield_process::oracle::{Gaussian, Mixture};
use scorefield_process::{Denoiser, Grid, GridKind, ProcessConfig, ProcessExt, Span};
use scorefield_sample::check::strong::Fine;
use scorefield_sample::check::{law_error, middle};
use scorefield_sample::{Finish, Job, Path, Solver, SolverKind, Trajectory, sample_driven};
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

/// A path whose time integrals are hidden: an independent normal stands for each.
struct Unintegrated<'a>(&'a mut Fine, u32);

impl Noise for Unintegrated<'_> {
    fn normal(&mut self, like: &Batch) -> Batch {
        self.0.normal(like)
    }
    fn with_integral(&mut self, like: &Batch, _: f64, _: f64) -> (Batch, Batch) {
        self.1 += 1;
        let [n, d] = like.dims();
        let mut z = vec![0.0; n * d];
        Stream::new(6, 0, Purpose::User, self.1, 0).fill_normal(&mut z);
        (self.0.normal(like), batch_f64(z, n, &Device::default()))
    }
    fn begin(&mut self, _: u32) {}
}

/// States at the end of a span of log-SNR, all `ROWS` from where `start` is, on given paths.
fn driven(d: &dyn Denoiser, kind: &str, span: Span, start: &[f64], steps: usize, noise: &mut dyn Noise) -> Vec<f64> {
    let grid = GridKind::LogSnr.between(d.process(), span, steps + 1).expect("a grid");
    let (solver, x) = (solver(kind), batch_f64(start.to_vec(), start.len() / 2, &Device::default()));
    rows_f64(Trajectory::new(d, solver.as_ref(), &grid, noise, x).finish(Finish::Leave).run())
}

/// The strong order: mean distance at the end from a run of 4096 steps of `sra` on the same paths, whose grid is equal in log-SNR, the
/// clock of both.
fn strong_order(d: &dyn Denoiser, kind: &str, integral: bool) -> Fit {
    const FINE: usize = 4096;
    let mut fine = Fine::new(FINE, 2 * ROWS);
    let span = middle(d.process());
    let at = d.process().at(span.end);
    let start: Vec<f64> = (0..2 * ROWS).map(|i| at.alpha * MEAN[i % 2] + at.sigma * (i as f64).sin()).collect();
    let reference = driven(d, "sra", span, &start, FINE, fine.read_in(FINE));
    fit_order(&[64, 128, 256, 512], |steps| {
        let path = fine.read_in(steps);
        let end = match integral {
            true => driven(d, kind, span, &start, steps, path),
            false => driven(d, kind, span, &start, steps, &mut Unintegrated(path, 0)),
        };
        end.iter().zip(&reference).map(|(a, b)| (a - b).abs()).sum::<f64>() / (2 * ROWS) as f64
    })
}

/// SRA follows the paths of the reverse SDE to order 1.5 or better and the first-order methods to order 1, on Gaussian data and on a
/// mixture.
#[test]
fn strong_orders_are_as_told() {
    // Every second process: in log-SNR the methods see but the levels.
    for config in ProcessConfig::all().into_iter().step_by(2) {
        for (law, d) in both_laws(&config) {
            let d = d.as_ref();
            // At steps that are not tiny the smooth part of the error, of order 2, is as large as that of order 1.5: the next test takes it
            // apart.
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

fn both_laws(config: &ProcessConfig) -> [(&'static str, Box<dyn Denoiser>); 2] {
    let process = || config.build().expect("usual constants");
    let gauss = Gaussian::new(process(), MEAN.to_vec(), VARIANCE.to_vec());
    let mixture = Mixture::isotropic(process(), &[0.3, 0.7], &[vec![-1.0, 0.5], vec![1.0, 0.0]], &[0.5, 0.4]);
    [("gauss", Box::new(gauss)), ("mixture", Box::new(mixture))]
}

/// What one step of SRA errs, in the root mean square over paths from one state.
///
/// By the theorem of Milstein (1988) an error of one step of order `p + 1/2` in the mean square (and `p + 1` in the mean, without which the
/// runs above would lose half an order) makes a method of strong order `p`. Of a drift that is not linear SRA leaves out
/// `b^2 f'' I(1,1,0)`, of size `h^2` and without a mean: `p = 1.5`, and no more. A linear drift has no such term, and the next ones are of
/// size `h^2.5`. Without the integral `f' b I(1,0)` is missed, of size `h^1.5`.
#[test]
fn one_step_of_sra_errs_by_a_half_more_than_its_order() {
    const SUB: usize = 64;
    let rows = 400;
    for config in ProcessConfig::all().into_iter().step_by(4) {
        for (law, d) in both_laws(&config) {
            let d = d.as_ref();
            let span = middle(d.process());
            let half = |t: f64| 0.5 * d.process().at(t).log_snr();
            let from = d.process().time_of(half(span.start) + half(span.end));
            let at = d.process().at(from);
            let start: Vec<f64> = (0..rows).flat_map(|_| [0.3 * at.alpha + 0.4 * at.sigma, -0.2 * at.alpha]).collect();
            let errs = |n: usize, integral: bool| -> f64 {
                let to = d.process().time_of(2.0 * (half(from) + 1.0 / n as f64));
                let step = Span { start: to, end: from };
                let mut fine = Fine::new(SUB, 2 * rows);
                let reference = driven(d, "sra", step, &start, SUB, fine.read_in(SUB));
                let path = fine.read_in(1);
                let end = match integral {
                    true => driven(d, "sra", step, &start, 1, path),
                    false => driven(d, "sra", step, &start, 1, &mut Unintegrated(path, 0)),
                };
                let square = end.iter().zip(&reference).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                (square / end.len() as f64).sqrt()
            };
            let order = |integral| fit_order(&[64, 128, 256, 512], |n| errs(n, integral));
            let (with, without) = (order(true), order(false));
            let expected = if law == "mixture" { 2.0 } else { 2.5 };
            assert!((with.order - expected).abs() < 0.05, "{}, {law}: {with:?}", config.name());
            assert!((without.order - 1.5).abs() < 0.05, "{}, {law}, without the integral: {without:?}", config.name());
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
