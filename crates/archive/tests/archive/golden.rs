//! Files that the reference projects wrote, against each other and against what is known of them.

use crate::files::{shared, walk};
use half::f16;
use scorefield_archive::{Array, Container, Dtype, Kind, open};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Arrays = BTreeMap<String, Array>;

fn checkpoints(name: &str) -> PathBuf {
    shared("fixtures/checkpoints").join(name)
}

/// The same names, and under each the same type, shape and bits.
#[track_caller]
fn same(a: &Arrays, b: &Arrays) {
    assert!(!a.is_empty());
    assert!(a.keys().eq(b.keys()), "{:?} and {:?}", a.keys(), b.keys());
    for (name, a) in a {
        let b = &b[name];
        assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()), "{name}");
        let bits = |array: &Array| array.f64().unwrap().into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(a), bits(b), "{name}");
    }
}

fn files_ending(ends: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(&checkpoints(""), &mut files);
    walk(&shared("data/ddpm_mnist_yichizz"), &mut files);
    walk(&shared("data/ddpm_mnist_fashion_brianpulfer"), &mut files);
    files.retain(|path| ends.iter().any(|end| path.to_string_lossy().ends_with(end)));
    files
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn every_file_is_read() {
    let files = files_ending(&[".pt", ".pth", ".bin", ".pkl", ".safetensors"]);
    assert!(files.len() >= 45, "{}", files.len());
    for path in &files {
        let start = std::time::Instant::now();
        let archive = open(path).unwrap_or_else(|e| panic!("{e}"));
        let arrays = archive.arrays().unwrap_or_else(|e| panic!("{e}"));
        assert!(!arrays.is_empty() && arrays.values().any(|a| a.len() > 1), "{}", path.display());
        for array in arrays.values() {
            let numbers = array.f64().unwrap();
            assert_eq!(numbers.len(), array.shape().iter().product::<usize>());
            assert!(numbers.iter().all(|x| !x.is_nan()), "{}", array.name());
        }
        let expected = match path.extension().unwrap().to_str().unwrap() {
            "safetensors" => Container::Safetensors,
            "pkl" => Container::Pickle,
            _ if path.to_string_lossy().contains("legacy_format") => Container::TorchLegacy,
            _ => Container::TorchZip,
        };
        assert_eq!(archive.container(), expected, "{}", path.display());
        assert!(start.elapsed().as_secs_f64() < 2.0, "{}", path.display());
    }
}

/// The project's own list of parameters and buffers, from NumPy's format by another reader.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn edm_pickles_hold_what_npz_holds() {
    let files = files_ending(&[".pkl"]);
    assert_eq!(files.len(), 5);
    for path in files {
        let archive = open(&path).unwrap_or_else(|e| panic!("{e}"));
        let ema = archive.root().need("ema").unwrap();
        assert!(ema.class().unwrap().ends_with("Precond"), "{:?}", ema.class());
        assert!(ema.need("sigma_data").is_ok() || !ema.class().unwrap().starts_with("EDM"));
        assert!(archive.root().need("loss_fn").unwrap().class().unwrap().ends_with("Loss"));
        let arrays = ema.arrays().unwrap();
        let mut npz = npyz::npz::NpzArchive::open(path.with_file_name("state_dict.npz")).unwrap();
        let names: Vec<String> = npz.array_names().map(str::to_owned).collect();
        assert_eq!(names.len(), arrays.len(), "{}", path.display());
        for name in names {
            let expected = npz.by_name(&name).unwrap().unwrap();
            let shape: Vec<usize> = expected.shape().iter().map(|&n| n as usize).collect();
            let array = arrays.get(&name).unwrap_or_else(|| panic!("{} lacks {name}", path.display()));
            assert_eq!((array.shape(), array.dtype()), (&shape[..], Dtype::F32), "{name}");
            let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(array.f32().unwrap()), bits(expected.into_vec().unwrap()), "{name}");
        }
    }
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn legacy_and_zip_hold_the_same() {
    let at = |name: &str| open(&checkpoints("ncsn/ncsn_mnist28").join(name)).unwrap();
    let (zip, legacy) = (at("checkpoint_10.pth"), at("checkpoint_10.legacy_format.pth"));
    same(&zip.arrays().unwrap(), &legacy.arrays().unwrap());
    let model = legacy.root().list().unwrap()[0].arrays().unwrap();
    assert!(model.keys().all(|name| name.starts_with("module.")), "{:?}", model.keys());
}

