//! Rules on laws whose posterior is a closed formula.

use scorefield_control::operator::{Convolution, Dense, Edge, Grey, Identity, Kernel, Mask, Matrix, Operator, Separable, Shape};
use scorefield_control::rule::{Conditioned, Ddrm, Dps, Jacobian, Mmps, PiGdm, Projection, Prox, Rule, Ruled, Tmpd};
use scorefield_control::{Measurement, Twisted};
use scorefield_process::oracle::Mixture;
use scorefield_process::{Denoiser, GridKind, Process, ProcessConfig, ProcessExt};
use scorefield_sample::{Job, SolverKind, Trajectory, sample};
use scorefield_tensor::{DType, Device, Noise, Purpose, Streams, batch_f64, rows_f64};
use std::ops::ControlFlow;
use std::sync::Arc;

type Law = Mixture<Box<dyn Process>>;
type Square = Vec<Vec<f64>>;

const D: usize = 12;

/// Five operators on two channels of two by three, or three of two by two.
fn operators() -> Vec<Arc<dyn Operator>> {
    let mut state = 0.123_f64;
    let mut uniform = move || {
        state = (state * 997.0 + 0.347).fract();
        state.clamp(1e-9, 1.0 - 1e-9)
    };
    let known: Vec<bool> = (0..D).map(|i| i % 3 != 1).collect();
    let colour = Shape::new(3, 2, 2).unwrap();
    vec![
        Arc::new(Mask::new(&known).unwrap()),
        Arc::new(Separable::average(colour, 2).unwrap()),
        Arc::new(Grey::new(colour, &[0.3, 0.6, 0.1]).unwrap()),
        Arc::new(Dense::random(4, D, &mut uniform).unwrap()),
        Arc::new(Convolution::new(Shape::new(1, 3, 4).unwrap(), kernel(), Edge::Wrap).unwrap()),
    ]
}

fn kernel() -> Kernel {
    Kernel::new(1, 3, vec![0.2, 0.5, 0.3]).unwrap()
}

fn covariance() -> Square {
    let at = |i: usize, j: usize| {
        let near = (-(i as f64 - j as f64).powi(2) / 6.0).exp();
        near * (0.6 + 0.05 * i as f64).sqrt() * (0.6 + 0.05 * j as f64).sqrt() + if i == j { 0.05 } else { 0.0 }
    };
    (0..D).map(|i| (0..D).map(|j| at(i, j)).collect()).collect()
}

fn mean() -> Vec<f64> {
    (0..D).map(|i| 0.4 * (i as f64).sin()).collect()
}

fn law(process: &ProcessConfig, means: &[Vec<f64>], covariance: &Square) -> Law {
    let weights = vec![1.0; means.len()];
    Mixture::new(process.build().unwrap(), &weights, means, &vec![covariance.clone(); means.len()])
}

fn matrix_of(a: &dyn Operator) -> Square {
    let column = |j: usize| {
        let mut y = vec![0.0; a.outputs()];
        a.apply(&(0..a.inputs()).map(|i| f64::from(u8::from(i == j))).collect::<Vec<_>>(), &mut y);
        y
    };
    let columns: Vec<Vec<f64>> = (0..a.inputs()).map(column).collect();
    (0..a.outputs()).map(|i| columns.iter().map(|c| c[i]).collect()).collect()
}

fn product(a: &Square, b: &Square) -> Square {
    a.iter().map(|r| (0..b[0].len()).map(|j| r.iter().zip(b).map(|(x, row)| x * row[j]).sum()).collect()).collect()
}

fn transpose(a: &Square) -> Square {
    (0..a[0].len()).map(|j| a.iter().map(|r| r[j]).collect()).collect()
}

/// The inverse by Gauss and Jordan with pivots.
fn inverse(a: &Square) -> Square {
    let n = a.len();
    let mut w: Square = a
        .iter()
        .enumerate()
        .map(|(i, r)| r.iter().copied().chain((0..n).map(|j| f64::from(u8::from(i == j)))).collect())
        .collect();
    for c in 0..n {
        let pivot = (c..n).max_by(|i, j| w[*i][c].abs().total_cmp(&w[*j][c].abs())).unwrap();
        w.swap(c, pivot);
        let by = w[c][c];
        w[c].iter_mut().for_each(|v| *v /= by);
        for i in (0..n).filter(|i| *i != c) {
            let (factor, row) = (w[i][c], w[c].clone());
            w[i].iter_mut().zip(&row).for_each(|(v, r)| *v -= factor * r);
        }
    }
    w.into_iter().map(|r| r[n..].to_vec()).collect()
}

