//! crowsonkb/k-diffusion.

use crate::{Project, Tally, churn, number, replay, scaled, text};
use scorefield_process::schedule::Edm;
use scorefield_sample::Solver;
use scorefield_sample::solver::{Ddim, Dpm2, DpmPp2M, Euler, Heun, Lms, Start};
use scorefield_testkit::Target;

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
    tally.expect(28, 50);
}
