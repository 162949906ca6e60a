//! `export`: what it writes, what it says, what it refuses.

use crate::common::{done, run};
use crate::errors::refused;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// A digits model that diffusers can express, in `folder/run`.
fn expressible(folder: &Path) {
    let sets = [
        "network.model_channels=8",
        "network.resampling=conv",
        "network.scale_shift=false",
        "network.groups=4",
        "network.group_width=1",
        "network.time={kind='sinusoidal'}",
        "process={name='discrete-linear'}",
        "prediction=noise",
        "time_input={time={scale=1.0}}",
        "label_dropout=0.0",
    ];
    let words = ["train", "digits", "--recipe", "digits", "--steps", "4", "--out", "run", "-q"];
    let all: Vec<&str> = words.into_iter().chain(sets.iter().flat_map(|s| ["--set", s])).collect();
    done(folder, &all);
}

#[test]
fn a_folder_of_diffusers_is_written_and_is_a_model() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    expressible(path);
    let said: Value =
        serde_json::from_str(&done(path, &["export", "run", "--as", "diffusers", "-o", "out/f", "--json"])).unwrap();
    assert_eq!((&said["folder"], &said["layout"]), (&"out/f".into(), &"diffusers".into()));
    let index: Value = serde_json::from_slice(&fs::read(path.join("out/f/model_index.json")).unwrap()).unwrap();
    assert_eq!(index["_class_name"], "DDPMPipeline");
    let info: Value = serde_json::from_str(&done(path, &["info", "out/f", "--json"])).unwrap();
    assert_eq!(info["layout"], "diffusers");
    assert_eq!(info["tensors"].as_array().map(Vec::len), said["tensors"].as_u64().map(|n| n as usize));
    // One function under both names: the same evaluation, byte for byte.
    done(path, &["sample", "run", "-q", "-n", "2", "--steps", "2", "-o", "x.npy"]);
    for (model, output) in [("run", "a.npy"), ("out/f", "b.npy")] {
        done(path, &["predict", model, "x.npy", "--time", "300", "--class", "3", "-o", output]);
    }
    assert_eq!(fs::read(path.join("a.npy")).unwrap(), fs::read(path.join("b.npy")).unwrap());
    // The averaged weights are others than the raw ones.
    let text = done(path, &["export", "run", "--as", "diffusers", "--raw", "-o", "raw"]);
    assert!(text.contains("raw") && text.contains("tensors"), "{text}");
    let weights = |name: &str| fs::read(path.join(name).join("unet/diffusion_pytorch_model.safetensors")).unwrap();
    assert_ne!(weights("raw"), weights("out/f"));
    refused(path, 2, &["export", "run", "--as", "diffusers", "-o", "raw"], &["raw", "there already", "expected a new name"]);
}

#[test]
fn what_cannot_be_expressed_is_told_whole() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    crate::common::small_model(path);
    let words = ["diffusers cannot", "process", "prediction", "features of the time", "groups", "expected"];
    refused(path, 2, &["export", "run", "--as", "diffusers", "-o", "out"], &words);
    assert!(!path.join("out").exists());
    refused(path, 2, &["export", "run", "-o", "out"], &["--as"]);
    refused(path, 2, &["export", "run", "--as", "diffusers"], &["--output"]);
    refused(path, 2, &["export", "run", "--as", "pickle", "-o", "out"], &["diffusers"]);
    refused(path, 2, &["export", "nowhere", "--as", "diffusers", "-o", "out"], &["nowhere", "expected a model"]);
    let (status, _, said) = run(path, &["export", "--help"]);
    assert_eq!(status, 0, "{said}");
}
