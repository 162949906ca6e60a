//! Broken and hostile checkpoints: an error that names the file and the fault, never a panic.

use crate::committed::all;
use scorefield_model::import::{Checkpoint, Given};
use scorefield_model::{Model, Weights};
use scorefield_testkit::Random;
use std::path::Path;
use std::time::{Duration, Instant};

/// Opens a checkpoint and reads its weights; an error names the file.
fn read(path: &Path, given: &[&str]) -> Result<(), String> {
    let began = Instant::now();
    let found = Checkpoint::open(path, Given::parse(given).unwrap());
    let result = match found {
        Err(e) => Err(e.to_string()),
        Ok(found) => found.params(Weights::Ema, &Default::default()).map(|_| ()).map_err(|e| e.to_string()),
    };
    let seconds = began.elapsed();
    assert!(seconds < Duration::from_secs(2), "{}: {seconds:?}", path.display());
    if let Err(e) = &result {
        // Of a sharded one, the shard, by whatever name the index gives; of what a person said, the flag.
        let folder = path.parent().unwrap().to_str().unwrap();
        assert!(e.contains(folder) || e.contains("--set"), "{e}");
    }
    result
}

/// A copy of a checkpoint's folder, and its file in it.
fn copy(path: &Path, folder: &Path) -> std::path::PathBuf {
    let name = path.file_name().unwrap();
    for beside in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let beside = beside.unwrap().path();
        if beside.is_file() && beside.file_name() != Some("io.safetensors".as_ref()) {
            std::fs::copy(&beside, folder.join(beside.file_name().unwrap())).unwrap();
        }
    }
    folder.join(name)
}

/// Cut short anywhere, and bytes changed in what describes the tensors: mostly refused, never a panic, never slow. Minutes of the same with
/// `SCOREFIELD_FUZZ_SECONDS`.
#[test]
fn cut_and_changed_files() {
    let seconds: u64 = std::env::var("SCOREFIELD_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seconds);
    let mut cases = 0;
    for (_, _, path, given) in all().filter(|(_, _, path, _)| path.is_file()) {
        let folder = tempfile::tempdir().unwrap();
        let victim = copy(&path, folder.path());
        let good = std::fs::read(&victim).unwrap();
        // Pickles stand at the beginning, headers of safetensors too; a zip's directory at the end.
        let described = good.len().min(60_000);
        let began = Instant::now();
        let mut round = 0;
        while round < 24 || began.elapsed() < Duration::from_secs(seconds) {
            let mut bytes = good.clone();
            match round % 3 {
                0 => bytes.truncate(random.below(good.len())),
                1 => {
                    for _ in 0..1 + random.below(4) {
                        let at = random.below(described);
                        bytes[at] ^= 1 << random.below(8);
                    }
                }
                _ => {
                    let at = good.len() - 1 - random.below(described);
                    bytes[at] = random.below(256) as u8;
                }
            }
            std::fs::write(&victim, &bytes).unwrap();
            let _ = read(&victim, given);
            round += 1;
        }
        cases += round;
        std::fs::write(&victim, &good[..good.len() / 2]).unwrap();
        assert!(read(&victim, given).is_err(), "{}: half a file", path.display());
    }
    assert!(cases >= 24 * 12);
}

/// Any value of any configuration replaced by another: an answer, never a panic, never slow.
#[test]
fn changed_configurations() {
    const VALUES: [&str; 16] = [
        "0",
        "1",
        "-1",
        "2",
        "7",
        "1000000",
        "1e300",
        "18446744073709551615",
        "0.5",
        "null",
        "true",
        "\"\"",
        "\"none\"",
        "[]",
        "[1,2,3]",
        "{}",
    ];
    let seconds: u64 = std::env::var("SCOREFIELD_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut random = Random(0xD1B5_4A32_D192_ED03 ^ seconds);
    for (_, _, path, given) in all() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, configurations) = if path.is_dir() {
            for part in ["unet", "scheduler"] {
                std::fs::create_dir(folder.path().join(part)).unwrap();
                for file in std::fs::read_dir(path.join(part)).unwrap() {
                    let file = file.unwrap().path();
                    std::fs::copy(&file, folder.path().join(part).join(file.file_name().unwrap())).unwrap();
                }
            }
            (folder.path().to_owned(), vec!["unet/config.json", "scheduler/scheduler_config.json"])
        } else {
            (copy(&path, folder.path()), vec!["config.json", "flags.json", "ema.safetensors.index.json"])
        };
        let present: Vec<_> = configurations.iter().map(|c| folder.path().join(c)).filter(|c| c.is_file()).collect();
        if present.is_empty() {
            continue;
        }
        let began = Instant::now();
        let mut round = 0;
        while round < 60 || began.elapsed() < Duration::from_secs(seconds) {
            let file = &present[random.below(present.len())];
            let good = std::fs::read_to_string(file).unwrap();
            let mut document: serde_json::Value = serde_json::from_str(&good).unwrap();
            for _ in 0..1 + random.below(2) {
                let mut places = Vec::new();
                pointers(&document, String::new(), &mut places);
                let place = &places[random.below(places.len())];
                let value = serde_json::from_str(VALUES[random.below(VALUES.len())]).unwrap();
                *document.pointer_mut(place).unwrap() = value;
            }
            std::fs::write(file, document.to_string()).unwrap();
            let result = Checkpoint::open(&victim, Given::parse(given).unwrap());
            // What is understood can be asked.
            if let Ok(model) = result.map(|found| found.model(Weights::Ema, &Default::default())) {
                let model = model.unwrap();
                let rows = scorefield_tensor::batch(vec![0.5; model.dim()], 1, &Default::default());
                let _ = scorefield_process::Denoiser::denoise(&model.denoiser(None), &rows, model.process().span().at(0.5));
            }
            std::fs::write(file, good).unwrap();
            round += 1;
        }
    }
}

