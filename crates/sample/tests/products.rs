//! A model's law multiplied by what else is known, against the enumerated product.

use scorefield_process::Grid;
use scorefield_process::oracle::Finite;
use scorefield_process::states::{StatesConfig, StatesDenoiser, Survival, Transition};
use scorefield_sample::Job;
use scorefield_sample::states::{Factor, StatesSolverKind, sample_states};
use scorefield_tensor::{Batch, DType, Device, batch_f64, rows_f64};
use scorefield_testkit::{heartbeat, multiplied, total_variation};
use std::ops::{ControlFlow, Range};

/// Evidence on binary columns: `r` of 0 and of 1 for some of the columns.
type Evidence<'a> = &'a [(usize, [f64; 2])];

/// The factor of evidence, for `n` samples.
fn factor(law: &Finite, evidence: Evidence<'_>, n: usize) -> Factor {
    let width = law.process().columns().width();
    let states = width / 20;
    let mut r = vec![1.0; width];
    for (column, of) in evidence {
        r[column * states..column * states + 2].copy_from_slice(of);
        r[column * states + 2..(column + 1) * states].fill(0.0);
    }
    Factor::evidence(batch_f64(r.repeat(n), n, &Device::default()))
}

fn draw(law: &Finite, solver: &str, steps: usize, n: u64, evidence: Evidence<'_>) -> Vec<Vec<usize>> {
    let grid = Grid::new(StatesConfig::times(steps)).unwrap();
    let kind: StatesSolverKind = solver.parse().unwrap();
    let job = Job { batch: 500, dtype: DType::F64, ..Job::new(11, n, 0) };
    let factor = |range: &Range<u64>| Some(factor(law, evidence, (range.end - range.start) as usize));
    let x: Batch = sample_states(|_| law, factor, &*kind.build(), &grid, &job, |_, _| ControlFlow::Continue(())).unwrap();
    rows_f64(x).chunks_exact(20).map(|r| r.iter().map(|&v| v as usize).collect()).collect()
}

#[test]
#[ignore]
fn explore() {
    let noisy: Vec<(usize, [f64; 2])> = [(0, 1), (3, 0), (7, 1), (8, 0), (12, 1), (19, 0)]
        .map(|(c, seen)| (c, if seen == 1 { [0.2, 0.8] } else { [0.8, 0.2] }))
        .to_vec();
    let half: Vec<(usize, [f64; 2])> = (0..10).map(|c| (c, if c % 5 == 3 { [0.0, 1.0] } else { [1.0, 0.0] })).collect();
    let two: Vec<(usize, [f64; 2])> = vec![(0, [1.0, 0.0]), (1, [1.0, 0.0])];
    for transition in [Transition::Uniform, Transition::Absorbing] {
        let law = heartbeat(transition, Survival::Reciprocal);
        for (name, evidence) in [("half", &half), ("two", &two), ("noisy", &noisy)] {
            let exact = multiplied(&law, |row| evidence.iter().map(|(c, r)| r[row[*c]]).product());
            for solver in ["ancestral", "ancestral:repeats=5", "ancestral:repeats=20", "ancestral:particles=4", "ancestral:particles=16", "ancestral:particles=64"] {
                if transition == Transition::Absorbing && solver.contains("repeats") { continue; }
                for steps in if solver.contains("64") {vec![20]} else {vec![20, 60]} {
                    let start = std::time::Instant::now();
                    let (tv, noise) = total_variation(&law, &exact, &draw(&law, solver, steps, 1000, evidence));
                    println!("{transition:?} {name} {solver} {steps}: {tv:.4} (noise {noise:.4}) {:.1}s", start.elapsed().as_secs_f64());
                }
            }
        }
    }
}
