//! The doctor speaks in a run for what it is there for, and holds its tongue in a healthy one.

mod common;

use common::*;
use scorefield_data::{Dataset, Shape};
use scorefield_train::TrainConfig;

fn notes(recipe: &TrainConfig, data: &Dataset) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (outcome, events) = run(&mut create(folder.path(), recipe, data));
    outcome.unwrap();
    said(&events).0
}

#[test]
fn a_healthy_run_is_left_alone() {
    let mut recipe = recipe(900);
    recipe.batch = 32;
    assert_eq!(notes(&recipe, &points(500)), Vec::<String>::new());
}

#[test]
fn averages_longer_than_the_run() {
    let mut recipe = recipe(3);
    recipe.ema.half_lives = [0.03, 2.0];
    let notes = notes(&recipe, &points(50));
    assert!(notes.len() == 1 && notes[0].contains("average 2 has a half-life of 6 steps in a run of 3"), "{notes:?}");
}

#[test]
fn fewer_examples_than_a_batch() {
    let notes = notes(&recipe(3), &points(5));
    assert!(notes.len() == 1 && notes[0].contains("5 examples are fewer than a batch of 8"), "{notes:?}");
}

/// Real numbers have no bounds to be outside of; what is far from the rest is as harmful.
#[test]
fn values_far_from_the_rest() {
    let mut values = normals(400, 5);
    values[7] = 500.0;
    let notes = notes(&recipe(3), &Dataset::from_rows("spiked", Shape::Vector { dim: 2 }, values, None));
    assert!(notes.len() == 1 && notes[0].contains("1 of 400 encoded values are larger than 10"), "{notes:?}");
}

/// A network that cannot learn, for want of a rate, is no better than the mean: said once, after the warm-up's window.
#[test]
fn a_loss_not_below_the_trivial_predictors() {
    let mut recipe = recipe(1100);
    recipe.optim.lr = 1e-9;
    let notes = notes(&recipe, &points(500));
    assert!(notes.len() == 1 && notes[0].contains("not below that of a predictor that knows only the mean"), "{notes:?}");
}

/// The trivial predictor is what it says: on independent data of the codec's spread, where nothing better exists, a trained
/// network's loss comes down to it.
#[test]
fn the_trivial_loss_is_that_of_the_best_isotropic_predictor() {
    let mut recipe = recipe(1500);
    (recipe.batch, recipe.optim.lr, recipe.objective.stratified) = (64, 5e-3, true);
    let folder = tempfile::tempdir().unwrap();
    let data = Dataset::from_rows("white", Shape::Vector { dim: 2 }, normals(20_000, 5), None);
    run(&mut create(folder.path(), &recipe, &data)).0.unwrap();
    let text = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mean = |key: &str| lines[1000..].iter().map(|l| l[key].as_f64().unwrap()).sum::<f64>() / 500.0;
    let ratio = mean("loss") / mean("trivial");
    assert!((ratio - 1.0).abs() < 0.04, "{ratio}");
}
