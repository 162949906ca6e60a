//! A sample is a function of the seed and its number: not of how many are asked for, of the batch, or of the threads.

use crate::common::{done, run, small_model};
use crate::errors::refused;
use std::fs;
use tempfile::tempdir;

#[test]
fn a_sample_does_not_depend_on_its_company() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let draw = |extra: &[&str], name: &str| {
        let mut arguments = vec!["sample", "run", "-q", "--steps", "4", "--seed", "5", "-o", name];
        arguments.extend(extra);
        done(path, &arguments);
        std::fs::read(path.join(name)).unwrap()
    };
    for solver in ["heun", "heun:s_churn=4", "dpmpp-2m", "ddpm"] {
        let of = |extra: &[&str], name: &str| draw(&[&["--solver", solver], extra].concat(), name);
        let all = of(&["-n", "12", "--batch", "12"], "all.npy");
        for (batch, threads) in [("1", "2"), ("5", "1"), ("7", "2"), ("12", "1")] {
            let other = of(&["-n", "12", "--batch", batch, "--threads", threads], "other.npy");
            assert_eq!(all, other, "{solver}: batch {batch}, threads {threads}");
        }
        let last = of(&["-n", "6", "--first", "6"], "last.npy");
        // Digits are written as whole grey levels, a byte each.
        let bytes = 6 * 64;
        assert_eq!(all[all.len() - bytes..], last[last.len() - bytes..], "{solver}: --first");
        assert_ne!(all[all.len() - 2 * bytes..all.len() - bytes], last[last.len() - bytes..], "{solver}: six differ from six");
    }
}

#[test]
fn classes_and_guidance_reach_the_network() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let draw = |extra: &[&str]| {
        let mut arguments = vec!["sample", "run", "-q", "-n", "4", "--steps", "3", "-o", "a.npy"];
        arguments.extend(extra);
        done(path, &arguments);
        std::fs::read(path.join("a.npy")).unwrap()
    };
    let three = draw(&["--class", "3"]);
    assert_ne!(three, draw(&["--class", "4"]));
    assert_ne!(three, draw(&["--class", "none"]));
    assert_eq!(three, draw(&["--class", "3", "--guidance", "1"]));
    assert_ne!(three, draw(&["--class", "3", "--guidance", "2"]));
    assert_ne!(three, draw(&["--class", "3", "--raw"]));
    let (status, _, error) = run(path, &["sample", "run", "--class", "none", "--guidance", "2"]);
    assert_eq!(status, 2);
    assert!(error.contains("guidance"), "{error}");
}

#[test]
fn the_ending_says_what_is_written() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let starts = |name: &str, magic: &[u8]| {
        let bytes = std::fs::read(path.join(name)).unwrap();
        assert!(bytes.starts_with(magic), "{name}");
    };
    for (name, magic) in [("a.png", &b"\x89PNG"[..]), ("a.npy", b"\x93NUMPY"), ("a.npz", b"PK"), ("a.csv", b"")] {
        done(path, &["sample", "run", "-q", "-n", "5", "--steps", "2", "-o", name]);
        starts(name, magic);
    }
    done(path, &["sample", "run", "-q", "-n", "5", "--steps", "2", "--first", "10", "-o", "folder"]);
    let mut names: Vec<_> = std::fs::read_dir(path.join("folder")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 5);
    assert!(names[0].to_string_lossy().contains("10"), "{names:?}");
    done(path, &["sample", "run", "-q", "-n", "5", "--steps", "2", "--trajectory", "-o", "a.gif"]);
    starts("a.gif", b"GIF89a");
    for (arguments, hint) in [
        (&["sample", "run", "-o", "a.gif"][..], "--trajectory"),
        (&["sample", "run", "-o", "a.jpeg"], ".png"),
        (&["sample", "run", "-o", "a.parquet"], ".csv"),
    ] {
        let (status, stdout, error) = run(path, arguments);
        assert!(status == 2 && stdout.is_empty() && error.contains(hint), "{arguments:?}: {error}");
    }
}

