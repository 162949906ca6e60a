//! Which files of a repository a checkpoint needs.
//!
//! A repository of diffusers has `model_index.json`, which names the parts of a pipeline; the network is in the folder `unet`, its schedule
//! in `scheduler`. The first ones, and repositories of a network alone, have the files of both at the root. A network is a `config.json` and
//! its weights: safetensors before PyTorch's own format, one file or several that an index lists. Everything else (pictures, other
//! precisions, text encoders) stays where it is. The weights come last, so that a folder that has them has all.
//!
//! The same rules run over a listing from the hub and over the files of a folder: a folder is complete if nothing that they want is missing.

use crate::error::{shown, some};
use crate::{Fault, Limits, name};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Names of weights, the preferred ones first.
const WEIGHTS: [&str; 4] =
    ["diffusion_pytorch_model.safetensors", "model.safetensors", "diffusion_pytorch_model.bin", "pytorch_model.bin"];

/// Gives the bytes of a file that the plan depends on.
pub(crate) type Read<'a> = dyn FnMut(&str) -> Result<Vec<u8>, Fault> + 'a;

/// The files of the checkpoint in this listing, in the order in which they are to be fetched.
///
/// # Errors
/// If there is no checkpoint, if a part of it is missing, or if `model_index.json` or an index of shards makes no sense.
pub(crate) fn checkpoint(listing: &BTreeSet<String>, limits: &Limits, read: &mut Read<'_>) -> Result<Vec<String>, Fault> {
    let mut files = Vec::new();
    let mut scheduled = false;
    if listing.contains("model_index.json") {
        let index: BTreeMap<String, Value> = parsed("model_index.json", &read("model_index.json")?, "a JSON object")?;
        let part = |name: &str| index.get(name).and_then(|part| part.get(1)).is_some_and(Value::is_string);
        if !part("unet") {
            let parts = index.keys().map(String::as_str).filter(|key| !key.starts_with('_'));
            let found = format!("a pipeline of {}", some(parts));
            return Err(Fault::Content { file: "model_index.json".to_owned(), found, expected: "one with a `unet`" });
        }
        scheduled = part("scheduler");
        files.push("model_index.json".to_owned());
    }

    // The schedule: wanted if the pipeline has one, welcome otherwise.
    match first(listing, &["scheduler/scheduler_config.json", "scheduler_config.json"]) {
        Some(file) => files.push(file),
        None if scheduled => return Err(missing("scheduler/scheduler_config.json", listing)),
        None => {}
    }

    let config = first(listing, &["unet/config.json", "config.json"]).ok_or_else(|| {
        let missing = "unet/config.json or config.json (for a single file say hf:OWNER/NAME/FILE)";
        Fault::NoFile { missing: missing.to_owned(), found: some(listing.iter().map(String::as_str)) }
    })?;
    let folder = config.trim_end_matches("config.json").to_owned();
    files.push(config);
    weights(&folder, listing, limits, read, &mut files)?;
    Ok(files)
}

/// Adds the weights of the network in a folder (`unet/`, or nothing for the root): one file, or an index and its shards.
fn weights(
    folder: &str,
    listing: &BTreeSet<String>,
    limits: &Limits,
    read: &mut Read<'_>,
    files: &mut Vec<String>,
) -> Result<(), Fault> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    for name in WEIGHTS {
        let whole = format!("{folder}{name}");
        let index = format!("{whole}.index.json");
        if listing.contains(&whole) {
            files.push(whole);
            return Ok(());
        }
        if listing.contains(&index) {
            let map = parsed::<Index>(&index, &read(&index)?, "JSON with a `weight_map` from tensors to files")?.weight_map;
            let shards: BTreeSet<String> = map.into_values().collect();
            if shards.is_empty() {
                return Err(Fault::Content { file: index, found: "no shard".to_owned(), expected: "at least one" });
            }
            if shards.len() > limits.files {
                let what = format!("files of {index}");
                return Err(Fault::Limit { what, found: shards.len() as u64, limit: limits.files as u64 });
            }
            files.push(index);
            for shard in shards {
                name::inside(&shard).map_err(|found| Fault::Path { file: shown(&shard), found })?;
                let shard = format!("{folder}{shard}");
                if !listing.contains(&shard) {
                    return Err(missing(&shard, listing));
                }
                files.push(shard);
            }
            return Ok(());
        }
    }
    let expected: Vec<String> = WEIGHTS.iter().map(|name| format!("{folder}{name}")).collect();
    Err(missing(&expected.join(" or "), listing))
}

