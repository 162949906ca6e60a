//! crowsonkb/k-diffusion: the stochastic samplers.

use crate::{Project, Tally, number, replay, scaled, text};
use scorefield_process::schedule::Edm;
use scorefield_sample::Solver;
use scorefield_sample::solver::{
    Ancestral, Dpm2Ancestral, DpmPp2MSde, DpmPp2SAncestral, DpmPp3MSde, DpmPpSde, EulerAncestral, ReverseNoise, Second,
};
use scorefield_testkit::Target;

/// k-diffusion: the ancestral samplers and those of the reverse SDE, every run.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn k_diffusion_sde() {
    let (project, mut tally) = (Project::open("k_diffusion"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let kwargs = &run["kwargs"];
            let (eta, s_noise) = (number(kwargs, "eta", 1.0), number(kwargs, "s_noise", 1.0));
            let ancestral = Ancestral { eta, s_noise };
            let solver: Box<dyn Solver> = match run.get("sampler").and_then(|s| s.as_str()).unwrap_or_default() {
                "sample_euler_ancestral" => Box::new(EulerAncestral { ancestral }),
                "sample_dpm_2_ancestral" => Box::new(Dpm2Ancestral { ancestral }),
                "sample_dpmpp_2s_ancestral" => Box::new(DpmPp2SAncestral { ancestral }),
                "sample_dpmpp_sde" => Box::new(DpmPpSde { ancestral, r: number(kwargs, "r", 0.5), coupled: false }),
                "sample_dpmpp_2m_sde" => {
                    let heun = text(kwargs, "solver_type") == "heun";
                    let solver = if heun { Second::Heun } else { Second::Midpoint };
                    Box::new(DpmPp2MSde { noise: ReverseNoise { eta, s_noise }, solver, ..Default::default() })
                }
                "sample_dpmpp_3m_sde" => Box::new(DpmPp3MSde { noise: ReverseNoise { eta, s_noise }, ..Default::default() }),
                // The deterministic, churned and adaptive ones have tests of their own.
                _ => continue,
            };
            let levels = project.trajectories.values(&format!("grid/{}", text(run, "grid")));
            let d = target.under(Edm::new(1e-4, 1e4).expect("levels"));
            let start = scaled(&project.z(&target), levels[0]);
            let mut bank = project.noise(&target);
            let (ours, nfe) = replay(&d, solver.as_ref(), levels, &start, &mut bank);
            assert_eq!(Some(nfe), run["nfe"].as_u64(), "{name}: evaluations");
            // They draw also where eta = 0 and the draw is multiplied by nothing.
            if eta > 0.0 {
                assert_eq!(Some(bank.drawn() as u64), run["noise_draws"].as_u64(), "{name}: draws");
            }
            tally.compare_all(name, &ours, &project.states(name));
        }
    }
    tally.expect(26, 0);
}
