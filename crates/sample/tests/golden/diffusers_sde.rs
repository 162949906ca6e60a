//! diffusers: the stochastic schedulers.

use crate::diffusers::alpha_bar;
use crate::diffusers_sigma::Levelled;
use crate::{Project, Tally, batch, number, replay, text};
use scorefield_process::oracle::Mixture;
use scorefield_process::schedule::{Edm, Ve};
use scorefield_process::{Denoiser, Leg, Process, ProcessExt};
use scorefield_sample::solver::{
    Ancestral, Corrector, Dpm2Ancestral, DpmPp2MSde, DpmPp3MSde, DpmPpSde, EulerAncestral, Formula, Norm, Predictor,
    PredictorCorrector, Predicts, Second, Variance,
};
use scorefield_sample::{Past, Solver};
use scorefield_tensor::{Batch, rows_f64};
use scorefield_testkit::{Table, Target};
use serde_json::Value;

/// A network asked at a table's time while the solver's own levels may differ a little (the levels of Karras-like grids lie
/// between the table's): its `eps` is converted with the solver's levels. Times are `-i` for step `i`.
struct StandIn {
    network: Mixture<Table>,
    levels: Table,
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

/// Their levels as a process with times `-i`, and the network asked at the listed times.
fn levelled(project: &Project, target: &Target, name: &str, run: &Value, edm: bool) -> (Vec<f64>, Box<dyn Denoiser>) {
    let sigmas = project.trajectories.values(&format!("{name}/sigmas"));
    let times: Vec<f64> = (0..sigmas.len()).map(|i| -(i as f64)).collect();
    let level = |(i, sigma): (usize, &f64)| {
        let alpha = if edm { 1.0 } else { (1.0 + sigma * sigma).sqrt().recip() };
        [-(i as f64), alpha, sigma * alpha]
    };
    let levels = Table::new(sigmas.iter().enumerate().map(level).collect());
    if edm {
        return (times, Box::new(target.under(levels)));
    }
    let table = alpha_bar(&run["config"]);
    let listed = project.trajectories.values(&format!("{name}/timesteps"));
    let knot = |(i, t): (usize, &f64)| [-(i as f64), table[*t as usize].sqrt(), (1.0 - table[*t as usize]).sqrt()];
    let network = target.under(Table::new(listed.iter().enumerate().map(knot).collect()));
    (times, Box::new(StandIn { network, levels }))
}

/// sde-dpmsolver and sde-dpmsolver++, multistep of orders 1 and 2, on tables and on EDM's levels; singlestep of order 2.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_sde_dpm_solver() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let (scheduler, config) = (text(run, "scheduler"), &run["config"]);
            let algorithm = text(config, "algorithm_type");
            if !algorithm.starts_with("sde-") {
                continue;
            }
            let order = number(config, "solver_order", 2.0) as usize;
            let (times, d) = levelled(&project, &target, name, run, scheduler.starts_with("EDM"));
            let heun = text(config, "solver_type") == "heun";
            let solver = DpmPp2MSde {
                solver: if heun { Second::Heun } else { Second::Midpoint },
                on: if algorithm == "sde-dpmsolver" { Predicts::Noise } else { Predicts::Data },
                lower_order_final: true,
                ..Default::default()
            };
            let theirs = project.states(name);
            let mut bank = project.noise(&target);
            if scheduler == "DPMSolverSinglestepScheduler" {
                // A step of order 2 ends where the second of two single steps does, and starts where the first did.
                let lambda = |t: f64| 0.5 * d.process().at(t).log_snr();
                let (mut x, mut i, count) = (batch(&theirs[0]), 0, times.len() - 1);
                let mut ends = vec![(0, theirs[0].clone())];
                while i < count {
                    let pair = i + 2 < count;
                    let (t, s) = (times[i], times[if pair { i + 2 } else { i + 1 }]);
                    let leg = Leg { t, s, index: i, count };
                    let ancestral = Ancestral::default();
                    let step: Box<dyn Solver> = if pair {
                        let r = (lambda(times[i + 1]) - lambda(t)) / (lambda(s) - lambda(t));
                        Box::new(DpmPpSde { ancestral, r, coupled: false })
                    } else {
                        Box::new(EulerAncestral { ancestral })
                    };
                    x = step.step(d.as_ref(), &x, leg, &mut Past::new(), &mut bank);
                    i += if pair { 2 } else { 1 };
                    ends.push((i, rows_f64(x.clone())));
                }
                let (ours, seen): (Vec<_>, Vec<_>) = ends.into_iter().map(|(i, x)| (x, theirs[i].clone())).unzip();
                tally.compare_all(name, &ours, &seen);
                continue;
            }
            let (ours, _) = match order {
                // Of first order it is the ancestral Euler step, on data; on noise the same solver without a past.
                1 if algorithm == "sde-dpmsolver++" => {
                    replay(d.as_ref(), &EulerAncestral::default(), &times, &theirs[0], &mut bank)
                }
                1 => replay(d.as_ref(), &Forgetful(solver), &times, &theirs[0], &mut bank),
                3 => {
                    // Two halves of a sign apart from k-diffusion's.
                    let third = DpmPp3MSde { formula: Formula::Diffusers, lower_order_final: true, ..Default::default() };
                    replay(d.as_ref(), &third, &times, &theirs[0], &mut bank)
                }
                _ => replay(d.as_ref(), &solver, &times, &theirs[0], &mut bank),
            };
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(24, 0);
}

