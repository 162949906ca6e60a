//! Inverse problems from the command line.

use crate::common::{done, run, scorefield, small_model};
use scorefield::data::{PictureFile, PictureKind};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A digit as a picture file.
pub(crate) fn digit(path: &Path, kind: PictureKind) {
    let value = |p: usize| if (2..6).contains(&(p % 8)) { 30.0 * (p / 8) as f32 + 0.5 } else { 0.0 };
    let values = (0..64).map(value).collect();
    PictureFile { channels: 1, height: 8, width: 8, values, kind }.save(path).unwrap();
}

/// What a call writes; a sample does not depend on its company; known pixels are those of the measurement; a second call does nothing, one
/// under other settings is refused.
#[test]
fn answers_are_written_whole_and_once() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let ask = |n: &str, batch: &str, out: &str, seed: &str| {
        let common =
            ["solve", "run", "digits@2..4", "--simulate", "--task", "inpaint", "--mask", "left", "--steps", "8", "--json"];
        let own = ["-n", n, "--batch", batch, "-o", out, "--seed", seed];
        common.into_iter().chain(own).map(str::to_owned).collect::<Vec<_>>()
    };
    let call = |a: &[String]| done(path, &a.iter().map(String::as_str).collect::<Vec<_>>());
    let told = json(&call(&ask("5", "64", "a", "0")));
    for key in ["psnr", "ssim", "psnr_of_mean", "rmse", "consistency", "evaluations", "pullbacks", "seconds"] {
        assert!(told[key].is_number(), "{key}: {told}");
    }
    assert_eq!((told["measurements"].as_u64(), told["samples"].as_u64()), (Some(2), Some(5)));
    assert!(told["evaluations"].as_f64().unwrap() >= 8.0 && told["consistency"].as_f64().unwrap() < 0.1);
    let one = path.join("a/000003");
    for name in ["mean.png", "spread.png", "quantile-0_05.png", "measurement.png", "sheet.png", "arrays.npz", "report.json"] {
        assert!(one.join(name).is_file(), "{name}");
    }
    assert_eq!(fs::read_dir(one.join("samples")).unwrap().count(), 5);
    assert_eq!(fs::read_dir(one.join("measured-again")).unwrap().count(), 5);
    let scores = fs::read_to_string(path.join("a/scores.csv")).unwrap();
    assert_eq!(scores.lines().count(), 1 + 2 * (5 + 2), "{scores}");
    // Another number of samples, one by one.
    call(&ask("2", "1", "b", "0"));
    assert_eq!(bytes(&one.join("samples/0001.png")), bytes(&path.join("b/000003/samples/0001.png")));
    assert_ne!(bytes(&one.join("samples/0001.png")), bytes(&one.join("samples/0000.png")));
    let again = json(&call(&ask("5", "64", "a", "0")));
    assert_eq!((again["evaluations"].as_f64(), &again["psnr"]), (Some(0.0), &told["psnr"]));
    let other = ask("5", "64", "a", "1");
    let (status, _, said) = run(path, &other.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(status == 2 && said.contains("seed") && said.contains("other settings"), "{said}");
}

/// The pictures of an answer are of the measurement's kind and depth, and one measurement has no folder within the folder.
#[test]
fn kind_and_depth_stay() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    for (name, kind) in [("deep", PictureKind::Png { deep: true }), ("flat", PictureKind::Bmp)] {
        let file = format!("{name}.{}", kind.ending());
        digit(&path.join(&file), kind);
        let out = format!("out-{name}");
        done(path, &["solve", "run", &file, "--task", "denoise", "--noise", "1.5", "-n", "2", "--steps", "5", "-o", &out, "-q"]);
        for what in ["samples/0000", "mean", "measured-again/0001", "measurement"] {
            let back = PictureFile::read(&path.join(&out).join(format!("{what}.{}", kind.ending()))).unwrap();
            assert_eq!((back.kind, back.width, back.height), (kind, 8, 8), "{what}");
        }
        let deep = PictureFile::read(&path.join(&out).join(format!("samples/0000.{}", kind.ending()))).unwrap();
        assert_eq!(deep.values.iter().any(|v| v.fract() != 0.0), kind == PictureKind::Png { deep: true });
    }
    // A sketch is the start of an edit; half of the size is a measurement of the whole.
    done(path, &["solve", "run", "deep.png", "--task", "edit:strength=0.6", "-n", "2", "--steps", "6", "-o", "edited", "-q"]);
    assert!(path.join("edited/samples/0001.png").is_file() && path.join("edited/sheet.png").is_file());
    let small = PictureFile { channels: 1, height: 4, width: 4, values: vec![90.0; 16], kind: PictureKind::Png { deep: false } };
    small.save(&path.join("small.png")).unwrap();
    let task = "super-resolution:factor=2";
    done(path, &["solve", "run", "small.png", "--task", task, "-n", "1", "--steps", "5", "-o", "large", "-q", "--rule", "ddnm"]);
    let back = PictureFile::read(&path.join("large/samples/0000.png")).unwrap();
    let again = PictureFile::read(&path.join("large/measured-again/0000.png")).unwrap();
    assert_eq!((back.width, again.width), (8, 4));
    assert!(again.values.iter().all(|v| (v - 90.0).abs() <= 10.0), "{:?}", again.values);
}

