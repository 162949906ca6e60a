//! Files that are damaged, foreign or hostile: each gives an error that names the file, what was found, what was expected and
//! what to do, and none gives a panic or takes memory that the file does not hold.

mod common;

use common::{every_kind, model};
use proptest::prelude::*;
use scorefield_model::{Model, ModelError, Weights};
use scorefield_process::Denoiser;
use scorefield_tensor::{batch, rows};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A file as its parts.
#[derive(Clone)]
struct Parts {
    header: Value,
    data: Vec<u8>,
}

impl Parts {
    fn of(bytes: &[u8]) -> Self {
        let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        Self { header: serde_json::from_slice(&bytes[8..end]).unwrap(), data: bytes[end..].to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let header = self.header.to_string();
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &self.data].concat()
    }

    fn description(&self) -> Value {
        serde_json::from_str(self.header["__metadata__"]["scorefield"].as_str().unwrap()).unwrap()
    }

    fn set_description(&mut self, value: &Value) {
        self.header["__metadata__"]["scorefield"] = Value::String(value.to_string());
    }
}

/// Kinds of network, as [`every_kind`] has them.
const KINDS: usize = 11;

/// The bytes of a model of kind `kind` of [`every_kind`].
fn good(kind: usize) -> Vec<u8> {
    let meta = every_kind().remove(kind);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let one = model(&meta, 1);
    one.save(&path, Some(one.weights())).unwrap();
    std::fs::read(&path).unwrap()
}

/// Loads bytes as a file and, if that works, calls the model: nothing may panic.
fn load(folder: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let path = file(folder);
    std::fs::write(&path, bytes).unwrap();
    // Both are asked whatever the other says.
    let inspected = Model::inspect(&path).map(|_| ());
    let loaded = Model::load(&path, Weights::Ema, &Default::default()).map(|m| {
        let x = batch(vec![0.25; m.dim()], 1, &Default::default());
        let denoised = rows(m.denoiser(None).denoise(&x, m.process().span().at(0.5)));
        let mut natural = denoised.clone();
        m.meta().codec.decode_row(&denoised, &mut natural);
    });
    loaded.and(inspected)
}

fn file(folder: &Path) -> PathBuf {
    folder.join("hostile.safetensors")
}

/// The bytes are refused with an error that names the file and holds all the words.
#[track_caller]
fn refused(bytes: &[u8], words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path(), bytes).expect_err("refused").to_string();
    for word in words.iter().chain(&["hostile.safetensors"]) {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
    assert!(error.contains("expected"), "{error}");
}

/// Cut anywhere: in the length, in the header, between and inside tensors, one byte short; or one byte too long.
#[test]
fn every_cut_is_seen() {
    let bytes = good(0);
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let folder = tempfile::tempdir().unwrap();
    for cut in (0..bytes.len()).step_by(13).chain([0, 1, 7, 8, 9, header - 1, header, header + 1, header + 4, bytes.len() - 1]) {
        let error = load(folder.path(), &bytes[..cut]).expect_err("cut short");
        assert!(matches!(error, ModelError::NotSafetensors { .. }), "cut at {cut}: {error}");
    }
    refused(&bytes[..bytes.len() - 1], &["not a complete safetensors file", &format!("{} bytes long", bytes.len() - 1), "copy"]);
    refused(&[&bytes[..], &[0]].concat(), &["not a complete safetensors file"]);
}

#[test]
fn other_files_are_told_apart() {
    refused(b"", &["0 bytes long"]);
    refused(b"\x89PNG\r\n\x1a\n and some more of a picture", &["announce a header of"]);
    refused(&u64::MAX.to_le_bytes(), &["announce a header of 18446744073709551615 bytes in a file of 8"]);
    refused(&[&2u64.to_le_bytes()[..], b"[]"].concat(), &["its header"]);
    refused(&[&2u64.to_le_bytes()[..], b"\xff\xfe"].concat(), &["its header"]);
    refused(&[&2u64.to_le_bytes()[..], b"{}"].concat(), &["no layout that is known", "0 names"]);
    let deep = "[".repeat(100_000);
    refused(&[&(deep.len() as u64).to_le_bytes()[..], deep.as_bytes()].concat(), &["its header"]);

    // Another project's file names its first tensors.
    let mut parts = Parts::of(&good(0));
    parts.header["__metadata__"] = json!({ "format": "pt" });
    refused(&parts.bytes(), &["no layout that is known", "ema.embed", "diffusers"]);
    parts.header.as_object_mut().unwrap().remove("__metadata__");
    refused(&parts.bytes(), &["no layout that is known"]);

    let missing = Model::load("no/such/file.safetensors", Weights::Ema, &Default::default()).unwrap_err().to_string();
    assert!(missing.contains("no/such/file.safetensors") && missing.contains("check that the file exists"), "{missing}");
}

