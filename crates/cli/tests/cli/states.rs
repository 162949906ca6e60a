//! Models of categories from the command line: trained, described, bounded, sampled, filled in; and what is refused.

use crate::common::{done, run};
use crate::errors::refused;
use std::fs;
use tempfile::tempdir;

#[test]
fn a_heartbeat_is_learned_and_filled_in() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let run = |arguments: &[&str]| done(path, arguments);
    let more = ["--set", "states.process.steps=200", "--set", "states.process.transition=absorbing"];
    run(&[&["train", "--recipe", "heartbeat", "--out", "r", "--steps", "400", "-q"], &more[..]].concat());
    let told = run(&["info", "r"]);
    assert!(told.contains("categories") && told.contains("\"absorbing\"") && told.contains("200 steps"), "{told}");

    let bound = run(&["nll", "r", "toy:binary-heartbeat", "-n", "200", "--bound", "--json"]);
    let bound: serde_json::Value = serde_json::from_str(&bound).unwrap();
    let (k, null) = (bound["K"].as_f64().unwrap(), bound["L_null"].as_f64().unwrap());
    assert!(k < -1.9 && k > -3.5 && (null + 14.44).abs() < 0.4, "{bound}");

    // A sample is one whatever is asked for beside it.
    run(&["sample", "r", "-n", "12", "--batch", "5", "--steps", "20", "-o", "a.csv"]);
    run(&["sample", "r", "-n", "4", "--first", "8", "--steps", "20", "-o", "b.csv"]);
    let (a, b) = (fs::read_to_string(path.join("a.csv")).unwrap(), fs::read_to_string(path.join("b.csv")).unwrap());
    assert_eq!(a.lines().skip(9).collect::<Vec<_>>(), b.lines().skip(1).collect::<Vec<_>>());
    for solver in ["ddim:fresh=0.5", "confidence", "tau-leaping"] {
        run(&["sample", "r", "-n", "2", "--steps", "10", "--solver", solver, "-o", "c.csv"]);
    }
    run(&["sample", "r", "-n", "2", "--steps", "4", "--trajectory", "-o", "way.npy"]);

    // Half of an example decides the rest.
    run(&["sample", "r", "-n", "20", "--steps", "50", "--given", "toy:binary-heartbeat@2", "--mask", "left", "-o", "filled.csv"]);
    let filled = fs::read_to_string(path.join("filled.csv")).unwrap();
    let rows: Vec<&str> = filled.lines().skip(1).collect();
    assert!(rows.iter().all(|r| r[..20] == rows[0][..20]), "{filled}");
    assert!(rows.iter().filter(|r| **r == rows[0]).count() >= 18, "{filled}");

    // Distances of samples that the model draws itself.
    let said = run(&["eval", "r", "toy:binary-heartbeat:400", "-n", "100", "--metrics", "total-variation,recall", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let names: Vec<&str> = said["metrics"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["recall", "total-variation"]);
    assert!(said["metrics"][1]["value"].as_f64().unwrap() < 0.3, "{said}");
    refused(path, 2, &["eval", "r", "toy:binary-heartbeat", "--metrics", "totl"], &["totl", "total-variation"]);

    refused(path, 2, &["nll", "r", "toy:binary-heartbeat"], &["--bound"]);
    refused(path, 2, &["nll", "r", "toy:binary-heartbeat", "--bound", "--steps", "1"], &["--steps 1", "at least 2"]);
    refused(path, 2, &["sample", "r", "--steps", "0"], &["--steps 0"]);
    refused(path, 2, &["sample", "r", "--clip", "1"], &["--clip", "categories"]);
    refused(path, 2, &["sample", "r", "--given", "toy:binary-heartbeat", "--mask", "left"], &["DATA@I"]);
    refused(path, 2, &["sample", "r", "--given", "toy:binary-heartbeat:5@9", "--mask", "left"], &["5 examples"]);
    refused(path, 2, &["sample", "r", "--given", "toy:binary-heartbeat@0", "--mask", "lft"], &["lft", "left, right"]);
    refused(path, 2, &["sample", "r", "--solver", "heunn"], &["heunn", "ancestral"]);
    refused(path, 2, &["encode", "r", "toy:binary-heartbeat", "-o", "z.npy"], &["categories"]);
    refused(path, 2, &["nll", "r", "toy:moons", "--bound"], &["moons"]);
    fs::write(
        path.join("other.csv"),
        format!("{}\n{}\n", [0; 20].map(|v| v.to_string()).join(","), [2; 20].map(|v| v.to_string()).join(",")),
    )
    .unwrap();
    refused(path, 1, &["nll", "r", "other.csv", "--bound"], &["other.csv", "2"]);
}

#[test]
fn categories_that_make_no_chain() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let train =
        |set: &str, words: &[&str]| refused(path, 2, &["train", "toy:binary-heartbeat", "--out", "r", "--set", set], words);
    train("states.process.steps=0", &["states.steps = 0"]);
    train("states.process.steps=1", &["states.steps = 1"]);
    train("states.process.survival={name=\"table\", keep=[1.0, 0.5, 0.7]}", &["survival.keep", "0.7 in place 2"]);
    train("states.process.survival={name=\"linear\", beta_min=-1.0}", &["beta_min"]);
    train("states.process.transition={ordered={width=0.0}}", &["width"]);
    assert!(!path.join("r").exists(), "a run that never began leaves nothing");
    refused(path, 2, &["train", "toy:moons", "--out", "r", "--set", "states.loss=bound"], &["data.categorical"]);
    // A category that training has not seen.
    let rows = |third: &str| format!("colour,size\nred,1\nblue,2\n{third},3\n");
    fs::write(path.join("seen.csv"), rows("red").repeat(8).replace("\ncolour,size", "")).unwrap();
    fs::write(path.join("unseen.csv"), rows("green")).unwrap();
    let set = ["--set", "data.categorical=[\"colour\"]"];
    done(path, &[&["train", "seen.csv", "--out", "t", "--steps", "5", "-q"], &set[..]].concat());
    refused(path, 1, &["nll", "t", "unseen.csv", "--bound"], &["unseen.csv", "green", "red"]);
    done(path, &["nll", "t", "seen.csv", "--bound", "--visited", "3"]);
    done(path, &["sample", "t", "-n", "3", "--steps", "5", "-o", "t.csv"]);
    let text = fs::read_to_string(path.join("t.csv")).unwrap();
    assert!(text.starts_with("colour,size") && (text.contains("red") || text.contains("blue")), "{text}");
    let (status, ..) = run(path, &["info", "t"]);
    assert_eq!(status, 0);
}
