//! Numbers of diffusers' tests: DPM-Solver in single and several steps, its inverse, UniPC, DEIS, and DPM-Solver++ on EDM's levels.

use crate::diffusers_dpm::{StandIn, ladder, solver_of};
use crate::diffusers_grid::{dpm_grid, levels_of};
use crate::diffusers_numbers::{Case, Formula, network, walk};
use crate::{number, text};
use scorefield_process::{Denoiser, Process, ProcessExt};
use scorefield_tensor::Batch;
use serde_json::Value;

/// Thresholding as their tests set it: the largest threshold being below 1, it is the threshold whatever the quantile.
struct Thresholded<D> {
    denoiser: D,
    threshold: f64,
}

impl<D: Denoiser> Denoiser for Thresholded<D> {
    fn process(&self) -> &dyn Process {
        self.denoiser.process()
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.denoiser.denoise(x, t).clamp(-self.threshold, self.threshold) * self.threshold.recip()
    }
}

/// Levels uniform in their seventh root.
pub(crate) fn karras(from: f64, to: f64, n: usize) -> Vec<f64> {
    let (a, b) = (from.powf(1.0 / 7.0), to.powf(1.0 / 7.0));
    (0..n).map(|i| (a + (b - a) * i as f64 / (n - 1) as f64).powi(7)).collect()
}

/// The times at which the network is asked, and the levels of a run, one more.
fn grid(case: &Case<'_>) -> (Vec<f64>, Vec<f64>) {
    let (config, n) = (case.config, case.steps);
    if case.scheduler.starts_with("EDM") {
        let mut levels = karras(number(config, "sigma_max", 80.0), number(config, "sigma_min", 0.002), n);
        levels.push(levels[n - 1]);
        return (levels[..n].iter().map(|s| s.ln() / 4.0).collect(), levels);
    }
    let table = case.alpha_bar();
    if case.scheduler != "DPMSolverMultistepInverseScheduler" {
        return dpm_grid(case.scheduler, config, &table, n).expect("no grid of quantiles, no flow");
    }
    // From the least noise to the most; spaced evenly, the network is asked at the first n of n + 1 times.
    let levels = levels_of(&table);
    if config["use_karras_sigmas"] != Value::Bool(true) {
        let top = (table.len() - 1) as f64;
        let times: Vec<f64> = (0..=n).map(|i| (top * i as f64 / n as f64).round_ties_even()).collect();
        return (times[..n].to_vec(), times.iter().map(|t| levels[*t as usize]).collect());
    }
    // Their grid of Karras is the one of the way back, reversed, and its last level repeated.
    let (mut times, mut levels) = dpm_grid("DPMSolverMultistepScheduler", config, &table, n).expect("a grid of Karras");
    levels.truncate(n);
    times.reverse();
    levels.reverse();
    levels.push(levels[n - 1]);
    (times, levels)
}

/// The denoiser of a case, at times `-i` for step `i`.
fn denoiser(case: &Case<'_>, times: Vec<f64>, levels: &[f64]) -> Box<dyn Denoiser> {
    let prediction = text(case.config, "prediction_type").to_string();
    if !case.scheduler.starts_with("EDM") {
        let network = move |x: &Batch, i: usize| network(x, times[i]);
        return Box::new(StandIn { network, prediction, levels: ladder(levels, "vp") });
    }
    // D = c_skip x + c_out F; their sign of c_out turns for v.
    let data = number(case.config, "sigma_data", 0.5);
    let sign = if prediction == "v_prediction" { -1.0 } else { 1.0 };
    let process = ladder(levels, "edm");
    let table = process.clone();
    let clean = move |x: &Batch, t: f64| {
        let sigma = table.at(t).sigma;
        let square = sigma * sigma + data * data;
        x.clone() * (data * data / square) + network(x, times[-t as usize]) * (sign * sigma * data / square.sqrt())
    };
    Box::new(Formula { process, clean })
}

pub(crate) fn exponential(case: &Case<'_>) -> Batch {
    let (times, levels) = grid(case);
    let mut d = denoiser(case, times, &levels);
    if case.config["thresholding"] == Value::Bool(true) {
        let threshold = number(case.config, "sample_max_value", 1.0);
        assert!(threshold < 1.0, "{threshold}: the quantile matters from 1 on");
        d = Box::new(Thresholded { denoiser: d, threshold });
    }
    let scheduler = if case.scheduler.ends_with("InverseScheduler") { "DPMSolverMultistepScheduler" } else { case.scheduler };
    let solver = solver_of(scheduler, case.config, case.steps).expect("no stochastic solver");

    let m = d.process().at(-(case.start as f64));
    let mut x = case.begin(1.0, m.alpha, m.sigma);
    let mut legs: Vec<(f64, f64)> = (case.start..case.steps).map(|i| (-(i as f64), -(i as f64) - 1.0)).collect();
    if scheduler.ends_with("DPMSolverMultistepScheduler") && (levels[case.steps] / levels[case.steps - 1] - 1.0).abs() < 1e-9 {
        // A last step of no length, which changes nothing: the places of the looks before it in units of its length do not exist.
        legs.pop();
    }
    let mut rest = legs.as_slice();
    if case.scheduler == "DPMSolverSinglestepScheduler" && case.start % 2 == 1 {
        // Their blocks of two are counted from step 0: a run that begins within one ends it with a step of order 1.
        x = walk(d.as_ref(), solver.as_ref(), &rest[..1], x, |x, _| x);
        rest = &rest[1..];
    }
    walk(d.as_ref(), solver.as_ref(), rest, x, |x, _| x)
}