/// The places of a document's values.
fn pointers(value: &serde_json::Value, place: String, places: &mut Vec<String>) {
    if !place.is_empty() {
        places.push(place.clone());
    }
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    if let Some(map) = value.as_object() {
        map.iter().for_each(|(key, v)| pointers(v, format!("{place}/{}", escaped(key)), places));
    }
    if let Some(list) = value.as_array() {
        list.iter().enumerate().for_each(|(i, v)| pointers(v, format!("{place}/{i}"), places));
    }
}

/// Configurations that lie: each is refused by a message with the word.
#[test]
fn lying_configurations() {
    let (_, _, path, _) = all().next().unwrap();
    let lies: [(&str, &str, &str); 12] = [
        ("\"layers_per_block\": 1", "\"layers_per_block\": 2", "missing"),
        ("\"layers_per_block\": 1", "\"layers_per_block\": 1000000", "blocks in a file of"),
        ("\"layers_per_block\": 1", "\"layers_per_block\": -1", "layers_per_block = -1"),
        ("\"act_fn\": \"silu\"", "\"act_fn\": \"mish\"", "act_fn"),
        ("\"AttnDownBlock2D\",\n    \"AttnDownBlock2D\"", "\"AttnDownBlock2D\",\n    \"KDownBlock2D\"", "KDownBlock2D"),
        ("\"in_channels\": 1", "\"in_channels\": 3", "channels in"),
        ("\"norm_num_groups\": 16", "\"norm_num_groups\": 7", "attn_norm_num_groups"),
        ("\"sample_size\": 16", "\"sample_size\": 0", "sample_size"),
        ("\"sample_size\": 16", "\"sample_size\": null", "image_size"),
        ("\"num_class_embeds\": 10", "\"num_class_embeds\": null", "unexpected"),
        ("\"num_class_embeds\": 10", "\"num_class_embeds\": 11", "another shape"),
        ("\"freq_shift\": 0", "\"freq_shift\": 0.5", "freq_shift"),
    ];
    let config = std::fs::read_to_string(path.join("unet/config.json")).unwrap();
    for (from, to, word) in lies {
        let folder = tempfile::tempdir().unwrap();
        let unet = folder.path().join("unet");
        std::fs::create_dir(&unet).unwrap();
        let weights = "diffusion_pytorch_model.safetensors";
        std::fs::copy(path.join("unet").join(weights), unet.join(weights)).unwrap();
        let changed = config.replace(from, to);
        assert_ne!(changed, config, "{from} is not in the configuration");
        std::fs::write(unet.join("config.json"), changed).unwrap();
        let error = Checkpoint::open(folder.path(), Given::default()).map(|_| ()).expect_err(to).to_string();
        assert!(error.contains(word), "{to}: `{word}` is not in: {error}");
    }
}

