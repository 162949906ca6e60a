//! ermongroup/ncsnv2: annealed Langevin dynamics.

use crate::{Project, Tally, batch, number, scaled};
use scorefield_process::Grid;
use scorefield_process::schedule::Edm;
use scorefield_sample::solver::AnnealedLangevin;
use scorefield_sample::{Finish, Trajectory};
use scorefield_tensor::rows_f64;
use scorefield_testkit::Target;
use serde_json::Value;

/// ncsnv2: every run, level by level, and the denoised end.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn ncsnv2() {
    let (project, mut tally) = (Project::open("ncsnv2"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let sigmas = project.trajectories.values(&format!("{name}/sigmas"));
            let last = sigmas[sigmas.len() - 1];
            let n_steps_each = run["n_steps_each"].as_u64().expect("a count") as usize;
            let step = number(run, "step_lr", 0.0) / (last * last);
            let solver = AnnealedLangevin { step, n_steps_each, ..AnnealedLangevin::default() };
            let d = target.under(Edm::new(last, sigmas[0]).expect("levels"));
            let finish = if run["denoise"] == Value::Bool(true) { Finish::Denoise } else { Finish::Leave };

            let (start, mut bank) = (scaled(&project.z(&target), 8.0), project.noise(&target));
            let grid = Grid::new(sigmas.to_vec()).expect("decreasing levels");
            let frames = Trajectory::new(&d, &solver, &grid, &mut bank, batch(&start)).finish(finish);
            let ours: Vec<Vec<f64>> = frames.map(|f| rows_f64(f.x)).collect();
            assert_eq!(Some(bank.drawn() as u64), run["noise_draws"].as_u64(), "{name}: draws");
            // They keep every update; ours are seen after each level, from the second on.
            let theirs = project.states(name);
            let after = |level: usize| theirs[n_steps_each * (level + 1)].clone();
            let mut seen: Vec<Vec<f64>> = std::iter::once(theirs[0].clone()).chain((1..sigmas.len()).map(after)).collect();
            if finish == Finish::Denoise {
                seen.push(theirs[theirs.len() - 1].clone());
            }
            tally.compare_all(name, &ours, &seen);
        }
    }
    tally.expect(4, 0);
}
