//! What goes wrong is said: the file, what was found, what was expected, what to do; never a panic, nothing half-written.

use crate::common::{done, run, scorefield, small_model};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use tempfile::tempdir;

/// Runs a command that must fail with a status and say all the words; nothing of it on stdout.
#[track_caller]
pub(crate) fn refused(folder: &Path, status: i32, arguments: &[&str], words: &[&str]) {
    let (found, stdout, error) = run(folder, arguments);
    assert_eq!(found, status, "{arguments:?}: {error}");
    assert!(stdout.is_empty(), "{arguments:?}: {stdout}");
    assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    for word in words {
        assert!(error.contains(word), "{arguments:?}: no \"{word}\" in: {error}");
    }
}

/// A grey PNG of one size.
pub(crate) fn picture(path: &Path, side: usize, seed: usize) {
    let mut canvas = scorefield::data::write::Picture::filled(side, side, &[0]);
    canvas.bytes.iter_mut().enumerate().for_each(|(i, b)| *b = (i * 37 + seed * 91) as u8);
    canvas.save_png(path).unwrap();
}

#[test]
fn data_that_are_none() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("empty")).unwrap();
    refused(path, 1, &["train", "empty", "--out", "r"], &["empty", "no picture"]);
    refused(path, 2, &["train", "missing", "--out", "r"], &["missing", "expected"]);
    refused(path, 2, &["train"], &["DATA"]);
    refused(path, 2, &["train", "toy:mooons", "--out", "r"], &["moons"]);
    fs::create_dir(path.join("texts")).unwrap();
    fs::write(path.join("texts/a.png"), "this is no picture").unwrap();
    refused(path, 1, &["train", "texts", "--out", "r"], &["a.png"]);
    fs::write(path.join("wrong.npy"), b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }")
        .unwrap();
    refused(path, 1, &["train", "wrong.npy", "--out", "r"], &["wrong.npy", "expected"]);
    fs::write(path.join("nan.csv"), "a,b\n1,2\n3,nan\n4,5\n").unwrap();
    refused(path, 1, &["train", "nan.csv", "--out", "r"], &["nan.csv", "expected"]);
    assert!(!path.join("r").exists(), "a run folder was made for data that cannot be read");
}

#[test]
fn pictures_of_several_sizes_need_a_rule() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("p")).unwrap();
    picture(&path.join("p/a.png"), 12, 1);
    picture(&path.join("p/b.png"), 16, 2);
    refused(path, 1, &["train", "p", "--out", "r"], &["12x12", "16x16", "data.size"]);
    // Fewer pictures than a batch work, with a note.
    let arguments = ["train", "p", "--set", "data.size=[8,8]", "--set", "network.model_channels=8", "--steps", "2", "--out", "r"];
    let (status, _, said) = run(path, &arguments);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("note") && said.contains("batch"), "{said}");
    done(path, &["sample", "r", "-q", "-n", "2", "--steps", "2", "-o", "s.png"]);
}

#[test]
fn names_that_do_not_exist_are_told_with_the_nearest() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    refused(path, 2, &["sample", "run", "--solver", "huen"], &["heun"]);
    refused(path, 2, &["sample", "run", "--solver", "heun:churn=3"], &["s_churn"]);
    refused(path, 2, &["sample", "run", "--grid", "karas"], &["karras"]);
    refused(path, 2, &["sample", "run", "--class", "12"], &["no class", "0, 1, 2"]);
    refused(path, 2, &["train", "digits", "--recipe", "digit", "--out", "r"], &["digits"]);
    refused(path, 2, &["train", "digits", "--set", "optim.lrr=1", "--out", "r"], &["lrr", "lr"]);
    refused(path, 2, &["train", "digits", "--set", "optim.lr=-1", "--out", "r"], &["optim.lr", "-1"]);
    refused(path, 2, &["info", "preset:ddpm-cifar"], &["ddpm-cifar10"]);
    refused(path, 2, &["bench", "smal28"], &["small28"]);
    refused(path, 2, &["eval", "run", "digits", "--features", "rwa"], &["raw"]);
    refused(path, 2, &["smaple", "run"], &["sample"]);
    refused(path, 2, &["sample", "run", "--nmber", "3"], &["--number"]);
    refused(path, 2, &["sample", "run", "-n", "0"], &["at least one"]);
    refused(path, 2, &["sample", "run", "--device", "cuda"], &["--features cuda"]);
    refused(path, 2, &["sample", "run", "--precision", "f64"], &["f32", "bf16"]);
    refused(path, 2, &["sample", "run", "--class", "3", "--guidance", "nan"], &["guidance", "finite"]);
    refused(path, 2, &["sample", "run", "--first", "18446744073709551615", "-n", "4"], &["--first"]);
    refused(path, 2, &["sample", "run", "--steps", "100000000000"], &["--steps"]);
    refused(path, 2, &["sample", "run", "--threads", "1000000"], &["--threads"]);
    refused(path, 2, &["train", "digits", "--seed", "18446744073709551615", "--out", "r"], &["--seed"]);
    refused(path, 2, &["eval", "run", "digits", "-n", "1"], &["two rows"]);
    refused(path, 2, &["info", "nowhere"], &["nowhere", "expected a model"]);
    refused(path, 2, &["sample", "nowhere"], &["nowhere", "expected a model"]);
    refused(path, 2, &["plot", "run"], &["plane"]);
}