/// What has to be said is asked for all at once, by that project's names; what contradicts the file or is no key is refused.
#[test]
fn what_has_to_be_said() {
    let find = |name: &str| all().find(|(_, _, path, _)| path.to_str().unwrap().contains(name)).unwrap().2;
    let bare = find("unet.pt");
    let needs = read(&bare, &[]).unwrap_err();
    for word in ["image_size", "objective", "beta_schedule", "--set"] {
        assert!(needs.contains(word), "`{word}` is not in: {needs}");
    }
    let fine = ["image_size=16", "objective=pred_v", "beta_schedule=sigmoid"];
    read(&bare, &fine).unwrap();
    let with = |more: &'static str| read(&bare, &[&fine[..], &[more]].concat()).unwrap_err();
    assert!(with("objectiv=pred_v").contains("no such key"));
    assert!(with("image_size=big").contains("image_size"));
    let openai = find("ema.safetensors.index.json");
    read(&openai, &["num_res_blocks=1"]).unwrap();
    let contradiction = read(&openai, &["num_res_blocks=2"]).unwrap_err();
    assert!(contradiction.contains("num_res_blocks = 2") && contradiction.contains("shapes"), "{contradiction}");
    assert!(read(&openai, &["noise_schedule=quadratic"]).unwrap_err().contains("linear or cosine"));
}

/// Tensors that are missing, left over or of another shape are listed; a file of no layout is told the nearest.
#[test]
fn missing_and_unexpected_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let write = |names: &[&str]| {
        let tensors: Vec<_> = names.iter().map(|n| ((*n).to_owned(), vec![2], [0.5f32, 1.5].as_slice())).collect();
        let header: Vec<String> = tensors
            .iter()
            .enumerate()
            .map(|(i, (n, _, _))| format!("{n:?}:{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[{},{}]}}", 8 * i, 8 * i + 8))
            .collect();
        let header = format!("{{{}}}", header.join(","));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        tensors.iter().for_each(|(_, _, v)| v.iter().for_each(|x| bytes.extend(x.to_le_bytes())));
        std::fs::write(&path, bytes).unwrap();
    };
    write(&["input_blocks.0.0.weight", "middle_block.0.in_layers.0.weight"]);
    let unknown = read(&path, &[]).unwrap_err();
    for word in ["no layout that is known", "openai", "time_embed.0.weight", "diffusers", "ncsnv2"] {
        assert!(unknown.contains(word), "`{word}` is not in: {unknown}");
    }
    write(&["weight", "bias"]);
    assert!(read(&path, &[]).unwrap_err().contains("nearest is none"));

    // A model of ours with a network's weights from elsewhere: the loader names what differs.
    let (_, _, edm, _) = all().find(|(_, _, p, _)| p.to_str().unwrap().contains("iddpm")).unwrap();
    let found = Checkpoint::open(&edm, Given::default()).unwrap();
    assert!(found.params(Weights::Raw, &Default::default()).unwrap_err().to_string().contains("averaged weights only"));
    assert!(
        Model::load(folder.path(), Weights::Ema, &Default::default())
            .unwrap_err()
            .to_string()
            .contains("folder that diffusers wrote")
    );
}