/// Pictures larger than the model's are refused with what would fit, or covered with windows.
#[test]
fn larger_pictures_are_tiled_where_asked() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let values: Vec<f32> = (0..12 * 17).map(|p| (p % 17 * 15) as f32).collect();
    let large = PictureFile { channels: 1, height: 12, width: 17, values, kind: PictureKind::Png { deep: false } };
    fs::create_dir(path.join("in")).unwrap();
    large.save(&path.join("in/a.png")).unwrap();
    let ask = ["solve", "run", "in", "--task", "deblur:sigma=0.7", "--noise", "0.4", "-n", "2", "--steps", "6", "-o", "out"];
    let (status, _, said) = run(path, &ask);
    assert!(status == 2 && said.contains("17 x 12") && said.contains("8 x 8") && said.contains("--tile"), "{said}");
    assert!(!path.join("out").exists());
    done(path, &ask.into_iter().chain(["--tile", "--overlap", "3"]).collect::<Vec<_>>());
    let back = PictureFile::read(&path.join("out/a/samples/0001.png")).unwrap();
    assert_eq!((back.width, back.height), (17, 12));
    // Windows of a sample, and particles, in several calls: the same answer.
    for (rule, name) in [("mmps", "m"), ("pigdm", "p"), ("tds:particles=5", "t")] {
        let drawn = |batch: &str| {
            let out = format!("out-{name}-{batch}");
            let ask = [
                "solve",
                "run",
                "in",
                "--task",
                "deblur:sigma=0.7",
                "--noise",
                "4",
                "-n",
                "1",
                "--steps",
                "4",
                "--tile",
                "--rule",
                rule,
                "-o",
                &out,
                "--batch",
                batch,
                "-q",
            ];
            done(path, &ask);
            bytes(&path.join(&out).join("a/samples/0000.png"))
        };
        assert_eq!(drawn("3"), drawn("64"), "{rule}");
    }
}

/// Interrupted between two measurements and called again, the answers are those of one call.
#[test]
fn an_interrupted_folder_goes_on() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let ask = |out: &'static str| {
        [
            "solve",
            "run",
            "digits@0..6",
            "--simulate",
            "--task",
            "super-resolution:factor=2",
            "-n",
            "4",
            "--batch",
            "4",
            "--steps",
            "40",
            "-o",
            out,
        ]
    };
    done(path, &ask("whole"));
    let mut child = scorefield(path, &ask("cut")).spawn().unwrap();
    while !path.join("cut/000001/report.json").is_file() {
        assert!(child.try_wait().unwrap().is_none(), "it was to be interrupted");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!path.join("cut/000005").exists() && !path.join("cut/scores.csv").exists());
    done(path, &ask("cut"));
    for i in 0..6 {
        for name in ["samples/0003.png", "mean.png", "sheet.png", "scores.csv"] {
            let of = |out: &str| bytes(&path.join(out).join(format!("{i:06}")).join(name));
            assert!(of("cut") == of("whole"), "{i} {name}");
        }
    }
    assert_eq!(bytes(&path.join("cut/scores.csv")), bytes(&path.join("whole/scores.csv")));
    let left: Vec<_> = fs::read_dir(path.join("cut")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().contains(".tmp")), "{left:?}");
}

#[test]
fn coverage_is_measured() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let ask = ["solve", "run", "--calibrate", "digits", "--task", "inpaint", "--mask", "top", "--examples", "6", "--steps", "6"];
    let told = json(&done(path, &ask.into_iter().chain(["--json", "-o", "out"]).collect::<Vec<_>>()));
    let levels: Vec<f64> = told["levels"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!(levels.len() == 9 && (levels[8] - 0.9).abs() < 1e-12, "{levels:?}");
    let ninety = told["coverage_90"].as_f64().unwrap();
    assert!(ninety > 0.2 && ninety <= 1.0 && told["coverage"][0].as_f64().unwrap() < ninety, "{told}");
    assert!(path.join("out/coverage.csv").is_file() && path.join("out/coverage.png").is_file());
}

