//! There and back: the weights bit for bit, the description.

use crate::models::{attentive, model, plain, skips};
use scorefield_model::export::{self, ExportError};
use scorefield_model::import::{Checkpoint, Given, Layout};
use scorefield_model::{Model, ModelMeta, Weights};
use scorefield_nn::{NetworkConfig, UNetConfig};
use scorefield_process::{Denoiser, ProcessConfig, ProcessExt};
use scorefield_tensor::{batch, rows};
use serde_json::Value;
use std::path::Path;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Writes and reads; the weights have to come back bit for bit.
#[track_caller]
fn there_and_back(before: &Model, folder: &Path) -> Model {
    let written = export::diffusers(before, folder).unwrap_or_else(|e| panic!("{e}"));
    let found = Checkpoint::open(folder, Given::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((found.layout(), found.tensors().len()), (Layout::Diffusers, written.tensors));
    assert!(found.tensors().iter().all(|t| t.dtype.eq_ignore_ascii_case("f32")));
    assert!(found.notes().is_empty(), "{:?}", found.notes());
    let after = found.model(Weights::Ema, &Default::default()).unwrap();
    assert_eq!(after.weights().to_host(), before.weights().to_host());
    after
}

#[test]
fn weights_and_description_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for (name, meta) in [("plain", plain()), ("attentive", attentive()), ("skips", skips())] {
        let path = folder.path().join(name);
        let after = there_and_back(&model(&meta, 1), &path);
        assert_eq!(after.meta(), &meta, "{name}");
        // The folder stands for a model wherever a model may stand, and nothing else is left beside it.
        assert_eq!(Model::load(&path, Weights::Ema, &Default::default()).unwrap().meta(), &meta);
    }
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["attentive", "plain", "skips"]);
}

/// What the library reads, by its own keys.
#[test]
fn the_files_say_what_the_library_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    export::diffusers(&model(&plain(), 1), &path("p")).unwrap();
    export::diffusers(&model(&attentive(), 1), &path("a")).unwrap();
    export::diffusers(&model(&skips(), 1), &path("s")).unwrap();

    let index = json(&path("p/model_index.json"));
    assert_eq!(index["_class_name"], "DDPMPipeline");
    assert_eq!(index["unet"], serde_json::json!(["diffusers", "UNet2DModel"]));
    let unet = json(&path("p/unet/config.json"));
    assert_eq!(unet["block_out_channels"], serde_json::json!([8, 12, 16]));
    assert_eq!(unet["down_block_types"], serde_json::json!(["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"]));
    assert_eq!(unet["up_block_types"], serde_json::json!(["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]));
    assert_eq!((&unet["sample_size"], &unet["freq_shift"]), (&serde_json::json!([8, 12]), &1.into()));
    assert_eq!((&unet["downsample_padding"], &unet["time_embedding_dim"]), (&0.into(), &16.into()));
    assert_eq!(unet["attn_norm_num_groups"], Value::Null);

    let (unet, scheduler) = (json(&path("a/unet/config.json")), json(&path("a/scheduler/scheduler_config.json")));
    assert_eq!((&unet["attn_norm_num_groups"], &unet["attention_head_dim"]), (&8.into(), &Value::Null));
    assert_eq!((&unet["out_channels"], &unet["num_class_embeds"]), (&2.into(), &5.into()));
    assert_eq!(scheduler["variance_type"], "learned_range");
    assert_eq!((&scheduler["clip_sample"], &scheduler["rescale_betas_zero_snr"]), (&false.into(), &true.into()));

    assert_eq!(json(&path("s/model_index.json"))["_class_name"], "ScoreSdeVePipeline");
    let scheduler = json(&path("s/scheduler/scheduler_config.json"));
    assert_eq!((&scheduler["snr"], &scheduler["num_train_timesteps"]), (&0.16.into(), &1000.into()));

    // Attention's maps are matrices, other maps of one pixel convolutions; metadata are those of any file of PyTorch.
    let tensors = Checkpoint::open(&path("p"), Given::default()).unwrap().tensors();
    let shape = |name: &str| tensors.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("{name}")).shape.clone();
    assert_eq!(shape("mid_block.attentions.0.to_q.weight"), [16, 16]);
    assert_eq!(shape("down_blocks.1.resnets.0.conv_shortcut.weight"), [12, 8, 1, 1]);
    let bytes = std::fs::read(path("p/unet/diffusion_pytorch_model.safetensors")).unwrap();
    let head = String::from_utf8_lossy(&bytes[8..8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize]).into_owned();
    assert_eq!(serde_json::from_str::<Value>(&head).unwrap()["__metadata__"], serde_json::json!({ "format": "pt" }));
}

/// Descriptions that say the same in other words come back as the usual ones, and the function stays.
#[test]
fn other_words_for_the_same_function() {
    let folder = tempfile::tempdir().unwrap();
    let with = |change: &dyn Fn(&mut UNetConfig)| {
        let mut meta = plain();
        let NetworkConfig::UNet(network) = &mut meta.network else { panic!("a U-Net") };
        (network.channel_mult, network.head_channels) = (vec![1.0, 2.0, 2.0], None);
        change(network);
        meta
    };
    let groups = |n: &mut UNetConfig| (n.groups, n.group_width) = (4, 2);
    let heads = |n: &mut UNetConfig| n.heads = 4;
    for (i, (meta, head)) in [(with(&groups), None), (with(&heads), Some(4))].into_iter().enumerate() {
        let before = model(&meta, 7);
        let after = there_and_back(&before, &folder.path().join(i.to_string()));
        let NetworkConfig::UNet(network) = &after.meta().network else { panic!("a U-Net") };
        assert_eq!((network.groups, network.group_width, network.head_channels), (4, 1, head));
        let x = batch((0..2 * before.dim()).map(|i| (i as f32 * 0.7).sin()).collect(), 2, &Default::default());
        let call = |m: &Model| rows(m.denoiser(None).denoise(&x, 31.0));
        assert_eq!(call(&before), call(&after));
    }
}

/// Tables that the library has no name for are written rate by rate; every table is the same at each of its times.
#[test]
fn every_table_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut tables = 0;
    for process in ProcessConfig::named() {
        let Some(table) = process.discrete().unwrap() else { continue };
        for zero in [false, true] {
            let mut said = serde_json::to_value(&process).unwrap();
            if zero && said.get("zero_terminal_snr").is_none() {
                continue;
            }
            if zero {
                said["zero_terminal_snr"] = true.into();
            }
            let process: ProcessConfig = serde_json::from_value(said).unwrap();
            let prediction = scorefield_process::Prediction::Velocity;
            let meta = ModelMeta { process, prediction, ..plain() };
            let after = there_and_back(&model(&meta, 1), &folder.path().join(tables.to_string()));
            let (before, steps) = (meta.process.build().unwrap(), table.alpha_bar().len());
            for t in (0..steps).map(|t| t as f64) {
                let (a, b) = (before.at(t).alpha, after.process().at(t).alpha);
                assert!((a - b).abs() < 1e-12, "{:?} at {t}: {a} {b}", meta.process);
            }
            tables += 1;
        }
    }
    assert_eq!(tables, 23);
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    std::fs::write(&there, "a text").unwrap();
    let error = export::diffusers(&model(&plain(), 1), &there).unwrap_err();
    assert!(matches!(error, ExportError::Exists { .. }) && error.to_string().contains("there"), "{error}");
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "a text");
    let error = export::diffusers(&model(&plain(), 1), folder.path()).unwrap_err();
    assert!(matches!(error, ExportError::Exists { .. }), "{error}");
}

