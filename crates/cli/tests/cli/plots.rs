//! `plot`: pictures of the kind that was asked for, and words where there can be none.

use crate::common::done;
use crate::errors::refused;
use std::fs;
use tempfile::tempdir;

#[test]
fn fields_are_drawn_and_move() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let said = done(path, &["plot", "toy:mixture", "--levels", "1,0.2", "--ways", "3", "--json", "-o", "a.png"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let level = |i: usize| said["levels"][i].as_f64().unwrap();
    assert!((level(0) - 1.0).abs() < 1e-6 && (level(1) - 0.2).abs() < 1e-6, "{said}");
    assert_eq!(&fs::read(path.join("a.png")).unwrap()[1..4], b"PNG");
    done(path, &["plot", "toy:moons:300", "--frames", "3", "-o", "b.gif"]);
    let gif = fs::read(path.join("b.gif")).unwrap();
    assert_eq!(&gif[..6], b"GIF89a");
    // The same seed draws the same picture.
    done(path, &["plot", "toy:mixture", "--levels", "1,0.2", "--ways", "3", "-o", "c.png"]);
    assert_eq!(fs::read(path.join("a.png")).unwrap(), fs::read(path.join("c.png")).unwrap());
}

#[test]
fn what_cannot_be_drawn_is_told() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    refused(path, 2, &["plot", "toy:heartbeat"], &["plane", "toy:moons"]);
    refused(path, 2, &["plot", "toy:moons", "-o", "a.jpg"], &["a.jpg", ".png or .gif"]);
    refused(path, 2, &["plot", "toy:moons", "-o", "a.gif", "--levels", "1"], &["--levels", ".png"]);
    refused(path, 2, &["plot", "toy:moons", "--levels", "1e9"], &["--levels", "noise levels from"]);
    refused(path, 2, &["plot", "toy:moons", "--times", "7"], &["--times 7", "runs from"]);
    assert!(fs::read_dir(path).unwrap().next().is_none(), "nothing is left behind");
}

/// Data under noise, samples and drift at three steps of a model's own chain.
#[test]
fn a_chain_is_drawn() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    done(path, &["train", "toy:moons", "--steps", "20", "--out", "m", "-q"]);
    let said = done(path, &["plot", "m", "--chain", "toy:moons:500", "--json", "-o", "chain.png"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let times: Vec<f64> = said["times"].as_array().unwrap().iter().map(|t| t.as_f64().unwrap()).collect();
    assert!(times.len() == 3 && times.is_sorted(), "{said}");
    assert_eq!(&fs::read(path.join("chain.png")).unwrap()[1..4], b"PNG");
    refused(path, 2, &["plot", "toy:moons", "--chain", "toy:moons", "-o", "a.png"], &["--chain", "trained model"]);
    refused(path, 2, &["plot", "m", "--chain", "toy:heartbeat", "-o", "a.png"], &["toy:heartbeat", "vectors of 2"]);
    refused(path, 2, &["plot", "m", "--chain", "toy:moons", "-o", "a.gif"], &["a.gif", ".png"]);
}
