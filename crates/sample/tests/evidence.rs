//! Gaussian models multiplied by normals, against products in closed form.

use scorefield_process::oracle::{Gaussian, Mixture};
use scorefield_process::{Denoiser, GridKind, ProcessConfig};
use scorefield_sample::solver::{Ddim, Ddpm};
use scorefield_sample::{Evidence, Job, Repeated, Solver, sample};
use scorefield_tensor::{DType, Device, batch_f64, rows_f64};
use scorefield_testkit::largest_difference;
use std::ops::ControlFlow;

/// A measurement of the two entries.
fn measured<D>(inner: D, value: [f64; 2], deviation: [f64; 2], variance: f64) -> Evidence<D> {
    let row = |v: [f64; 2]| batch_f64(v.to_vec(), 1, &Device::default());
    Evidence { inner, value: row(value), deviation: row(deviation), variance }
}

/// `N(m, c)` times `N(y, tau^2)` is `N((m tau^2 + y c) / (c + tau^2), c tau^2 / (c + tau^2))`: the posterior mean of that law at every time.
#[test]
fn normals_multiply_exactly() {
    let (mean, c, y, tau) = ([0.4, -0.7], 0.6, [1.0, 0.3], [0.5, 2.0]);
    let product = |tau: [f64; 2]| -> (Vec<f64>, Vec<f64>) {
        (0..2)
            .map(|i| {
                let t2 = tau[i] * tau[i];
                ((mean[i] * t2 + y[i] * c) / (c + t2), c * t2 / (c + t2))
            })
            .unzip()
    };
    let x = batch_f64(vec![0.2, -1.0, 1.4, 0.1, -0.3, 2.0], 3, &Device::default());
    for config in ProcessConfig::all() {
        let build = || config.build().unwrap();
        let law = Gaussian::new(build(), mean.to_vec(), vec![c; 2]);
        let (m, v) = product(tau);
        let exact = Gaussian::new(build(), m, v);
        let span = scorefield_process::Process::span(law.process());
        for share in [0.1, 0.5, 0.95] {
            let t = span.at(share);
            let gap = |tau: [f64; 2], variance: f64| {
                let found = measured(&law, y, tau, variance).denoise(&x, t);
                largest_difference(&rows_f64(found), &rows_f64(exact.denoise(&x, t)))
            };
            assert!(gap(tau, c) < 1e-12, "{}: {}", config.name(), gap(tau, c));
            // Twice the deviation, or twice the data's variance, is another law, which tells where there is noise.
            if share > 0.9 {
                assert!(gap(tau.map(|v| 2.0 * v), c) > 1e-2 && gap(tau, 2.0 * c) > 1e-2, "{} {share}", config.name());
            }
            let nothing = measured(&law, y, [f64::INFINITY; 2], c).denoise(&x, t);
            assert_eq!(rows_f64(nothing), rows_f64(law.denoise(&x, t)));
        }
    }
}

/// Mean and variance of the second entry of 2000 samples of a correlated normal (0.8) whose first entry is known to be 1.2, and the
/// largest error of the first.
fn filled_in(solver: &dyn Solver) -> (f64, f64, f64) {
    let law = Mixture::new(
        ProcessConfig::all()[0].build().unwrap(),
        &[1.0],
        &[vec![0.0, 0.0]],
        &[vec![vec![1.0, 0.8], vec![0.8, 1.0]]],
    );
    let grid = GridKind::LogSnr.grid(law.process(), 300).unwrap();
    let n = 2000;
    let known = measured(&law, [1.2, 0.0], [0.0, f64::INFINITY], 1.0);
    let job = Job { batch: 2000, dtype: DType::F64, ..Job::new(2, n, 2) };
    let x = rows_f64(sample(&known, solver, &grid, &job, |_, _| ControlFlow::Continue(())).unwrap());
    let first = x.chunks_exact(2).map(|r| (r[0] - 1.2).abs()).fold(0.0, f64::max);
    let mean = x.chunks_exact(2).map(|r| r[1]).sum::<f64>() / n as f64;
    let variance = x.chunks_exact(2).map(|r| (r[1] - mean).powi(2)).sum::<f64>() / n as f64;
    (mean, variance, first)
}

/// The second entry given the first: `N(0.8 * 1.2, 1 - 0.64)`.
#[test]
fn known_entries_are_kept_and_repeats_bring_the_rest_nearer() {
    let error = |times: usize| {
        let (mean, variance, first) = filled_in(&Repeated { inner: Box::new(Ddpm::default()), times });
        assert!(first < 1e-9, "{first}");
        (mean - 0.96).abs() + (variance - 0.36).abs()
    };
    let [once, some, many] = [1, 3, 12].map(error);
    assert!(once > 0.3 && some < 0.5 * once && many < 0.08, "{once} {some} {many}");
}

/// Without a factor the law of a repeated solver is that of the solver: a standard normal stays one.
#[test]
fn repeats_leave_the_law() {
    for config in ProcessConfig::all() {
        let law = Gaussian::new(config.build().unwrap(), vec![0.5], vec![0.7]);
        let grid = GridKind::LogSnr.grid(law.process(), 300).unwrap();
        let job = Job { batch: 4000, dtype: DType::F64, ..Job::new(4, 4000, 1) };
        let moments = |solver: &dyn Solver| {
            let x = rows_f64(sample(&law, solver, &grid, &job, |_, _| ControlFlow::Continue(())).unwrap());
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64)
        };
        let (mean, variance) = moments(&Repeated { inner: Box::new(Ddim { eta: 1.0, ..Ddim::default() }), times: 3 });
        // Five standard errors.
        assert!((mean - 0.5).abs() < 5.0 * (0.7f64 / 4000.0).sqrt(), "{}: {mean}", config.name());
        assert!((variance - 0.7).abs() < 0.03 + 5.0 * 0.7 * (2.0f64 / 4000.0).sqrt(), "{}: {variance}", config.name());
    }
}
