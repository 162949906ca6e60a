//! NVlabs/edm.

use crate::{Project, Tally, churn, number, replay, scaled, text};
use scorefield_process::schedule::Edm;
use scorefield_process::{Process, ProcessExt, Span};
use scorefield_sample::Solver;
use scorefield_sample::solver::{Euler, Heun};
use scorefield_tensor::Dual;
use scorefield_testkit::Target;

fn karras(n: usize, low: f64, high: f64, rho: f64) -> Vec<f64> {
    let between = |i: usize| high.powf(1.0 / rho) + i as f64 / (n - 1) as f64 * (low.powf(1.0 / rho) - high.powf(1.0 / rho));
    (0..n).map(|i| between(i).powf(rho)).collect()
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
            let churn = churn(kwargs, ["S_churn", "S_min", "S_max", "S_noise"]);
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
