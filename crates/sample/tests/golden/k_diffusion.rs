//! crowsonkb/k-diffusion.

use crate::{Project, Tally, churn, number, replay, scaled, text};
use scorefield_process::schedule::Edm;
use scorefield_sample::Solver;
use scorefield_sample::solver::{Ancestral, Ddim, Dpm2, DpmAdaptive, DpmFast, DpmPp2M, ErrorNorm, Euler, Heun, Lms, Start};
use scorefield_tensor::{Batch, Noise, Tensor};
use scorefield_testkit::{Bank, Target};

/// k-diffusion: Euler, Heun, DPM-Solver++(2M), and the ancestral Euler at eta = 1, which is DDPM's step.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn k_diffusion() {
    let (project, mut tally) = (Project::open("k_diffusion"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let kwargs = &run["kwargs"];
            let churn = churn(kwargs, ["s_churn", "s_tmin", "s_tmax", "s_noise"]);
            let churned = !churn.is_none();
            let solver: Box<dyn Solver> = match text(run, "sampler") {
                "sample_euler" => Box::new(Euler { churn }),
                "sample_heun" => Box::new(Heun { churn, alpha: 1.0 }),
                "sample_dpm_2" => Box::new(Dpm2 { churn }),
                "sample_lms" => Box::new(Lms { order: number(kwargs, "order", 4.0) as usize, start: Start::Low }),
                "sample_dpmpp_2m" => Box::new(DpmPp2M::default()),
                "sample_euler_ancestral" if number(kwargs, "eta", 1.0) == 1.0 => Box::new(Ddim { eta: 1.0, ..Ddim::default() }),
                "sample_dpm_fast" | "sample_dpm_adaptive" => {
                    tally.skip("k_diffusion_dpm_solver");
                    continue;
                }
                "" => {
                    tally.skip("likelihood.rs");
                    continue;
                }
                _ => {
                    tally.skip("k_diffusion_sde.rs");
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
    tally.expect(28, 50);
}

/// A bank asked for a block of normals a row at once: the k-th of a row is its part of the k-th entry.
struct Blocks(Bank);

impl Noise for Blocks {
    fn normal(&mut self, like: &Batch) -> Batch {
        let [n, width] = like.dims();
        let empty = Tensor::<2>::zeros([n, width / 16], (&like.device(), like.dtype()));
        let entries = (0..16).map(|_| self.0.normal(&empty)).collect();
        Tensor::cat(entries, 1)
    }

    fn begin(&mut self, _: u32) {}
}

/// k-diffusion: DPM-Solver-fast, and the adaptive DPM-Solver with its error taken over the batch.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn k_diffusion_dpm_solver() {
    let (project, mut tally) = (Project::open("k_diffusion"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target).filter(|(name, _)| name.contains("/dpm_fast/") || name.contains("/dpm_adaptive/"))
        {
            let kwargs = &run["kwargs"];
            let ancestral = Ancestral { eta: number(kwargs, "eta", 0.0), s_noise: number(kwargs, "s_noise", 1.0) };
            let d = target.under(Edm::new(1e-4, 1e4).expect("levels"));
            let (high, low) = (number(run, "sigma_max", 30.0), number(run, "sigma_min", 0.03));
            let start = scaled(&project.z(&target), high);
            let theirs = project.states(name);
            let mut bank = project.noise(&target);
            match text(run, "sampler") {
                "sample_dpm_fast" => {
                    let n = run["n"].as_u64().expect("a count") as usize;
                    let legs = n / 3 + 1;
                    let level = |i: usize| high * (low / high).powf(i as f64 / legs as f64);
                    let levels: Vec<f64> = (0..=legs).map(level).collect();
                    let solver = DpmFast { rest: n % 3, ancestral };
                    let (ours, nfe) = replay(&d, &solver, &levels, &start, &mut bank);
                    assert_eq!(nfe, n as u64, "{name}: evaluations");
                    tally.compare_all(name, &ours, &theirs);
                }
                "sample_dpm_adaptive" => {
                    let usual = DpmAdaptive::default();
                    let pid = [("pcoeff", 0.0), ("icoeff", 1.0), ("dcoeff", 0.0)].map(|(key, usual)| number(kwargs, key, usual));
                    let solver = DpmAdaptive {
                        order: number(kwargs, "order", 3.0) as usize,
                        rtol: number(kwargs, "rtol", 0.05),
                        atol: number(kwargs, "atol", 0.0078),
                        norm: ErrorNorm::Batch,
                        pid,
                        ancestral,
                        ..usual
                    };
                    let (ours, nfe) = replay(&d, &solver, &[high, low], &start, &mut Blocks(bank));
                    assert_eq!(Some(nfe), run["model_calls"].as_u64(), "{name}: evaluations");
                    let last = theirs.len() - 1;
                    tally.compare_all(name, &ours[1..], &theirs[last..]);
                }
                other => panic!("{name}: {other}"),
            }
        }
    }
    tally.expect(22, 0);
}
