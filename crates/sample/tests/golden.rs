//! Trajectories of reference implementations on closed-form targets, replayed with their noise to 1e-8 or better in double
//! precision. The fixtures lie beside the repository; without them these tests are ignored.
//!
//! Runs there that no solver here claims to reproduce are listed with their reason by [`Tally::skip`], and every test asserts how many
//! runs it compared, so that none drops out unseen.

use scorefield_process::oracle::Mixture;
use scorefield_process::schedule::{Edm, SubVp, Ve, VpLinear};
use scorefield_process::{Denoiser, Grid, Leg, Process, ProcessExt, Span};
use scorefield_sample::solver::{
    Churn, Corrector, Ddim, Ddpm, DpmPp2M, Euler, EulerMaruyama, Heun, Norm, Predictor, PredictorCorrector, Variance,
};
use scorefield_sample::{Finish, Past, Solver, Trajectory};
use scorefield_tensor::{Batch, Device, Dual, batch_f64, rows_f64};
use scorefield_testkit::{Bank, Golden, Table, Target, largest_difference};
use serde_json::{Map, Value};
use std::f64::consts::FRAC_PI_2;

/// What each project's runs were compared to.
const TOLERANCE: f64 = 1e-8;

/// The fixtures of one project.
struct Project {
    runs: Map<String, Value>,
    trajectories: Golden,
    bank: Golden,
}

impl Project {
    fn open(name: &str) -> Self {
        let runs = Golden::json(&format!("samplers/{name}/runs.json"));
        Self {
            runs: runs.as_object().expect("runs.json is an object").clone(),
            trajectories: Golden::open(&format!("samplers/{name}/trajectories.safetensors")),
            bank: Golden::open("samplers/noise_bank.safetensors"),
        }
    }

    /// The runs on a target: their names and arguments.
    fn on<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let prefix = format!("{}/", target.name);
        self.runs.iter().filter(move |(name, _)| name.starts_with(&prefix)).map(|(name, run)| (name.as_str(), run))
    }

    fn noise(&self, target: &Target) -> Bank {
        Bank::new(self.bank.slices(&format!("{}.noise", target.name)))
    }

    fn z(&self, target: &Target) -> Vec<f64> {
        self.bank.values(&format!("{}.z", target.name)).to_vec()
    }

    fn states(&self, run: &str) -> Vec<Vec<f64>> {
        self.trajectories.slices(&format!("{run}/x"))
    }
}

/// Counts and compares.
#[derive(Default)]
struct Tally {
    compared: usize,
    skipped: usize,
    worst: f64,
}

impl Tally {
    fn skip(&mut self, _reason: &str) {
        self.skipped += 1;
    }

    #[track_caller]
    fn compare(&mut self, run: &str, what: &str, ours: &[f64], theirs: &[f64]) {
        let size = theirs.iter().fold(1.0f64, |top, v| top.max(v.abs()));
        let gap = largest_difference(ours, theirs) / size;
        assert!(gap < TOLERANCE, "{run}, {what}: {gap:.2e}");
        self.worst = self.worst.max(gap);
    }

    #[track_caller]
    fn compare_all(&mut self, run: &str, ours: &[Vec<f64>], theirs: &[Vec<f64>]) {
        assert_eq!(ours.len(), theirs.len(), "{run}: number of states");
        ours.iter().zip(theirs).enumerate().for_each(|(i, (a, b))| self.compare(run, &format!("state {i}"), a, b));
        self.compared += 1;
    }

    #[track_caller]
    fn expect(self, compared: usize, skipped: usize) {
        assert_eq!((self.compared, self.skipped), (compared, skipped), "runs compared and skipped");
        assert!(self.worst > 0.0, "two implementations agree to the last bit in every number: was anything compared?");
    }
}

fn batch(x: &[f64]) -> Batch {
    batch_f64(x.to_vec(), 8, &Device::default())
}

/// Every state of a run of ours over the given times, and its evaluations.
fn replay(d: &dyn Denoiser, solver: &dyn Solver, times: &[f64], x: &[f64], bank: &mut Bank) -> (Vec<Vec<f64>>, u64) {
    let grid = Grid::new(times.to_vec()).expect("decreasing times");
    let mut run = Trajectory::new(d, solver, &grid, bank, batch(x)).finish(Finish::Leave);
    let states = run.by_ref().map(|frame| rows_f64(frame.x)).collect();
    (states, run.evaluations())
}

fn scaled(z: &[f64], by: f64) -> Vec<f64> {
    z.iter().map(|v| v * by).collect()
}

