//! What is written is read: every number of the weights, every number of the description.

mod common;

use common::{every_kind, meta, model, pictures, small_mlp, small_unet, vectors};
use scorefield_model::{LearnedVariance, Model, ModelError, Weights};
use scorefield_nn::{MlpConfig, NetworkConfig, Params};
use scorefield_process::{Denoiser, ProcessExt, StepVariance};
use scorefield_tensor::{batch, rows};

/// Both sets of weights and the description come back bit for bit, for a network of each kind.
#[test]
fn weights_and_description_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let device = Default::default();
    for meta in every_kind() {
        let (ema, raw) = (model(&meta, 1), model(&meta, 2));
        let path = folder.path().join("model.safetensors");
        ema.save(&path, Some(raw.weights())).unwrap();

        for (which, expected) in [(Weights::Ema, &ema), (Weights::Raw, &raw)] {
            let found = Model::load(&path, which, &device).unwrap();
            assert_eq!(found.meta(), &meta);
            assert_eq!(found.weights().to_host(), expected.weights().to_host());
            assert_eq!(found.dim(), meta.codec.shape().len());
        }
        // A run folder stands for the model in it, and a description is read without weights.
        assert_eq!(Model::load(folder.path(), Weights::Ema, &device).unwrap().meta(), &meta);
        let inspection = Model::inspect(folder.path()).unwrap();
        assert_eq!(inspection.meta, meta);
        assert_eq!(inspection.path, path);
        let names: Vec<_> = ema.network().params().iter().map(|s| s.name.clone()).collect();
        let expected: Vec<_> = ["ema", "raw"].iter().flat_map(|p| names.iter().map(move |n| format!("{p}.{n}"))).collect();
        assert_eq!(inspection.tensors.iter().map(|t| t.name.clone()).collect::<Vec<_>>(), expected);
        assert!(inspection.tensors.iter().all(|t| t.dtype == "f32"));
    }
}

/// A loaded model is the same function, with and without classes.
#[test]
fn a_loaded_model_is_the_same_function() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let meta = meta(&pictures(), small_unet());
    let before = model(&meta, 3);
    before.save(&path, None).unwrap();
    let after = Model::load(&path, Weights::Ema, &Default::default()).unwrap();
    let x = batch((0..32).map(|i| (i as f32).sin()).collect(), 2, &Default::default());
    for classes in [None, Some(vec![Some(2), None])] {
        let call = |m: &Model| rows(m.denoiser(classes.clone()).denoise(&x, 0.4));
        assert_eq!(call(&before), call(&after));
    }
    let told = |class| rows(after.denoiser(Some(vec![class; 2])).denoise(&x, 0.4));
    assert_ne!(told(Some(0)), told(Some(1)));
}

/// `D(x; t) = c_skip x + c_out F(c_in x, c_noise)`, each factor from its formula in Karras et al. 2022, table 1.
#[test]
fn the_denoiser_is_its_formula() {
    let meta = meta(&vectors(), small_mlp());
    let model = model(&meta, 5);
    let (t, x, d) = (0.3, [0.4f32, -1.5], 1.0 / 3.0);
    let m = model.process().at(t);
    let variance = m.alpha * m.alpha * d * d + m.sigma * m.sigma;
    let input = batch(x.iter().map(|v| (f64::from(*v) / variance.sqrt()) as f32).collect(), 1, &Default::default());
    let output = rows(model.output(input, t, None));
    let found = rows(model.denoiser(None).denoise(&batch(x.to_vec(), 1, &Default::default()), t));
    for i in 0..2 {
        let expected = m.alpha * d * d / variance * f64::from(x[i]) + m.sigma * d / variance.sqrt() * f64::from(output[i]);
        assert!((f64::from(found[i]) - expected).abs() < 1e-6, "{} {expected}", found[i]);
    }
}

#[test]
fn a_model_without_raw_weights_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    model(&meta(&vectors(), small_mlp()), 0).save(&path, None).unwrap();
    let error = Model::load(&path, Weights::Raw, &Default::default()).unwrap_err();
    assert!(matches!(error, ModelError::NoRaw { .. }));
    assert!(error.to_string().contains("m.safetensors") && error.to_string().contains("--raw"), "{error}");
    let error = Model::load(folder.path(), Weights::Ema, &Default::default()).unwrap_err();
    assert!(matches!(error, ModelError::NoModel { .. }), "{error}");
}

/// Weights that are no numbers never replace a good file.
#[test]
fn weights_that_are_not_finite_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let meta = meta(&vectors(), small_mlp());
    let good = model(&meta, 0);
    good.save(&path, None).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mut host = good.weights().to_host();
    host[3][1] = f32::NAN;
    let bad = scorefield_nn::Params::from_host(good.network().params(), host, &Default::default()).unwrap();
    let error = good.save(&path, Some(&bad)).unwrap_err();
    let name = format!("raw.{}", good.network().params()[3].name);
    assert!(error.to_string().contains(&name) && error.to_string().contains("NaN at entry 1"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// A learned variance is said in the file and given by the denoiser, as the place of the network's second half; a file whose network
/// and description disagree is refused, and one from before the field opens.
#[test]
fn a_learned_variance_is_said_and_given() {
    let data = vectors();
    let config =
        |learned_variance| NetworkConfig::Mlp(MlpConfig { hidden: 8, depth: 1, learned_variance, ..MlpConfig::default() });
    let mut described = meta(&data, config(true));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let network = config(true).build(&[2]).unwrap();
    let device = Default::default();
    let weights = Params::init(network.params(), 3, &device);
    described.variance = Some(LearnedVariance::Blend);
    Model::new(described.clone(), weights.clone()).unwrap().save(&path, None).unwrap();
    let model = Model::load(&path, Weights::Ema, &device).unwrap();
    let x = batch(vec![0.3, -0.2, 1.0, 0.5], 2, &device);
    let (clean, nu) = model.denoiser(None).denoise_with_variance(&x, 0.4);
    assert_eq!(rows(clean), rows(model.denoiser(None).denoise(&x, 0.4)));
    // The last layer starts at zero: half way between the logarithms.
    let Some(StepVariance::Between(nu)) = nu else { panic!("{nu:?}") };
    assert_eq!(rows(nu), [0.5; 4]);

    described.variance = None;
    Model::new(described, weights).unwrap().save(&path, None).unwrap();
    let refused = Model::load(&path, Weights::Ema, &device).unwrap_err().to_string();
    assert!(refused.contains("learned_variance is true"), "{refused}");
    let plain = Params::init(config(false).build(&[2]).unwrap().params(), 3, &device);
    Model::new(meta(&data, config(false)), plain).unwrap().save(&path, None).unwrap();
    assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("\"variance"), "old files have no such field");
    assert!(Model::load(&path, Weights::Ema, &device).unwrap().denoiser(None).denoise_with_variance(&x, 0.4).1.is_none());
}
