//! diffusers: DPM-Solver in single and several steps, UniPC, DEIS, and DPM-Solver++ on EDM's levels.

use crate::diffusers::alpha_bar;
use crate::diffusers_grid::{dpm_grid, is_close};
use crate::{Project, Tally, number, replay, text};
use scorefield_process::oracle::Mixture;
use scorefield_process::{Denoiser, Process, ProcessExt};
use scorefield_sample::Solver;
use scorefield_sample::solver::{Bh, Deis, DpmMultistep, DpmSolver, Nodes, Predicts, Second, Start, Third, UniPc};
use scorefield_tensor::Batch;
use scorefield_testkit::{Bank, Table, Target};
use serde_json::Value;

/// A network asked at a table's time while the solver's own levels may differ a little (the levels of Karras-like grids lie between the
/// table's): its output is converted with the solver's levels. Times are `-i` for step `i`.
pub(crate) struct StandIn<N> {
    /// The output `F(x, t)` that the network gives at step `i`.
    pub(crate) network: N,
    /// What the output means, in diffusers' words.
    pub(crate) prediction: String,
    /// The solver's `alpha` and `sigma`.
    pub(crate) levels: Table,
}

impl<N: Fn(&Batch, usize) -> Batch + Send + Sync> Denoiser for StandIn<N> {
    fn process(&self) -> &dyn Process {
        &self.levels
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let output = (self.network)(x, -t as usize);
        let m = self.levels.at(t);
        match self.prediction.as_str() {
            "sample" => output,
            "v_prediction" => x.clone() * m.alpha - output * m.sigma,
            "flow_prediction" => x.clone() - output * m.sigma,
            _ => (x.clone() - output * m.sigma) * m.alpha.recip(),
        }
    }
}

/// `alpha` and `sigma` at times `-i` from levels: variance-preserving, EDM's (`alpha = 1`), or a flow's.
pub(crate) fn ladder(levels: &[f64], kind: &str) -> Table {
    let knot = |(i, level): (usize, &f64)| {
        let (alpha, sigma) = match kind {
            "edm" => (1.0, *level),
            "flow" => (1.0 - level, *level),
            _ => ((1.0 + level * level).sqrt().recip(), level / (1.0 + level * level).sqrt()),
        };
        [-(i as f64), alpha, sigma]
    };
    Table::new(levels.iter().enumerate().map(knot).collect())
}

/// The solver of a configuration, or `None` for the stochastic ones.
pub(crate) fn solver_of(scheduler: &str, config: &Value, n: usize) -> Option<Box<dyn Solver>> {
    let on = |key: &str, usual: bool| config.get(key).map_or(usual, |v| v == &Value::Bool(true));
    let order = number(config, "solver_order", 2.0) as usize;
    let second = if text(config, "solver_type") == "heun" { Second::Heun } else { Second::Midpoint };
    let predicts = match text(config, "algorithm_type") {
        _ if scheduler == "UniPCMultistepScheduler" => {
            if on("predict_x0", true) {
                Predicts::Data
            } else {
                Predicts::Noise
            }
        }
        "dpmsolver" => Predicts::Noise,
        "" | "dpmsolver++" => Predicts::Data,
        _ => return None,
    };
    // Some lower the order of the last steps only in short runs.
    let short = n < 15;
    Some(match scheduler {
        "DPMSolverMultistepScheduler" | "EDMDPMSolverMultistepScheduler" => Box::new(DpmMultistep {
            order,
            predicts,
            second,
            third: Third::Published,
            start: Start::Low,
            lower_order_final: on("lower_order_final", true) && short,
            euler_at_final: on("euler_at_final", false),
        }),
        "DPMSolverSinglestepScheduler" => {
            let lower_order_final = on("lower_order_final", false);
            Box::new(DpmSolver { order, predicts, second, nodes: Nodes::Grid, lower_order_final })
        }
        "UniPCMultistepScheduler" => {
            let uncorrected = config.get("disable_corrector").and_then(Value::as_array).map_or(0, Vec::len);
            let bh = if text(config, "solver_type") == "bh1" { Bh::Bh1 } else { Bh::Bh2 };
            let lower_order_final = on("lower_order_final", true);
            Box::new(UniPc { order, bh, predicts, corrector: true, uncorrected, start: Start::Low, lower_order_final })
        }
        "DEISMultistepScheduler" => {
            let lower_order_final = on("lower_order_final", true) && short;
            Box::new(Deis { order, start: Start::Low, lower_order_final, ..Deis::default() })
        }
        other => panic!("scheduler {other}"),
    })
}