fn karras(n: usize, low: f64, high: f64, rho: f64) -> Vec<f64> {
    let between = |i: usize| high.powf(1.0 / rho) + i as f64 / (n - 1) as f64 * (low.powf(1.0 / rho) - high.powf(1.0 / rho));
    (0..n).map(|i| between(i).powf(rho)).collect()
}

fn number(value: &Value, key: &str, default: f64) -> f64 {
    value.get(key).map_or(default, |v| v.as_f64().unwrap_or_else(|| panic!("{key} is {v}")))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).map_or("", |v| v.as_str().unwrap_or_else(|| panic!("{key} is {v}")))
}

/// `sigma = sqrt(t)`: the variance-exploding schedule of Karras et al. 2022, table 1.
#[derive(Debug)]
struct RootTime;

impl Process for RootTime {
    fn alpha(&self, _: Dual) -> Dual {
        Dual::constant(1.0)
    }
    fn sigma(&self, t: Dual) -> Dual {
        t.sqrt()
    }
    fn span(&self) -> Span {
        Span { start: 1e-9, end: 1e6 }
    }
}

/// Variance preserving with `beta = start + slope t`, fitted to levels: `start` can come out negative, which makes no process
/// next to `t = 0`, where the reference does not look.
#[derive(Debug)]
struct FittedVp {
    start: f64,
    slope: f64,
}

impl FittedVp {
    fn integral(&self, t: Dual) -> Dual {
        t * t * (0.5 * self.slope) + t * self.start
    }
}

impl Process for FittedVp {
    fn alpha(&self, t: Dual) -> Dual {
        (self.integral(t) * -0.5).exp()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (-(-self.integral(t)).exp_m1()).sqrt()
    }
    fn span(&self) -> Span {
        Span { start: 0.99e-3, end: 1.01 }
    }
}

fn edm_churn(kwargs: &Value, names: [&str; 4]) -> Churn {
    Churn {
        s_churn: number(kwargs, names[0], 0.0),
        s_min: number(kwargs, names[1], 0.0),
        s_max: number(kwargs, names[2], f64::INFINITY),
        s_noise: number(kwargs, names[3], 1.0),
    }
}

/// Karras et al. 2022: algorithm 2 and the ablation sampler in three schedules, all 42 runs.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn edm() {
    let (project, mut tally) = (Project::open("edm"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let kwargs = &run["kwargs"];
            let n = number(kwargs, "num_steps", 0.0) as usize;
            let ablation = text(run, "fn") == "ablation_sampler";
            let churn = edm_churn(kwargs, ["S_churn", "S_min", "S_max", "S_noise"]);
            let alpha = number(kwargs, "alpha", 1.0);
            let solver: Box<dyn Solver> =
                if text(kwargs, "solver") == "euler" { Box::new(Euler { churn }) } else { Box::new(Heun { churn, alpha }) };

            // The levels.
            let levels = match text(kwargs, "discretization") {
                "" | "edm" => {
                    karras(n, number(kwargs, "sigma_min", 0.002), number(kwargs, "sigma_max", 80.0), number(kwargs, "rho", 7.0))
                }
                "vp" => {
                    let sigma = |t: f64| (0.5 * 19.9 * t * t + 0.1 * t).exp_m1().sqrt();
                    (0..n).map(|i| sigma(1.0 + i as f64 / (n - 1) as f64 * (1e-3 - 1.0))).collect()
                }
                "ve" => (0..n).map(|i| 100.0 * (0.02f64 / 100.0).powf(i as f64 / (n - 1) as f64)).collect(),
                // A table of the project's own: the levels as its network saw them, each once.
                "iddpm" => {
                    let mut seen = project.trajectories.values(&format!("{name}/sigmas_seen_by_net")).to_vec();
                    seen.dedup_by(|a, b| (*a - *b).abs() < 1e-9 * *b);
                    seen
                }
                other => panic!("{name}: discretization {other}"),
            };
            assert_eq!(levels.len(), n, "{name}");

            // The process whose time the steps are taken in.
            let (low, high) = match text(kwargs, "discretization") {
                "iddpm" => (0.002, 81.0),
                _ => (levels[n - 1], levels[0]),
            };
            let process: Box<dyn Process> = match text(kwargs, "schedule") {
                "vp" => {
                    let (eps, l, h) = (1e-3, (low * low + 1.0).ln(), (high * high + 1.0).ln());
                    let slope = 2.0 * (l / eps - h) / (eps - 1.0);
                    let start = h - 0.5 * slope;
                    Box::new(FittedVp { start, slope })
                }
                "ve" => Box::new(RootTime),
                _ => Box::new(Edm::new(1e-4, 1e4).expect("levels")),
            };
            if ablation {
                assert_eq!(text(kwargs, "scaling") == "vp", text(kwargs, "schedule") == "vp", "{name}");
            }
            let mut times: Vec<f64> = levels.iter().map(|l| process.time_of_ratio(*l)).collect();
            times.push(0.0);
            let first = process.at(times[0]).sigma;
            let d = target.under(process);
            let (ours, nfe) =
                replay(&d, solver.as_ref(), &times, &scaled(&project.z(&target), first), &mut project.noise(&target));
            assert_eq!(Some(nfe), run["nfe"].as_u64(), "{name}: evaluations");
            tally.compare_all(name, &ours, &project.states(name));
        }
    }
    tally.expect(42, 0);
}

