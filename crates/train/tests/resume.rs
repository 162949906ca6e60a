//! A run that was cut and resumed is the run that was not cut, bit for bit; a run folder belongs to one run and one process.

mod common;

use common::*;
use scorefield_data::{Dataset, Shape};
use scorefield_model::LearnedVariance;
use scorefield_nn::{MlpConfig, NetworkConfig};
use scorefield_process::{ProcessConfig, TimeInput};
use scorefield_train::{
    Coupling, Directions, Ended, Event, Length, Loss, RatesConfig, TimeLaw, TrainError, Trainer, Uncertainty,
};
use std::fs;
use std::path::Path;

/// Cut after each of `cuts` steps and resumed, against one run of `steps`.
fn cut_and_resumed(recipe: &scorefield_train::TrainConfig, data: &Dataset, cuts: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let Length::Steps(steps) = recipe.length else { panic!("a run of steps") };
    let outcome = run(&mut create(&whole, recipe, data)).0.unwrap();
    assert_eq!((outcome.ended, outcome.position.step, outcome.position.updates), (Ended::Finished, steps, steps));
    assert_eq!(outcome.position.examples, steps * (recipe.batch * recipe.accumulate) as u64);

    for (i, &cut) in cuts.iter().enumerate() {
        let mut trainer = if i == 0 { create(&parts, recipe, data) } else { resume(&parts, recipe, data) };
        let outcome = run_until(&mut trainer, cut).0.unwrap();
        assert_eq!((outcome.ended, outcome.position.step), (Ended::Interrupted, cut));
    }
    let outcome = run(&mut resume(&parts, recipe, data)).0.unwrap();
    assert_eq!((outcome.ended, outcome.position.step), (Ended::Finished, steps));
    assert_same_run(&whole, &parts);
    assert_eq!(metric_steps(&parts), (1..=steps).collect::<Vec<_>>());
    // The comparison can fail: the averages and the weights have moved, and differ.
    let state = tensors(&whole.join("state/state.safetensors"));
    let of = |name: &str| &state.iter().find(|t| t.0 == name).unwrap().1;
    let weight = state.iter().find(|t| t.0.starts_with("raw.") && t.0.ends_with("linear0.weight")).or_else(|| state.first());
    let name = weight.unwrap().0.trim_start_matches("raw.").to_owned();
    assert!(
        of(&format!("raw.{name}")) != of(&format!("ema0.{name}")) && of(&format!("ema0.{name}")) != of(&format!("ema1.{name}"))
    );
}

#[test]
fn points_resume_bit_for_bit() {
    cut_and_resumed(&recipe_of_points(40), &points(50), &[1, 17, 18]);
}

#[test]
fn pictures_resume_bit_for_bit() {
    cut_and_resumed(&recipe_of_pictures(14), &pictures(20), &[5, 9]);
}

/// Objectives with a memory of their own, and those that draw more than times and noise.
#[test]
fn every_objective_resumes_bit_for_bit() {
    let base = || {
        let mut recipe = recipe_of_points(16);
        recipe.objective.times = TimeLaw::Uniform;
        recipe
    };
    let doubled = |recipe: &mut scorefield_train::TrainConfig| {
        let config = MlpConfig { hidden: 16, depth: 2, time_width: 8, classes: 3, dropout: 0.2, ..MlpConfig::default() };
        recipe.network = NetworkConfig::Mlp(MlpConfig { learned_variance: true, ..config });
    };
    let mut uncertain = base();
    uncertain.objective.uncertainty = Some(Uncertainty { features: 8 });
    let mut remembering = base();
    doubled(&mut remembering);
    remembering.objective.loss = Loss::Vlb { levels: 4 };
    remembering.objective.times = TimeLaw::LossSecondMoment { bins: 4, history: 5, uniform: 0.01 };
    let mut hybrid = base();
    doubled(&mut hybrid);
    hybrid.objective.loss = Loss::Hybrid { levels: 10, lambda: 1e-3 };
    let mut sliced = base();
    sliced.objective.loss = Loss::Sliced { probes: 2, variance_reduced: false, directions: Directions::Normal };
    let mut coupled = base();
    coupled.objective.coupling = Coupling::Sinkhorn { epsilon: 0.1, rounds: 20 };
    let mut rated = base();
    doubled(&mut rated);
    rated.process = ProcessConfig::DiscreteConstant { steps: 6, beta: 0.2, zero_terminal_snr: false };
    rated.time_input = TimeInput::Time { scale: 1.0 };
    (rated.objective.loss, rated.objective.variance) = (Loss::Vlb { levels: 6 }, LearnedVariance::Free);
    rated.rates = Some(RatesConfig::default());
    for recipe in [uncertain, remembering, hybrid, sliced, coupled, rated] {
        cut_and_resumed(&recipe, &points(50), &[3, 11]);
    }
}