/// A part of what was changed before: a given picture is what was measured and is not changed again, and its known part is shown in its place.
#[test]
fn a_mask_may_come_last() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let kind = PictureKind::Png { deep: false };
    let values: Vec<f32> = (0..64).map(|p| if p % 8 == 2 { 255.0 } else { 0.0 }).collect();
    let line = PictureFile { channels: 1, height: 8, width: 8, values, kind };
    line.save(&path.join("line.png")).unwrap();
    for (task, rule) in [("deblur:sigma=1+inpaint", "ddnm"), ("gamma+inpaint", "dps")] {
        let out = task.replace(':', "-");
        let ask = [
            "solve", "run", "line.png", "--task", task, "--rule", rule, "--mask", "left", "--steps", "4", "-n", "2", "-o", &out,
            "-q",
        ];
        done(path, &ask);
        let shown = PictureFile::read(&path.join(&out).join("measurement.png")).unwrap();
        assert_eq!(shown.values, line.values, "{task}");
        let simulated = format!("{out}-simulated");
        let ask = [
            "solve", "run", "line.png", "--task", task, "--rule", rule, "--mask", "left", "--steps", "4", "-n", "2", "-o",
            &simulated, "-q",
        ];
        done(path, &ask.into_iter().chain(["--simulate"]).collect::<Vec<_>>());
        let shown = PictureFile::read(&path.join(&simulated).join("measurement.png")).unwrap();
        // The line is blurred, or what is white under the curve stays so.
        assert_eq!(shown.values[2] < 200.0, task.starts_with("deblur"), "{task}: {:?}", shown.values);
        assert!((0..64).filter(|p| p % 8 >= 4).all(|p| shown.values[p] == 0.0), "{task}");
    }
}

/// A mask after what makes pictures smaller is one of the small picture.
#[test]
fn a_mask_is_of_what_was_measured() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let task = "super-resolution:factor=2+inpaint";
    let ask =
        ["solve", "run", "digits@5", "--simulate", "--task", task, "--mask", "left", "--steps", "4", "-n", "1", "-o", "out"];
    done(path, &ask.into_iter().chain(["-q"]).collect::<Vec<_>>());
    let shown = PictureFile::read(&path.join("out/measurement.png")).unwrap();
    assert_eq!((shown.width, shown.height), (4, 4));
    assert!((0..16).all(|p| p % 4 < 2 || shown.values[p] == 0.0), "{:?}", shown.values);
    // Measured ones, too: small pictures, of which the masked half does not count.
    let small: Vec<f32> = (0..32).map(|i| (i % 5) as f32).collect();
    scorefield::data::write::array(&path.join("small.npy"), &small, &[2, 16]).unwrap();
    done(
        path,
        &[
            "solve",
            "run",
            "small.npy",
            "--task",
            task,
            "--mask",
            "left",
            "--steps",
            "4",
            "-n",
            "1",
            "-o",
            "two",
            "--noise",
            "0",
            "-q",
        ],
    );
    let shown = PictureFile::read(&path.join("two/000001/measurement.png")).unwrap();
    let value = |p: usize| ((16 + p) % 5) as f32 / 16.0 * 255.0;
    assert!((0..16).filter(|p| p % 4 < 2).all(|p| (shown.values[p] - value(p)).abs() <= 0.5), "{:?}", shown.values);
    scorefield::data::write::array(&path.join("short.npy"), &[1.0; 5], &[1, 5]).unwrap();
    let (status, _, said) =
        run(path, &["solve", "run", "digits@5", "--simulate", "--task", task, "--mask", "short.npy", "-o", "never"]);
    assert!(status == 2 && said.contains("5 numbers") && said.contains("masked has 16") && said.contains("4x4"), "{said}");
}

/// Answers that equal the truth, two names that are one on some disks, and a folder whose first call came to nothing.
#[test]
fn odd_answers_are_read_again() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    fs::create_dir(path.join("in")).unwrap();
    for name in ["a.png", "A.bmp", "a-2.png"] {
        let kind = if name.ends_with("bmp") { PictureKind::Bmp } else { PictureKind::Png { deep: false } };
        digit(&path.join("in").join(name), kind);
    }
    let ask =
        ["solve", "run", "in", "--simulate", "--task", "inpaint", "--mask", "all", "--noise", "0", "-n", "2", "--steps", "3"];
    let call = || json(&done(path, &ask.into_iter().chain(["--json", "-o", "out"]).collect::<Vec<_>>()));
    let first = call();
    assert!(first["psnr"].as_f64().unwrap() > 25.0, "{first}");
    assert_eq!(fs::read_dir(path.join("out")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(), 3);
    assert_eq!(call()["psnr"], first["psnr"]);
    // Another picture under the old name is another question.
    let values = vec![200.0; 64];
    let other = PictureFile { channels: 1, height: 8, width: 8, values, kind: PictureKind::Png { deep: false } };
    other.save(&path.join("in/a.png")).unwrap();
    let (status, _, said) = run(path, &ask.into_iter().chain(["-o", "out"]).collect::<Vec<_>>());
    assert!(status == 2 && said.contains("another measurement"), "{said}");
}

