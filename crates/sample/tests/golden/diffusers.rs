//! diffusers: discrete tables.

use crate::{Project, Tally, batch, number, replay, text};
use scorefield_process::oracle::Mixture;
use scorefield_process::{Denoiser, Leg, Process, ProcessExt};
use scorefield_sample::solver::{Ddim, Ddpm, DpmPp2M, Variance};
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

/// `alpha_bar` of a diffusers configuration.
pub(crate) fn alpha_bar(config: &Value) -> Vec<f64> {
    let n = number(config, "num_train_timesteps", 1000.0) as usize;
    let (b0, b1) = (number(config, "beta_start", 1e-4), number(config, "beta_end", 0.02));
    let at = |i: usize, a: f64, b: f64| a + i as f64 / (n - 1) as f64 * (b - a);
    let bar = |u: f64| ((u + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
    let beta = |i: usize| match text(config, "beta_schedule") {
        "linear" => at(i, b0, b1),
        "scaled_linear" => at(i, b0.sqrt(), b1.sqrt()).powi(2),
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
fn steps(d: &dyn Denoiser, solver: &dyn Solver, legs: &[(f64, f64)], x: &[f64], bank: &mut Bank) -> Vec<Vec<f64>> {
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
            if text(config, "variance_type").starts_with("learned") {
                tally.skip("the variance is a second output of the network");
                continue;
            }
            if config["thresholding"] == Value::Bool(true) {
                tally.skip("eps of the network with x_0 of the threshold: two predictions that disagree");
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
            let variance = if text(config, "variance_type") == "fixed_large" { Variance::Large } else { Variance::Small };
            let solver: Box<dyn Solver> = match ddim {
                true => Box::new(Ddim { eta: number(&run["step_kwargs"], "eta", 0.0) }),
                false => Box::new(Ddpm { variance }),
            };
            let mut d: Box<dyn Denoiser> = Box::new(target.under(Table::of_alpha_bar(&table, last)));
            if config["clip_sample"] == Value::Bool(true) {
                d = Box::new(Clipped(d));
            }
            let mut theirs = project.states(name);
            let mut ours = steps(d.as_ref(), solver.as_ref(), &legs, &theirs[0], &mut project.noise(&target));
            if !ddim && variance == Variance::Large && listed[listed.len() - 1] > 0.0 {
                // They add the forward kernel's noise even on the step to clean data, we do not.
                ours.pop();
                theirs.pop();
            }
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(26, 3);
}

/// A network asked at a table's time while the solver's own levels may differ a little (the levels of Karras-like grids lie
/// between the table's): its `eps` is converted with the solver's levels. Times are `-i` for step `i`.
pub(crate) struct StandIn {
    pub(crate) network: Mixture<Table>,
    pub(crate) levels: Table,
}

impl Denoiser for StandIn {
    fn process(&self) -> &dyn Process {
        &self.levels
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let eps = self.network.process().at(t).noise(x, &self.network.denoise(x, t));
        let m = self.levels.at(t);
        (x.clone() - eps * m.sigma) * m.alpha.recip()
    }
}

/// diffusers: DPM-Solver++ of order 1 (DDIM) and 2 (2M), on tables and on EDM's levels.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_dpm_solver() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let (scheduler, config) = (text(run, "scheduler"), &run["config"]);
            let edm = scheduler == "EDMDPMSolverMultistepScheduler";
            if !edm && scheduler != "DPMSolverMultistepScheduler" {
                continue;
            }
            let order = number(config, "solver_order", 2.0) as usize;
            if !["", "dpmsolver++"].contains(&text(config, "algorithm_type"))
                || !["", "midpoint"].contains(&text(config, "solver_type"))
                || order > 2
                || config["use_flow_sigmas"] == Value::Bool(true)
            {
                tally.skip("a method that is not in the list yet");
                continue;
            }
            let solver: Box<dyn Solver> = match order {
                1 => Box::new(Ddim::default()),
                // They lower the last step's order in runs of fewer than 15 steps unless told not to.
                _ => Box::new(DpmPp2M {
                    lower_order_final: config["lower_order_final"] != Value::Bool(false),
                    ..DpmPp2M::default()
                }),
            };
            let sigmas = project.trajectories.values(&format!("{name}/sigmas"));
            let level = |(i, sigma): (usize, &f64)| {
                let alpha = if edm { 1.0 } else { (1.0 + sigma * sigma).sqrt().recip() };
                [-(i as f64), alpha, sigma * alpha]
            };
            let levels = Table::new(sigmas.iter().enumerate().map(level).collect());
            let times: Vec<f64> = (0..sigmas.len()).map(|i| -(i as f64)).collect();
            let d: Box<dyn Denoiser> = if edm {
                Box::new(target.under(levels))
            } else {
                let table = alpha_bar(config);
                let timesteps = project.trajectories.values(&format!("{name}/timesteps"));
                let knot = |(i, t): (usize, &f64)| [-(i as f64), table[*t as usize].sqrt(), (1.0 - table[*t as usize]).sqrt()];
                let network = target.under(Table::new(timesteps.iter().enumerate().map(knot).collect()));
                Box::new(StandIn { network, levels })
            };
            let theirs = project.states(name);
            let (ours, _) = replay(d.as_ref(), solver.as_ref(), &times, &theirs[0], &mut Bank::empty());
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(36, 41);
}