/// A state without the memory its objective needs is refused, as is one with more than it needs.
#[test]
fn memories_belong_to_their_objective() {
    let (folder, data) = (tempfile::tempdir().unwrap(), points(50));
    let mut with = recipe(4);
    with.objective.uncertainty = Some(Uncertainty { features: 8 });
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    run(&mut create(&a, &with, &data)).0.unwrap();
    run(&mut create(&b, &recipe(4), &data)).0.unwrap();
    let device = Default::default();
    refused(Trainer::resume(&a, recipe(4), &data, &device), &["state.safetensors", "objective", "its own recipe"]);
    refused(Trainer::resume(&b, with, &data, &device), &["state.safetensors", "uncertainty.raw"]);
    let state = tensors(&a.join("state/state.safetensors"));
    let raw = &state.iter().find(|t| t.0 == "uncertainty.raw").unwrap().1;
    assert!(raw.len() == 9 && raw.iter().any(|bits| *bits != 0), "the log-variances have moved");
}

/// Another seed, label dropout or dropout is another run: the comparison above is not blind to them.
#[test]
fn what_is_drawn_matters() {
    let folder = tempfile::tempdir().unwrap();
    let data = points(50);
    let train = |name: &str, change: &dyn Fn(&mut scorefield_train::TrainConfig)| {
        let mut recipe = recipe_of_points(6);
        change(&mut recipe);
        let path = folder.path().join(name);
        run(&mut create(&path, &recipe, &data)).0.unwrap();
        tensors(&path.join("model.safetensors"))
    };
    let base = train("base", &|_| ());
    assert!(base == train("again", &|_| ()));
    assert!(base != train("seed", &|r| r.seed = 4));
    assert!(base != train("labels", &|r| r.label_dropout = 0.9));
    assert!(base != train("strata", &|r| r.objective.stratified = false));
    assert!(base != train("accumulate", &|r| r.accumulate = 2));
}

/// Figures written after the last save belong to steps that are taken again; a line cut short goes too.
#[test]
fn metrics_are_rewound() {
    let folder = tempfile::tempdir().unwrap();
    let (data, recipe) = (points(50), recipe_of_points(20));
    run_until(&mut create(folder.path(), &recipe, &data), 9).0.unwrap();
    let path = folder.path().join("metrics.jsonl");
    let line = fs::read_to_string(&path).unwrap().lines().last().unwrap().replace("\"step\":9", "\"step\":10");
    let more = format!("{}{line}\n{}\n\u{0}\n{{\"step\":11,\"lo", fs::read_to_string(&path).unwrap(), line.replace("10", "11"));
    fs::write(&path, more).unwrap();
    run(&mut resume(folder.path(), &recipe, &data)).0.unwrap();
    assert_eq!(metric_steps(folder.path()), (1..=20).collect::<Vec<_>>());

    // A run that was killed before its first save leaves figures of a run that never was.
    let other = folder.path().join("other");
    fs::create_dir_all(other.join("state")).unwrap();
    fs::write(other.join("state/lock"), "").unwrap();
    fs::write(other.join("metrics.jsonl"), "{\"step\":1}\n").unwrap();
    run(&mut create(&other, &recipe, &data)).0.unwrap();
    assert_eq!(metric_steps(&other), (1..=20).collect::<Vec<_>>());
}