fn first(listing: &BTreeSet<String>, names: &[&str]) -> Option<String> {
    names.iter().find(|name| listing.contains(**name)).map(|name| (*name).to_owned())
}

fn missing(file: &str, listing: &BTreeSet<String>) -> Fault {
    Fault::NoFile { missing: shown(file), found: some(listing.iter().map(String::as_str)) }
}

fn parsed<T: for<'de> Deserialize<'de>>(file: &str, bytes: &[u8], expected: &'static str) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|e| Fault::Content { file: file.to_owned(), found: shown(&e.to_string()), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPELINE: &str =
        r#"{"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}"#;

    fn planned(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let listing = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut read = |file: &str| {
            Ok(files.iter().find(|(name, _)| *name == file).map(|(_, text)| text.as_bytes().to_vec()).unwrap_or_default())
        };
        checkpoint(&listing, &Limits { files: 3, ..Limits::default() }, &mut read).map_err(|fault| fault.to_string())
    }

    #[test]
    fn pipelines_networks_and_shards() {
        let pipeline = [
            ("README.md", ""),
            ("model_index.json", PIPELINE),
            ("scheduler/scheduler_config.json", ""),
            ("unet/config.json", ""),
            ("unet/diffusion_pytorch_model.bin", ""),
            ("unet/diffusion_pytorch_model.fp16.safetensors", ""),
            ("unet/diffusion_pytorch_model.safetensors", ""),
            ("vae/diffusion_pytorch_model.safetensors", ""),
        ];
        let expected = [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
        ];
        assert_eq!(planned(&pipeline).expect("a plan"), expected);

        let flat = [
            ("config.json", ""),
            ("diffusion_pytorch_model.bin", ""),
            ("model_index.json", PIPELINE),
            ("scheduler_config.json", ""),
        ];
        let expected = ["model_index.json", "scheduler_config.json", "config.json", "diffusion_pytorch_model.bin"];
        assert_eq!(planned(&flat).expect("a plan"), expected);

        let index = r#"{"metadata": {}, "weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}}"#;
        let i = "diffusion_pytorch_model.safetensors.index.json";
        let shards = [("config.json", ""), (i, index), ("1.safetensors", ""), ("2.safetensors", ""), ("pytorch_model.bin", "")];
        assert_eq!(planned(&shards).expect("a plan"), ["config.json", i, "1.safetensors", "2.safetensors"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let i = "diffusion_pytorch_model.safetensors.index.json";
        let cases: [(&[(&str, &str)], &str); 9] = [
            (&[], "nothing"),
            (&[("model.ckpt", "")], "model.ckpt"),
            (&[("model_index.json", "{")], "model_index.json: EOF"),
            (&[("model_index.json", r#"{"transformer": ["a", "b"]}"#)], "a pipeline of transformer"),
            (&[("model_index.json", PIPELINE), ("unet/config.json", "")], "no scheduler/scheduler_config.json"),
            (&[("config.json", "")], "no diffusion_pytorch_model.safetensors or"),
            (&[("config.json", ""), (i, r#"{"weight_map": {"a": "../x"}}"#)], "`..`"),
            (&[("config.json", ""), (i, r#"{"weight_map": {"a": "x"}}"#)], "no x;"),
            (&[("config.json", ""), (i, r#"{"weight_map": {"a": "1", "b": "2", "c": "3", "d": "4"}}"#)], "at most 3"),
        ];
        for (files, word) in cases {
            let error = planned(files).expect_err(word);
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