#[test]
fn json_is_one_object_and_nothing_else() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let json = |arguments: &[&str]| -> serde_json::Value {
        let text = done(path, &[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {text}"))
    };
    let sampled = json(&["sample", "run", "-n", "3", "--steps", "2"]);
    assert_eq!(sampled["n"], 3);
    assert_eq!(sampled["classes"].as_array().unwrap().len(), 3);
    let info = json(&["info", "run"]);
    for key in ["parameters", "layout", "process", "prediction", "shape"] {
        assert!(!info[key].is_null(), "{key}");
    }
    assert_eq!(info["shape"], serde_json::json!([1, 8, 8]));
    let preset = json(&["info", "preset:ddpm-cifar10"]);
    assert_eq!(preset["parameters"], 35_746_307);
    for list in ["presets", "solvers", "recipes", "grids", "processes"] {
        assert!(json(&["info", &format!("--{list}")])[list].as_array().unwrap().len() > 2, "{list}");
    }
    let bench = json(&["bench", "digits8", "--batch", "2", "--runs", "2"]);
    for key in ["median_ms", "images_per_s", "gflops"] {
        assert!(bench[key].as_f64().unwrap() > 0.0, "{key}");
    }
    let eval = json(&["eval", "run", "digits", "-n", "40"]);
    assert!(eval["metrics"].as_array().unwrap().iter().all(|m| m["name"].is_string() && m["real_vs_real"].is_number()));
}

/// What `predict` writes agrees with itself: the score is the noise over minus sigma, the clean state what takes noise away.
#[test]
fn predictions_are_views_of_one_another() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1, 8, 8), }");
    let mut npy = b"\x93NUMPY\x01\x00v\x00".to_vec();
    npy.extend(header.as_bytes());
    npy.extend((0..192).flat_map(|i| ((f64::from(i) * 0.7).sin() as f32).to_le_bytes()));
    std::fs::write(path.join("x.npy"), npy).unwrap();
    let array = |name: &str| -> Vec<f64> {
        let bytes = std::fs::read(path.join(name)).unwrap();
        bytes[bytes.len() - 3 * 64 * 4..]
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
            .collect()
    };
    let predict = |what: &str| {
        done(path, &["predict", "run", "x.npy", "--time", "0.5", "--class", "2", "--as", what, "-o", "y.npy"]);
        array("y.npy")
    };
    let (clean, noise, score, velocity) = (predict("clean"), predict("noise"), predict("score"), predict("velocity"));
    let x = array("x.npy");
    for i in 0..x.len() {
        // EDM's process: alpha 1, sigma t, and the velocity of its flow is the noise.
        assert!((x[i] - clean[i] - 0.5 * noise[i]).abs() < 1e-4);
        assert!((score[i] + noise[i] / 0.5).abs() < 1e-4);
        assert!((velocity[i] - noise[i]).abs() < 1e-4);
    }
    let (status, _, error) = run(path, &["predict", "run", "x.npy", "--time", "1e9", "-o", "y.npy"]);
    assert!(status == 2 && error.contains("runs from"), "{error}");
}

/// A model of numbers is multiplied by what is known of an example: known entries are kept, measured ones come near, nothing changes
/// with the batch.
#[test]
fn numbers_are_filled_in() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    done(path, &["train", "toy:moons", "--steps", "300", "--out", "m", "-q"]);
    let known = ["--given", "toy:moons@3", "--mask", "left"];
    let rows = |more: &[&str]| {
        let arguments = [&["sample", "m", "-n", "9", "--steps", "12", "-o", "f.csv"][..], &known, more].concat();
        done(path, &arguments);
        let text = fs::read_to_string(path.join("f.csv")).unwrap();
        let numbers = |line: &str| line.split(',').map(|v| v.parse::<f64>().unwrap()).collect::<Vec<_>>();
        text.lines().skip(1).map(numbers).collect::<Vec<_>>()
    };
    let spread = |rows: &[Vec<f64>], c: usize| {
        let all = || rows.iter().map(|r| r[c]);
        all().fold(f64::MIN, f64::max) - all().fold(f64::MAX, f64::min)
    };
    let sure = rows(&[]);
    assert!(spread(&sure, 0) < 1e-5 && spread(&sure, 1) > 0.05, "{sure:?}");
    assert_eq!(rows(&["--batch", "2", "--repeats", "3"]), rows(&["--repeats", "3"]));
    let (near, far) = (rows(&["--noise", "0.05"]), rows(&["--noise", "0.5"]));
    assert!(spread(&near, 0) > 0.01 && spread(&far, 0) > 2.0 * spread(&near, 0), "{near:?} {far:?}");

    let refused_with = |more: &[&str], said: &[&str]| refused(path, 2, &[&["sample", "m"][..], &known, more].concat(), said);
    refused_with(&["--flips", "0.1"], &["--flips", "numbers", "--noise"]);
    refused_with(&["--noise", "-1"], &["--noise -1"]);
    refused_with(&["--repeats", "0"], &["--repeats 0"]);
    refused_with(&["--repeats", "61", "--solver", "ddpm"], &["--repeats 61", "60"]);
    refused_with(&["--repeats", "50", "--solver", "pc:n_steps=9"], &["--repeats 50", "pc"]);
    refused_with(&["--repeats", "2", "--path"], &["--path"]);
    refused(path, 2, &["sample", "m", "--given", "toy:moons@3", "--mask", "top"], &["--mask top", "pictures"]);
    refused_with(&["--repeats", "2", "--solver", "dpm-adaptive"], &["--repeats", "dpm-adaptive"]);
}
