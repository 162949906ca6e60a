//! Every rule on five measurements of laws whose posterior is a closed formula: the table of docs/inverse-problems.md.
//!
//! `cargo run --release -p scorefield-bench --example rules [SAMPLES [RULE ...]]`, and `rules particles` for the error by number of particles.
//!
//! Errors of the mean are in units of the prior's deviation, of the covariance a share of the prior's trace (Frobenius norm), `W2` of a normal
//! is that of the normals of the samples' mean and covariance, `SW2` of a mixture the sliced distance of as many exact samples, beside that
//! of exact samples to others.

use nalgebra::{DMatrix, DVector};
use scorefield::control::Measurement;
use scorefield::control::operator::{Convolution, Dense, Edge, Grey, Kernel, Mask, Operator, Separable, Shape};
use scorefield::control::rule::{Conditioned, Drawing, RuleKind, Ruled};
use scorefield::eval::{Rows, sliced_wasserstein};
use scorefield::process::oracle::Mixture;
use scorefield::process::{Denoiser, GridKind, Process, ProcessConfig};
use scorefield::sample::{Counted, SolverKind, Trajectory, prior};
use scorefield::tensor::noise::Stream;
use scorefield::tensor::{DType, Device, Purpose, Streams, rows_f64};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

const D: usize = 12;
const SIGMA: f64 = 0.1;

type Law = Mixture<Box<dyn Process>>;

/// A component: its weight, mean and covariance.
#[derive(Clone)]
struct Component(f64, DVector<f64>, DMatrix<f64>);

fn operators() -> Vec<(&'static str, Arc<dyn Operator>)> {
    let stream = Stream::new(7, 0, Purpose::User, 0, 0);
    let mut i = 0;
    let mut uniform = move || {
        i += 1;
        stream.uniform(i - 1)
    };
    let known: Vec<bool> = (0..D).map(|i| i % 3 != 1).collect();
    let colour = Shape::new(3, 2, 2).expect("a shape");
    let line = Kernel::new(1, 3, vec![0.2, 0.5, 0.3]).expect("a kernel");
    vec![
        ("mask (8 of 12)", Arc::new(Mask::new(&known).expect("some"))),
        ("average 2 x 2", Arc::new(Separable::average(colour, 2).expect("divides"))),
        ("grey", Arc::new(Grey::new(colour, &[0.3, 0.6, 0.1]).expect("weights"))),
        ("4 projections", Arc::new(Dense::random(4, D, &mut uniform).expect("a matrix"))),
        ("blur", Arc::new(Convolution::new(Shape::new(1, 3, 4).expect("a shape"), line, Edge::Wrap).expect("fits"))),
    ]
}

fn covariance(scale: f64) -> DMatrix<f64> {
    DMatrix::from_fn(D, D, |i, j| {
        let near = (-(i as f64 - j as f64).powi(2) / 6.0).exp();
        let own = |i: usize| (0.6 + 0.05 * i as f64).sqrt();
        scale * (near * own(i) * own(j) + if i == j { 0.05 } else { 0.0 })
    })
}

