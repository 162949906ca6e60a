//! diffusers: the schedulers over the noise level (Euler, Heun, KDPM2, LMS), PNDM, EDM's Euler, and flow matching's Euler and Heun.

use crate::diffusers::{alpha_bar, steps};
use crate::diffusers_grid::{ddim_times, is_close, levels_of, sigma_grid};
use crate::{Project, Tally, batch, churn, number, replay, text};
use scorefield_process::oracle::Mixture;
use scorefield_process::schedule::{Edm, RectifiedFlow};
use scorefield_process::{Denoiser, Leg, Process, ProcessExt};
use scorefield_sample::solver::{Churn, Combined, Dpm2, Euler, Heun, Lms, Pndm, Start};
use scorefield_sample::{Past, Solver};
use scorefield_tensor::{Batch, rows_f64};
use scorefield_testkit::{Bank, Table, Target};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The network under a scheduler that works at levels `sigma` with states `y = x / alpha`: it is asked for `F(y / sqrt(1 + sigma^2), t)`
/// at the listed time of the level, its output converted with the level.
pub(crate) struct Levelled {
    /// The exact denoiser on variance-preserving states, at times `-k` for the k-th of `asked`.
    network: Mixture<Table>,
    /// The levels at which it is asked, in this order.
    asked: Vec<f64>,
    /// The place in `asked` of the last question: a level may stand there twice, with two times.
    last: AtomicUsize,
    prediction: String,
    process: Edm,
}

/// The table of a configuration. A last level without signal has no finite `sigma / alpha`: they put `alpha_bar = 2^-24` there.
fn with_signal(config: &Value) -> Vec<f64> {
    alpha_bar(config).into_iter().map(|a| a.max(2.0f64.powi(-24))).collect()
}

impl Levelled {
    /// `asked`: levels, each with its time on the table.
    pub(crate) fn new(target: &Target, config: &Value, asked: &[(f64, f64)]) -> Self {
        let table: Vec<f64> = levels_of(&with_signal(config)).iter().map(|s| s.ln()).collect();
        let knot = |(k, (_, t)): (usize, &(f64, f64))| {
            let low = (t.floor() as usize).min(table.len() - 2);
            let level = (table[low] + (t - low as f64) * (table[low + 1] - table[low])).exp();
            let alpha = (1.0 + level * level).sqrt().recip();
            [-(k as f64), alpha, level * alpha]
        };
        let network = target.under(Table::new(asked.iter().enumerate().map(knot).collect()));
        let process = Edm::new(1e-4, 1e4).expect("levels");
        let prediction = text(config, "prediction_type").to_string();
        Self { network, asked: asked.iter().map(|a| a.0).collect(), last: AtomicUsize::new(usize::MAX), prediction, process }
    }
}

impl Denoiser for Levelled {
    fn process(&self) -> &dyn Process {
        &self.process
    }
    fn denoise(&self, y: &Batch, sigma: f64) -> Batch {
        let near = |s: &&f64| (*s / sigma - 1.0).abs() < 1e-9;
        let from = self.last.load(Ordering::Relaxed).wrapping_add(1);
        let after = self.asked.iter().skip(from).position(|s| near(&s)).map(|k| k + from);
        let first = || self.asked.iter().position(|s| near(&s));
        let k = after.or_else(first).unwrap_or_else(|| panic!("level {sigma} is not in {:?}", self.asked));
        self.last.store(k, Ordering::Relaxed);
        let (alpha, t) = ((1.0 + sigma * sigma).sqrt().recip(), -(k as f64));
        let x = y.clone() * alpha;
        let x0 = self.network.denoise(&x, t);
        let m = self.network.process().at(t);
        let eps = m.noise(&x, &x0);
        match self.prediction.as_str() {
            "sample" => x0,
            "v_prediction" => x * alpha - (eps * m.alpha - x0 * m.sigma) * (sigma * alpha),
            _ => y.clone() - eps * sigma,
        }
    }
}

/// What diffusers asks with churn: the network at the state and level before the churn, its noise used after it.
struct AskedBefore<'a> {
    network: &'a dyn Denoiser,
    x: Batch,
    sigma: f64,
    prediction: &'a str,
}

