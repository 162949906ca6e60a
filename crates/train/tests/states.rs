//! Runs on data with categories: every loss goes down and can be cut anywhere, and what is learned is the exact posterior.

mod common;

use common::*;
use scorefield_data::{Dataset, Shape};
use scorefield_model::{Model, Weights};
use scorefield_nn::{MlpConfig, NetworkConfig};
use scorefield_process::oracle::Finite;
use scorefield_process::states::{ColumnKind, StatesConfig, StatesDenoiser, StatesProcess, Survival, Transition, invert};
use scorefield_process::{ProcessConfig, TimeInput};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Purpose, batch_f64, rows_f64};
use scorefield_train::{Ended, OptimConfig, StatesLoss, StatesTraining, TrainConfig};

const LOSSES: [StatesLoss; 5] = [
    StatesLoss::Bound,
    StatesLoss::Continuous,
    StatesLoss::Hybrid { lambda: 0.1 },
    StatesLoss::CrossEntropy,
    StatesLoss::WeightedCrossEntropy,
];

/// The joint law of a bit and a category of three, which lean on each other.
const LAW: [f64; 6] = [0.4, 0.05, 0.05, 0.05, 0.15, 0.3];

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("v{i}")).collect()
}

/// Rows of that law.
fn table(n: usize) -> Dataset {
    let row = |i: usize| {
        let place = invert(&LAW, Stream::new(4, i as u64, Purpose::Synthetic, 0, 0).uniform(0));
        [(place / 3) as f32, (place % 3) as f32]
    };
    let values = (0..n).flat_map(row).collect();
    Dataset::from_rows("table", Shape::Vector { dim: 2 }, values, None).with_categories(vec![names(2), names(3)])
}

/// The same and a number beside, whose mean is the category.
fn mixed(n: usize) -> Dataset {
    let (table, z) = (table(n), normals(n, 5));
    let mut row = [0.0; 2];
    let values = (0..n).flat_map(|i| {
        table.row(i, &mut row);
        [row[0], row[1], row[1] - 1.0 + 0.1 * z[i]]
    });
    let values = values.collect();
    Dataset::from_rows("mixed", Shape::Vector { dim: 3 }, values, None).with_categories(vec![names(2), names(3), Vec::new()])
}

fn states_recipe(steps: u64, transition: Transition, loss: StatesLoss) -> TrainConfig {
    TrainConfig {
        time_input: TimeInput::Time { scale: 1.0 },
        states: Some(StatesTraining { loss, process: StatesConfig { transition, survival: Survival::Reciprocal, steps: 100 } }),
        network: NetworkConfig::Mlp(MlpConfig { hidden: 32, depth: 2, time_width: 8, dropout: 0.1, ..MlpConfig::default() }),
        ..recipe(steps)
    }
}

#[test]
fn runs_can_be_cut_anywhere() {
    for (k, loss) in LOSSES.into_iter().enumerate() {
        let transition = Transition::all()[k % 3];
        for data in [table(50), mixed(50)] {
            let of = |folder: &tempfile::TempDir| tensors(&folder.path().join("state/state.safetensors"));
            let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let recipe = |steps| states_recipe(steps, transition, loss);
            assert_eq!(run(&mut create(whole.path(), &recipe(12), &data)).0.unwrap().ended, Ended::Finished);
            let mut first = create(cut.path(), &recipe(12), &data);
            for _ in 0..5 {
                first.advance();
            }
            drop(first);
            run(&mut create(cut.path(), &recipe(12), &data)).0.unwrap();
            assert!(of(&whole) == of(&cut), "{loss:?}");
        }
    }
}

/// After training the probabilities are those of Bayes' rule on the law itself, at every time and state.
#[test]
fn posteriors_are_learned() {
    let data = table(4000);
    for (loss, transition) in LOSSES.into_iter().zip([0, 1, 2, 0, 1].map(|k| Transition::all()[k])) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = states_recipe(500, transition, loss);
        config.batch = 256;
        config.optim = OptimConfig { lr: 4e-3, warmup: 20, ..OptimConfig::default() };
        config.network = NetworkConfig::Mlp(MlpConfig { hidden: 32, depth: 2, time_width: 8, ..MlpConfig::default() });
        run(&mut create(folder.path(), &config, &data)).0.unwrap();
        let model = Model::load(folder.path(), Weights::Ema, &Default::default()).unwrap();
        let denoiser = model.states_denoiser(None).unwrap();

        let kinds = vec![ColumnKind::Category(2), ColumnKind::Category(3)];
        let process = StatesProcess::new(kinds, transition, Survival::Reciprocal, None).unwrap();
        let law = Finite::new(process, (0..6).map(|i| vec![i / 3, i % 3]).collect(), LAW.to_vec());
        let states = (0..6).flat_map(|i| [f64::from(i / 3), f64::from(i % 3)]).collect();
        let x = law.process().columns().expand(&batch_f64(states, 6, &Default::default()));
        for t in [0.2, 0.5, 0.8] {
            let (found, exact) = (rows_f64(denoiser.denoise(&x, t)), rows_f64(law.denoise(&x, t)));
            let worst = found.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 0.09, "{loss:?} {transition:?} {t}: {worst}\n{found:?}\n{exact:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let said = |config: &TrainConfig, data: &Dataset| {
        let path = folder.path().join("run");
        scorefield_train::Trainer::create(&path, config.clone(), "", data, &Default::default()).unwrap_err().to_string()
    };
    let good = states_recipe(5, Transition::Uniform, StatesLoss::Bound);
    assert!(said(&recipe(5), &table(20)).contains("a [states] section"));
    assert!(said(&good, &points(20)).contains("data.categorical"));
    for steps in [0, 1] {
        let mut config = good.clone();
        config.states.as_mut().unwrap().process.steps = steps;
        assert!(said(&config, &table(20)).contains(&format!("states.steps = {steps}")));
    }
    let mut config = good.clone();
    config.time_input = TimeInput::QuarterLogRatio;
    assert!(said(&config, &table(20)).contains("time_input"));
    let mut config = good.clone();
    config.states.as_mut().unwrap().loss = StatesLoss::Hybrid { lambda: -1.0 };
    assert!(said(&config, &table(20)).contains("lambda is -1"));
    let mut config = good;
    config.process = ProcessConfig::VpCosine { offset: 2.0 };
    assert!(said(&config, &mixed(20)).contains("offset"));
}