/// Columns of a table are a mask too.
#[test]
fn columns_are_filled_in() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let rows: String = (0..200)
        .map(|i| {
            let (x, e) = ((0.37 * i as f64).sin() * 2.0, (2.1 * i as f64).sin() * 0.05);
            format!("{x},{},{}\n", 100.0 * x + 3.0 + e, -x + e)
        })
        .collect();
    fs::write(path.join("t.csv"), format!("a,b,c\n{rows}")).unwrap();
    done(path, &["train", "t.csv", "--steps", "30", "--out", "run", "-q"]);
    let ask = ["solve", "run", "t.csv@5..8", "--task", "inpaint", "--mask", "columns:b", "-n", "3", "--steps", "10", "-o", "out"];
    let told = json(&done(path, &ask.into_iter().chain(["--json"]).collect::<Vec<_>>()));
    assert!(told["psnr"].is_null() && told["consistency"].as_f64().unwrap() < 1e-2, "{told}");
    let text = fs::read_to_string(path.join("out/000005/samples.csv")).unwrap();
    let known = 100.0 * (0.37_f64 * 5.0).sin() * 2.0 + 3.0 + (2.1_f64 * 5.0).sin() * 0.05;
    for line in text.lines().skip(1) {
        let b: f64 = line.split(',').nth(1).unwrap().parse().unwrap();
        assert!((b - known).abs() < 0.05, "{line} {known}");
    }
}

/// Two measurements of one digit, a file for each task or one array of all numbers: the same answers, which agree with both.
#[test]
fn one_thing_is_measured_in_two_ways() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let array = |name: &str, values: &[f32]| {
        scorefield::data::write::array(&path.join(name), values, &[1, values.len()]).unwrap();
    };
    let whole: Vec<f32> = (0..64).map(|p| if (2..6).contains(&(p % 8)) { 2.0 * (p / 8) as f32 } else { 0.0 }).collect();
    let mean = |p: usize| [0, 1, 8, 9].map(|by| whole[p / 4 * 16 + p % 4 * 2 + by]).iter().sum::<f32>() / 4.0;
    let small: Vec<f32> = (0..16).map(mean).collect();
    let left = (0..64).filter(|p| p % 8 < 4).map(|p| whole[p]);
    array("whole.npy", &whole);
    array("small.npy", &small);
    array("both.npy", &small.iter().copied().chain(left).collect::<Vec<_>>());
    let tasks =
        ["--task", "super-resolution:factor=2", "--task", "inpaint", "--mask", "left", "--noise", "0.1", "--rule", "ddnm"];
    let ask = |files: &[&'static str], out: &'static str| {
        [&["solve", "run"][..], files, &tasks, &["-n", "2", "--steps", "12", "--json", "-o", out]].concat()
    };
    let told = json(&done(path, &ask(&["small.npy", "whole.npy"], "two")));
    assert!(told["consistency"].as_f64().unwrap() < 0.8, "{told}");
    assert!(told["task"].as_str().unwrap().ends_with(" & inpaint"), "{told}");
    done(path, &ask(&["both.npy"], "one"));
    let arrays = ["two", "one"].map(|out| bytes(&path.join(out).join("samples/0001.png")));
    assert_eq!(arrays[0], arrays[1]);
    // Their order is that of the tasks, and a file more or less is told.
    let said = |files: &[&'static str]| {
        let (status, _, said) = run(path, &ask(files, "never"));
        assert!(status == 2 && !path.join("never").exists(), "{said}");
        said
    };
    let swapped = said(&["whole.npy", "small.npy"]);
    assert!(swapped.contains("64") && swapped.contains("16"), "{swapped}");
    let third = said(&["small.npy", "whole.npy", "whole.npy"]);
    assert!(third.contains("3 are given, 2 --task"), "{third}");
    array("short.npy", &small);
    let short = said(&["short.npy"]);
    assert!(short.contains("16 numbers") && short.contains("48"), "{short}");
    scorefield::data::write::array(&path.join("many.npy"), &[0.0; 128], &[2, 64]).unwrap();
    let many = said(&["small.npy", "many.npy"]);
    assert!(many.contains("many.npy: 2 measurements, but small.npy: 1"), "{many}");
}
