//! Samplers and bounds of states against enumerated laws.

use scorefield_process::Grid;
use scorefield_process::oracle::Finite;
use scorefield_process::states::{StatesConfig, StatesDenoiser, Survival, Transition};
use scorefield_sample::Job;
use scorefield_sample::density::{Edges, StatesBoundOptions, null_nats, states_bound};
use scorefield_sample::states::{Factor, StatesSolver, StatesSolverKind, sample_states};
use scorefield_tensor::{Batch, DType, Device, Tensor, batch_f64, rows_f64};
use scorefield_testkit::{dependent_table as table, heartbeat, total_variation as distance};
use std::ops::ControlFlow;

fn draw(law: &Finite, solver: &dyn StatesSolver, steps: usize, n: u64, factor: Option<&Factor>) -> Vec<Vec<usize>> {
    let grid = Grid::new(StatesConfig::times(steps)).unwrap();
    let job = Job { batch: 2500, dtype: DType::F64, ..Job::new(7, n, 0) };
    let factor = |range: &std::ops::Range<u64>| {
        factor.map(|f| {
            let n = (range.end - range.start) as usize;
            Factor { value: f.value.clone().repeat_dim(0, n), precision: f.precision.clone().repeat_dim(0, n) }
        })
    };
    let x = sample_states(|_| law, factor, solver, &grid, &job, |_, _| ControlFlow::Continue(())).unwrap();
    let columns = law.process().columns().len();
    rows_f64(x).chunks_exact(columns).map(|r| r.iter().map(|&v| v as usize).collect()).collect()
}

/// Every sampler that fits, with steps enough, draws the law: within twice the noise of sampling.
#[test]
fn samplers_draw_the_law() {
    let n = 3_000;
    for kind in StatesSolverKind::all() {
        for transition in Transition::all() {
            let solver = match kind.name() {
                // Sure columns come first, by design; in random order the law is the model's.
                "confidence" => "confidence:order=random".parse::<StatesSolverKind>().unwrap().build(),
                _ => kind.build(),
            };
            let law = table(transition, Survival::Reciprocal);
            if solver.refuses(law.process()).is_some() {
                assert!(transition != Transition::Absorbing);
                continue;
            }
            let steps = if kind.name() == "tau-leaping" { 150 } else { 40 };
            let (found, noise) = distance(&law, law.weights(), &draw(&law, &*solver, steps, n, None));
            assert!(found < 2.0 * noise, "{kind} {transition:?}: {found} against {noise}");
        }
    }
}

/// The columns of a step are drawn as if they did not depend on each other: fewer steps, larger errors.
#[test]
fn sub_sequences_of_steps_cost_accuracy_and_no_more() {
    let solver = "ancestral".parse::<StatesSolverKind>().unwrap().build();
    for transition in [Transition::Uniform, Transition::Absorbing] {
        let law = heartbeat(transition, Survival::Reciprocal);
        let of = |steps| distance(&law, law.weights(), &draw(&law, &*solver, steps, 1_000, None));
        let [few, some, many] = [2, 20, 200].map(of);
        assert!(few.0 > 0.5 && some.0 < 0.5 * few.0, "{transition:?}: {few:?} {some:?}");
        assert!(many.0 < 2.0 * many.1 + 0.02, "{transition:?}: {many:?}");
    }
}

