//! Trajectories of reference implementations on closed-form targets, replayed with their noise to 1e-8 or better in double
//! precision. The fixtures lie beside the repository; without them these tests are ignored.
//!
//! Runs that no solver here claims to reproduce are counted with their reason by `Tally::skip`, and every test asserts how many
//! runs it compared and skipped, so that none drops out unseen.

mod diffusers;
mod diffusers_dpm;
mod diffusers_grid;
mod diffusers_numbers;
mod diffusers_numbers_exponential;
mod diffusers_numbers_sigma;
mod diffusers_numbers_table;
mod diffusers_sde;
mod diffusers_sigma;
mod edm;
mod k_diffusion;
mod k_diffusion_sde;
mod likelihood;
mod ncsnv2;
mod score_sde;

use scorefield_process::{Denoiser, Grid};
use scorefield_sample::solver::Churn;
use scorefield_sample::{Finish, Solver, Trajectory};
use scorefield_tensor::{Batch, Device, Noise, batch_f64, rows_f64};
use scorefield_testkit::{Bank, Golden, Target, largest_difference};
use serde_json::{Map, Value};

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
fn replay(d: &dyn Denoiser, solver: &dyn Solver, times: &[f64], x: &[f64], noise: &mut dyn Noise) -> (Vec<Vec<f64>>, u64) {
    let grid = Grid::new(times.to_vec()).expect("decreasing times");
    let mut run = Trajectory::new(d, solver, &grid, noise, batch(x)).finish(Finish::Leave);
    let states = run.by_ref().map(|frame| rows_f64(frame.x)).collect();
    (states, run.evaluations())
}

fn scaled(z: &[f64], by: f64) -> Vec<f64> {
    z.iter().map(|v| v * by).collect()
}

fn number(value: &Value, key: &str, default: f64) -> f64 {
    value.get(key).map_or(default, |v| v.as_f64().unwrap_or_else(|| panic!("{key} is {v}")))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).map_or("", |v| v.as_str().unwrap_or_else(|| panic!("{key} is {v}")))
}

/// The churn of a run, by the project's names of its four arguments.
fn churn(kwargs: &Value, names: [&str; 4]) -> Churn {
    Churn {
        s_churn: number(kwargs, names[0], 0.0),
        s_min: number(kwargs, names[1], 0.0),
        s_max: number(kwargs, names[2], f64::INFINITY),
        s_noise: number(kwargs, names[3], 1.0),
    }
}
