//! Killed at any instant, or refused by the disk: nothing under a final name is ever half of something, and the run goes on.
//!
//! The victim is this test binary itself, started again with the ignored test [`victim`] and a folder in its environment.

mod common;

use common::*;
use scorefield_model::{Model, TensorFile, Weights};
use scorefield_train::{Ended, TrainConfig, Trainer};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FOLDER: &str = "SCOREFIELD_TEST_FOLDER";
const STEPS: u64 = 800;

/// Saves as often as it may, draws previews, and takes long enough to be killed many times.
fn recipe_of_victim() -> TrainConfig {
    let mut recipe = recipe_of_points(STEPS);
    recipe.save_seconds = 0.0;
    recipe.preview.every_seconds = 0.05;
    (recipe.preview.n, recipe.preview.steps) = (16, 1);
    recipe
}

/// The other process: begins or resumes the run in the folder it is given and writes what came of it beside the folder.
#[test]
#[ignore = "the process that the other tests of this file kill; it does nothing by itself"]
fn victim() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let (data, recipe) = (points(50), recipe_of_victim());
    let trainer = if folder.join("state/state.safetensors").exists() {
        Trainer::resume(&folder, recipe, &data, &Default::default())
    } else {
        Trainer::create(&folder, recipe, "# a recipe\n", &data, &Default::default())
    };
    let outcome = match trainer {
        Ok(mut trainer) => run(&mut trainer).0.map_or_else(|e| e.to_string(), |o| format!("{:?}", o.ended)),
        Err(error) => error.to_string(),
    };
    fs::write(folder.with_extension("outcome"), outcome).unwrap();
}

/// Starts the victim, through a shell line that may set limits first.
fn start(folder: &Path, before: &str) -> Child {
    let binary = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{before} exec \"$0\" --exact victim --ignored --quiet")])
        .arg(binary)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn outcome(folder: &Path) -> String {
    fs::read_to_string(folder.with_extension("outcome")).unwrap()
}

/// Everything under a final name is whole. Returns the step of the saved state, if there is one.
fn inspect(folder: &Path) -> Option<u64> {
    let mut step = None;
    for file in files(folder) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&file).unwrap();
        match name.as_str() {
            "model.safetensors" => {
                Model::load(&file, Weights::Raw, &Default::default()).unwrap();
                Model::load(&file, Weights::Ema, &Default::default()).unwrap();
            }
            "state.safetensors" => {
                assert!(!tensors(&file).is_empty());
                let file = TensorFile::open(&file).unwrap();
                let position: serde_json::Value = serde_json::from_str(file.text().unwrap()).unwrap();
                step = position["step"].as_u64();
            }
            "recipe.toml" => assert_eq!(bytes, b"# a recipe\n"),
            // A log grows at its end: of its lines, each that has ended is whole.
            "metrics.jsonl" => {
                let ended = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
                for line in bytes[..ended].split(|&b| b == b'\n').filter(|l| !l.is_empty()) {
                    serde_json::from_slice::<serde_json::Value>(line).unwrap();
                }
            }
            "lock" => assert!(bytes.is_empty()),
            _ if name.starts_with("step-") => {
                assert!(bytes.starts_with(b"\x93NUMPY") && bytes.len() == 128 + 16 * 2 * 4, "{name}")
            }
            _ => assert!(name.ends_with(".tmp") || name.starts_with("events.out"), "{name}"),
        }
    }
    step
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|e| {
            let path = e.unwrap().path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}

#[test]
fn a_run_killed_at_any_instant_is_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let data = points(50);
    assert_eq!(run(&mut create(&whole, &recipe_of_victim(), &data)).0.unwrap().ended, Ended::Finished);

    let (mut kills, mut caught, mut last, mut moved, mut pause, mut patience) = (0u32, 0u32, 0, 0u32, 7u64, 150);
    let began = Instant::now();
    loop {
        let mut child = start(&parts, "");
        // Any instant from before the start to well into the run, by a sequence of a large period; later on a slow machine.
        pause = pause * 1_103_515_245 % 2_147_483_647;
        std::thread::sleep(Duration::from_millis(5 + pause % patience));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        // Half a file beside the final ones: the blow fell in the middle of a write.
        caught += u32::from(files(&parts).iter().any(|f| f.extension().is_some_and(|e| e == "tmp")));
        let step = inspect(&parts).unwrap_or(0);
        assert!(step >= last, "step {step} after {last}");
        moved += u32::from(step > last);
        patience = if step > last { 150 } else { patience + 30 };
        last = step;
        if began.elapsed() > Duration::from_secs(10) {
            break;
        }
    }
    let figures = format!("{kills} kills, {caught} of them in a write, the run moved on {moved} times to step {last}");
    // How many blows fall in a write is a matter of luck and of the machine: it is told, and not demanded.
    assert!(kills >= 3 && moved >= 2, "{figures}");
    assert!(start(&parts, "").wait().unwrap().success());
    assert_eq!(outcome(&parts), "Finished");
    inspect(&parts);
    assert_same_run(&whole, &parts);
    assert_eq!(metric_steps(&parts), (1..=STEPS).collect::<Vec<_>>());
    assert!(files(&parts).iter().all(|f| f.extension().is_none_or(|e| e != "tmp")), "{:?}", files(&parts));
}

/// A disk that takes no file as large as the state, as far as the program can see: a limit on the size of files.
#[test]
fn a_disk_that_is_full_is_named_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let data = points(50);
    run_until(&mut create(&path, &recipe_of_victim(), &data), 40).0.unwrap();
    let whole = |f: &PathBuf| f.ends_with("model.safetensors") || f.ends_with("state.safetensors");
    let read = || files(&path).into_iter().filter(whole).map(|f| (fs::read(&f).unwrap(), f)).collect::<Vec<_>>();
    let before = read();
    assert!(before.len() == 2 && before.iter().all(|f| f.0.len() > 16_384), "larger than the limit");

    assert!(start(&path, "trap '' XFSZ; ulimit -f 16;").wait().unwrap().success());
    let said = outcome(&path);
    for word in ["state.safetensors", "while it was written", "room", "what stood there before is untouched"] {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(read() == before);
    assert!(files(&path).iter().all(|f| f.extension().is_none_or(|e| e != "tmp")));
    // With room again the run goes on and ends as ever.
    assert!(start(&path, "").wait().unwrap().success());
    assert_eq!(outcome(&path), "Finished");
    assert_eq!(metric_steps(&path), (1..=STEPS).collect::<Vec<_>>());

    // A new run on such a disk fails at once, before anything was trained.
    let fresh = folder.path().join("fresh");
    assert!(start(&fresh, "trap '' XFSZ; ulimit -f 16;").wait().unwrap().success());
    assert!(outcome(&fresh).contains("state.safetensors"), "{}", outcome(&fresh));
    assert!(metric_steps(&fresh).is_empty());
}
