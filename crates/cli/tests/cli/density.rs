//! Likelihoods and latents from outside.

use crate::common::{done, run, small_model};
use serde_json::Value;
use tempfile::tempdir;

#[test]
fn likelihoods_bounds_and_latents_of_a_small_model() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    let json = |arguments: &[&str]| -> Value {
        let text = done(path, &[arguments, &["--json", "-q"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {text}"))
    };

    // The figures agree with one another, and no row depends on its company.
    let table = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let nll = ["nll", "run", "digits", "-n", "4", "--rtol", "1e-3", "--check", "1"];
    let whole = json(&[&nll[..], &["-o", "a.csv"]].concat());
    for key in ["nats", "bits_per_dim", "standard_error", "evaluations"] {
        assert!(whole[key].as_f64().is_some_and(f64::is_finite), "{key}: {whole}");
    }
    let bits = -whole["nats"].as_f64().unwrap() / 64.0 / std::f64::consts::LN_2;
    assert!((whole["bits_per_dim"].as_f64().unwrap() - bits).abs() < 1e-9);
    json(&[&nll[..], &["--batch", "3", "--threads", "1", "-o", "b.csv"]].concat());
    assert_eq!(table("a.csv"), table("b.csv"));
    assert_eq!(table("a.csv").lines().count(), 5);

    // The class reaches the network; what was not dequantised is said loudly.
    let other = json(&[&nll[..], &["--class", "none"]].concat());
    assert_ne!(whole["nats"], other["nats"]);
    let (status, _, said) = run(path, &[&nll[..], &["--passes", "0"]].concat());
    assert!(status == 0 && said.contains("not dequantised"), "{said}");

    let bound = json(&["nll", "run", "digits", "-n", "6", "--bound", "--steps", "12"]);
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("{bound}"));
    assert!((number(&bound["K"]) + number(&bound["bits_per_dim"])).abs() < 1e-9, "{bound}");
    assert!((number(&bound["K"]) - number(&bound["L_null"]) - number(&bound["gain"])).abs() < 1e-9);
    let terms = ["prior", "steps", "decoder"].map(|t| number(&bound["terms"][t]));
    assert!((terms.iter().sum::<f64>() + number(&bound["nats"])).abs() < 1e-6, "{bound}");
    assert_eq!(bound["steps"].as_array().unwrap().len(), 12);
    let [steps, last, first, prior, edges] =
        ["steps", "H_q_last", "H_q_first", "H_p", "edges"].map(|t| number(&bound["K_terms"][t]));
    assert!((number(&bound["K"]) - (last - steps - first - prior + edges)).abs() < 1e-9, "{bound}");

    // There and back, and the walk between two.
    let encoded = json(&["encode", "run", "digits", "-n", "3", "-o", "z.npy"]);
    assert!(encoded["round_trip_error"].as_f64().unwrap() < 0.01, "{encoded}");
    let labels = json(&["decode", "run", "z.npy", "-o", "x.npy"]);
    assert_eq!(labels["n"], 3);
    assert_eq!(std::fs::read(path.join("x.npy")).unwrap()[..6], *b"\x93NUMPY");
    json(&["interpolate", "run", "digits", "digits@5", "-n", "3", "-o", "way.png"]);
    assert!(std::fs::read(path.join("way.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn data_from_elsewhere_are_told_apart() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    // Noise of all levels is no digit.
    let header = format!("{:<117}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 1, 8, 8), }");
    let mut npy = b"\x93NUMPY\x01\x00v\x00".to_vec();
    npy.extend(header.as_bytes());
    npy.extend((0..384u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8 % 17));
    std::fs::write(path.join("noise.npy"), npy).unwrap();
    let arguments =
        ["nll", "run", "digits", "-n", "6", "--rtol", "1e-3", "--check", "0", "--against", "noise.npy", "--json", "-q"];
    let found: Value = serde_json::from_str(&done(path, &arguments)).unwrap();
    let scores = found["against"]["scores"].as_array().unwrap();
    assert_eq!(scores.len(), 5);
    assert!(scores[0]["name"] == "likelihood" && scores[0]["auroc"].as_f64().unwrap() > 0.9, "{found}");
}

#[test]
fn mistakes_end_with_status_two() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    for (arguments, hint) in [
        (&["nll", "run", "toy:moons"][..], "the model takes"),
        (&["nll", "run", "digits", "-n", "0"], "at least 1"),
        (&["nll", "run", "digits", "--rtol", "2"], "between 0 and 1"),
        (&["nll", "run", "digits", "--class", "seven"], "no class"),
        (&["nll", "run", "digits", "--class", "each"], "one class or none"),
        (&["nll", "run", "digits", "-o", "a.png"], ".csv or .npy"),
        (&["nll", "run", "nowhere"], "nowhere"),
        (&["encode", "run", "digits", "-o", "z.csv"], ".npy"),
        (&["decode", "run", "nowhere.npy", "-o", "a.png"], "nowhere.npy"),
        (&["interpolate", "run", "digits", "digits@9999", "-o", "a.png"], "1797 examples"),
        (&["interpolate", "run", "digits", "digits", "-n", "1", "-o", "a.png"], "at least 2"),
    ] {
        let (status, stdout, error) = run(path, arguments);
        assert!(status == 2 && stdout.is_empty() && error.contains(hint), "{arguments:?}: {status} {error}");
    }
}
