//! Every layout in a fresh clone: small files of the projects' own programs (`tests/fixtures/make.py`), their outputs, and the way to a
//! model file and back.

use crate::fixtures::{Fixture, compare, model};
use scorefield_model::import::{Checkpoint, Given, Layout};
use scorefield_model::{Model, Weights, write_tensors};
use scorefield_process::{Denoiser, ProcessExt};
use scorefield_tensor::{Batch, Coefficient, Column, rows};
use std::path::PathBuf;

/// A folder, a file in it, and what has to be said.
const FILES: [(Layout, &str, &str, &[&str]); 13] = [
    (Layout::Diffusers, "diffusers/class_cond", "", &[]),
    (Layout::Diffusers, "diffusers/class_cond", "unet/diffusion_pytorch_model.safetensors", &[]),
    (Layout::ScoreSde, "score_sde_pytorch/ddpmpp_vp_continuous", "checkpoint_1.pth", &[]),
    (Layout::Edm, "edm/edm_ncsnpp_skip", "network-snapshot-000010.pkl", &[]),
    (Layout::Edm, "edm/iddpm_adm", "network-snapshot-000010.pkl", &[]),
    (Layout::OpenAi, "openai/guided_plain_newattn", "ema.safetensors.index.json", &[]),
    (Layout::Lucidrains, "denoising_diffusion_pytorch/unet_learned_sinusoidal", "unet.pt", BARE),
    (Layout::KDiffusion, "k_diffusion/image_v1_patch2_variance", "model_00000010.pth", &[]),
    (Layout::KDiffusion, "k_diffusion/image_v1_patch2_variance", "model_00000010.safetensors", &[]),
    (Layout::KDiffusion, "k_diffusion/image_transformer_v2_global_mnist", "model_00000010.safetensors", &[]),
    (Layout::Ncsn, "ncsn/ncsn_cifar", "checkpoint_10.pth", &[]),
    (Layout::Ncsn, "ncsn/ncsn_mnist28", "checkpoint_10.legacy_format.pth", &[]),
    (Layout::NcsnV2, "ncsnv2/ncsnv2", "checkpoint_10.pth", &[]),
];

/// What a bare network of lucidrains does not say.
const BARE: &[&str] = &["image_size=16", "objective=pred_noise", "beta_schedule=cosine"];

/// Every file by its layout, folder and name.
pub(crate) fn all() -> impl Iterator<Item = (Layout, Fixture, PathBuf, &'static [&'static str])> {
    FILES.iter().map(|(layout, folder, file, given)| {
        let f = Fixture::committed(folder);
        let path = if file.is_empty() { f.folder.clone() } else { f.folder.join(file) };
        (*layout, f, path, *given)
    })
}

/// The stored output that says most of a file, and ours.
fn ours(layout: Layout, f: &Fixture, path: &std::path::Path, m: &Model) -> (Batch, Vec<f64>) {
    let x = f.batch("x");
    let output = |times: &[f64], classes: Option<Vec<_>>| m.output_each(x.clone(), times, classes.as_deref());
    match layout {
        Layout::Diffusers => (output(&f.values("t"), f.classes("class_labels")), f.values("output")),
        Layout::ScoreSde => {
            let times: Vec<f64> = f.values("labels").iter().map(|l| l / 999.0).collect();
            (output(&times, None), f.values("output_ema"))
        }
        Layout::Edm => {
            let times: Vec<f64> = f.values("sigma").iter().map(|s| m.process().time_of_ratio(*s)).collect();
            (m.output_each(f.batch("model_in_x"), &times, None), f.values("F"))
        }
        Layout::OpenAi => (output(&f.values("timesteps"), None), f.values("output")),
        Layout::Lucidrains => (output(&f.values("t"), None), f.values("output_raw")),
        Layout::KDiffusion => {
            let classes = f.classes("class_cond").map(|all| all.into_iter().map(|c| c.filter(|c| *c < 10)).collect());
            let d = if path.extension().is_some_and(|e| e == "pth") { "D_ema" } else { "D_inference_fp16file" };
            (m.denoiser(classes).denoise_each(&x, &f.values("sigma")), f.values(d))
        }
        // Trained weights of other people are not in the repository.
        Layout::HotVsCold | Layout::PapersReimplementations => unreachable!("no such file is committed"),
        Layout::Ncsn | Layout::NcsnV2 => {
            let sigmas = f.values("sigmas");
            let levels: Vec<f64> = f.values("labels").iter().map(|l| sigmas[*l as usize]).collect();
            let times: Vec<f64> = levels.iter().map(|s| m.process().time_of_ratio(*s)).collect();
            let factor = levels.iter().map(|s| if layout == Layout::Ncsn { 1.0 } else { 1.0 / s }).collect();
            let stored = if f.has("output_ema") { "output_ema" } else { "output_raw" };
            (Column(factor).scale(output(&times, None)), f.values(stored))
        }
    }
}