#[test]
fn models_that_are_none() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let model = small_model(path).join("model.safetensors");
    let bytes = fs::read(&model).unwrap();
    for (name, content) in [
        ("cut.safetensors", bytes[..bytes.len() / 2].to_vec()),
        ("head.safetensors", bytes[..100].to_vec()),
        ("empty.safetensors", Vec::new()),
        ("text.safetensors", b"hello, I am a text and no model at all".to_vec()),
        ("foreign.safetensors", [&8u64.to_le_bytes()[..], b"{}      "].concat()),
    ] {
        fs::write(path.join(name), content).unwrap();
        refused(path, 1, &["sample", name], &[name, "expected"]);
        refused(path, 1, &["info", name], &[name, "expected"]);
    }
    fs::create_dir(path.join("nothing")).unwrap();
    refused(path, 1, &["sample", "nothing"], &["nothing", "model"]);
}

#[test]
fn a_size_the_network_cannot_take_and_classes_that_are_not_there() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let arguments = ["train", "toy:moons", "--set", "network.preset=digits8", "--out", "r"];
    refused(path, 2, &arguments, &["shape"]);
    refused(path, 2, &["train", "digits", "--set", "network.classes=3", "--steps", "1", "--out", "r"], &["3", "10"]);
    done(path, &["train", "toy:moons", "--steps", "2", "--out", "m", "-q"]);
    refused(path, 2, &["sample", "m", "--class", "0"], &["without classes"]);
    refused(path, 2, &["sample", "m", "-o", "a.png"], &[".csv"]);
}

#[test]
fn a_run_folder_belongs_to_one_process() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let arguments = ["train", "toy:moons", "--steps", "100000000", "--out", "r"];
    let mut first = scorefield(path, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !path.join("r/recipe.toml").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (status, _, error) = run(path, &arguments);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(status == 1 && error.contains("in use") && error.contains("--out"), "{status}: {error}");
}

#[test]
fn a_run_is_not_overwritten() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    refused(path, 1, &["train", "digits", "--steps", "1", "--out", "run"], &["--resume"]);
    refused(path, 2, &["train", "--out", "none", "--resume"], &["no run"]);
    refused(path, 2, &["train", "--out", "run", "--resume", "--steps", "5"], &["--steps"]);
}

/// Names of columns with commas and quotes come back as they were.
#[test]
fn a_table_keeps_the_names_of_its_columns() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("t.csv"), "\"x, first\",\"y \"\"q\"\"\"\n1,2\n3,5\n4,4\n2,1\n5,5\n0,2\n3,3\n1,4\n2,6\n6,1\n").unwrap();
    let said = done(path, &["train", "t.csv", "--steps", "2", "--out", "r"]);
    assert!(said.contains(".csv"), "what it suggests must work for vectors: {said}");
    done(path, &["sample", "r", "-q", "-n", "9", "--steps", "2", "-o", "s.csv"]);
    let text = fs::read_to_string(path.join("s.csv")).unwrap();
    assert_eq!(text.lines().next(), Some("\"x, first\",\"y \"\"q\"\"\""));
    done(path, &["eval", "s.csv", "t.csv", "-n", "5"]);
}

/// Data that were read with options are read with them again when a run is measured, and from another folder when it is resumed.
#[test]
fn a_run_knows_how_its_data_were_read() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("p")).unwrap();
    (0..9).for_each(|i| picture(&path.join(format!("p/{i}.png")), 8, i));
    let small = ["--set", "network.model_channels=8", "--set", "data.channels=rgb"];
    done(path, &[&["train", "p", "--steps", "2", "--out", "r", "-q"], &small[..]].concat());
    done(path, &["eval", "r", "p", "-n", "8"]);
    fs::create_dir(path.join("elsewhere")).unwrap();
    done(&path.join("elsewhere"), &["train", "--out", "../r", "--resume"]);
    let minutes = [&["train", "p", "--minutes", "0.02", "--out", "m", "-q"], &small[..]].concat();
    done(path, &minutes);
    let recipe = fs::read_to_string(path.join("m/recipe.toml")).unwrap();
    let table: toml::Table = recipe.parse().unwrap();
    assert!(table["length"]["steps"].as_integer().is_some() && recipe.starts_with("# 0.02 minutes became"), "{recipe}");
}

/// The limit on a file's size stands for a full disk: the write fails in the middle.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_what_was_there_stays() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let model = small_model(path).join("model.safetensors");
    let before = fs::read(&model).unwrap();
    let limited = |arguments: &str, blocks: usize| {
        let line = format!("ulimit -f {blocks}; exec \"$0\" {arguments}");
        let output = std::process::Command::new("sh")
            .current_dir(path)
            .args(["-c", &line, env!("CARGO_BIN_EXE_scorefield")])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, error) = limited("train digits --set network.model_channels=8 --steps 2 --out other", 64);
    assert_eq!(status, Some(1), "{error}");
    assert!(error.contains("other") && error.contains("large"), "{error}");
    assert!(!path.join("other/model.safetensors").exists());

    let (status, error) = limited("sample run -n 512 --steps 1 -o a.npy", 8);
    assert_eq!(status, Some(1), "{error}");
    assert!(error.contains("a.npy"), "{error}");
    let left: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("a.npy")), "{left:?}");
    assert_eq!(fs::read(&model).unwrap(), before);
}
