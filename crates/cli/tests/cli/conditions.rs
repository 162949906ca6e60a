//! Steering: guidance with its interval, rescaling and guides; classes joined and negated.

use crate::common::{done, run, small_model};
use crate::errors::picture;
use serde_json::Value;
use std::path::Path;
use tempfile::tempdir;

/// Samples of a model as the bytes of an array.
#[track_caller]
pub(crate) fn draw(folder: &Path, model: &str, extra: &[&str]) -> Vec<u8> {
    done(folder, &[&["sample", model, "-q", "-n", "3", "--steps", "3", "-o", "a.npy"], extra].concat());
    std::fs::read(folder.join("a.npy")).unwrap()
}

/// Refused as misuse, both sides named, and nothing written.
#[track_caller]
pub(crate) fn refused(folder: &Path, arguments: &[&str], hints: &[&str]) {
    let (status, stdout, error) = run(folder, &[arguments, &["-o", "never.npy"]].concat());
    assert!(status == 2 && stdout.is_empty(), "{arguments:?}: {status}: {error}");
    assert!(!folder.join("never.npy").exists() && !error.contains("panicked"), "{arguments:?}: {error}");
    for hint in hints {
        assert!(error.contains(hint), "{arguments:?}: no {hint:?} in {error}");
    }
}

#[test]
fn guidance_reaches_the_network() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let of = |extra: &[&str]| draw(path, "run", &[&["--class", "3"], extra].concat());
    let (plain, guided) = (of(&[]), of(&["--guidance", "3"]));
    assert_ne!(plain, guided);

    // An interval of all levels is none; one that the grid's three times miss leaves the model alone; a part is neither.
    assert_eq!(guided, of(&["--guidance", "3", "--guidance-interval", "0,1e9"]));
    assert_eq!(plain, of(&["--guidance", "3", "--guidance-interval", "0.0021,0.0022"]));
    let part = of(&["--guidance", "3", "--guidance-interval", "0.1,3"]);
    assert!(part != plain && part != guided);

    assert_eq!(guided, of(&["--guidance", "3", "--guidance-rescale", "0"]));
    assert_ne!(guided, of(&["--guidance", "3", "--guidance-rescale", "0.7"]));
    assert_eq!(plain, of(&["--guidance", "1", "--guidance-rescale", "0.7"]));

    // A model guided by itself is itself but for rounding, which whole grey levels do not show; by another it is not.
    let arguments = ["train", "digits", "--recipe", "digits", "--set", "network.model_channels=8", "--steps", "5", "-q"];
    done(path, &[&arguments[..], &["--out", "weak"]].concat());
    let by_itself = of(&["--guidance", "3", "--guide", "run"]);
    let far = by_itself.iter().zip(&plain).filter(|(a, b)| a.abs_diff(**b) > 1).count();
    assert_eq!(far, 0);
    let by_weak = of(&["--guidance", "3", "--guide", "weak"]);
    assert!(by_weak != plain && by_weak != guided);
    assert_eq!(of(&["--guidance", "1", "--guide", "weak"]), plain);

    // One condition of weight w is guidance of weight w; weights that cancel are no class at all.
    let joined = |text: &str| draw(path, "run", &["--conditions", text]);
    assert!(joined("3=3").iter().zip(&guided).all(|(a, b)| a.abs_diff(*b) <= 1));
    assert_ne!(joined("3=3,5=2"), joined("3=3,5=-2"));
    let none = draw(path, "run", &["--class", "none"]);
    assert_eq!(joined("3=0,5=0"), none);

    let told = ["sample", "run", "-n", "2", "--steps", "2", "-q", "--json", "-o", "b.npy", "--conditions", "3=2,7=-1"];
    let told: Value = serde_json::from_str(&done(path, &told)).unwrap();
    assert_eq!(told["guidance"]["conditions"], "3=2,7=-1");
    // Two calls a Heun step but the last, each of the unconditional model and of both conditions.
    assert_eq!(told["evaluations"], 9);
}