/// k-diffusion: Euler, Heun, DPM-Solver++(2M), and the ancestral Euler at eta = 1, which is DDPM's step.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn k_diffusion() {
    let (project, mut tally) = (Project::open("k_diffusion"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let kwargs = &run["kwargs"];
            let churn = edm_churn(kwargs, ["s_churn", "s_tmin", "s_tmax", "s_noise"]);
            let churned = !churn.is_none();
            let solver: Box<dyn Solver> = match text(run, "sampler") {
                "sample_euler" => Box::new(Euler { churn }),
                "sample_heun" => Box::new(Heun { churn, alpha: 1.0 }),
                "sample_dpmpp_2m" => Box::new(DpmPp2M::default()),
                "sample_euler_ancestral" if number(kwargs, "eta", 1.0) == 1.0 => Box::new(Ddim { eta: 1.0 }),
                _ => {
                    tally.skip("a method that is not in the list yet");
                    continue;
                }
            };
            let levels = project.trajectories.values(&format!("grid/{}", text(run, "grid")));
            let d = target.under(Edm::new(1e-4, 1e4).expect("levels"));
            let start = scaled(&project.z(&target), levels[0]);
            let (mut ours, nfe) = replay(&d, solver.as_ref(), levels, &start, &mut project.noise(&target));
            assert_eq!(Some(nfe), run["nfe"].as_u64(), "{name}: evaluations");
            let mut theirs = project.states(name);
            if churned {
                // Their intermediate states are taken after the churn.
                (ours, theirs) = (ours.split_off(ours.len() - 1), theirs.split_off(theirs.len() - 1));
            }
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(20, 58);
}

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
fn alpha_bar(config: &Value) -> Vec<f64> {
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
                (ours.pop(), theirs.pop());
            }
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(26, 3);
}

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
                _ => Box::new(DpmPp2M { lower_order_final: config["lower_order_final"] != Value::Bool(false) }),
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

/// A process whose coefficients and slopes are another's at a time that is read off linearly: Song et al. step by `1/N` between
/// times that lie `(1 - eps)/(N - 1)` apart.
#[derive(Debug)]
struct Relabelled {
    process: Box<dyn Process>,
    n: f64,
    eps: f64,
}

impl Relabelled {
    /// The process's time at the label `u = 1 - i/N`.
    fn time(&self, u: f64) -> f64 {
        1.0 - (1.0 - u) * self.n * (1.0 - self.eps) / (self.n - 1.0)
    }
}

impl Process for Relabelled {
    fn alpha(&self, u: Dual) -> Dual {
        self.process.alpha(Dual { value: self.time(u.value), slope: u.slope })
    }
    fn sigma(&self, u: Dual) -> Dual {
        self.process.sigma(Dual { value: self.time(u.value), slope: u.slope })
    }
    fn span(&self) -> Span {
        Span { start: 0.0, end: 1.0 }
    }
}

/// The score of the continuous process with the coefficients of a discrete chain, as Song et al. combine them: at time `-i`, that
/// of step `i`, the denoiser is the one whose Tweedie formula in the chain gives that score.
struct Chained {
    target: Mixture<Box<dyn Process>>,
    times: Vec<f64>,
    chain: Table,
}

impl Denoiser for Chained {
    fn process(&self) -> &dyn Process {
        &self.chain
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let continuous = self.times[(-t) as usize];
        let score = self.target.process().at(continuous).score(x, &self.target.denoise(x, continuous));
        self.chain.at(t).clean_of_score(x, &score)
    }
}

