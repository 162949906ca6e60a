//! Small networks that were trained by others, as published: outputs at a few times on a picture given by a formula, as their own programs
//! had them.

use crate::fixtures::model;
use scorefield_model::Weights;
use scorefield_model::import::{Checkpoint, Given, Layout};
use scorefield_process::{ProcessConfig, ProcessExt, TimeInput};
use scorefield_tensor::{Batch, batch, rows};
use serde_json::Value;
use std::path::Path;

/// Side of the pictures.
const SIDE: usize = 28;

fn open(folder: &Path, file: &str, given: &[&str]) -> Checkpoint {
    Checkpoint::open(&folder.join(file), Given::parse(given).unwrap()).unwrap_or_else(|e| panic!("{e}"))
}

/// `size sin(0.37 i)`.
fn formula(size: f64) -> Batch {
    batch((0..SIDE * SIDE).map(|i| (size * (0.37 * i as f64).sin()) as f32).collect(), 1, &Default::default())
}

/// Sums, and eight numbers from the beginning and from the middle row, at each time of a file; `step` is the time of the process.
fn check(checkpoint: &Checkpoint, size: f64, golden: &Path, step: impl Fn(f64) -> f64) {
    let m = model(checkpoint, Weights::Ema);
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let times = golden["golden"].as_object().unwrap();
    assert_eq!(times.len(), 4);
    for (time, stored) in times {
        let y: Vec<f64> =
            rows(m.output_each(formula(size), &[step(time.parse().unwrap())], None)).into_iter().map(f64::from).collect();
        let numbers = |key: &str| -> Vec<f64> { stored[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
        let largest = y.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let middle = SIDE / 2 * SIDE;
        for (key, ours) in [("first8", &y[..8]), ("mid8", &y[middle..middle + 8])] {
            let error = ours.iter().zip(numbers(key)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest;
            assert!(error < 1e-4, "{time} {key}: {error:.1e}; {ours:?}");
        }
        let magnitude = stored["abs_sum"].as_f64().unwrap();
        for (key, ours) in [("sum", y.iter().sum::<f64>()), ("abs_sum", y.iter().map(|v| v.abs()).sum())] {
            let error = (ours - stored[key].as_f64().unwrap()).abs() / magnitude;
            assert!(error < 1e-4, "{time} {key}: {error:.1e}");
        }
    }
}

/// The stack of convolutions: both containers are one model, its process has the products of the file.
#[test]
#[ignore = "needs ../shared/data"]
fn hot_vs_cold() {
    let folder = scorefield_testkit::reference().join("data/ddpm_mnist_yichizz");
    let files = ["ddpm_mnist_starter.pth", "ddpm_mnist_starter.safetensors"].map(|file| open(&folder, file, &[]));
    for found in &files {
        assert_eq!(found.layout(), Layout::HotVsCold);
        let linear = ProcessConfig::DiscreteLinear { steps: 1001, beta_min: 1e-4, beta_max: 0.02, zero_terminal_snr: false };
        assert_eq!(found.meta().process, linear);
        assert_eq!(found.meta().time_input, TimeInput::Time { scale: 1e-3 });
        assert_eq!(found.meta().network.parameters(&[1, SIDE, SIDE]).unwrap(), 291_217);
        check(found, 0.4, &folder.join("golden.json"), |t| 1000.0 * t);
    }
    let [pickled, plain] = files.each_ref().map(|f| model(f, Weights::Ema));
    assert_eq!(pickled.meta(), plain.meta());
    let bits = |f: &Checkpoint| f.params(Weights::Ema, &Default::default()).unwrap().to_host();
    assert_eq!(bits(&files[0]), bits(&files[1]));

    let products = scorefield_archive::open(&folder.join("ddpm_mnist_starter.safetensors")).unwrap().arrays().unwrap();
    for (i, said) in products["alpha_t"].f64().unwrap().into_iter().enumerate() {
        let ours = plain.process().at(i as f64).alpha.powi(2);
        assert!((ours / said - 1.0).abs() < 2e-6, "{i}: {ours} {said}");
    }
}

/// The U-Net on digits and on clothes, with its prefix and without; what it cannot see is said.
#[test]
#[ignore = "needs ../shared/data"]
fn papers_reimplementations() {
    let folder = scorefield_testkit::reference().join("data/ddpm_mnist_fashion_brianpulfer");
    for (file, golden) in [("ddpm_mnist.safetensors", "golden_mnist.json"), ("ddpm_fashion.pt", "golden_fashion.json")] {
        let found = open(&folder, file, &["n_steps=1000"]);
        assert_eq!(found.layout(), Layout::PapersReimplementations);
        assert!(found.notes().iter().any(|n| n.contains("mean")), "{:?}", found.notes());
        check(&found, 0.8, &folder.join(golden), |t| t);

        // A picture that is brighter, or of more contrast, is the same picture.
        let m = model(&found, Weights::Ema);
        let of = |x: Batch| rows(m.output_each(x, &[500.0], None));
        let (y, moved) = (of(formula(0.8)), of(formula(0.8) * 1.5 + 3.0));
        y.iter().zip(moved).for_each(|(a, b)| assert!((a - b).abs() < 1e-3, "{a} {b}"));
    }
    let refused = Checkpoint::open(&folder.join("ddpm_fashion.pt"), Given::parse(&["n_steps=500"]).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("n_steps = 500") && refused.to_string().contains("1000"), "{refused}");
}