#[test]
fn outputs_are_those_of_the_projects() {
    for (layout, f, path, given) in all() {
        let found = Checkpoint::open(&path, Given::parse(given).unwrap()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(found.layout(), layout);
        let (y, stored) = ours(layout, &f, &path, &model(&found, Weights::Ema));
        compare(&path.display().to_string(), y, &stored, 1e-5);
    }
}

/// Imported, saved and loaded again: the same outputs bit for bit.
#[test]
fn a_model_file_keeps_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let device = Default::default();
    for (layout, f, path, given) in all() {
        let found = Checkpoint::open(&path, Given::parse(given).unwrap()).unwrap();
        let imported = model(&found, Weights::Ema);
        let file = folder.path().join("model.safetensors");
        let raw = found.has_both().then(|| found.params(Weights::Raw, &device).unwrap());
        imported.save(&file, raw.as_ref()).unwrap();
        let loaded = Model::load(&file, Weights::Ema, &device).unwrap();
        assert_eq!(loaded.meta(), imported.meta(), "{}", path.display());
        let bits = |m: &Model| rows(ours(layout, &f, &path, m).0).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&loaded), bits(&imported), "{}", path.display());
        if let Some(raw) = raw {
            let loaded = Model::load(&file, Weights::Raw, &device).unwrap();
            assert_eq!(loaded.weights().to_host(), raw.to_host());
        }
        // A checkpoint opens where a model file does, and says what it is without its weights.
        if given.is_empty() {
            let direct = Model::load(&path, Weights::Ema, &device).unwrap();
            assert_eq!(bits(&direct), bits(&imported));
            let inspected = Model::inspect(&path).unwrap();
            assert_eq!((inspected.layout, &inspected.meta), (layout.name(), imported.meta()));
        }
    }
}

/// A folder whose weights lie in two files with an index is the folder with one.
#[test]
fn sharded_weights() {
    let whole = Fixture::committed("diffusers/class_cond").folder;
    let folder = tempfile::tempdir().unwrap();
    let unet = folder.path().join("unet");
    std::fs::create_dir(&unet).unwrap();
    std::fs::copy(whole.join("unet/config.json"), unet.join("config.json")).unwrap();
    std::fs::create_dir(folder.path().join("scheduler")).unwrap();
    let scheduler = "scheduler/scheduler_config.json";
    std::fs::copy(whole.join(scheduler), folder.path().join(scheduler)).unwrap();

    let arrays = scorefield_archive::open(&whole.join("unet/diffusion_pytorch_model.safetensors")).unwrap().arrays().unwrap();
    let numbers: Vec<_> = arrays.iter().map(|(name, a)| (name.clone(), a.shape().to_vec(), a.f32().unwrap())).collect();
    let mut places = serde_json::Map::new();
    for (part, few) in numbers.chunks(numbers.len().div_ceil(2)).enumerate() {
        let file = format!("diffusion_pytorch_model-{:05}-of-00002.safetensors", part + 1);
        let tensors: Vec<_> = few.iter().map(|(name, shape, v)| (name.clone(), shape.clone(), v.as_slice())).collect();
        write_tensors(&unet.join(&file), &tensors, "").unwrap();
        few.iter().for_each(|(name, _, _)| drop(places.insert(name.clone(), file.clone().into())));
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": places });
    std::fs::write(unet.join("diffusion_pytorch_model.safetensors.index.json"), index.to_string()).unwrap();

    let [one, two] = [whole.as_path(), folder.path()].map(|f| Checkpoint::open(f, Given::default()).unwrap());
    assert_eq!(one.meta(), two.meta());
    let host = |c: &Checkpoint| c.params(Weights::Ema, &Default::default()).unwrap().to_host();
    assert_eq!(host(&one), host(&two));

    std::fs::remove_file(unet.join("diffusion_pytorch_model-00002-of-00002.safetensors")).unwrap();
    let error = Checkpoint::open(folder.path(), Given::default()).unwrap_err().to_string();
    assert!(error.contains("00002-of-00002"), "{error}");
}