/// score_sde_pytorch: Euler-Maruyama, reverse diffusion and ancestral predictors, with and without Langevin correctors.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn score_sde() {
    let (project, mut tally) = (Project::open("score_sde_pytorch"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let Some((predictor, corrector)) = name.split('/').nth(2).and_then(|s| s.split_once('+')) else {
                continue; // the ODE sampler and the likelihood
            };
            let sde = text(run, "sde");
            let process = || -> Box<dyn Process> {
                match sde {
                    "vp" => Box::new(VpLinear::new(0.1, 20.0).expect("rates")),
                    "subvp" => Box::new(SubVp::new(0.1, 20.0).expect("rates")),
                    _ => Box::new(Ve::new(0.01, 50.0).expect("levels")),
                }
            };
            let n = run["N"].as_u64().expect("N") as usize;
            let eps = number(run, "eps", 1e-3);
            let reason = match (predictor, corrector, sde) {
                ("none", ..) => "corrector only",
                _ if run["probability_flow"] == Value::Bool(true) => {
                    "the probability flow by the discrete kernel at half its score"
                }
                ("euler_maruyama", "langevin" | "ald", "vp") => "continuous predictor with the discrete table's corrector",
                ("reverse_diffusion" | "ancestral_sampling", "ald", _) => {
                    "discrete predictor with the continuous sigma's corrector"
                }
                _ => "",
            };
            if !reason.is_empty() {
                tally.skip(reason);
                continue;
            }

            // The solver.
            let n_steps = if corrector == "none" { 0 } else { run["n_steps"].as_u64().expect("a count") as usize };
            let norm = if corrector == "ald" { Norm::Expected } else { Norm::Batch };
            let solver: Box<dyn Solver> = match (predictor, n_steps) {
                ("euler_maruyama", 0) => Box::new(EulerMaruyama::default()),
                _ => Box::new(PredictorCorrector {
                    predictor: match predictor {
                        "euler_maruyama" => Predictor::EulerMaruyama,
                        "reverse_diffusion" => Predictor::ReverseDiffusion,
                        _ => Predictor::Ancestral,
                    },
                    variance: if sde == "vp" { Variance::Large } else { Variance::Small },
                    corrector: Corrector { snr: number(run, "snr", 0.16), n_steps, norm },
                }),
            };

            // The denoiser and its times.
            let (times, d): (Vec<f64>, Box<dyn Denoiser>) = if predictor == "euler_maruyama" {
                let process = Relabelled { process: process(), n: n as f64, eps };
                ((0..=n).map(|i| 1.0 - i as f64 / n as f64).collect(), Box::new(target.under(process)))
            } else {
                let at = |i: usize| 1.0 + i as f64 / (n - 1) as f64 * (eps - 1.0);
                let table = |j: usize, a: f64, b: f64| a + j as f64 / (n - 1) as f64 * (b - a);
                let ve = |j: usize| table(j, 0.01f64.ln(), 50f64.ln()).exp();
                // Forward from step n (next to the data) to step 0: the factor and the added variance of each.
                let mut knots = match (predictor, sde) {
                    ("ancestral_sampling", "ve") => vec![[-(n as f64), 1.0, 0.0]],
                    // Any start will do where only the kernels are used; this one keeps the last step off sigma = 0.
                    _ => vec![[-(n as f64), 1.0, 1.0]],
                };
                for i in (0..n).rev() {
                    let j = n - 1 - i;
                    let [_, alpha, sigma] = knots[j];
                    let (factor, added) = match sde {
                        "ve" => (1.0, ve(j).powi(2) - if j > 0 { ve(j - 1).powi(2) } else { 0.0 }),
                        "vp" => {
                            let beta = table(j, 0.1, 20.0) / n as f64;
                            ((1.0 - beta).sqrt(), beta)
                        }
                        _ => {
                            let m = process().at(at(i));
                            (1.0 + m.drift() / n as f64, m.diffusion_squared() / n as f64)
                        }
                    };
                    knots.push([-(i as f64), factor * alpha, (factor * factor * sigma * sigma + added).sqrt()]);
                }
                let target = target.under(process());
                let chained = Chained { target, times: (0..n).map(at).collect(), chain: Table::new(knots) };
                ((0..=n).map(|i| -(i as f64)).collect(), Box::new(chained))
            };

            let get = |what: &str| project.trajectories.slices(&format!("{name}/{what}"));
            let start = project.trajectories.values(&format!("{name}/x_init"));
            let (ours, _) = replay(d.as_ref(), solver.as_ref(), &times, start, &mut project.noise(&target));
            tally.compare_all(name, &ours[1..], &get("x_after_predictor"));

            // Their result: the last state, or its mean, which silence at the last draw shows.
            let draws = run["noise_draws"].as_u64().expect("a count") as usize;
            let quiet = if run["denoise"] == Value::Bool(true) { draws - 1 } else { draws };
            let mut bank = project.noise(&target).silent_from(quiet);
            let (ours, _) = replay(d.as_ref(), solver.as_ref(), &times, start, &mut bank);
            assert_eq!(bank.drawn(), draws, "{name}: draws");
            tally.compare(name, "final", &ours[n], project.trajectories.values(&format!("{name}/final")));
        }
    }
    tally.expect(25, 13);
}
