//! What every process must keep: slopes that are those of its coefficients, and noise levels that only rise.

use super::Row;
use crate::{Finish, SolverKind, Trajectory};
use scorefield_process::oracle::Gaussian;
use scorefield_process::{Denoiser, GridKind, Process, ProcessConfig, ProcessExt};
use scorefield_tensor::{Batch, Device, Noise, Purpose, Streams, batch_f64, rows_f64};

/// Places in a span at which a process is looked at.
const PLACES: usize = 400;
/// Largest difference of a slope from the difference quotient, relative to the slope's own size.
const SLOPE_TOLERANCE: f64 = 1e-5;

/// The rows of all processes.
pub fn processes() -> Vec<Row> {
    let build = |config: &ProcessConfig| config.build().expect("the usual constants make a process");
    ProcessConfig::all().iter().flat_map(|config| of(config.name(), build(config))).collect()
}

/// Slopes, levels and the last denoising step under one process.
pub fn of(name: &str, process: Box<dyn Process>) -> Vec<Row> {
    let (slopes, falls) = (slope_error(&*process), falling(&*process));
    let d = Gaussian::new(process, super::MEAN.to_vec(), super::VARIANCE.to_vec());
    let gap = finish_gap(&d, &|finish| end_of(&d, finish));
    vec![
        Row::new(name, "coefficients", "slope error", (0.0, slopes), slopes <= SLOPE_TOLERANCE),
        Row::new(name, "log-snr", "share of falling steps", (1.0, falls), falls == 1.0),
        Row::new(name, "last denoising step", "gap", (0.0, gap), gap <= 1e-12),
    ]
}

/// The largest difference between the slopes of alpha and sigma and their difference quotients, relative to the slope or to
/// the coefficient over the span, whichever is larger.
pub fn slope_error(process: &dyn Process) -> f64 {
    let span = process.span();
    let width = span.end - span.start;
    let h = 1e-6 * width;
    let error = |i: usize| {
        let t = span.at((i as f64 + 0.5) / PLACES as f64);
        let (m, ahead, behind) = (process.at(t), process.at(t + h), process.at(t - h));
        let of = |told: f64, value: f64, a: f64, b: f64| {
            (told - (a - b) / (2.0 * h)).abs() / told.abs().max(value.abs() / width).max(1e-3)
        };
        of(m.d_alpha, m.alpha, ahead.alpha, behind.alpha).max(of(m.d_sigma, m.sigma, ahead.sigma, behind.sigma))
    };
    (0..PLACES).map(error).fold(0.0, |top, e| if e.is_nan() { e } else { e.max(top) })
}

/// The share of equal steps over the span in which the log signal-to-noise ratio falls: one, for a process.
pub fn falling(process: &dyn Process) -> f64 {
    let levels: Vec<f64> = (0..=PLACES).map(|i| process.at(process.span().at(i as f64 / PLACES as f64)).log_snr()).collect();
    levels.windows(2).filter(|w| w[1] < w[0]).count() as f64 / PLACES as f64
}

/// The end of a short run with a given finish.
pub fn end_of(d: &dyn Denoiser, finish: Finish) -> (Batch, f64) {
    let (kind, n): (SolverKind, u64) = ("ddim".parse().expect("a solver of the list"), 16);
    let grid = GridKind::LogSnr.between(d.process(), super::middle(d.process()), 9).expect("the middle has room");
    let mut noise = Streams::new(1, (0..n).collect(), Purpose::Prior);
    let start = noise.normal(&batch_f64(vec![0.0; 2 * n as usize], n as usize, &Device::default()));
    let start = start * d.process().at(grid.times()[0]).sigma;
    let x = Trajectory::new(d, kind.build().as_ref(), &grid, &mut noise, start).finish(finish).run();
    (x, grid.times()[8])
}

/// How far the end of a denoised run lies from the posterior mean of the end that was left as it is; infinite if the flag has no
/// effect.
pub fn finish_gap(d: &dyn Denoiser, run: &dyn Fn(Finish) -> (Batch, f64)) -> f64 {
    let ((left, t), (denoised, _)) = (run(Finish::Leave), run(Finish::Denoise));
    let (expected, left, found) = (rows_f64(d.denoise(&left, t)), rows_f64(left), rows_f64(denoised));
    let gap = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    if gap(&left, &found) == 0.0 { f64::INFINITY } else { gap(&expected, &found) }
}