#[test]
fn guidance_that_cannot_be() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let quick = ["--recipe", "digits", "--set", "network.model_channels=8", "--steps", "1", "-q"];
    done(path, &[&["train", "digits", "--set", "process.sigma_max=7", "--out", "low"], &quick[..]].concat());
    done(path, &[&["train", "digits", "--set", "label_dropout=0", "--out", "sure"], &quick[..]].concat());
    done(
        path,
        &[
            &["train", "digits", "--set", "examples.codec.range=zero-one", "--set", "process.sigma_max=9.63", "--out", "other"],
            &quick[..],
        ]
        .concat(),
    );
    done(path, &["train", "toy:moons", "--steps", "2", "--out", "flat", "-q"]);
    let sample = |model: &'static str, extra: &[&'static str]| [&["sample", model][..], extra].concat();
    let three = |extra: &[&'static str]| sample("run", &[&["--class", "3", "--guidance", "2"], extra].concat());

    refused(path, &sample("run", &["--guidance-interval", "0.3,5"]), &["--guidance"]);
    refused(path, &sample("run", &["--guidance-rescale", "0.5"]), &["--guidance"]);
    refused(path, &sample("run", &["--guide", "low"]), &["--guidance"]);
    refused(path, &three(&["--guidance-interval", "5"]), &["--guidance-interval 5", "LOW,HIGH"]);
    refused(path, &three(&["--guidance-interval", "5,0.3"]), &["5,0.3", "the lower first"]);
    refused(path, &three(&["--guidance-interval", "-1,2"]), &["-1,2", "the lower first"]);
    refused(path, &three(&["--guidance-interval", "nan,2"]), &["NaN,2", "the lower first"]);
    refused(path, &three(&["--guidance-interval", "1e6,1e7"]), &["1000000", "run from 2.000e-3"]);
    refused(path, &three(&["--guidance-rescale", "1.5"]), &["1.5", "from 0"]);
    refused(path, &three(&["--guidance-rescale", "-0.1"]), &["-0.1", "from 0"]);
    refused(path, &three(&["--guide", "nowhere"]), &["nowhere", "expected a model"]);
    refused(path, &three(&["--guide", "flat"]), &["shape", "vectors of 2", "8x8 with 1 channels"]);
    refused(path, &three(&["--guide", "low"]), &["process", "sigma_max=7", "the model's is"]);
    refused(path, &three(&["--guide", "other"]), &["encoding", "-1 and"]);

    let joined = |text: &'static str| sample("run", &["--conditions", text]);
    refused(path, &joined("3"), &["\"3\" has no weight", "CLASS=WEIGHT"]);
    refused(path, &joined("3=two"), &["\"two\"", "CLASS=WEIGHT"]);
    refused(path, &joined("3=inf"), &["class 3", "finite"]);
    refused(path, &joined("3=1,5=2,3=1"), &["class 3 stands there twice"]);
    refused(path, &joined("12=1"), &["no class \"12\"", "0, 1, 2"]);
    refused(path, &joined("each=1"), &["\"each\" is no single class"]);
    refused(path, &sample("run", &["--conditions", "3=1", "--guidance", "2"]), &["cannot be used with"]);
    refused(path, &sample("run", &["--conditions", "3=1", "--class", "2"]), &["cannot be used with"]);
    refused(path, &sample("sure", &["--conditions", "3=1"]), &["label_dropout 0"]);
    refused(path, &sample("flat", &["--conditions", "3=1"]), &["without classes"]);
    // Guidance by another model needs no label dropout.
    done(path, &["sample", "sure", "-n", "1", "--steps", "2", "--guidance", "2", "--guide", "run", "-o", "s.npy", "-q"]);
}

