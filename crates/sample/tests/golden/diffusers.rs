//! diffusers: discrete tables, DDPM and DDIM.

use crate::diffusers_grid::{ddim_times, is_close};
use crate::{Project, Tally, batch, number, text};
use scorefield_process::{Denoiser, Leg, Process, ProcessExt, StepVariance};
use scorefield_sample::solver::{Ddim, Ddpm, Variance};
use scorefield_sample::{Past, Solver};
use scorefield_tensor::{Batch, rows_f64};
use scorefield_testkit::{Bank, Table, Target};
use serde_json::Value;
use std::f64::consts::FRAC_PI_2;

/// A denoiser clipped to [-1, 1].
struct Clipped<D>(D);

impl<D: Denoiser> Denoiser for Clipped<D> {
    fn process(&self) -> &dyn Process {
        self.0.process()
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.0.denoise(x, t).clamp(-1.0, 1.0)
    }
}

/// The exact denoiser that has also learned a variance: a made-up second output, read as diffusers reads it.
struct Learned<D> {
    denoiser: D,
    legs: Vec<(f64, f64)>,
    /// The output is the variance itself (`learned`), not a place between two (`learned_range`).
    itself: bool,
}

impl<D: Denoiser> Denoiser for Learned<D> {
    fn process(&self) -> &dyn Process {
        self.denoiser.process()
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.denoiser.denoise(x, t)
    }
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let wave = (x.clone() * 1.7).sin();
        let s = self.legs.iter().find(|leg| leg.0 == t).expect("a listed time").1;
        let (at_t, at_s) = (self.process().at(t), self.process().at(s));
        let large = at_t.sigma.powi(2) - (at_t.alpha / at_s.alpha * at_s.sigma).powi(2);
        let small = large * (at_s.sigma / at_t.sigma).powi(2);
        let nu = match self.itself {
            true => (((wave * 0.5 + 1.0) * 0.02).log() - small.ln()) / (large / small).ln(),
            false => (wave * 0.6 + 1.0) * 0.5,
        };
        (self.denoise(x, t), Some(StepVariance::Between(nu)))
    }
}

/// `alpha_bar` of a diffusers configuration.
pub(crate) fn alpha_bar(config: &Value) -> Vec<f64> {
    let n = number(config, "num_train_timesteps", 1000.0) as usize;
    let (b0, b1) = (number(config, "beta_start", 1e-4), number(config, "beta_end", 0.02));
    let at = |i: usize, a: f64, b: f64| a + i as f64 / (n - 1) as f64 * (b - a);
    let bar = |u: f64| ((u + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
    let beta = |i: usize| match text(config, "beta_schedule") {
        "linear" => at(i, b0, b1),
        "scaled_linear" => at(i, b0.sqrt(), b1.sqrt()).powi(2),
        "exp" => -(-12.0 / n as f64).exp_m1(),
        "squaredcos_cap_v2" => (1.0 - bar((i + 1) as f64 / n as f64) / bar(i as f64 / n as f64)).min(0.999),
        other => panic!("beta schedule {other}"),
    };
    let mut product = 1.0;
    let mut table: Vec<f64> = (0..n)
        .map(|i| {
            product *= 1.0 - beta(i);
            product
        })
        .collect();
    if config["rescale_betas_zero_snr"] == Value::Bool(true) {
        let (first, last) = (table[0].sqrt(), table[n - 1].sqrt());
        table.iter_mut().for_each(|a| *a = ((a.sqrt() - last) * first / (first - last)).powi(2));
    }
    table
}

/// Steps of a solver over legs that need not chain.
pub(crate) fn steps(d: &dyn Denoiser, solver: &dyn Solver, legs: &[(f64, f64)], x: &[f64], bank: &mut Bank) -> Vec<Vec<f64>> {
    let (mut past, mut x, count) = (Past::new(), batch(x), legs.len());
    let mut states = vec![rows_f64(x.clone())];
    for (index, &(t, s)) in legs.iter().enumerate() {
        x = solver.step(d, &x, Leg { t, s, index, count }, &mut past, bank);
        states.push(rows_f64(x.clone()));
    }
    states
}

/// diffusers: DDPM and DDIM on the discrete tables.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_ddpm_and_ddim() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let (scheduler, config) = (text(run, "scheduler"), &run["config"]);
            let ddim = scheduler == "DDIMScheduler";
            if !ddim && scheduler != "DDPMScheduler" {
                continue;
            }
            let table = alpha_bar(config);
            let listed = project.trajectories.values(&format!("{name}/timesteps"));
            let n = run["num_inference_steps"].as_u64().expect("a count") as usize;
            let last = if config["set_alpha_to_one"] == Value::Bool(false) { table[0] } else { 1.0 };
            let jump = (table.len() / n) as f64;
            let legs: Vec<(f64, f64)> = (0..listed.len())
                .map(|i| match ddim {
                    true => (listed[i], (listed[i] - jump).max(-1.0)),
                    false => (listed[i], listed.get(i + 1).copied().unwrap_or(-1.0)),
                })
                .collect();
            assert!(is_close(&ddim_times(config, n), listed), "{name}: times");
            let learned = text(config, "variance_type");
            let solver: Box<dyn Solver> = match ddim {
                true => {
                    let given = &run["step_kwargs"];
                    let (mut clip, mut quantile) = (f64::INFINITY, 0.0);
                    if config["thresholding"] == Value::Bool(true) {
                        clip = number(config, "sample_max_value", 1.0);
                        quantile = number(config, "dynamic_thresholding_ratio", 0.995);
                    } else if config["clip_sample"] == Value::Bool(true) && given["use_clipped_model_output"] != Value::Bool(true)
                    {
                        clip = 1.0;
                    }
                    Box::new(Ddim { eta: number(given, "eta", 0.0), clip, quantile })
                }
                false => {
                    let variance = match learned {
                        "fixed_large" => Variance::Large,
                        "learned" | "learned_range" => Variance::Learned,
                        _ => Variance::Small,
                    };
                    // They add the forward kernel's noise on the step to clean data unless it starts at the table's first time.
                    Box::new(Ddpm { variance, noisy_end: listed.last() > Some(&0.0) })
                }
            };
            let mut d: Box<dyn Denoiser> = Box::new(target.under(Table::of_alpha_bar(&table, last)));
            if config["clip_sample"] == Value::Bool(true) {
                d = Box::new(Clipped(d));
            }
            if learned.starts_with("learned") {
                d = Box::new(Learned { denoiser: d, legs: legs.clone(), itself: learned == "learned" });
            }
            let theirs = project.states(name);
            let ours = steps(d.as_ref(), solver.as_ref(), &legs, &theirs[0], &mut project.noise(&target));
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(29, 0);
}