fn laws() -> [(&'static str, Vec<Component>); 2] {
    let wave = |k: f64, height: f64| DVector::from_fn(D, |i, _| height * (k * i as f64 + k).sin());
    let normal = vec![Component(1.0, wave(1.0, 0.4), covariance(1.0))];
    let parts = [(0.3, 0.7, 1.2), (0.45, 1.3, 1.0), (0.25, 2.1, 1.4)];
    let mixture = parts.iter().map(|&(w, k, h)| Component(w, wave(k, h), covariance(0.15))).collect();
    [("normal", normal), ("mixture", mixture)]
}

fn oracle(law: &[Component]) -> Law {
    let process = ProcessConfig::VpCosine { offset: 0.008 }.build().expect("a process");
    let weights: Vec<f64> = law.iter().map(|c| c.0).collect();
    let means: Vec<Vec<f64>> = law.iter().map(|c| c.1.iter().copied().collect()).collect();
    let rows = |m: &DMatrix<f64>| (0..D).map(|i| m.row(i).iter().copied().collect()).collect();
    let covariances: Vec<Vec<Vec<f64>>> = law.iter().map(|c| rows(&c.2)).collect();
    Mixture::new(process, &weights, &means, &covariances)
}

fn matrix(a: &dyn Operator) -> DMatrix<f64> {
    let mut out = DMatrix::zeros(a.outputs(), D);
    for j in 0..D {
        let mut y = vec![0.0; a.outputs()];
        a.apply(&(0..D).map(|i| f64::from(u8::from(i == j))).collect::<Vec<_>>(), &mut y);
        out.set_column(j, &DVector::from_vec(y));
    }
    out
}

/// The law given `y = A x + n`: every component by the formula of normals, its weight times the density of `y` under it.
fn posterior(law: &[Component], a: &DMatrix<f64>, y: &DVector<f64>) -> Vec<Component> {
    let m = y.len();
    let given = |Component(weight, mean, c): &Component| {
        let seen = a * c * a.transpose() + DMatrix::identity(m, m) * SIGMA.powi(2);
        let factor = seen.cholesky().expect("positive");
        let gap = y - a * mean;
        let solved = factor.solve(&gap);
        let log = weight.ln() - 0.5 * gap.dot(&solved) - factor.l().diagonal().map(f64::ln).sum();
        let gain = c * a.transpose();
        Component(log, mean + &gain * solved, c - &gain * factor.solve(&gain.transpose()))
    };
    let mut all: Vec<Component> = law.iter().map(given).collect();
    let top = all.iter().map(|c| c.0).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = all.iter().map(|c| (c.0 - top).exp()).sum();
    all.iter_mut().for_each(|c| c.0 = (c.0 - top).exp() / total);
    all
}

fn moments(law: &[Component]) -> (DVector<f64>, DMatrix<f64>) {
    let mean = law.iter().fold(DVector::zeros(D), |sum, c| sum + &c.1 * c.0);
    let about = |c: &Component| (&c.2 + (&c.1 - &mean) * (&c.1 - &mean).transpose()) * c.0;
    let covariance = law.iter().fold(DMatrix::zeros(D, D), |sum, c| sum + about(c));
    (mean, covariance)
}

fn exact(law: &[Component], n: usize, seed: u64) -> Vec<f32> {
    let roots: Vec<DMatrix<f64>> = law.iter().map(|c| root(&c.2)).collect();
    (0..n as u64)
        .flat_map(|i| {
            let u = Stream::new(seed, i, Purpose::User, 0, 0).uniform(0);
            let mut sum = 0.0;
            let k = law
                .iter()
                .position(|c| {
                    sum += c.0;
                    sum > u
                })
                .unwrap_or(law.len() - 1);
            let mut z = vec![0.0; D];
            Stream::new(seed, i, Purpose::User, 1, 0).fill_normal(&mut z);
            let x = &law[k].1 + &roots[k] * DVector::from_vec(z);
            x.iter().map(|v| *v as f32).collect::<Vec<_>>()
        })
        .collect()
}

/// The symmetric root of a matrix that is not negative.
fn root(m: &DMatrix<f64>) -> DMatrix<f64> {
    let eigen = m.clone().symmetric_eigen();
    let values = eigen.eigenvalues.map(|v| v.max(0.0).sqrt());
    &eigen.eigenvectors * DMatrix::from_diagonal(&values) * eigen.eigenvectors.transpose()
}

/// `|m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1^1/2 C_2 C_1^1/2)^1/2)`, its root.
fn wasserstein(a: &(DVector<f64>, DMatrix<f64>), b: &(DVector<f64>, DMatrix<f64>)) -> f64 {
    let r = root(&a.1);
    let cross = root(&(&r * &b.1 * &r));
    ((&a.0 - &b.0).norm_squared() + (a.1.trace() + b.1.trace() - 2.0 * cross.trace()).max(0.0)).sqrt()
}

fn found(x: &[f64]) -> (DVector<f64>, DMatrix<f64>) {
    let n = x.len() / D;
    let rows = DMatrix::from_row_slice(n, D, x);
    let mean = DVector::from_fn(D, |j, _| rows.column(j).sum() / n as f64);
    let centred = DMatrix::from_fn(n, D, |i, j| rows[(i, j)] - mean[j]);
    let covariance = centred.transpose() * &centred / (n as f64 - 1.0);
    (mean, covariance)
}

fn sliced(a: &[f32], b: &[f32]) -> f64 {
    let rows = |v| Rows::new(v, a.len() / D, D);
    sliced_wasserstein(rows(a), rows(b), 2.0, 100, 0).expect("finite rows").value
}

fn draw(law: &Law, kind: &RuleKind, measured: &Measurement, n: u64) -> Option<(Vec<f64>, f64)> {
    // The variance of the law, as a trained model would tell it.
    let solver = kind.default_solver().parse::<SolverKind>().expect("it is listed").build();
    let grid = GridKind::LogSnr.grid(law.process(), kind.default_steps()).expect("a grid");
    let counted = Counted::new(law);
    let x = match kind.build(1.0) {
        Drawing::Particles(run) => {
            if run.refuses(measured).is_some() {
                return None;
            }
            let numbers: Vec<u64> = (0..n).collect();
            let on = (DType::F64, &Device::default());
            run.sample(&counted, measured, &grid, (3, &numbers), on, |_| ControlFlow::Continue(()))?.x
        }
        Drawing::Rule(rule) => {
            if rule.refuses(measured).is_some() {
                return None;
            }
            let ruled = Ruled { solver: &*solver, rule: &*rule, model: &counted, measured };
            let conditioned = Conditioned { inner: &counted, rule: &*rule, measured };
            let (process, t) = (law.process(), grid.times()[0]);
            let mut streams = Streams::new(3, (0..n).collect(), Purpose::Solver);
            let start = prior(process, t, &streams, D, (&Device::default(), DType::F64));
            let start = rule.start(process, measured, start, t);
            Trajectory::new(&conditioned, &ruled, &grid, &mut streams, start).run()
        }
    };
    Some((rows_f64(x), counted.calls() as f64))
}

/// The share of one of two normals given a measurement that nearly fits both, by numbers of particles: the error of the law of one draw.
#[expect(clippy::print_stdout, reason = "the table is the output")]
fn particles() {
    let process = ProcessConfig::VpCosine { offset: 0.008 }.build().expect("a process");
    let means = [vec![-1.0, 0.8], vec![1.0, -0.8]];
    let law = Mixture::isotropic(process, &[1.0, 1.0], &means, &[0.05_f64.sqrt(), 0.05_f64.sqrt()]);
    let a = Dense::new(scorefield::control::operator::Matrix::new(1, 2, vec![1.0, 1.0]).expect("a row")).expect("a matrix");
    let measured = Measurement::new(Arc::new(a), vec![0.25], 0.3).expect("it fits");
    let variance = 0.1 + 0.3 * 0.3;
    let weight = |m: f64| (-0.5 * (0.25 - m).powi(2) / variance).exp();
    let exact = weight(0.2) / (weight(0.2) + weight(-0.2));
    let grid = GridKind::LogSnr.grid(law.process(), 100).expect("a grid");
    println!("| particles | share - exact ({exact:.4}) | its Monte Carlo error | smallest effective number |");
    println!("|---|---|---|---|");
    for count in [1, 2, 4, 8, 16, 32, 64] {
        let n = 6000;
        let run = scorefield::control::Twisted { particles: count, variance: 1.7, jacobian: Default::default() };
        let numbers: Vec<u64> = (0..n).collect();
        let on = (DType::F64, &Device::default());
        let drawn =
            run.sample(&law, &measured, &grid, (5, &numbers), on, |_| ControlFlow::Continue(())).expect("nobody broke off");
        let share = rows_f64(drawn.x).chunks_exact(2).filter(|r| r[0] > 0.0).count() as f64 / n as f64;
        let error = (exact * (1.0 - exact) / n as f64).sqrt();
        let effective = drawn.effective.iter().sum::<f64>() / n as f64;
        println!("| {count} | {:+.4} | {error:.4} | {effective:.1} |", share - exact);
    }
}

#[expect(clippy::print_stdout, reason = "the table is the output")]
fn main() {
    if std::env::args().nth(1).as_deref() == Some("particles") {
        return particles();
    }
    let n: usize = std::env::args().nth(1).and_then(|v| v.parse().ok()).unwrap_or(4000);
    let kinds: Vec<RuleKind> = std::env::args().skip(2).map(|text| text.parse().expect("a rule")).collect();
    let kinds = if kinds.is_empty() { RuleKind::all() } else { kinds };
    for (name, law) in laws() {
        let model = oracle(&law);
        let prior = moments(&law);
        println!("\n{name}: {n} samples, noise {SIGMA}\n");
        for (what, a) in operators() {
            let m = matrix(&*a);
            // A sample of the law, measured.
            let truth: Vec<f64> = exact(&law, 1, 11).into_iter().map(f64::from).collect();
            let mut noise = vec![0.0; a.outputs()];
            Stream::new(13, 0, Purpose::User, 0, 0).fill_normal(&mut noise);
            let y = &m * DVector::from_vec(truth) + DVector::from_vec(noise) * SIGMA;
            let right = posterior(&law, &m, &y);
            let sharp = moments(&right);
            let measured = Measurement::new(a, y.iter().copied().collect(), SIGMA).expect("it fits");
            let (some, others) = (exact(&right, n, 21), exact(&right, n, 22));
            println!("| {what} | mean | covariance | W2 | SW2 (exact {:.4}) | evaluations | seconds |", sliced(&some, &others));
            println!("|---|---|---|---|---|---|---|");
            for kind in &kinds {
                let begun = Instant::now();
                let Some((x, calls)) = draw(&model, kind, &measured, n as u64) else {
                    println!("| {kind} | refused | | | | | |");
                    continue;
                };
                let seconds = begun.elapsed().as_secs_f64();
                let moved = found(&x);
                let deviation = (prior.1.trace() / D as f64).sqrt();
                let of_mean = (&moved.0 - &sharp.0).norm() / (D as f64).sqrt() / deviation;
                let of_covariance = (&moved.1 - &sharp.1).norm() / prior.1.norm();
                let single: Vec<f32> = x.iter().map(|v| *v as f32).collect();
                println!(
                    "| {kind} | {of_mean:.4} | {of_covariance:.4} | {:.4} | {:.4} | {calls:.0} | {seconds:.1} |",
                    wasserstein(&moved, &sharp),
                    sliced(&single, &others)
                );
            }
            println!();
        }
    }
}