/// Folders of the library itself come back as they were.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn folders_of_the_library_come_back() {
    let shared = scorefield_testkit::reference();
    let folder = tempfile::tempdir().unwrap();
    let fixtures: [(&str, &[&str]); 5] = [
        ("ddpm_cifar10", &[]),
        ("ddpm_legacy_flat", &[]),
        ("class_cond", &[]),
        ("class_cond_plain", &["image_size=16x24"]),
        ("ncsnpp_ve", &[]),
    ];
    for (name, given) in fixtures {
        let path = shared.join("fixtures/checkpoints/diffusers").join(name);
        let original = Checkpoint::open(&path, Given::parse(given).unwrap()).unwrap();
        let before = original.model(Weights::Ema, &Default::default()).unwrap();
        let copy = folder.path().join(name);
        let after = there_and_back(&before, &copy);
        assert_eq!(after.meta(), before.meta(), "{name}");
        if name == "ddpm_legacy_flat" {
            continue;
        }
        // Of the original, the tensors by name and shape, and every key that decides the network.
        let key = |t: scorefield_model::TensorEntry| (t.name, t.shape);
        let tensors = |c: &Checkpoint| c.tensors().into_iter().map(key).collect::<std::collections::BTreeMap<_, _>>();
        assert_eq!(tensors(&original), tensors(&Checkpoint::open(&copy, Given::default()).unwrap()), "{name}");
        let (mut theirs, mut ours) = (json(&path.join("unet/config.json")), json(&copy.join("unet/config.json")));
        for value in [&mut theirs, &mut ours] {
            // The same number as a whole one or not; a size that was given from outside.
            for number in ["dropout", "mid_block_scale_factor", "norm_eps"] {
                value[number] = value[number].as_f64().into();
            }
            value.as_object_mut().unwrap().remove("sample_size");
        }
        assert_eq!(theirs, ours, "{name}");
    }
}
