//! A run that is interrupted goes on as if it had not been; one that is killed loses steps and nothing else.
#![cfg(unix)]

use crate::common::{done, run, scorefield};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::tempdir;

const STEPS: &str = "400";

fn arguments(out: &str) -> Vec<&str> {
    // Saved as often as the trainer allows, so that most of the kills below find a saved state.
    vec!["train", "toy:moons", "--set", "save_seconds=0", "--steps", STEPS, "--out", out]
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    scorefield(folder, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// The tensors of a model file: everything behind its header.
fn tensors(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

fn steps_logged(run: &Path) -> Vec<u64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap()).collect()
}

#[test]
fn interrupted_and_resumed_is_uninterrupted() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    done(path, &arguments("whole"));
    for name in ["-INT", "-TERM"] {
        let _ = fs::remove_dir_all(path.join("cut"));
        let mut child = start(path, &arguments("cut"));
        while steps_so_far(&path.join("cut")) < 5 {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        let before = done(path, &["info", "cut", "--json"]);
        let before: serde_json::Value = serde_json::from_str(&before).unwrap();
        let step = before["training"]["steps"].as_u64().unwrap();
        assert!(step > 0 && step < 400, "{step}");
        done(path, &["train", "--out", "cut", "--resume"]);
        assert_eq!(tensors(&path.join("cut/model.safetensors")), tensors(&path.join("whole/model.safetensors")));
        assert_eq!(steps_logged(&path.join("cut")), (1..=400).collect::<Vec<_>>());
    }
}

/// Lines of the metrics, or none yet.
fn steps_so_far(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

#[test]
fn killed_again_and_again_nothing_breaks() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    done(path, &arguments("whole"));
    let cut = path.join("cut");
    for (round, milliseconds) in [120, 15, 60, 200, 35, 90, 150, 25].into_iter().enumerate() {
        let saved = cut.join("state/state.safetensors").exists();
        let mut child = if saved { start(path, &["train", "--out", "cut", "--resume"]) } else { start(path, &arguments("cut")) };
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever stands under a final name is whole.
        if cut.join("model.safetensors").exists() {
            done(path, &["info", "cut", "--json"]);
            done(path, &["sample", "cut", "-q", "-n", "1", "--steps", "1", "-o", "s.npy"]);
        }
        if cut.join("recipe.toml").exists() {
            fs::read_to_string(cut.join("recipe.toml")).unwrap().parse::<toml::Table>().unwrap();
        }
        assert!(round < 8);
    }
    let saved = cut.join("state/state.safetensors").exists();
    if saved {
        done(path, &["train", "--out", "cut", "--resume"]);
    } else {
        done(path, &arguments("cut"));
    }
    assert_eq!(tensors(&cut.join("model.safetensors")), tensors(&path.join("whole/model.safetensors")));
    assert_eq!(steps_logged(&cut), (1..=400).collect::<Vec<_>>());
}

#[test]
fn an_interrupted_sample_leaves_nothing() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    done(path, &["train", "digits", "--recipe", "digits", "--steps", "1", "--out", "r", "-q"]);
    let mut child = start(path, &["sample", "r", "-n", "4096", "--steps", "200", "-o", "s.npy"]);
    std::thread::sleep(Duration::from_millis(700));
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let left: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["r"]);
    let (status, _, _) = run(path, &["info", "r"]);
    assert_eq!(status, 0);
}