/// The file that replays a scheduler's runs.
fn file_of(scheduler: &str) -> &'static str {
    match scheduler {
        "DDPMScheduler" | "DDIMScheduler" => "diffusers.rs",
        "DPMSolverMultistepScheduler" | "DPMSolverSinglestepScheduler" | "EDMDPMSolverMultistepScheduler" => "here",
        "UniPCMultistepScheduler" | "DEISMultistepScheduler" => "here",
        "EulerAncestralDiscreteScheduler" | "KDPM2AncestralDiscreteScheduler" | "ScoreSdeVeScheduler" => "diffusers_sde.rs",
        _ => "diffusers_sigma.rs",
    }
}

/// The output of the exact network of a target at a table's time, or a flow's.
fn network(target: &Target, knots: Vec<[f64; 3]>, prediction: String) -> impl Fn(&Batch, usize) -> Batch + Send + Sync {
    let exact: Mixture<Table> = target.under(Table::new(knots));
    move |x, i| {
        let t = -(i as f64);
        let m = exact.process().at(t);
        let x0 = exact.denoise(x, t);
        let eps = m.noise(x, &x0);
        match prediction.as_str() {
            "sample" => x0,
            "v_prediction" => eps * m.alpha - x0 * m.sigma,
            "flow_prediction" => eps - x0,
            _ => eps,
        }
    }
}

/// All runs of the deterministic exponential integrators; each of the others is counted with the file it is in.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn diffusers_exponential_integrators() {
    let (project, mut tally) = (Project::open("diffusers"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let (scheduler, config) = (text(run, "scheduler"), &run["config"]);
            if file_of(scheduler) != "here" {
                tally.skip(file_of(scheduler));
                continue;
            }
            let n = run["num_inference_steps"].as_u64().expect("a count") as usize;
            let Some(solver) = solver_of(scheduler, config, n) else {
                tally.skip("diffusers_sde.rs");
                continue;
            };
            let (flow, edm) = (config["use_flow_sigmas"] == Value::Bool(true), scheduler.starts_with("EDM"));
            let levels = project.trajectories.values(&format!("{name}/sigmas"));
            let times: Vec<f64> = (0..levels.len()).map(|i| -(i as f64)).collect();
            let d: Box<dyn Denoiser> = if edm {
                Box::new(target.under(ladder(levels, "edm")))
            } else {
                let table = alpha_bar(config);
                let listed = project.trajectories.values(&format!("{name}/timesteps"));
                if let Some((times, grid)) = dpm_grid(scheduler, config, &table, n) {
                    assert!(is_close(&times, listed), "{name}: times {times:?}, expected {listed:?}");
                    assert!(is_close(&grid, levels), "{name}: levels {grid:?}, expected {levels:?}");
                }
                let knot = |(i, t): (usize, &f64)| match flow {
                    true => [-(i as f64), 1.0 - t / 1000.0, t / 1000.0],
                    false => [-(i as f64), table[*t as usize].sqrt(), (1.0 - table[*t as usize]).sqrt()],
                };
                let prediction = text(config, "prediction_type").to_string();
                let network = network(&target, listed.iter().enumerate().map(knot).collect(), prediction.clone());
                Box::new(StandIn { network, prediction, levels: ladder(levels, if flow { "flow" } else { "vp" }) })
            };
            let theirs = project.states(name);
            let (ours, _) = replay(d.as_ref(), solver.as_ref(), &times, &theirs[0], &mut Bank::empty());
            tally.compare_all(name, &ours, &theirs);
        }
    }
    tally.expect(92, 140);
}