/// Headers that lie about their tensors.
#[test]
fn lying_headers_are_refused() {
    let parts = Parts::of(&good(0));
    let name = "ema.first.weight";
    let with = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let mut parts = parts.clone();
        change(&mut parts.header);
        refused(&parts.bytes(), words);
    };
    let broken = &["not a complete safetensors file"][..];
    with(&|h| h[name]["shape"] = json!([usize::MAX, usize::MAX]), broken);
    with(&|h| h[name]["shape"] = json!([-1]), broken);
    with(&|h| h[name]["data_offsets"] = json!([0, usize::MAX]), broken);
    with(&|h| h[name]["data_offsets"] = json!([u64::MAX - 1, 2]), broken);
    with(&|h| h[name]["dtype"] = json!("F17"), broken);
    with(&|h| h["ema.huge"] = json!({ "dtype": "F32", "shape": [1u64 << 60], "data_offsets": [0, 1u64 << 62] }), broken);
    // As long as before, but another shape or type.
    with(&|h| h[name]["shape"] = json!([2, 6]), &["`ema.first.weight` is F32 of shape [2, 6]", "expected f32 of shape [6, 2]"]);
    with(&|h| h[name]["dtype"] = json!("I32"), &["`ema.first.weight` is I32", "expected f32 of shape [6, 2]"]);
    with(&|h| h[name] = json!({ "dtype": "F16", "shape": [6, 4], "data_offsets": h[name]["data_offsets"] }), &["is F16"]);
    // A tensor under another name is missing under its own; one that nobody asked for is not ignored.
    let rename = |h: &mut Value, to: &str| {
        let entry = h.as_object_mut().unwrap().remove(name).unwrap();
        h[to] = entry;
    };
    with(&|h| rename(h, "ema.second.weight"), &["`ema.first.weight` is missing", "does not fit its own description"]);
    let empty = json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] });
    with(&|h| h["ema.more"] = empty.clone(), &["`ema.more` is f32 of shape [0]", "no such parameter"]);
    with(&|h| h["optimiser"] = empty.clone(), &["`optimiser`", "no such parameter"]);
}

/// NaN and infinity in the weights.
#[test]
fn weights_that_are_no_numbers_are_refused() {
    let parts = Parts::of(&good(0));
    let at = parts.header["ema.first.weight"]["data_offsets"][0].as_u64().unwrap() as usize;
    for (value, word) in [(f32::NAN, "NaN at entry 2"), (f32::NEG_INFINITY, "-inf at entry 2")] {
        let mut parts = parts.clone();
        parts.data[at + 8..at + 12].copy_from_slice(&value.to_le_bytes());
        refused(&parts.bytes(), &["`ema.first.weight`", word]);
    }
}

