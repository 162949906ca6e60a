//! Consistency training and distillation reach the exact end of the probability flow's paths, on correlated Gaussian data.
//!
//! Encoded data have unit variances and correlation 0.8, so the flow keeps the coordinates along (1, 1) and (1, -1) standardised:
//! `f(x, t) = x_u sqrt(v_u(min) / v_u(t)) / alpha_min` for each, `v_u(t) = alpha^2 (1 +- 0.8) + sigma^2`. The error is relative, root mean
//! square over the law of `x_t`.

mod common;

use common::*;
use scorefield_model::Model;
use scorefield_nn::{MlpConfig, NetworkConfig};
use scorefield_process::{Denoiser, Prediction, ProcessConfig, ProcessExt};
use scorefield_tensor::{batch, rows};
use scorefield_train::{ConsistencyConfig, OptimConfig, TimeLaw, TrainConfig, TrainError};
use std::f64::consts::FRAC_1_SQRT_2;

const ROWS: usize = 500;
const CORRELATION: f64 = 0.8;

fn error(model: &Model, ratio: f64) -> f64 {
    let process = model.process();
    let t = process.time_of_ratio(ratio);
    let (at, low) = (process.at(t), process.at(process.span().start));
    let variances = [1.0 + CORRELATION, 1.0 - CORRELATION];
    let z = normals(2 * ROWS, 99);
    let (mut x, mut exact) = (Vec::new(), Vec::new());
    for z in z.chunks(2) {
        let (mut state, mut end) = ([0.0f64; 2], [0.0f64; 2]);
        for (i, v) in variances.iter().enumerate() {
            let axis = [FRAC_1_SQRT_2, if i == 0 { FRAC_1_SQRT_2 } else { -FRAC_1_SQRT_2 }];
            let spread = |m: &scorefield_process::Marginal| (m.alpha * m.alpha * v + m.sigma * m.sigma).sqrt();
            for k in 0..2 {
                state[k] += f64::from(z[i]) * spread(&at) * axis[k];
                end[k] += f64::from(z[i]) * spread(&low) * axis[k] / low.alpha;
            }
        }
        x.extend(state.map(|v| v as f32));
        exact.extend(end);
    }
    let found = rows(model.denoiser(None).denoise(&batch(x, ROWS, &Default::default()), t));
    let square: f64 = found.iter().zip(&exact).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    (square / exact.iter().map(|v| v * v).sum::<f64>()).sqrt()
}

fn base(steps: u64) -> TrainConfig {
    let mut recipe = recipe(steps);
    (recipe.batch, recipe.process) = (256, ProcessConfig::Edm { sigma_min: 0.02, sigma_max: 10.0 });
    recipe.optim = OptimConfig { lr: 5e-3, warmup: 20, ..OptimConfig::default() };
    recipe.network = NetworkConfig::Mlp(MlpConfig { hidden: 48, depth: 2, time_width: 8, ..MlpConfig::default() });
    recipe
}

fn consistency(steps: u64, levels: [usize; 2]) -> TrainConfig {
    let mut recipe = base(steps);
    recipe.prediction = Prediction::Consistency { sigma_data: 1.0, level_min: 0.02 };
    recipe.consistency = Some(ConsistencyConfig { levels, mean: -0.2, deviation: 1.2, ..ConsistencyConfig::default() });
    recipe
}

#[test]
fn training_and_distillation_find_the_ends_of_the_paths() {
    let (folder, data) = (tempfile::tempdir().unwrap(), points(4000));
    let mut teacher_recipe = base(700);
    teacher_recipe.prediction = Prediction::Edm { sigma_data: 1.0 };
    teacher_recipe.objective.times = TimeLaw::LogNormal { mean: 0.0, deviation: 1.2 };
    let teacher = folder.path().join("teacher");
    run(&mut create(&teacher, &teacher_recipe, &data)).0.unwrap();

    for (name, taught) in [("trained", None), ("distilled", Some(teacher.clone()))] {
        let mut recipe = consistency(1200, [8, 64]);
        recipe.consistency.as_mut().unwrap().teacher = taught;
        let path = folder.path().join(name);
        let mut trainer = create(&path, &recipe, &data);
        let before = trainer.model().unwrap();
        run(&mut trainer).0.unwrap();
        let model = trainer.model().unwrap();
        assert_eq!(model.meta().sampling.solver, "consistency");
        for ratio in [0.5, 2.0, 8.0] {
            let (untrained, found) = (error(&before, ratio), error(&model, ratio));
            assert!(found < 0.2 && untrained > 2.5 * found, "{name}, level {ratio}: {found:.3}, untrained {untrained:.3}");
        }
        // At the lowest level the boundary holds exactly, trained or not.
        assert!(error(&before, 0.02) < 1e-6 && error(&model, 0.02) < 1e-6);
    }
}

#[test]
fn a_cut_run_goes_on_as_if_it_had_not_been_cut() {
    let (folder, data) = (tempfile::tempdir().unwrap(), points(60));
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let recipe = consistency(12, [2, 16]);
    run(&mut create(&whole, &recipe, &data)).0.unwrap();
    run_until(&mut create(&parts, &recipe, &data), 5).0.unwrap();
    run(&mut resume(&parts, &recipe, &data)).0.unwrap();
    assert_same_run(&whole, &parts);
}

/// What does not fit is refused with what was found and what would do.
#[test]
fn misfits_are_refused() {
    let (folder, data) = (tempfile::tempdir().unwrap(), points(60));
    let message = |recipe: &TrainConfig| recipe.validate().unwrap_err().to_string();
    let mut recipe = consistency(5, [4, 2]);
    assert!(message(&recipe).contains("consistency.levels"), "{}", message(&recipe));
    recipe = consistency(5, [2, 4]);
    recipe.prediction = Prediction::Consistency { sigma_data: 1.0, level_min: 0.002 };
    assert!(message(&recipe).contains("begins at 0.02"), "{}", message(&recipe));
    recipe.prediction = Prediction::Noise;
    assert!(message(&recipe).contains("prediction is noise"), "{}", message(&recipe));
    recipe = consistency(5, [2, 4]);
    recipe.consistency = None;
    assert!(message(&recipe).contains("[consistency]"), "{}", message(&recipe));

    let mut teacher = base(1);
    teacher.process = ProcessConfig::Edm { sigma_min: 0.01, sigma_max: 10.0 };
    let path = folder.path().join("teacher");
    run(&mut create(&path, &teacher, &data)).0.unwrap();
    recipe = consistency(5, [2, 4]);
    recipe.consistency.as_mut().unwrap().teacher = Some(path);
    let refused =
        scorefield_train::Trainer::create(&folder.path().join("student"), recipe, "", &data, &Default::default()).unwrap_err();
    assert!(matches!(&refused, TrainError::Teacher { what: "process", .. }), "{refused}");
}
