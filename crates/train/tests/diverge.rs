//! A loss that is not finite: the step is skipped and said so; after too many the run stops, and what was good is still there.

mod common;

use common::*;
use scorefield_model::{Model, Weights};
use scorefield_process::{Denoiser, ProcessConfig};
use scorefield_tensor::{batch, rows};
use scorefield_train::{Ended, TimeLaw, TrainConfig, TrainError, Weight};
use std::path::Path;

/// A learning rate that throws the weights out of the range of single precision in one step.
fn wild(mut recipe: TrainConfig) -> TrainConfig {
    (recipe.optim.lr, recipe.optim.warmup) = (1e25, 0);
    recipe
}

fn denoised(folder: &Path) -> (u64, Vec<f32>) {
    let model = Model::load(folder, Weights::Ema, &Default::default()).unwrap();
    let x = batch(vec![0.5, -0.5, 2.0, 1.0], 2, &Default::default());
    (model.meta().training.steps, rows(model.denoiser(None).denoise(&x, 0.4)))
}

#[test]
fn a_run_that_diverges_stops_and_keeps_the_last_good_model() {
    for save_seconds in [1e9, 0.0] {
        let folder = tempfile::tempdir().unwrap();
        let data = points(50);
        run(&mut create(folder.path(), &recipe(30), &data)).0.unwrap();
        let (step, before) = denoised(folder.path());
        assert_eq!(step, 30);
        let state = tensors(&folder.path().join("state/state.safetensors"));

        // Saved as often as can be or never: no save may replace the good model by one that a wild step threw away.
        let mut longer = wild(recipe(200));
        longer.save_seconds = save_seconds;
        let (outcome, events) = run(&mut resume(folder.path(), &longer, &data));
        let error = outcome.unwrap_err();
        let TrainError::Diverged { count: 10, step: at, saved } = error else { panic!("{error}") };
        assert!((41..60).contains(&at) && saved == 30, "{error}");
        assert!(error.to_string().contains("of step 30, is kept") && error.to_string().contains("lower optim.lr"), "{error}");
        let (_, warnings) = said(&events);
        let skipped = warnings.iter().filter(|w| w.contains("was skipped: loss")).count();
        assert!(skipped == 10 && warnings.iter().any(|w| w.contains("(10 in a row; 10 stop the run)")), "{warnings:?}");

        assert_eq!(denoised(folder.path()), (30, before.clone()));
        assert!(before.iter().all(|v| v.is_finite()));
        assert!(tensors(&folder.path().join("state/state.safetensors")) == state);
        // The figures end with the last step that was taken, and the run goes on with a rate that works.
        assert!(metric_steps(folder.path()).len() >= 31);
        assert_eq!(run(&mut resume(folder.path(), &recipe(200), &data)).0.unwrap().ended, Ended::Finished);
        assert_eq!(metric_steps(folder.path()), (1..=200).collect::<Vec<_>>());
    }
}

/// A run that is wild from the start still leaves a model: the one it started from.
#[test]
fn a_run_that_diverges_at_once_leaves_its_first_weights() {
    let folder = tempfile::tempdir().unwrap();
    let data = points(50);
    let error = run(&mut create(folder.path(), &wild(recipe(100)), &data)).0.unwrap_err();
    assert!(matches!(error, TrainError::Diverged { saved: 0, .. }), "{error}");
    let (step, values) = denoised(folder.path());
    assert!(step == 0 && values.iter().all(|v| v.is_finite()));
}

/// A run that is stopped, or ends, in the middle of a row of skipped steps does not put bad weights in the place of good ones.
#[test]
fn an_end_among_skipped_steps_keeps_the_last_good_model() {
    let folder = tempfile::tempdir().unwrap();
    let data = points(50);
    run(&mut create(folder.path(), &recipe(30), &data)).0.unwrap();
    let before = denoised(folder.path());
    let (outcome, events) = run(&mut resume(folder.path(), &wild(recipe(34)), &data));
    assert!(matches!(outcome, Err(TrainError::Diverged { saved: 30, step: 34, .. })), "{outcome:?}");
    assert!(said(&events).1.iter().any(|w| w.contains("step 34 was not saved")));
    assert_eq!(denoised(folder.path()), before);
}

/// A weight that overflows for rare times spoils a step now and then: those are skipped, counted apart, and the rest goes on.
#[test]
fn single_bad_steps_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let data = points(50);
    let mut recipe = recipe(120);
    recipe.batch = 1;
    // 1 / c_out^2 of the noise prediction times SNR^2: beyond single precision where sigma is below 1e-10 or so.
    recipe.process = ProcessConfig::Ve { sigma_min: 1e-24, sigma_max: 50.0 };
    recipe.prediction = scorefield_process::Prediction::Clean;
    recipe.objective.weight = Weight::SigmaSquared;
    recipe.objective.times = TimeLaw::LogSnrUniform;
    recipe.optim.clip = 1.0;
    let (outcome, events) = run(&mut create(folder.path(), &recipe, &data));
    let position = match outcome {
        Ok(outcome) => outcome.position,
        Err(error) => panic!("{error}"),
    };
    let (_, warnings) = said(&events);
    let skipped = warnings.len() as u64;
    assert!(skipped > 5, "{warnings:?}");
    assert!(warnings.iter().all(|w| w.contains("was skipped: loss")), "{warnings:?}");
    assert_eq!((position.step, position.updates), (120, 120 - skipped));
    assert_eq!(metric_steps(folder.path()).len() as u64, position.updates);
    assert!(denoised(folder.path()).1.iter().all(|v| v.is_finite()));
}
