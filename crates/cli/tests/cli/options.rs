//! What `sample` can be told beside the solver: temperature, another process, bounds; and what it tells of its work.

use crate::common::{done, run, small_model};
use serde_json::Value;
use std::path::Path;
use tempfile::tempdir;

/// A model of points in the plane after a few steps, in `folder/flat`.
#[track_caller]
fn flat_model(folder: &Path) {
    done(folder, &["train", "toy:moons", "--recipe", "toy-2d", "--steps", "120", "--set", "batch=64", "--out", "flat", "-q"]);
}

#[track_caller]
fn json(folder: &Path, arguments: &[&str]) -> Value {
    let text = done(folder, &[arguments, &["--json", "-q"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {text}"))
}

/// The last `n` numbers of an array of f32.
fn floats(path: &Path, n: usize) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes[bytes.len() - 4 * n..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], hints: &[&str]) {
    let (status, stdout, error) = run(folder, arguments);
    assert!(status == 2 && stdout.is_empty(), "{arguments:?}: {status}: {error}");
    for hint in hints {
        assert!(error.contains(hint), "{arguments:?}: no {hint:?} in {error}");
    }
}

/// One schedule has the same samples as another with the same noise levels; cold samples are all the same.
#[test]
fn processes_and_temperatures() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    flat_model(path);
    let draw = |extra: &[&str]| {
        let sample = ["sample", "flat", "-q", "-n", "9", "--solver", "ddim", "--grid", "karras", "--steps", "12", "-o", "a.npy"];
        done(path, &[&sample[..], extra].concat());
        floats(&path.join("a.npy"), 18)
    };
    let own = draw(&[]);
    for process in ["vp-linear", "vp-cosine", "rectified-flow", "ve:sigma_min=0.001,sigma_max=99", "trigonometric"] {
        let other = draw(&["--process", process]);
        let furthest = own.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest < 1e-4, "{process}: {furthest}");
    }
    assert_eq!(own, draw(&["--temperature", "1"]));
    let cold = draw(&["--temperature", "0"]);
    assert!(cold.chunks(2).all(|row| row == &cold[..2]), "{cold:?}");
    let half = draw(&["--temperature", "0.5"]);
    assert!(half != own && half.chunks(2).any(|row| row != &half[..2]));

    let sample = |extra: &[&'static str]| [&["sample", "flat", "-o", "b.npy"][..], extra].concat();
    refused(path, &sample(&["--temperature", "-1"]), &["temperature -1", "from 0 on"]);
    refused(path, &sample(&["--process", "vp-liner"]), &["vp-linear"]);
    refused(path, &sample(&["--process", "edm:sigma_min=50,sigma_max=90"]), &["5.000e1 to 9.000e1", "they share none"]);
    let (_, _, said) = run(path, &sample(&["--process", "vp-linear:beta_max=1", "--steps", "3"]));
    assert!(said.contains("too little noise"), "{said}");
    assert!(!path.join("c.npy").exists());
}

/// Calls are counted at the network: what the solver, guidance and the last denoising ask for, whatever the batches.
#[test]
fn evaluations_are_counted() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    flat_model(path);
    small_model(path);
    let count = |model: &str, extra: &[&str]| {
        let told = json(path, &[&["sample", model, "-n", "6", "--batch", "4", "-o", "a.npy"], extra].concat());
        (told["evaluations"].as_u64().unwrap(), told["evaluations_per_sample"].as_f64().unwrap(), told["steps"].as_u64().unwrap())
    };
    assert_eq!(count("flat", &["--solver", "ddim", "--steps", "7"]), (7, 7.0, 7));
    assert_eq!(count("flat", &["--solver", "heun", "--steps", "5"]), (9, 9.0, 5));
    assert_eq!(count("flat", &["--solver", "rk4", "--steps", "4", "--process", "vp-cosine"]), (13, 13.0, 4));
    assert_eq!(count("flat", &["--solver", "ddim", "--grid", "levels=5;1;0.1"]), (3, 3.0, 3));
    // Guidance asks twice.
    assert_eq!(count("run", &["--solver", "ddim", "--steps", "3", "--class", "2", "--guidance", "2"]), (6, 6.0, 3));
    for solver in ["tsit5", "bogacki-shampine"] {
        let (calls, rows, steps) = count("flat", &["--solver", solver]);
        // Two times suffice, and the work between them is the solver's own.
        assert!(steps == 2 && calls > 20 && rows > 20.0 && rows <= calls as f64, "{solver}: {calls}, {rows}, {steps}");
        let rough = count("flat", &["--solver", &format!("{solver}:rtol=0.1,atol=0.1")]);
        assert!(rough.1 < rows, "{solver}: {} of {rows}", rough.1);
    }
}