/// Mean and covariance of a normal given `y = A x + n`, and the gain.
fn posterior(mean: &[f64], covariance: &Square, a: &Square, y: &[f64], sigma: f64) -> (Vec<f64>, Square) {
    let across = product(covariance, &transpose(a));
    let mut inner = product(a, &across);
    inner.iter_mut().enumerate().for_each(|(i, r)| r[i] += sigma * sigma);
    let gain = product(&across, &inverse(&inner));
    let seen = |r: &[f64]| r.iter().zip(mean).map(|(a, m)| a * m).sum::<f64>();
    let gap: Vec<f64> = a.iter().zip(y).map(|(r, y)| y - seen(r)).collect();
    let moved = mean.iter().zip(&gain).map(|(m, g)| m + g.iter().zip(&gap).map(|(g, e)| g * e).sum::<f64>()).collect();
    let taken = product(&gain, &transpose(&across));
    let left = covariance.iter().zip(&taken).map(|(c, t)| c.iter().zip(t).map(|(c, t)| c - t).collect()).collect();
    (moved, left)
}

fn measured(a: &Arc<dyn Operator>, sigma: f64) -> Measurement {
    let y: Vec<f64> = (0..a.outputs()).map(|i| 0.5 * (1.7 * i as f64).cos()).collect();
    Measurement::new(a.clone(), y, sigma).unwrap()
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// With as many iterations as measurements `D_y` is the posterior mean of the law given `y`: that law's own denoiser.
#[test]
fn moment_matching_is_exact_on_normals() {
    for process in ProcessConfig::all() {
        let law = law(&process, &[mean()], &covariance());
        let span = law.process().span();
        for a in operators() {
            let known = measured(&a, 0.2);
            for jacobian in [Jacobian::Difference, Jacobian::Pullback] {
                let rule = Mmps { iterations: 2 * a.outputs(), tolerance: 1e-13, jacobian };
                let (m, c) = posterior(&mean(), &covariance(), &matrix_of(&*a), known.y(), 0.2);
                let exact = self::law(&process, &[m], &c);
                let conditioned = Conditioned { inner: &law, rule: &rule, measured: &known };
                for share in [0.2, 0.5, 0.8] {
                    let t = span.start + share * (span.end - span.start);
                    let x: Vec<f64> = (0..2 * D).map(|i| law.process().at(t).sigma.max(1.0) * (0.9 * i as f64).sin()).collect();
                    let x = batch_f64(x, 2, &Device::default());
                    let (found, expected) = (rows_f64(conditioned.denoise(&x, t)), rows_f64(exact.denoise(&x, t)));
                    assert!(
                        largest(&found, &expected) < 1e-6,
                        "{} {} {t}: {}",
                        process.name(),
                        a.name(),
                        largest(&found, &expected)
                    );
                }
            }
        }
    }
}

/// The flow of a normal law is affine: run from the middle of the prior and from a deviation along every axis it gives mean and covariance of
/// its end without a single random number, and they are the posterior's.
#[test]
fn the_flow_under_moment_matching_ends_in_the_posterior() {
    let process = ProcessConfig::VpCosine { offset: 0.008 };
    let law = law(&process, &[mean()], &covariance());
    let grid = GridKind::LogSnr.grid(law.process(), 250).unwrap();
    let solver = "heun".parse::<SolverKind>().unwrap().build();
    let start = law.process().at(grid.times()[0]).sigma;
    let rows: Vec<f64> = (0..=D).flat_map(|i| (0..D).map(move |j| if i == j + 1 { start } else { 0.0 })).collect();
    for a in operators() {
        let known = measured(&a, 0.1);
        let rule = Mmps { iterations: a.outputs() + 2, tolerance: 1e-12, ..Mmps::default() };
        let ruled = Ruled { solver: &*solver, rule: &rule, model: &law, measured: &known };
        let conditioned = Conditioned { inner: &law, rule: &rule, measured: &known };
        let mut noise = Streams::new(0, (0..=D as u64).collect(), Purpose::Solver);
        let x = batch_f64(rows.clone(), D + 1, &Device::default());
        let end = rows_f64(Trajectory::new(&conditioned, &ruled, &grid, &mut noise, x).run());
        let column = |i: usize, k: usize| end[(i + 1) * D + k] - end[k];
        let found: Square = (0..D).map(|k| (0..D).map(|l| (0..D).map(|i| column(i, k) * column(i, l)).sum()).collect()).collect();
        let (m, c) = posterior(&mean(), &covariance(), &matrix_of(&*a), known.y(), 0.1);
        let (of_mean, of_covariance) = (largest(&end[..D], &m), largest(&found.concat(), &c.concat()));
        assert!(of_mean < 1e-3 && of_covariance < 1e-3, "{}: {of_mean} {of_covariance}", a.name());
    }
}

fn draw(law: &Law, rule: &dyn Rule, known: &Measurement, (solver, steps, n): (&str, usize, u64)) -> Vec<f64> {
    let solver = solver.parse::<SolverKind>().unwrap().build();
    let ruled = Ruled { solver: &*solver, rule, model: law, measured: known };
    let conditioned = Conditioned { inner: law, rule, measured: known };
    let grid = GridKind::LogSnr.grid(law.process(), steps).unwrap();
    let job = Job { batch: 500, dtype: DType::F64, ..Job::new(3, n, D) };
    rows_f64(sample(&conditioned, &ruled, &grid, &job, |_, _| ControlFlow::Continue(())).unwrap())
}

/// The largest error of the mean, in deviations of the prior, and the error of the trace of the covariance, as a share of the prior's.
fn errors(x: &[f64], m: &[f64], c: &Square) -> (f64, f64) {
    let n = (x.len() / D) as f64;
    let found: Vec<f64> = (0..D).map(|i| x.iter().skip(i).step_by(D).sum::<f64>() / n).collect();
    let trace: f64 = x.chunks_exact(D).map(|r| r.iter().zip(&found).map(|(v, m)| (v - m).powi(2)).sum::<f64>()).sum::<f64>() / n;
    let exact: f64 = (0..D).map(|i| c[i][i]).sum();
    let prior: f64 = (0..D).map(|i| covariance()[i][i]).sum();
    (largest(&found, m), (trace - exact).abs() / prior)
}

/// Rules come near the posterior of a normal, each as near as it can; without the measurement all are far.
#[test]
fn rules_come_near_the_posterior() {
    let process = ProcessConfig::VpCosine { offset: 0.008 };
    let law = law(&process, &[mean()], &covariance());
    let n = 1000;
    let rules: Vec<(Box<dyn Rule>, f64, f64)> = vec![
        (Box::new(Mmps { iterations: 12, tolerance: 1e-8, ..Mmps::default() }), 0.12, 0.06),
        (Box::new(Tmpd::default()), 0.8, 0.3),
        (Box::new(PiGdm { variance: 1.0, jacobian: Jacobian::Difference }), 0.5, 0.3),
        (Box::new(Prox::Ddnm { variance: 1.0 }), 0.8, 0.4),
        (Box::new(Prox::DiffPir { lambda: 1.0 }), 0.8, 0.4),
        (Box::new(Ddrm::default()), 0.8, 0.5),
        (Box::new(Projection { repeats: 1 }), 0.8, 0.4),
        (Box::new(Projection { repeats: 8 }), 0.5, 0.3),
    ];
    for a in operators() {
        let known = measured(&a, 0.1);
        let (m, c) = posterior(&mean(), &covariance(), &matrix_of(&*a), known.y(), 0.1);
        let mut said = Vec::new();
        for (rule, mean_within, trace_within) in &rules {
            assert_eq!(rule.refuses(&known), None);
            let (of_mean, of_trace) = errors(&draw(&law, &**rule, &known, ("ddpm", 150, n)), &m, &c);
            let fits = of_mean < *mean_within && of_trace < *trace_within;
            said.push(format!("{} {of_mean:.3} {of_trace:.3}{}", rule.name(), if fits { "" } else { " too far" }));
        }
        assert!(!said.iter().any(|s| s.contains("too far")), "{}: {said:?}", a.name());
    }
}

/// DDRM's runs begin about the measurement: a measured entry is a normal about it, whose variance is the level's less the measurement's.
#[test]
fn ddrm_begins_about_the_measurement() {
    let process = ProcessConfig::VpCosine { offset: 0.008 }.build().unwrap();
    let a: Arc<dyn Operator> = Arc::new(Mask::new(&[true, false]).unwrap());
    let (y, sigma, n) = (3.0, 0.5, 20_000);
    let known = Measurement::new(a, vec![y], sigma).unwrap();
    let t = process.time_of_ratio(2.0);
    let at = process.at(t);
    let zero = batch_f64(vec![0.0; 2 * n], n, &Device::default());
    let mut noise = Streams::new(5, (0..n as u64).collect(), Purpose::Prior);
    let x = Ddrm::default().start(&*process, &known, noise.normal(&zero) * at.sigma, t);
    let x = rows_f64(x / at.alpha);
    let moments = |k: usize| {
        let column: Vec<f64> = x.iter().skip(k).step_by(2).copied().collect();
        let mean = column.iter().sum::<f64>() / n as f64;
        (mean, column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64)
    };
    for (k, mean, variance) in [(0, y, 4.0 - sigma * sigma), (1, 0.0, 4.0)] {
        let found = moments(k);
        let error = (variance / n as f64).sqrt();
        assert!((found.0 - mean).abs() < 5.0 * error, "entry {k}: {found:?}");
        assert!((found.1 / variance - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "entry {k}: {found:?}");
    }
}

/// A mixture of two normals, one measurement that nearly fits both: the share of the second, by particles, tends to the exact one.
#[test]
fn twisted_particles_tend_to_the_posterior() {
    let process = ProcessConfig::VpCosine { offset: 0.008 };
    let narrow: Square = (0..2).map(|i| (0..2).map(|j| if i == j { 0.05 } else { 0.0 }).collect()).collect();
    let means = [vec![-1.0, 0.8], vec![1.0, -0.8]];
    let law = law(&process, &means, &narrow);
    let a: Arc<dyn Operator> = Arc::new(Dense::new(Matrix::new(1, 2, vec![1.0, 1.0]).unwrap()).unwrap());
    let sigma = 0.3;
    let known = Measurement::new(a, vec![0.25], sigma).unwrap();
    // p(y | component) with variance 0.05 + 0.05 + sigma^2 about -0.2 and 0.2.
    let variance = 0.1 + sigma * sigma;
    let weight = |m: f64| (-0.5 * (0.25 - m).powi(2) / variance).exp();
    let exact = weight(0.2) / (weight(0.2) + weight(-0.2));
    let grid = GridKind::LogSnr.grid(law.process(), 60).unwrap();
    let n = 1500;
    let share = |particles: usize| {
        let run = Twisted { particles, variance: 1.7, jacobian: Jacobian::default() };
        assert_eq!(run.refuses(&known), None);
        let drawn = run
            .sample(&law, &known, &grid, (5, &(0..n).collect::<Vec<_>>()), (DType::F64, &Device::default()), |_| {
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(drawn.effective.iter().all(|e| (1.0 - 1e-9..=particles as f64 + 1e-9).contains(e)));
        let x = rows_f64(drawn.x);
        let second = x.chunks_exact(2).filter(|r| r[0] > 0.0).count() as f64 / n as f64;
        let sum = x.chunks_exact(2).map(|r| r[0] + r[1]).sum::<f64>() / n as f64;
        (second, sum)
    };
    let (many, sum) = share(32);
    let error = (exact * (1.0 - exact) / n as f64).sqrt();
    assert!((many - exact).abs() < 4.0 * error, "{many} {exact} {error}");
    // E[x_1 + x_2 | y], component by component.
    let of = |m: f64| m + 0.1 / variance * (0.25 - m);
    let expected = exact * of(0.2) + (1.0 - exact) * of(-0.2);
    assert!((sum - expected).abs() < 0.03, "{sum} {expected}");
    let sure = Measurement::new(Arc::new(Identity::new(2)), vec![0.0; 2], 0.0).unwrap();
    assert!(Twisted { particles: 4, variance: 1.0, jacobian: Jacobian::default() }.refuses(&sure).is_some());
}

/// A step along the gradient brings the samples to the measurement.
#[test]
fn dps_comes_near_the_measurement() {
    let process = ProcessConfig::VpCosine { offset: 0.008 };
    let law = law(&process, &[mean()], &covariance());
    let a = operators().swap_remove(0);
    let known = measured(&a, 0.0);
    let off = |zeta: f64| {
        let x = draw(&law, &Dps { zeta, ..Dps::default() }, &known, ("ddpm", 300, 100));
        let mut y = vec![0.0; a.outputs()];
        let mut total = 0.0;
        for row in x.chunks_exact(D) {
            a.apply(row, &mut y);
            total += y.iter().zip(known.y()).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / y.len() as f64;
        }
        (total / 100.0).sqrt()
    };
    let (without, with) = (off(0.0), off(0.05));
    assert!(with < 0.3 * without, "{without} {with}");
}

#[test]
fn what_is_no_measurement_is_refused() {
    let a: Arc<dyn Operator> = Arc::new(Identity::new(3));
    let said = |y: Vec<f64>, sigma: f64| Measurement::new(a.clone(), y, sigma).unwrap_err().to_string();
    assert!(said(vec![1.0; 4], 0.1).contains("4 numbers") && said(vec![], 0.1).contains('3'));
    assert!(said(vec![1.0, f64::NAN, 0.0], 0.1).contains("number 1"));
    assert!(said(vec![1.0; 3], -0.1).contains("-0.1") && said(vec![1.0; 3], f64::NAN).contains("NaN"));
}