#[track_caller]
fn refused(result: Result<Trainer<'_>, TrainError>, words: &[&str]) -> TrainError {
    let error = result.expect_err("refused");
    for word in words {
        assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
    }
    error
}

#[test]
fn a_folder_is_trained_in_by_one_trainer() {
    let folder = tempfile::tempdir().unwrap();
    let (data, recipe) = (points(50), recipe_of_points(6));
    let path = folder.path().join("the-run");
    let name = ["the-run", "in use by another process", "--out"];
    let device = Default::default();
    let mut first = create(&path, &recipe, &data);
    refused(Trainer::create(&path, recipe.clone(), "", &data, &device), &name);
    run(&mut first).0.unwrap();
    assert!(matches!(refused(Trainer::resume(&path, recipe.clone(), &data, &device), &name), TrainError::InUse { .. }));
    drop(first);
    resume(&path, &recipe, &data);
}

#[test]
fn a_folder_holds_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let (data, recipe) = (points(50), recipe_of_points(6));
    let path = folder.path().join("the-run");
    let device = Default::default();
    refused(Trainer::resume(&path, recipe.clone(), &data, &device), &["the-run", "no saved run", "without --resume"]);
    assert!(!path.exists());
    run_until(&mut create(&path, &recipe, &data), 2).0.unwrap();
    let before = fs::read(path.join("state/state.safetensors")).unwrap();

    refused(Trainer::create(&path, recipe.clone(), "", &data, &device), &["the-run", "at step 2", "--resume"]);
    let other = points(51);
    let words = ["fingerprint", &data.fingerprint(), &other.fingerprint(), "same data"];
    refused(Trainer::resume(&path, recipe.clone(), &other, &device), &words);
    let mut other = recipe.clone();
    other.network = recipe_of_points(6).network.with_classes(0);
    refused(Trainer::resume(&path, other.clone(), &data, &device), &["state.safetensors", "tensors", "its own recipe"]);
    other.network = recipe_of_pictures(6).network;
    refused(Trainer::resume(&path, other.clone(), &data, &device), &["unet", "[2]"]);
    other.network = NetworkConfig::Mlp(MlpConfig { hidden: 17, depth: 2, time_width: 8, classes: 3, ..MlpConfig::default() });
    refused(Trainer::resume(&path, other, &data, &device), &["state.safetensors", "tensor `raw.", "expected f32 of shape"]);
    assert_eq!(fs::read(path.join("state/state.safetensors")).unwrap(), before);

    fs::write(path.join("state/state.safetensors"), &before[..before.len() - 9]).unwrap();
    refused(Trainer::resume(&path, recipe.clone(), &data, &device), &["state.safetensors", "not a complete"]);
}

/// What was somebody else's is not replaced; what a killed process left half-written is removed.
#[test]
fn other_peoples_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (data, recipe) = (points(50), recipe_of_points(3));
    let device = Default::default();
    fs::write(folder.path().join("recipe.toml"), "mine").unwrap();
    refused(Trainer::create(folder.path(), recipe.clone(), "", &data, &device), &["`recipe.toml`", "new or empty folder"]);
    assert_eq!(fs::read_to_string(folder.path().join("recipe.toml")).unwrap(), "mine");
    assert!(!folder.path().join("state").exists());

    let path = folder.path().join("run");
    run(&mut create(&path, &recipe, &data)).0.unwrap();
    let litter = [".model.safetensors.123.tmp", "state/.state.safetensors.9.tmp"];
    let kept = ["notes.tmp", ".hidden", ".a.b.tmp"];
    litter.iter().chain(&kept).for_each(|f| fs::write(path.join(f), "half").unwrap());
    resume(&path, &recipe, &data);
    assert!(litter.iter().all(|f| !path.join(f).exists()));
    assert!(kept.iter().all(|f| path.join(f).exists()));
}