/// Descriptions that are not ours, of the future, or impossible; none of them may make us allocate, overflow or divide by zero.
#[test]
fn impossible_descriptions_are_refused() {
    for text in ["", "not json", "[]", "null", "{}", "{\"format\":\"1\"}", "{\"format\":1}"] {
        let mut parts = Parts::of(&good(0));
        parts.header["__metadata__"]["scorefield"] = json!(text);
        refused(&parts.bytes(), &["the description in the file is wrong", "expected format 1"]);
    }
    let huge = json!(1u64 << 62);
    let far = json!(1e300);
    let mlp: &[(&str, Value, &str)] = &[
        ("/format", json!(2), "its format number is 2"),
        ("/format", json!(-1), "its format number is -1"),
        ("/network/kind", json!("transformer"), "transformer"),
        ("/network/hidden", huge.clone(), "units, at most"),
        ("/network/hidden", json!(0), "network.hidden = 0"),
        ("/network/depth", huge.clone(), "blocks in a file of"),
        ("/network/time_width", huge.clone(), "units, at most"),
        ("/network/classes", huge.clone(), "units, at most"),
        ("/network/dropout", json!(-3.0), "network.dropout = -3"),
        ("/network/unknown", json!(1), "unknown"),
        ("/process/name", json!("brownian"), "brownian"),
        ("/process/offset", json!(-5.0), "offset is -5"),
        ("/prediction", json!("wish"), "wish"),
        ("/prediction", json!({ "edm": { "sigma_data": 0.0 } }), "prediction"),
        ("/prediction", json!({ "edm": { "sigma_data": 1e300 } }), "prediction"),
        ("/time_input", json!({ "time": { "scale": 1.7e308 } }), ""),
        ("/sigma_data", json!(-1.0), "sigma_data is -1"),
        ("/sigma_data", Value::Null, "null"),
        ("/codec/shape", json!({ "image": { "channels": 1u64 << 40, "height": 1u64 << 40, "width": 2 } }), "examples of shape"),
        ("/codec/shape", json!({ "vector": { "dim": 0 } }), "examples of shape"),
        ("/codec/shape", json!({ "vector": { "dim": 3 } }), "codec"),
        ("/codec/shape", json!({ "image": { "channels": 1, "height": 1, "width": 2 } }), "codec"),
        ("/codec/scale/0", json!(0.0), "codec"),
        ("/codec/shift/1", far.clone(), ""),
        ("/codec/shift", json!([]), "codec"),
        ("/codec/bounds", json!([3.0, -3.0]), "codec"),
        ("/codec/channels", json!(["only"]), "1 names for 2 channels"),
    ];
    let unet: &[(&str, Value, &str)] = &[
        ("/network/model_channels", huge.clone(), "units, at most"),
        ("/network/model_channels", json!(0), "network.model_channels = 0"),
        ("/network/channel_mult", json!([1.0, 1e30]), "units, at most"),
        ("/network/channel_mult", json!(vec![1.0; 1000]), "blocks in a file of"),
        ("/network/channel_mult", json!([-1.0, 2.0]), "network.channel_mult"),
        ("/network/blocks", huge.clone(), "blocks in a file of"),
        ("/network/stem_channels", huge.clone(), "units, at most"),
        ("/network/embedding_mult", huge.clone(), "units, at most"),
        ("/network/groups", json!(0), "network.groups = 0"),
        ("/network/head_channels", json!(0), "network.head_channels = 0"),
        ("/network/classes", json!(4), "3 names for the network's 4 classes"),
        ("/network/heads", json!(3), "heads"),
    ];
    let hourglass: &[(&str, Value, &str)] = &[
        ("/network/patch", json!([1u64 << 40, 1u64 << 40]), "units, at most"),
        ("/network/patch", json!([3, 1]), "network.patch = [3, 1]"),
        ("/network/levels", json!([]), "network.levels = 0"),
        ("/network/levels/0/width", huge.clone(), "units, at most"),
        ("/network/levels/0/hidden", huge.clone(), "units, at most"),
        ("/network/levels/1/depth", huge.clone(), "blocks in a file of"),
        ("/network/levels/1/head_channels", json!(0), "head_channels = 0"),
        ("/network/levels/0/attention/size", huge.clone(), "attention.size"),
        ("/network/levels/1/attention/size", huge.clone(), "attention.size"),
        ("/network/levels/1/attention/kind", json!("dilated"), "dilated"),
        ("/network/mapping_width", huge.clone(), "units, at most"),
        ("/network/mapping_depth", huge.clone(), "blocks in a file of"),
        ("/network/classes", json!(4), "3 names for the network's 4 classes"),
    ];
    let refinenet: &[(&str, Value, &str)] = &[
        ("/network/model_channels", huge.clone(), "units, at most"),
        ("/network/model_channels", json!(0), "network.model_channels = 0"),
        ("/network/channel_mult", json!([1, 1u64 << 50, 1]), "units, at most"),
        ("/network/channel_mult", json!(vec![1; 1000]), "blocks in a file of"),
        ("/network/dilations", json!([1, 1, 1u64 << 40]), "network.dilations"),
        ("/network/dilations", json!([1]), "network.dilations"),
        ("/network/noise_levels", huge.clone(), "units, at most"),
        ("/network/noise_levels", json!(1), "is no noise level"),
        ("/network/noise_levels", json!(2), "is no noise level"),
        ("/time_input", json!({ "time": { "scale": 2.6 } }), "is no noise level"),
        ("/time_input", json!("quarter-log-ratio"), "is no noise level"),
        ("/time_input", json!("untold"), ""),
    ];
    let rms: &[(&str, Value, &str)] = &[
        ("/network/model_channels", huge.clone(), "units, at most"),
        ("/network/channel_mult", json!([1, 1u64 << 62]), "units, at most"),
        ("/network/channel_mult", json!(vec![1; 1000]), "blocks in a file of"),
        ("/network/channel_mult", json!([1, 1, 1, 1]), "multiple of 8"),
        ("/network/stem_channels", huge.clone(), "units, at most"),
        ("/network/heads", huge.clone(), "units, at most"),
        ("/network/head_channels", json!(0), "network.head_channels = 0"),
        ("/network/full_attention_levels", json!([7]), "full_attention_levels = 7"),
        ("/network/time", json!({ "kind": "learned", "width": 1u64 << 62 }), "units, at most"),
        ("/network/time", json!({ "kind": "sinusoidal", "theta": -1.0 }), "time.theta = -1"),
        ("/network/learned_variance", json!(true), "learned_variance is true"),
    ];
    let adagn: &[(&str, Value, &str)] = &[
        ("/network/mapping_width", huge.clone(), "units, at most"),
        ("/network/channels", json!([4, 1u64 << 62]), "units, at most"),
        ("/network/depths", json!([1, 1u64 << 62]), "blocks in a file of"),
        ("/network/depths", json!([u64::MAX, u64::MAX]), "blocks in a file of"),
        ("/network/depths", json!([1]), "network.depths = [1]"),
        ("/network/patch_size", huge.clone(), "units, at most"),
        ("/network/patch_size", json!(4), "at least 16"),
        ("/network/group_width", json!(0), "network.group_width = 0"),
        ("/network/norm_eps", json!(-1.0), "network.norm_eps = -1"),
    ];
    let stack: &[(&str, Value, &str)] = &[
        ("/network/channels", json!([3, 1u64 << 62]), "units, at most"),
        ("/network/channels", json!([]), "network.channels = []"),
        ("/network/channels", json!(vec![1; 1000]), "blocks in a file of"),
        ("/network/kernel", huge.clone(), "network.kernel"),
        ("/network/kernel", json!(4), "network.kernel = 4"),
        ("/network/last_kernel", json!(0), "network.last_kernel = 0"),
        ("/network/frequencies", huge.clone(), "units, at most"),
        ("/network/time_width", json!(0), "network.time_width = 0"),
        ("/network/time_depth", huge.clone(), "blocks in a file of"),
        ("/time_input", json!("untold"), ""),
    ];
    let layer_norm: &[(&str, Value, &str)] = &[
        ("/network/channels", json!([2, 1u64 << 62]), "units, at most"),
        ("/network/channels", json!([2]), "odd number"),
        ("/network/channels", json!([2, 2, 2]), "odd number"),
        ("/network/channels", json!(vec![1; 17]), "1 to 16 levels"),
        ("/network/mid_channels", huge.clone(), "units, at most"),
        ("/network/times", huge.clone(), "units, at most"),
        ("/network/times", json!(2), "is no noise level"),
        ("/network/time_width", json!(3), "network.time_width = 3"),
        ("/time_input", json!({ "time": { "scale": 2.6 } }), "is no noise level"),
    ];
    for (kind, cases) in [mlp, unet, rms, adagn, refinenet, hourglass, stack, layer_norm].into_iter().enumerate() {
        let parts = Parts::of(&good(kind));
        for (place, value, word) in cases {
            let mut parts = parts.clone();
            let mut description = parts.description();
            let (parent, key) = place.rsplit_once('/').unwrap();
            let parent = description.pointer_mut(parent).unwrap();
            match parent {
                Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
                object => object[key] = value.clone(),
            }
            parts.set_description(&description);
            if word.is_empty() {
                // Strange but possible: it may load, it may not panic.
                let folder = tempfile::tempdir().unwrap();
                let _ = load(folder.path(), &parts.bytes());
            } else {
                refused(&parts.bytes(), &["the description in the file is wrong", word]);
            }
        }
    }
}

