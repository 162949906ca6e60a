//! Tiny runs: small enough that a step takes well under a millisecond, with everything in them that draws random numbers.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod exact;

use scorefield_data::{AugmentOptions, Dataset, Shape};
use scorefield_model::TensorFile;
use scorefield_nn::{MlpConfig, NetworkConfig, UNetConfig};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;
use scorefield_train::{
    EmaConfig, Event, ExampleConfig, Length, Objective, OptimConfig, Outcome, PreviewConfig, TimeLaw, TrainConfig, TrainError,
    Trainer, Weight,
};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Independent standard normals.
pub(crate) fn normals(n: usize, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0f32; n];
    Stream::new(seed, 0, Purpose::Synthetic, 0, 0).fill_normal_f32(&mut values);
    values
}

/// Points of a correlated Gaussian in the plane, in three classes that mean nothing.
pub(crate) fn points(n: usize) -> Dataset {
    let z = normals(2 * n, 7);
    let values = z.chunks(2).flat_map(|z| [z[0], 0.8 * z[0] + 0.6 * z[1]]).collect();
    let labels = (0..n as u32).map(|i| i % 3).collect();
    Dataset::from_rows("points", Shape::Vector { dim: 2 }, values, Some((labels, ["a", "b", "c"].map(String::from).to_vec())))
}

/// Grey 4x4 pictures in three classes.
pub(crate) fn pictures(n: usize) -> Dataset {
    let values = normals(16 * n, 8).into_iter().map(|v| (128.0 + 50.0 * v).clamp(0.0, 255.0).round()).collect();
    let labels = (0..n as u32).map(|i| i % 3).collect();
    let shape = Shape::Image { channels: 1, height: 4, width: 4 };
    Dataset::from_rows("pictures", shape, values, Some((labels, ["a", "b", "c"].map(String::from).to_vec())))
}

/// A recipe for [`points`].
pub(crate) fn recipe(steps: u64) -> TrainConfig {
    TrainConfig {
        seed: 3,
        batch: 8,
        accumulate: 1,
        precision: Default::default(),
        label_dropout: 0.0,
        condition_dropout: 0.0,
        save_seconds: 1e9,
        time_input: TimeInput::QuarterLogRatio,
        length: Length::Steps(steps),
        prediction: Prediction::Noise,
        process: ProcessConfig::VpCosine { offset: 0.008 },
        consistency: None,
        states: None,
        rates: None,
        objective: Objective::new(Weight::Output, TimeLaw::LogNormal { mean: 0.0, deviation: 1.2 }),
        optim: OptimConfig { warmup: 5, ..OptimConfig::default() },
        ema: EmaConfig::default(),
        preview: PreviewConfig { every_seconds: 0.0, ..PreviewConfig::default() },
        examples: ExampleConfig::default(),
        network: NetworkConfig::Mlp(MlpConfig { hidden: 16, depth: 2, time_width: 8, ..MlpConfig::default() }),
    }
}

/// A recipe for [`points`] in which everything is drawn: labels, dropout, accumulated batches, stratified times.
pub(crate) fn recipe_of_points(steps: u64) -> TrainConfig {
    let mut recipe = recipe(steps);
    (recipe.accumulate, recipe.label_dropout, recipe.objective.stratified) = (3, 0.3, true);
    recipe.network =
        NetworkConfig::Mlp(MlpConfig { hidden: 16, depth: 2, time_width: 8, classes: 3, dropout: 0.2, ..MlpConfig::default() });
    recipe
}

/// A recipe for [`pictures`] with a U-Net that is told its augmentation, flips, dropout and label dropout.
pub(crate) fn recipe_of_pictures(steps: u64) -> TrainConfig {
    let mut recipe = recipe(steps);
    (recipe.batch, recipe.accumulate, recipe.label_dropout) = (4, 2, 0.2);
    let augment = AugmentOptions { probability: 0.7, ..AugmentOptions::default() };
    recipe.examples = ExampleConfig { flip: true, augment: Some(augment), ..ExampleConfig::default() };
    recipe.network = NetworkConfig::UNet(UNetConfig { classes: 3, augment: true, dropout: 0.2, ..small_unet() });
    recipe
}