/// Half of a heartbeat tells the phase; the rest follows.
#[test]
fn what_is_known_fills_in_the_rest() {
    let solver = "ancestral".parse::<StatesSolverKind>().unwrap().build();
    for transition in [Transition::Uniform, Transition::Absorbing] {
        let law = heartbeat(transition, Survival::Reciprocal);
        let like = batch_f64(vec![0.0], 1, &Device::default());
        let row = law.wide(3, &like);
        let known: Vec<bool> = (0..20).map(|i| i < 10).collect();
        let factor = Factor::known(law.process(), &row, &known);
        // A chain that can change its mind needs many steps for it; one that unmasks is exact at any number.
        let (steps, n) = if transition == Transition::Uniform { (1000, 400) } else { (50, 400) };
        let drawn = draw(&law, &*solver, steps, n, Some(&factor));
        let exact = [0.0, 0.0, 0.0, 1.0, 0.0];
        let (found, _) = distance(&law, &exact, &drawn);
        assert!(found < 0.01, "{transition:?}: {found}");

        // Two bits known to be zero leave three phases. What a noised bit says of its clean value comes late, when a chain towards 1/2 has
        // chosen its phase: there the product is no posterior (measured: 0.32). Unmasking is exact.
        if transition == Transition::Uniform {
            continue;
        }
        let known: Vec<bool> = (0..20).map(|i| i < 2).collect();
        let drawn = draw(&law, &*solver, steps, n, Some(&Factor::known(law.process(), &row, &known)));
        let (found, noise) = distance(&law, &[0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], &drawn);
        assert!(found < 0.01 + 2.0 * noise, "{transition:?}: {found} {noise}");
    }
}

/// `E[-K]` of the bound of many rows of the law, its standard error, and the entropy: bits.
fn bound(law: &Finite, copies: usize, options: StatesBoundOptions) -> (f64, f64, f64) {
    let like = batch_f64(vec![0.0], 1, &Device::default());
    // Rows in proportion to their weights, so that the law itself adds no noise.
    let rows: Vec<usize> =
        law.weights().iter().enumerate().flat_map(|(i, w)| vec![i; (w * copies as f64).round() as usize]).collect();
    let x0: Vec<Batch> = rows.iter().map(|&i| law.wide(i, &like)).collect();
    let x0 = Tensor::cat(x0, 0);
    let samples: Vec<u64> = (0..rows.len() as u64).collect();
    let nats = states_bound(law, &x0, &samples, &options).unwrap().nats();
    let n = nats.len() as f64;
    let mean = nats.iter().sum::<f64>() / n;
    let deviation = (nats.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
    let bits = std::f64::consts::LN_2;
    (mean / bits, deviation / bits, -law.entropy() / bits)
}

#[test]
fn bounds_lie_below_the_truth_and_near_it() {
    let plain = StatesBoundOptions { visited: Some(60), seed: 1, batch: 4096, ..StatesBoundOptions::default() };
    for transition in [Transition::Uniform, Transition::Absorbing] {
        for survival in [Survival::Reciprocal, Survival::Cosine { offset: 0.008 }] {
            let law = heartbeat(transition, survival.clone());
            let (k, error, truth) = bound(&law, 500, plain.clone());
            assert!(
                k < truth + 3.0 * error && k > truth - 0.03 - 3.0 * error,
                "{transition:?} {survival:?}: {k} {error} {truth}"
            );
            let (limit, error, _) = bound(&law, 500, StatesBoundOptions { continuous: true, ..plain.clone() });
            assert!((limit - truth).abs() < 0.02 + 3.0 * error, "{transition:?} {survival:?}: {limit} {error} {truth}");
            if transition == Transition::Uniform {
                let (paper, error, _) = bound(&law, 500, StatesBoundOptions { edges: Edges::Paper, ..plain.clone() });
                assert!(paper < truth + 3.0 * error, "{transition:?} {survival:?}: {paper} {error} {truth}");
            }
        }
    }
}

/// Columns that know nothing of each other: `-sum H`.
#[test]
fn the_null_is_the_entropy_of_the_columns() {
    let law = heartbeat(Transition::Uniform, Survival::Reciprocal);
    let like = batch_f64(vec![0.0], 1, &Device::default());
    let x0 = Tensor::cat((0..5).map(|i| law.wide(i, &like)).collect(), 0);
    let bits = null_nats(law.process().columns(), &x0) / std::f64::consts::LN_2;
    let exact = 20.0 * (0.2f64 * 0.2f64.log2() + 0.8 * 0.8f64.log2());
    assert!((bits - exact).abs() < 1e-9, "{bits} {exact}");
}