/// Every number of a description, wherever it stands.
fn numbers(value: &mut Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(k, v)| numbers(v, &format!("{path}/{k}"), out)),
        Value::Array(list) => list.iter_mut().enumerate().for_each(|(i, v)| numbers(v, &format!("{path}/{i}"), out)),
        Value::Number(_) => out.push(path.to_owned()),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any few bytes changed anywhere, most of them in the header: an answer, never a panic.
    #[test]
    fn changed_bytes_never_panic(kind in 0..KINDS, changes in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..6)) {
        let mut bytes = good(kind);
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for (place, byte) in changes {
            let span = if byte % 4 == 0 { bytes.len() } else { 8 + header };
            bytes[(place * span as f64) as usize] = byte;
        }
        let folder = tempfile::tempdir().unwrap();
        if let Err(error) = load(folder.path(), &bytes) {
            prop_assert!(error.to_string().contains("hostile.safetensors"), "{error}");
        }
    }

    /// Any number of the description replaced by another: an answer, never a panic.
    #[test]
    fn changed_numbers_never_panic(
        kind in 0..KINDS,
        place in 0.0f64..1.0,
        value in prop_oneof![
            (0u64..200).prop_map(|v| json!(v)),
            any::<u64>().prop_map(|v| json!(v)),
            any::<i64>().prop_map(|v| json!(v)),
            any::<f64>().prop_map(|v| json!(v)),
        ],
    ) {
        let mut parts = Parts::of(&good(kind));
        let mut description = parts.description();
        let mut places = Vec::new();
        numbers(&mut description, "", &mut places);
        let at = &places[(place * places.len() as f64) as usize];
        *description.pointer_mut(at).unwrap() = value;
        parts.set_description(&description);
        let folder = tempfile::tempdir().unwrap();
        if let Err(error) = load(folder.path(), &parts.bytes()) {
            prop_assert!(error.to_string().contains("hostile.safetensors"), "{at}: {error}");
        }
    }
}