/// A classifier is trained from a model's recipe, told by `info`, refused as a model, and steers samples.
#[test]
fn a_classifier_steers() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let small = ["--recipe", "digits", "--set", "network.model_channels=8", "-q"];
    let train = |name: &str, steps: &str, more: &[&str]| {
        done(path, &[&["train", "digits", "--classifier", "--steps", steps, "--out", name], &small[..], more].concat())
    };
    let told: Value = serde_json::from_str(&train("judge", "150", &["--json"])).unwrap();
    let accuracy = told["accuracy"].as_array().unwrap();
    let share = |k: usize| accuracy[k]["accuracy"].as_f64().unwrap();
    assert!(accuracy.len() == 8 && share(0) > 0.5 && share(7) < 0.3, "{accuracy:?}");
    let recipe = std::fs::read_to_string(path.join("judge/recipe.toml")).unwrap();
    assert!(recipe.contains("kind = \"pooled\"") && recipe.contains("outputs = 10"), "{recipe}");
    // Its recipe makes it again, and its run goes on.
    done(path, &["train", "digits", "--recipe", "judge/recipe.toml", "--steps", "2", "--out", "again", "-q"]);
    let told = done(path, &["train", "--out", "again", "--resume"]);
    assert!(told.contains("--classifier again"), "{told}");

    let info = done(path, &["info", "judge"]);
    assert!(info.contains("no model to sample") && info.contains("accuracy") && !info.contains("prediction"), "{info}");
    for verb in [
        &["sample", "judge"][..],
        &["nll", "judge", "digits"],
        &["eval", "judge", "digits"],
        &["encode", "judge", "digits", "-o", "z.npy"],
        &["predict", "judge", "x.npy", "--time", "1", "-o", "y.npy"],
        &["export", "judge", "--as", "diffusers", "-o", "e"],
        &["sample", "run", "--class", "3", "--guidance", "2", "--guide", "judge"],
    ] {
        let (status, stdout, error) = run(path, verb);
        assert!(status != 0 && stdout.is_empty() && !error.contains("panicked"), "{verb:?}: {error}");
        assert!(error.contains("classifier of 10 classes; expected a model"), "{verb:?}: {error}");
    }

    // Scale 0 is the model of no class; the scale and the class count; the model is told the class with --guidance.
    let of = |extra: &[&str]| draw(path, "run", extra);
    let none = of(&["--class", "none"]);
    let scaled = |scale: &str, class: &str| of(&["--classifier", "judge", "--classifier-scale", scale, "--class", class]);
    assert_eq!(scaled("0", "3"), none);
    assert!(scaled("1", "3") != none && scaled("1", "3") != scaled("4", "3") && scaled("1", "3") != scaled("1", "5"));
    assert_eq!(scaled("1", "3"), of(&["--classifier", "judge", "--class", "3"]));
    let both = |weight: &str| of(&["--classifier", "judge", "--classifier-scale", "0", "--class", "3", "--guidance", weight]);
    assert_eq!(both("1"), of(&["--class", "3"]));
    assert_eq!(both("3"), of(&["--class", "3", "--guidance", "3"]));
    let batched = |b: &str| draw(path, "run", &["--classifier", "judge", "--class", "each", "--batch", b]);
    assert_eq!(batched("1"), batched("3"));

    // A model without classes takes its classes from the classifier.
    done(path, &[&["train", "digits", "--set", "network.classes=0", "--steps", "5", "--out", "bare"], &small[..]].concat());
    assert_ne!(draw(path, "bare", &["--classifier", "judge", "--class", "3"]), draw(path, "bare", &[]));
    let told = ["sample", "bare", "-n", "2", "--steps", "2", "-q", "--json", "-o", "b.npy", "--classifier", "judge"];
    let told: Value = serde_json::from_str(&done(path, &told)).unwrap();
    assert_eq!(told["classes"], serde_json::json!([0, 1]));

    let quick = |name: &str, more: &[&str]| {
        done(path, &[&["train", "digits", "--steps", "1", "--out", name], &small[..], more].concat());
    };
    quick("low", &["--classifier", "--set", "process.sigma_max=7"]);
    quick("sure", &["--set", "label_dropout=0"]);
    for (i, class) in ["a", "a", "b", "b"].into_iter().enumerate() {
        std::fs::create_dir_all(path.join("large").join(class)).unwrap();
        picture(&path.join(format!("large/{class}/{i}.png")), 16, i);
    }
    done(path, &["train", "large", "--classifier", "--set", "network.model_channels=8", "--steps", "1", "--out", "wide", "-q"]);
    let sample = |model: &'static str, extra: &[&'static str]| [&["sample", model][..], extra].concat();
    refused(path, &sample("run", &["--classifier", "low"]), &["process", "sigma_max=7", "the model's: edm"]);
    refused(path, &sample("run", &["--classifier", "wide"]), &["shape", "16x16 with 1", "8x8 with 1"]);
    refused(path, &sample("run", &["--classifier", "nowhere"]), &["--classifier nowhere", "train --classifier"]);
    refused(path, &sample("run", &["--classifier", "judge", "--class", "none"]), &["no class was asked for"]);
    refused(path, &sample("run", &["--classifier", "judge", "--class", "12"]), &["no class \"12\""]);
    refused(path, &sample("run", &["--classifier", "judge", "--classifier-scale", "inf"]), &["scale inf", "finite"]);
    refused(path, &sample("run", &["--classifier-scale", "2"]), &["--classifier"]);
    refused(path, &sample("sure", &["--classifier", "judge"]), &["label_dropout 0", "--guidance 1"]);
    done(path, &["sample", "sure", "--classifier", "judge", "--guidance", "1", "-n", "1", "--steps", "2", "-q", "-o", "c.npy"]);
    // Questions are steered as samples are: by the class alone, an interval, a guide, joined classes, a classifier.
    let solved = |extra: &[&str]| {
        let ask = ["solve", "run", "digits@3", "--simulate", "--task", "inpaint", "--mask", "top", "--steps", "6", "-n", "1"];
        let out = format!("solved-{}", extra.join("").replace(['/', ',', '='], "-"));
        done(path, &[&ask[..], &["--noise", "30", "-q", "-o", &out], extra].concat());
        std::fs::read(path.join(out).join("samples/0000.png")).unwrap()
    };
    let plain = solved(&["--class", "3"]);
    for extra in [
        &["--class", "3", "--guidance", "3"][..],
        &["--class", "3", "--guidance", "3", "--guidance-interval", "0.01,1"],
        &["--class", "3", "--guidance", "3", "--guidance-rescale", "0.8"],
        &["--class", "3", "--guidance", "3", "--guide", "bare"],
        &["--conditions", "3=2,5=-1"],
        &["--class", "3", "--classifier", "judge", "--classifier-scale", "8"],
    ] {
        assert_ne!(solved(extra), plain, "{extra:?}");
    }
    assert_eq!(solved(&["--class", "3", "--guidance", "1"]), plain);
    let pulled = ["--rule", "mmps:jacobian=pullback"];
    assert_eq!(
        solved(&[&["--class", "3", "--guidance", "3", "--guidance-interval", "9,9.2"][..], &pulled].concat()),
        solved(&[&["--class", "3", "--guidance", "1"][..], &pulled].concat())
    );
    let (status, _, error) =
        run(path, &["solve", "run", "digits@3", "--simulate", "--task", "denoise", "--guidance", "2", "-o", "never"]);
    assert!(status == 2 && error.contains("no class") && !path.join("never").exists(), "{error}");
    // Bfloat16 is too coarse for differences: of the model's answers, and of a classifier's gradients under any rule that has one.
    let half = |extra: &[&'static str]| {
        let ask =
            ["solve", "run", "digits@3", "--simulate", "--task", "denoise", "--precision", "bf16", "-n", "1", "--steps", "3"];
        [&ask[..], extra].concat()
    };
    for (extra, word) in [
        (&["--rule", "mmps"][..], "jacobian=pullback"),
        (&["--rule", "tmpd", "--class", "3"], "tmpd:jacobian=pullback"),
        (&["--rule", "pigdm", "--class", "3", "--classifier", "judge"], "classifier in bfloat16"),
    ] {
        let (status, _, error) = run(path, &half(&[extra, &["-o", "never"]].concat()));
        assert!(status == 2 && error.contains(word) && !path.join("never").exists(), "{extra:?}: {error}");
    }
    let usual: Value = serde_json::from_str(&done(path, &half(&["-o", "half", "--json"]))).unwrap();
    assert_eq!(usual["rule"], "mmps:jacobian=pullback");
    done(path, &half(&["--rule", "ddnm", "--class", "3", "--classifier", "judge", "-o", "half-ddnm", "-q"]));
    // Gradients of the classifier are counted among those that go back.
    let of =
        ["solve", "run", "digits@3", "--simulate", "--task", "denoise", "-n", "1", "--steps", "3", "--rule", "ddnm", "--json"];
    let told = done(path, &[&of[..], &["--class", "3", "--classifier", "judge", "-o", "counted"]].concat());
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told["evaluations"].as_f64(), told["pullbacks"].as_f64()), (Some(6.0), Some(3.0)), "{told}");
    // Another classifier at the same place is another question.
    let ask = ["solve", "run", "digits@3..5", "--simulate", "--task", "denoise", "-n", "1", "--steps", "3", "-o", "judged", "-q"];
    let ask = [&ask[..], &["--class", "3", "--classifier", "judge"]].concat();
    done(path, &ask);
    done(path, &ask);
    std::fs::rename(path.join("judge"), path.join("judge-before")).unwrap();
    train("judge", "20", &[]);
    let (status, _, error) = run(path, &ask);
    assert!(status == 2 && error.contains("other settings") && error.contains("classifier"), "{error}");

    let (status, _, error) = run(path, &["sample", "run", "--classifier", "run", "-o", "never.npy"]);
    assert!(status == 1 && error.contains("a model of pictures") && error.contains("train DATA --classifier"), "{error}");
    let (status, _, error) = run(path, &["train", "toy:moons", "--classifier", "--out", "r"]);
    assert!(status != 0 && error.contains("toy:moons") && error.contains("0 classes") && !path.join("r").exists(), "{error}");
}