/// A solver that sees every step as its first.
#[derive(Debug)]
struct Forgetful(DpmPp2MSde);

impl Solver for Forgetful {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn order(&self) -> scorefield_sample::Order {
        scorefield_sample::Order::Weak(1)
    }
    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, _: &mut Past, noise: &mut dyn scorefield_tensor::Noise) -> Batch {
        self.0.step(d, x, leg, &mut Past::new(), noise)
    }
}

/// The ancestral schedulers, whose state is in sigma space: the exact denoiser at their levels.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_ancestral() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let solver: Box<dyn Solver> = match text(run, "scheduler") {
                "EulerAncestralDiscreteScheduler" => Box::new(EulerAncestral::default()),
                "KDPM2AncestralDiscreteScheduler" => Box::new(Dpm2Ancestral::default()),
                _ => continue,
            };
            let config = &run["config"];
            let mut levels = project.trajectories.values(&format!("{name}/sigmas")).to_vec();
            levels.dedup();
            let d: Box<dyn Denoiser> = if config["use_karras_sigmas"] == Value::Bool(true) {
                // KDPM2 on Karras levels asks the network at rounded times, and so at other levels than the solver's.
                // The middle of the way from l down to m^2 / l is m, so all levels but the first stand there twice.
                let level = |i: usize| levels[i.div_ceil(2)];
                let listed = project.trajectories.values(&format!("{name}/timesteps"));
                let asked: Vec<(f64, f64)> = listed.iter().enumerate().map(|(i, t)| (level(i), *t)).collect();
                Box::new(Levelled::new(&target, config, &asked))
            } else {
                Box::new(target.under(Edm::new(1e-4, 1e4).expect("levels")))
            };
            let theirs = project.states(name);
            let (ours, _) = replay(d.as_ref(), solver.as_ref(), &levels, &theirs[0], &mut project.noise(&target));
            // Of two calls a step they keep both states.
            let stride = if theirs.len() > ours.len() { 2 } else { 1 };
            let mut seen: Vec<Vec<f64>> = theirs.iter().step_by(stride).cloned().collect();
            seen.truncate(ours.len() - 1);
            seen.push(theirs[theirs.len() - 1].clone());
            tally.compare_all(name, &ours, &seen);
        }
    }
    tally.expect(11, 0);
}

