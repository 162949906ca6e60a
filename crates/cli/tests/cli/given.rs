//! Models that were trained with a condition: what samples are given with.

use crate::common::{done, run};
use crate::conditions::{draw, refused};
use crate::errors::picture;
use tempfile::tempdir;

/// Columns that are given are not modelled, samples follow them, and what is missing or of another shape is refused; nothing leaves a
/// condition out.
#[test]
fn samples_are_given_their_condition() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let row = |i: usize| {
        let a = (i % 41) as f64 / 10.0 - 2.0;
        format!("{a},{},{}", 3.0 * a + 0.1 * ((i * 7 % 13) as f64 - 6.0), (i * 5 % 11) as f64)
    };
    let table: Vec<String> = (0..400).map(row).collect();
    std::fs::write(path.join("t.csv"), format!("a,b,c\n{}\n", table.join("\n"))).unwrap();
    let given = ["--set", "data.condition=columns:a", "-q"];
    done(path, &[&["train", "t.csv", "--steps", "600", "--set", "batch=64", "--out", "m"], &given[..]].concat());
    let info = done(path, &["info", "m"]);
    assert!(info.contains("columns:a: vectors of 1 (a)"), "{info}");
    std::fs::write(path.join("a.csv"), "a,z\n-1.5,0\n1.5,0\n").unwrap();
    let sample = |extra: &[&str]| {
        done(path, &[&["sample", "m", "-q", "-n", "4", "--steps", "8", "-o", "s.csv"], extra].concat());
        let text = std::fs::read_to_string(path.join("s.csv")).unwrap();
        assert!(text.starts_with("b,c\n"), "{text}");
        text.lines().skip(1).map(|l| l.split(',').next().unwrap().parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    // In turn by the number of the sample, or one row for all; the batch does not count.
    let drawn = sample(&["--condition", "a.csv"]);
    assert!(drawn.iter().zip([-4.5, 4.5, -4.5, 4.5]).all(|(b, mean)| (b - mean).abs() < 1.5), "{drawn:?}");
    assert_eq!(drawn, sample(&["--condition", "a.csv", "--batch", "1"]));
    assert!(sample(&["--condition", "a.csv@1"]).iter().all(|b| (b - 4.5).abs() < 1.5));
    // The table it was trained on is asked about; what is given with measurement 5 is row 5.
    let asked = |spec: &'static str, condition: &'static str, out: &'static str| {
        let ask = ["solve", "m", spec, "--simulate", "--task", "inpaint", "--mask", "columns:c", "-n", "3", "--steps", "8", "-q"];
        [&ask[..], &["--condition", condition, "-o", out]].concat()
    };
    done(path, &asked("t.csv@5..7", "t.csv", "solved"));
    for i in [5, 6] {
        let text = std::fs::read_to_string(path.join(format!("solved/00000{i}/samples.csv"))).unwrap();
        let mean = 3.0 * (i as f64 / 10.0 - 2.0);
        assert!(text.starts_with("b,c\n"), "{text}");
        for line in text.lines().skip(1) {
            let b: f64 = line.split(',').next().unwrap().parse().unwrap();
            assert!((b - mean).abs() < 1.5, "{line}: {mean}");
        }
    }
    let few = asked("t.csv@5..7", "a.csv", "never");
    refused(path, &few[..few.len() - 2], &["measurement 5", "2 rows"]);
    done(path, &asked("t.csv@5..7", "a.csv@1", "one-for-all"));
    refused(
        path,
        &["solve", "m", "--calibrate", "t.csv", "--task", "inpaint", "--mask", "columns:c", "--condition", "a.csv"],
        &["2 rows"],
    );
    // A run goes on with its condition from another folder.
    std::fs::create_dir(path.join("elsewhere")).unwrap();
    done(&path.join("elsewhere"), &["train", "--out", "../m", "--resume", "-q"]);

    std::fs::write(path.join("wide.csv"), "p,q\n1,2\n").unwrap();
    let of = |extra: &[&'static str]| [&["sample", "m"][..], extra].concat();
    refused(path, &of(&[]), &["vectors of 1", "columns:a", "--condition FILE"]);
    refused(path, &of(&["--condition", "wide.csv"]), &["wide.csv", "vectors of 2", "columns:a", "vectors of 1"]);
    refused(path, &of(&["--condition", "a.csv@2"]), &["a.csv has 2 rows"]);
    done(path, &["train", "toy:moons", "--steps", "2", "--out", "flat", "-q"]);
    refused(path, &["sample", "flat", "--condition", "a.csv"], &["trained without a condition"]);
    for verb in [
        &["nll", "m", "t.csv"][..],
        &["encode", "m", "t.csv"],
        &["eval", "m", "t.csv"],
        &["plot", "m", "-o", "never.png"],
        &["predict", "m", "x.npy", "--time", "1"],
        &["export", "m", "--as", "diffusers"],
    ] {
        let (status, _, error) =
            run(path, &[verb, &["-o", "never.npy"][..if ["eval", "plot"].contains(&verb[0]) { 0 } else { 2 }]].concat());
        assert!(status != 0 && error.contains("columns:a") && !path.join("never.npy").exists(), "{verb:?}: {error}");
    }
    let (status, _, error) = run(path, &["train", "t.csv", "--set", "data.condition=row:a", "--out", "r"]);
    assert!(status != 0 && error.contains("row:a") && error.contains("columns:NAME"), "{error}");
}

/// Digits from digits of 2x2 means: samples have the means that they were given, from the whole picture and from the small one.
#[test]
fn pictures_are_given_to_pictures() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let small = ["--recipe", "digits", "--set", "network.model_channels=8", "--set", "data.condition=low:4", "-q"];
    done(path, &[&["train", "digits", "--steps", "150", "--out", "m"], &small[..]].concat());
    assert!(done(path, &["info", "m"]).contains("low:4: pictures of 8x8"));
    let of = |i: &str| draw(path, "m", &["--class", "none", "--condition", &format!("digits@{i}")]);
    assert!(of("3") != of("4") && of("3") == of("3"));
    assert_ne!(of("3"), draw(path, "m", &["--class", "3", "--guidance", "2", "--condition", "digits@3"]));
    // A previewing run shows samples that are given what examples are given.
    done(path, &[&["train", "digits", "--steps", "3", "--set", "preview.every_seconds=60", "--out", "p"], &small[..]].concat());
    assert!(std::fs::read_dir(path.join("p/samples")).unwrap().count() == 1);

    // One picture, in the size it was made poorer to and whole; the same of a question.
    let ask = |condition: &str, out: &str| {
        let ask = ["solve", "m", "digits@3..5", "--simulate", "--task", "inpaint", "--mask", "left", "--steps", "4", "-n", "2"];
        done(path, &[&ask[..], &["--condition", condition, "-o", out, "-q"]].concat());
        std::fs::read(path.join(out).join("000004/samples/0001.png")).unwrap()
    };
    assert_eq!(ask("digits@4", "one"), ask("digits", "all"));
    assert_ne!(ask("digits@4", "one-again"), ask("digits@3", "other"));
    let mut dark = scorefield::data::write::Picture::filled(8, 8, &[0]);
    dark.bytes.iter_mut().enumerate().for_each(|(i, b)| *b = (i % 17) as u8);
    dark.save_png(&path.join("four.png")).unwrap();
    assert_ne!(draw(path, "m", &["--class", "none", "--condition", "four.png"]), of("3"));
    let (status, _, error) = run(path, &["solve", "m", "digits@3", "--simulate", "--task", "denoise", "-o", "never"]);
    assert!(status == 2 && error.contains("low:4") && !path.join("never").exists(), "{error}");

    refused(path, &["sample", "m"], &["8x8", "low:4", "--condition FILE"]);
    refused(path, &["sample", "m", "--condition", "toy:moons"], &["vectors of 2", "low:4", "8x8"]);
    picture(&path.join("x.png"), 8, 1);
    std::fs::create_dir(path.join("bright")).unwrap();
    picture(&path.join("bright/x.png"), 8, 1);
    refused(path, &["sample", "m", "--condition", "bright"], &["bright", "between", "scale"]);
    let (status, _, error) = run(path, &["train", "digits", "--set", "data.condition=low:3", "--out", "r"]);
    assert!(status != 0 && error.contains("low:3") && error.contains("8x8") && !path.join("r").exists(), "{error}");
    let (status, _, error) =
        run(path, &["train", "digits", "--set", "data.condition=low:2", "--set", "network.kind=refinenet", "--out", "r"]);
    assert!(status != 0 && error.contains("refinenet") && error.contains("condition"), "{error}");
}