impl Denoiser for AskedBefore<'_> {
    fn process(&self) -> &dyn Process {
        self.network.process()
    }
    fn denoise(&self, x: &Batch, sigma: f64) -> Batch {
        let x0 = self.network.denoise(&self.x, self.sigma);
        match self.prediction {
            // F = (x_0 - c_skip x) / c_out at the level before, D = c_skip x + c_out F at the one after; sigma_data = 1/2.
            "edm" => {
                let c_skip = |s: f64| 0.25 / (s * s + 0.25);
                let c_out = |s: f64| s * 0.5 / (s * s + 0.25).sqrt();
                let f = (x0 - self.x.clone() * c_skip(self.sigma)) * c_out(self.sigma).recip();
                x.clone() * c_skip(sigma) + f * c_out(sigma)
            }
            _ => {
                let eps = (self.x.clone() - x0) * self.sigma.recip();
                x.clone() - eps * sigma
            }
        }
    }
}

/// Euler with churn under [`AskedBefore`]. They draw at the levels with churn only.
fn churned(d: &dyn Denoiser, churn: Churn, prediction: &str, levels: &[f64], x: &[f64], bank: &mut Bank) -> Vec<Vec<f64>> {
    let (solver, count, mut x) = (Euler { churn }, levels.len() - 1, batch(x));
    let mut states = vec![rows_f64(x.clone())];
    for (index, leg) in levels.windows(2).enumerate() {
        let (t, s) = (leg[0], leg[1]);
        let before = AskedBefore { network: d, x: x.clone(), sigma: t, prediction };
        let mut silent = Bank::empty().silent_from(0);
        let drawn = (churn.s_min..=churn.s_max).contains(&t);
        let noise = if drawn { &mut *bank } else { &mut silent };
        x = solver.step(&before, &x, Leg { t, s, index, count }, &mut Past::new(), noise);
        states.push(rows_f64(x.clone()));
    }
    states
}

/// The states of a run at the ends of its steps: schedulers that look twice a step store one after each look.
fn ends(states: &[Vec<f64>], steps: usize, looks: usize) -> Vec<Vec<f64>> {
    (0..=steps).map(|i| states[(i * looks).min(states.len() - 1)].clone()).collect()
}

/// diffusers: Euler, Heun, KDPM2 and LMS over the levels of the table, all spacings and grids.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_sigma() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let (scheduler, config) = (text(run, "scheduler"), &run["config"]);
            let churn = churn(&run["step_kwargs"], ["s_churn", "s_tmin", "s_tmax", "s_noise"]);
            let (solver, looks): (Box<dyn Solver>, usize) = match scheduler {
                "EulerDiscreteScheduler" => (Box::new(Euler::default()), 1),
                "LMSDiscreteScheduler" => {
                    let order = number(&run["step_kwargs"], "order", 4.0) as usize;
                    (Box::new(Lms { order, start: Start::Low }), 1)
                }
                "HeunDiscreteScheduler" => (Box::new(Heun::default()), 2),
                "KDPM2DiscreteScheduler" => (Box::new(Dpm2::default()), 2),
                _ => continue,
            };
            let n = run["num_inference_steps"].as_u64().expect("a count") as usize;
            let listed = project.trajectories.values(&format!("{name}/timesteps"));
            // Two-look schedulers list every level twice.
            let mut levels = project.trajectories.values(&format!("{name}/sigmas")).to_vec();
            levels.dedup();
            if let Some((times, mut grid)) = sigma_grid(scheduler, config, &with_signal(config), n) {
                let steps: Vec<f64> = match scheduler {
                    "KDPM2DiscreteScheduler" => listed.iter().copied().step_by(2).collect(),
                    "HeunDiscreteScheduler" => (0..n).map(|i| listed[(2 * i).saturating_sub(1)]).collect(),
                    _ => listed.to_vec(),
                };
                grid.dedup();
                assert!(is_close(&times, &steps), "{name}: times {times:?}, expected {steps:?}");
                assert!(is_close(&grid, &levels), "{name}: levels {grid:?}, expected {levels:?}");
            }
            levels.truncate(n + 1);
            let between = |i: usize| if i % 2 == 1 { (levels[i / 2] * levels[i / 2 + 1]).sqrt() } else { levels[i / 2] };
            let level = |i: usize| match scheduler {
                "KDPM2DiscreteScheduler" => between(i),
                "HeunDiscreteScheduler" => levels[i.div_ceil(2)],
                _ => levels[i],
            };
            let asked: Vec<(f64, f64)> = listed.iter().enumerate().map(|(i, t)| (level(i), *t)).collect();
            let d = Levelled::new(&target, config, &asked);
            let states = project.states(name);
            // A run that stays at its lowest level ends with a step of length zero.
            let theirs = ends(&states, levels.len() - 1, looks);
            let mut bank = project.noise(&target);
            let ours = match churn.is_none() {
                true => replay(&d, solver.as_ref(), &levels, &theirs[0], &mut Bank::empty()).0,
                false => churned(&d, churn, "epsilon", &levels, &theirs[0], &mut bank),
            };
            assert_eq!(Some(bank.drawn() as u64), run["noise_draws"].as_u64(), "{name}: draws");
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(40, 0);
}