/// The stochastic sampler of flow matching: all noise drawn afresh at every step.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_stochastic_flow() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            if run["config"]["stochastic_sampling"] != Value::Bool(true) {
                continue;
            }
            let sigmas = project.trajectories.values(&format!("{name}/sigmas"));
            let knots = sigmas.iter().enumerate().map(|(i, s)| [-(i as f64), (1.0 - s).max(1e-300), *s]).collect();
            let times: Vec<f64> = (0..sigmas.len()).map(|i| -(i as f64)).collect();
            let d = target.under(Table::new(knots));
            let ancestral = Ancestral { eta: f64::INFINITY, s_noise: 1.0 };
            let theirs = project.states(name);
            let solver = EulerAncestral { ancestral };
            let (ours, _) = replay(&d, &solver, &times, &theirs[0], &mut project.noise(&target));
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(2, 0);
}

/// The exact score at `sigma_i` of the predictor's grid, with the chain's coefficients of step `i` at time `-i`.
struct Chained {
    target: Mixture<Ve>,
    times: Vec<f64>,
    chain: Table,
}

impl Denoiser for Chained {
    fn process(&self) -> &dyn Process {
        &self.chain
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let at = self.times[(-t) as usize];
        let score = self.target.process().at(at).score(x, &self.target.denoise(x, at));
        self.chain.at(t).clean_of_score(x, &score)
    }
}

/// The predictor-corrector of VE: Langevin steps with the batch's norms, then reverse diffusion on a table.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_score_sde_ve() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            if text(run, "scheduler") != "ScoreSdeVeScheduler" {
                continue;
            }
            let config = &run["config"];
            let n = number(config, "num_train_timesteps", 2000.0) as usize;
            let (low, high) = (number(config, "sigma_min", 0.01), number(config, "sigma_max", 1348.0));
            let eps = number(config, "sampling_eps", 1e-5);
            let between = |i: usize, a: f64, b: f64| a + i as f64 / (n - 1) as f64 * (b - a);
            let times: Vec<f64> = (0..n).map(|i| between(i, 1.0, eps)).collect();
            let table = |j: usize| between(j, low.ln(), high.ln()).exp();
            // Added variances from the last step up: only their differences matter.
            let mut knots = vec![[-(n as f64), 1.0, 1.0]];
            for i in (0..n).rev() {
                let j = (times[i] * (n - 1) as f64) as usize;
                let added = table(j).powi(2) - if j > 0 { table(j - 1).powi(2) } else { 0.0 };
                let [.., sigma] = knots[knots.len() - 1];
                knots.push([-(i as f64), 1.0, (sigma * sigma + added).sqrt()]);
            }
            let d = Chained { target: target.under(Ve::new(low, high).expect("levels")), times, chain: Table::new(knots) };
            let n_steps = number(config, "correct_steps", 1.0) as usize;
            let corrector = Corrector { snr: number(config, "snr", 0.15), n_steps, norm: Norm::Batch };
            let solver = PredictorCorrector { predictor: Predictor::ReverseDiffusion, variance: Variance::Small, corrector };
            let theirs = project.states(name);
            let steps: Vec<f64> = (0..=n).map(|i| -(i as f64)).collect();
            let draws = run["noise_draws"].as_u64().expect("a count") as usize;
            let (mut ours, _) = replay(&d, &solver, &steps, &theirs[0], &mut project.noise(&target));
            // Their last entry is the last mean.
            let mut bank = project.noise(&target).silent_from(draws - 1);
            ours.push(replay(&d, &solver, &steps, &theirs[0], &mut bank).0.pop().expect("a state"));
            assert_eq!(bank.drawn(), draws, "{name}: draws");
            let mut seen: Vec<Vec<f64>> = theirs.iter().take(theirs.len() - 1).step_by(1 + n_steps).cloned().collect();
            seen.push(theirs[theirs.len() - 1].clone());
            tally.compare_all(name, &ours, &seen);
        }
    }
    tally.expect(4, 0);
}