/// Bounds hold in the units of the model, and a threshold of all entries without room is a clip.
#[test]
fn clean_data_are_bounded() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let draw = |extra: &[&str]| {
        done(path, &[&["sample", "run", "-q", "-n", "5", "--steps", "4", "-o", "a.npy"], extra].concat());
        let bytes = std::fs::read(path.join("a.npy")).unwrap();
        bytes[bytes.len() - 5 * 64..].to_vec()
    };
    // Grey levels 0 to 16 are -1 to 1.
    let clipped = draw(&["--clip", "0.1"]);
    assert!(clipped.iter().all(|v| (7..=9).contains(v)) && [7, 9].iter().all(|v| clipped.contains(v)), "{clipped:?}");
    assert_eq!(draw(&["--clip", "1"]), draw(&["--threshold", "1:1"]));
    assert_ne!(draw(&["--threshold", "0.5"]), draw(&[]));
    assert_eq!(draw(&["--clip", "1000"]), draw(&[]));
    let sample = |extra: &[&'static str]| [&["sample", "run", "-o", "b.npy"][..], extra].concat();
    refused(path, &sample(&["--clip", "-1"]), &["--clip -1", "above 0"]);
    refused(path, &sample(&["--threshold", "1.5"]), &["--threshold 1.5", "at most 1"]);
    refused(path, &sample(&["--threshold", "0.9:x"]), &["P:MAX"]);
    refused(path, &sample(&["--clip", "1", "--threshold", "0.9"]), &["cannot be used with"]);
    refused(path, &sample(&["--solver", "ddpm:variance=learned"]), &["ddpm", "learned none", "variance=small"]);
    refused(path, &sample(&["--solver", "pc:predictor=ancestral,variance=learned"]), &["pc", "learned none"]);
}

/// A consistency model is sampled by its own solver, which samples nothing else; what needs a posterior mean says so.
#[test]
fn consistency_models_go_their_own_way() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    flat_model(path);
    let train = ["train", "toy:moons", "--recipe", "consistency-2d", "--set", "batch=64", "--steps", "60", "-q"];
    done(path, &[&train[..], &["--out", "jump"]].concat());
    done(path, &[&train[..], &["--out", "taught", "--set", "consistency.teacher=flat"]].concat());
    assert_ne!(
        std::fs::read(path.join("jump/model.safetensors")).unwrap(),
        std::fs::read(path.join("taught/model.safetensors")).unwrap()
    );

    let mut drawn = Vec::new();
    for (steps, calls) in [(None, 2), (Some("1"), 1), (Some("3"), 3)] {
        let steps: Vec<&str> = steps.iter().flat_map(|n| ["--steps", n]).collect();
        let told = json(path, &[&["sample", "jump", "-n", "3", "-o", "a.npy"], &steps[..]].concat());
        assert_eq!((told["solver"].as_str(), told["evaluations"].as_u64()), (Some("consistency"), Some(calls)), "{told}");
        drawn.push(floats(&path.join("a.npy"), 6));
    }
    // Two looks are not one: the second is not at the level where the model says its input again.
    assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2]);
    assert!(json(path, &["eval", "jump", "toy:moons", "-n", "50"])["metrics"].is_array());

    let (other, model) = (["E[x_0 | x_t]", "consistency"], "jump");
    for arguments in [
        &["sample", model, "--solver", "heun", "-o", "b.npy"][..],
        &["plot", model],
        &["nll", model, "toy:moons"],
        &["nll", model, "toy:moons", "--bound"],
        &["encode", model, "toy:moons", "-o", "z.npy"],
        &["decode", model, "a.npy", "-o", "b.npy"],
        &["interpolate", model, "toy:moons", "toy:moons@5", "-o", "b.npy"],
        &["predict", model, "a.npy", "--time", "0.5", "--as", "score", "-o", "b.npy"],
    ] {
        refused(path, arguments, &other);
    }
    done(path, &["predict", model, "a.npy", "--time", "0.5", "--as", "clean", "-o", "c.npy"]);
    refused(path, &["sample", "flat", "--solver", "consistency"], &["prediction is edm", "consistency.teacher"]);
    refused(path, &["sample", model, "--process", "vp-linear"], &["leave the process out"]);
}

/// Lists fit a page and name everything with what it costs.
#[test]
fn lists_are_whole_and_narrow() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    for list in ["solvers", "grids", "processes", "presets", "recipes"] {
        let text = done(path, &["info", &format!("--{list}")]);
        let names = json(path, &["info", &format!("--{list}")]);
        for line in text.lines() {
            assert!(line.chars().count() <= 120 && line == line.trim_end(), "{list}: {line}");
        }
        for row in names[list].as_array().unwrap() {
            let name = row["name"].as_str().unwrap();
            assert!(text.lines().any(|l| l.split_whitespace().next() == Some(name)), "{list}: {name} is not in the text");
            assert!(!row["about"].as_str().unwrap().is_empty(), "{list}: {name}");
            if list == "solvers" {
                assert!(row["evaluations_per_step"].as_u64().unwrap() > 0, "{row}");
                let one = done(path, &["info", &format!("solver:{name}")]);
                for option in row["options"].as_array().unwrap() {
                    assert!(one.contains(option["name"].as_str().unwrap()), "{one}");
                }
            }
        }
    }
    refused(path, &["info", "solver:huen"], &["heun"]);
}