/// A model that saw some examples without what they are given with is guided by that: weight 0 is the law without, 1 the law given it, and
/// larger ones go on in the same direction. One that saw none is told so.
#[test]
fn conditions_guide_where_some_were_hidden() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let row = |i: usize| {
        let a = (i * 17 % 41) as f64 / 10.0 - 2.0;
        format!("{a},{}", a + 0.5 * ((i * 29 % 13) as f64 / 4.0 - 1.5))
    };
    let table: Vec<String> = (0..400).map(row).collect();
    std::fs::write(path.join("t.csv"), format!("a,b\n{}\n", table.join("\n"))).unwrap();
    let train = |out: &str, more: &[&str]| {
        let base = ["train", "t.csv", "--set", "batch=64", "--set", "data.condition=columns:a", "-q", "--out", out];
        done(path, &[&base[..], more].concat());
    };
    train("m", &["--steps", "500", "--set", "condition_dropout=0.3"]);
    train("sure", &["--steps", "5"]);
    std::fs::write(path.join("one.csv"), "a\n1.2\n").unwrap();
    let drawn = |more: &[&str]| {
        let steps: &[&str] = if more.contains(&"--steps") { &[] } else { &["--steps", "12"] };
        done(path, &[&["sample", "m", "-q", "-n", "64", "-o", "s.csv"], more, steps].concat());
        let text = std::fs::read_to_string(path.join("s.csv")).unwrap();
        text.lines().skip(1).map(|l| l.parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let spread = |v: &[f64]| (v.iter().map(|x| (x - mean(v)).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
    let without = drawn(&["--condition", "none"]);
    let given = drawn(&["--condition", "one.csv"]);
    // Of all rows the mean is 0 and the deviation 1.3, given a = 1.2 the mean is that and the deviation 0.47.
    assert!(mean(&without).abs() < 0.6 && spread(&without) > 0.9, "{} {}", mean(&without), spread(&without));
    assert!((mean(&given) - 1.2).abs() < 0.4 && spread(&given) < 0.8, "{} {}", mean(&given), spread(&given));
    let by = |v: &str| drawn(&["--condition", "one.csv", "--condition-guidance", v]);
    assert_eq!((by("0"), by("1")), (without.clone(), given.clone()));
    let far = by("3");
    assert!(mean(&far) > mean(&given) + 0.3, "{} {}", mean(&far), mean(&given));
    // One step of Euler's is linear in the denoiser, which is linear in the weight.
    let step = |v: &str| drawn(&["--condition", "one.csv", "--condition-guidance", v, "--solver", "euler", "--steps", "1"]);
    for ((none, one), three) in step("0").into_iter().zip(step("1")).zip(step("3")) {
        let expected = none + 3.0 * (one - none);
        assert!((three - expected).abs() < 1e-3 && (one - none).abs() > 1e-2, "{none} {one}: {three}, not {expected}");
    }
    // Where the levels leave it out it is the model itself.
    let nowhere = drawn(&["--condition", "one.csv", "--condition-guidance", "3", "--guidance-interval", "0.0021,0.0022"]);
    assert_eq!(nowhere, given);
    refused(path, &["sample", "sure", "--condition", "none"], &["condition_dropout 0"]);
    refused(path, &["sample", "sure", "--condition", "one.csv", "--condition-guidance", "2"], &["condition_dropout 0"]);
    refused(path, &["sample", "m", "--condition", "one.csv", "--condition-guidance", "nan"], &["NaN"]);
    let (status, _, error) = run(path, &["train", "t.csv", "--set", "condition_dropout=0.1", "--out", "r"]);
    assert!(status != 0 && error.contains("condition_dropout") && error.contains("nothing that could be hidden"), "{error}");
}