/// diffusers: PNDM with its Runge-Kutta start and without.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_pndm() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let config = &run["config"];
            if text(run, "scheduler") != "PNDMScheduler" {
                continue;
            }
            let n = run["num_inference_steps"].as_u64().expect("a count") as usize;
            let skip_prk = config["skip_prk_steps"] == Value::Bool(true);
            let combined = if text(config, "prediction_type") == "v_prediction" { Combined::V } else { Combined::Noise };
            let mut listed = project.trajectories.values(&format!("{name}/timesteps")).to_vec();
            let mut theirs = project.states(name);
            if skip_prk {
                // The second time is visited twice, the state between the visits being inside our first step.
                listed.dedup();
                theirs.remove(1);
            } else {
                // Three steps of four looks.
                let inner = |i: &usize| *i < 12 && !i.is_multiple_of(4);
                listed = (0..listed.len()).filter(|i| !inner(i)).map(|i| listed[i]).collect();
                theirs = (0..theirs.len()).filter(|i| !inner(i)).map(|i| theirs[i].clone()).collect();
            }
            assert!(is_close(&ddim_times(config, n), &listed), "{name}: times {listed:?}");
            let table = alpha_bar(config);
            let jump = (table.len() / n) as f64;
            let legs: Vec<(f64, f64)> = listed.iter().map(|t| (*t, (t - jump).max(-1.0))).collect();
            let last = if config["set_alpha_to_one"] == Value::Bool(true) { 1.0 } else { table[0] };
            let d = target.under(Table::of_alpha_bar(&table, last));
            let ours = steps(&d, &Pndm { skip_prk, combined }, &legs, &theirs[0], &mut Bank::empty());
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(4, 0);
}

/// diffusers: Euler and Heun on the straight line, and Euler on EDM's levels.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_flow_and_edm() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let (scheduler, config) = (text(run, "scheduler"), &run["config"]);
            let churn = churn(&run["step_kwargs"], ["s_churn", "s_tmin", "s_tmax", "s_noise"]);
            if config["stochastic_sampling"] == Value::Bool(true) {
                tally.skip("diffusers_sde.rs");
                continue;
            }
            let (solver, looks): (Box<dyn Solver>, usize) = match scheduler {
                "FlowMatchEulerDiscreteScheduler" | "EDMEulerScheduler" => (Box::new(Euler::default()), 1),
                "FlowMatchHeunDiscreteScheduler" => (Box::new(Heun::default()), 2),
                _ => continue,
            };
            let mut levels = project.trajectories.values(&format!("{name}/sigmas")).to_vec();
            levels.dedup();
            let d: Box<dyn Denoiser> = match scheduler {
                "EDMEulerScheduler" => Box::new(target.under(Edm::new(1e-4, 1e4).expect("levels"))),
                _ => Box::new(target.under(RectifiedFlow)),
            };
            let theirs = ends(&project.states(name), levels.len() - 1, looks);
            let mut bank = project.noise(&target);
            let ours = match churn.is_none() {
                true => replay(d.as_ref(), solver.as_ref(), &levels, &theirs[0], &mut bank).0,
                false => churned(d.as_ref(), churn, "edm", &levels, &theirs[0], &mut bank),
            };
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(26, 2);
}