/// Tensors that share a storage are two views of it.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn lucidrains_copies_share_storages() {
    let archive = open(&checkpoints("denoising_diffusion_pytorch/unet_pred_v/model-1.pt")).unwrap();
    let root = archive.root();
    assert_eq!((root.need("step").unwrap().kind(), root.need("scaler").unwrap().is_none()), (Kind::Int, true));
    assert_eq!(root.need("version").unwrap().as_str(), Some("2.3.4"));
    let ema = root.need("ema").unwrap();
    assert_eq!(ema.need("initted").unwrap().as_bool(), Some(false));
    let model = root.need("model").unwrap().arrays().unwrap();
    let pick = |prefix: &str| -> Arrays {
        let all = ema.arrays().unwrap();
        all.into_iter().filter_map(|(name, a)| Some((name.strip_prefix(prefix)?.to_owned(), a))).collect()
    };
    same(&pick("online_model."), &model);
    let averaged = pick("ema_model.");
    assert!(averaged.keys().eq(model.keys()));
    assert!(model.iter().any(|(name, a)| a.f32().unwrap() != averaged[name].f32().unwrap()));
}

/// The averages are a list, in the order of the trainable parameters.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn score_sde_averages_are_a_list() {
    for name in ["ddpm_vp", "ddpmpp_vp_continuous", "ncsnpp_ve_continuous"] {
        let folder = checkpoints("score_sde_pytorch").join(name);
        let archive = open(&folder.join("checkpoint_1.pth")).unwrap();
        let names = std::fs::read(folder.join("ema_param_names.json")).unwrap();
        let names: serde_json::Value = serde_json::from_slice(&names).unwrap();
        let names: Vec<String> = serde_json::from_value(names.get("names").unwrap_or(&names).clone()).unwrap();
        let model = archive.root().need("model").unwrap();
        let ema = archive.root().need("ema").unwrap();
        assert!(ema.need("decay").unwrap().as_f64().is_some_and(|d| d > 0.9));
        let shadow = ema.need("shadow_params").unwrap().list().unwrap();
        assert_eq!(shadow.len(), names.len(), "{name}");
        for (shadow, parameter) in shadow.iter().zip(&names) {
            let key = if parameter.starts_with("module.") { parameter.clone() } else { format!("module.{parameter}") };
            let array = model.need(&key).unwrap().array().unwrap();
            assert_eq!(shadow.array().unwrap().shape(), array.shape(), "{name} {parameter}");
        }
        let sigmas = model.need("module.sigmas").unwrap().array().unwrap();
        let sigmas = (sigmas.dtype(), sigmas.f64().unwrap());
        assert_eq!(sigmas.0, Dtype::F64);
        assert!(sigmas.1.windows(2).all(|w| w[0] > w[1]));
        let lr = archive.root().need("optimizer").unwrap().need("param_groups").unwrap().need("0").unwrap().need("lr").unwrap();
        assert!(lr.as_f64().is_some_and(|lr| lr > 0.0), "{lr:?}");
    }
}

/// The slim file is the averaged model in half precision.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn k_diffusion_slim_files() {
    for name in ["image_v1", "image_v1_patch2_variance", "image_transformer_v2_global_mnist"] {
        let folder = checkpoints("k_diffusion").join(name);
        let full = open(&folder.join("model_00000010.pth")).unwrap();
        let slim = open(&folder.join("model_00000010.safetensors")).unwrap();
        assert!(slim.metadata()["config"].contains("model"));
        assert!(full.root().need("config").unwrap().need("model").unwrap().need("type").unwrap().as_str().is_some());
        let (full, slim) = (full.root().need("model_ema").unwrap().arrays().unwrap(), slim.arrays().unwrap());
        assert!(full.keys().eq(slim.keys()), "{name}");
        for (key, slim) in &slim {
            let rounded: Vec<f32> = full[key].f32().unwrap().into_iter().map(|x| f16::from_f32(x).to_f32()).collect();
            assert_eq!(slim.dtype(), Dtype::F16);
            assert_eq!((slim.shape(), slim.f32().unwrap()), (full[key].shape(), rounded), "{name} {key}");
        }
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn converted_files_hold_the_same() {
    let folder = shared("data/ddpm_mnist_yichizz");
    let at = |name: &str| open(&Path::new(&folder).join(name)).unwrap().arrays().unwrap();
    let original = at("ddpm_mnist_starter.pth").into_iter();
    let stripped: Arrays = original.map(|(name, a)| (name.strip_prefix("gt.").unwrap_or(&name).to_owned(), a)).collect();
    let converted = at("ddpm_mnist_starter.safetensors");
    let both: Arrays = stripped.into_iter().filter(|(name, _)| converted.contains_key(name)).collect();
    same(&both, &converted);
}