/// A U-Net of four channels with attention.
pub(crate) fn small_unet() -> UNetConfig {
    UNetConfig {
        model_channels: 4,
        channel_mult: vec![1.0, 2.0],
        blocks: 1,
        attention_levels: vec![1],
        groups: 2,
        group_width: 2,
        ..UNetConfig::default()
    }
}

pub(crate) fn create<'a>(path: &Path, recipe: &TrainConfig, data: &'a Dataset) -> Trainer<'a> {
    Trainer::create(path, recipe.clone(), "# a recipe\n", data, &Default::default()).unwrap()
}

pub(crate) fn resume<'a>(path: &Path, recipe: &TrainConfig, data: &'a Dataset) -> Trainer<'a> {
    Trainer::resume(path, recipe.clone(), data, &Default::default()).unwrap()
}

/// Runs to the end and keeps what was said.
pub(crate) fn run(trainer: &mut Trainer<'_>) -> (Result<Outcome, TrainError>, Vec<Event>) {
    run_until(trainer, u64::MAX)
}

/// Runs until step `last` is done, then asks it to stop.
pub(crate) fn run_until(trainer: &mut Trainer<'_>, last: u64) -> (Result<Outcome, TrainError>, Vec<Event>) {
    let stop = AtomicBool::new(false);
    let mut events = Vec::new();
    let mut observer = |event: &Event| {
        if let Event::Step(report) = event
            && report.step >= last
        {
            stop.store(true, Ordering::Relaxed);
        }
        events.push(event.clone());
    };
    let outcome = trainer.run(&mut observer, &stop);
    (outcome, events)
}

/// The texts of notes and of warnings.
pub(crate) fn said(events: &[Event]) -> (Vec<String>, Vec<String>) {
    let notes = events.iter().filter_map(|e| if let Event::Note(text) = e { Some(text.clone()) } else { None });
    let warnings = events.iter().filter_map(|e| if let Event::Warning(text) = e { Some(text.clone()) } else { None });
    (notes.collect(), warnings.collect())
}

/// Every tensor of a file with the bits of its numbers.
pub(crate) fn tensors(path: &Path) -> Vec<(String, Vec<u32>)> {
    let mut file = TensorFile::open(path).unwrap();
    let entries = file.entries();
    entries
        .into_iter()
        .map(|e| {
            let bits = file.floats(&e.name, &e.shape).unwrap().into_iter().map(f32::to_bits).collect();
            (e.name, bits)
        })
        .collect()
}

/// The steps of `metrics.jsonl`; every line must parse and hold its figures.
pub(crate) fn metric_steps(folder: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "a line is cut: {:?}", text.lines().last());
    text.lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            for key in ["loss", "trivial", "lr", "grad_norm", "examples_per_second", "seconds"] {
                assert!(value[key].is_f64(), "{key} in {line}");
            }
            value["step"].as_u64().unwrap()
        })
        .collect()
}

/// Two run folders hold the same run: tensors bit for bit, positions but for the seconds.
#[track_caller]
pub(crate) fn assert_same_run(a: &Path, b: &Path) {
    for file in ["state/state.safetensors", "model.safetensors"] {
        let (a, b) = (tensors(&a.join(file)), tensors(&b.join(file)));
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(&b) {
            assert_eq!(a.0, b.0);
            assert!(a.1 == b.1, "{file}: {} differs", a.0);
        }
    }
    let position = |folder: &Path| {
        let file = TensorFile::open(&folder.join("state/state.safetensors")).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(file.text().unwrap()).unwrap();
        value["seconds"] = 0.into();
        value
    };
    assert_eq!(position(a), position(b));
}