/// A recipe that makes no run names the key, and leaves no folder behind.
#[test]
fn impossible_recipes_are_refused() {
    type Change = fn(&mut scorefield_train::TrainConfig);
    let cases: [(Change, &str); 12] = [
        (|r| r.batch = 0, "batch is 0"),
        (|r| r.accumulate = 0, "accumulate is 0"),
        (|r| r.label_dropout = 1.5, "label_dropout is 1.5"),
        (|r| r.optim.lr = f64::NAN, "optim.lr is NaN"),
        (|r| r.optim.beta2 = 1.0, "optim.beta2 is 1"),
        (|r| r.optim.clip = 0.0, "optim.clip is 0"),
        (|r| r.optim.weight_decay = f64::INFINITY, "optim.weight_decay is inf"),
        (|r| r.ema.half_lives[1] = -0.1, "ema.half_lives[1] is -0.1"),
        (|r| r.length = Length::Minutes(0.0), "length.minutes is 0"),
        (|r| r.objective.weight = scorefield_train::Weight::MinSnr { gamma: 0.0 }, "objective.weight.gamma is 0"),
        (|r| r.prediction = scorefield_process::Prediction::Edm { sigma_data: 0.0 }, "prediction is Edm"),
        (
            |r| r.objective.times = scorefield_train::TimeLaw::LogNormal { mean: 0.0, deviation: -1.0 },
            "objective.times.deviation is -1",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let data = points(10);
    for (change, words) in cases {
        let mut recipe = recipe(3);
        change(&mut recipe);
        let path = folder.path().join("run");
        refused(Trainer::create(&path, recipe, "", &data, &Default::default()), &["recipe: ", words, "expected"]);
        assert!(!path.exists());
    }
    let mut recipe = recipe(3);
    recipe.network = recipe.network.with_classes(4);
    let result = Trainer::create(&folder.path().join("run"), recipe, "", &data, &Default::default());
    refused(result, &["4 classes", "network.classes to 3"]);
}

/// A run of minutes turns into steps once, says so in its recipe, keeps to its time, and is resumed as the run it became.
#[test]
fn minutes_become_steps() {
    let folder = tempfile::tempdir().unwrap();
    let data = Dataset::from_rows("line", Shape::Vector { dim: 1 }, normals(64, 1), None);
    let mut recipe = recipe(1);
    recipe.length = Length::Minutes(1.0 / 60.0);
    let (outcome, events) = run(&mut create(folder.path(), &recipe, &data));
    let outcome = outcome.unwrap();
    let total = outcome.position.total.expect("known by now");
    assert!(outcome.position.seconds < 2.0, "{outcome:?}");
    assert!(said(&events).0.iter().any(|n| n.contains(&format!("the run has {total} steps"))));
    let text = fs::read_to_string(folder.path().join("recipe.toml")).unwrap();
    assert!(
        text.starts_with("# ") && text.contains(&format!("became {total} steps")) && text.ends_with("\n# a recipe\n"),
        "{text}"
    );
    let last = |path: &Path| metric_steps(path).len() as u64;
    assert_eq!(last(folder.path()), outcome.position.step);
    let again = run(&mut resume(folder.path(), &recipe, &data)).0.unwrap();
    assert_eq!(again.position.step, outcome.position.step);
}

/// A finished run that is given more steps goes on, and says that its rates follow the new length.
#[test]
fn a_run_can_be_made_longer() {
    let folder = tempfile::tempdir().unwrap();
    let data = points(50);
    run(&mut create(folder.path(), &recipe_of_points(5), &data)).0.unwrap();
    let (outcome, events) = run(&mut resume(folder.path(), &recipe_of_points(9), &data));
    assert_eq!(outcome.unwrap().position.step, 9);
    assert!(said(&events).0.iter().any(|n| n.contains("had 5 steps, it has 9")));
    assert!(events.iter().any(|e| matches!(e, Event::Saved { step: 9 })));
    assert_eq!(metric_steps(folder.path()), (1..=9).collect::<Vec<_>>());
}
