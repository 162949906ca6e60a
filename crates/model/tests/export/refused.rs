//! What diffusers cannot say is refused, all of it at once, and nothing is left on disk.

use crate::models::{attentive, model, plain, skips};
use scorefield_data::{Codec, Dataset, Shape};
use scorefield_model::export::{self, ExportError};
use scorefield_model::{ModelMeta, NetworkInput};
use scorefield_nn::{
    AttentionPlacement, ClassEmbedding, MlpConfig, NetworkConfig, ProgressiveInput, Resampling, TimeFeatures, UNetConfig,
};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};

/// The reasons against a model.
#[track_caller]
fn reasons(meta: &ModelMeta) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let error = export::diffusers(&model(meta, 1), &folder.path().join("f")).expect_err("refused");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let text = error.to_string();
    let ExportError::Cannot { layout: "diffusers", reasons } = error else { panic!("{error}") };
    assert!(reasons.iter().all(|r| text.contains(r)), "{text}");
    reasons
}

/// A single reason, with a word in it.
#[track_caller]
fn only(meta: &ModelMeta, word: &str) {
    let found = reasons(meta);
    assert!(found.len() == 1 && found[0].contains(word) && found[0].contains("expected"), "{word}: {found:?}");
}

fn changed(mut meta: ModelMeta, change: impl FnOnce(&mut UNetConfig)) -> ModelMeta {
    let NetworkConfig::UNet(network) = &mut meta.network else { panic!("a U-Net") };
    change(network);
    meta
}

#[test]
fn networks_it_does_not_have() {
    only(&changed(plain(), |n| n.skip_rescale = true), "skip_rescale");
    only(&changed(plain(), |n| n.mid_rescale = Some(true)), "mid_rescale");
    only(&changed(plain(), |n| n.resampling = Resampling::Block), "resampling");
    only(&changed(plain(), |n| n.attention_placement = AttentionPlacement::LastBlock), "attention_placement");
    only(&changed(plain(), |n| (n.head_channels, n.heads) = (None, 2)), "head");
    only(&changed(plain(), |n| (n.groups, n.group_width) = (8, 4)), "groups");
    only(&changed(plain(), |n| n.attention_groups = Some(2)), "attention_groups");
    only(&changed(plain(), |n| n.augment = true), "augment");
    only(&changed(plain(), |n| n.progressive_input = ProgressiveInput::Residual), "progressive_input");
    only(&changed(plain(), |n| n.stem_channels = Some(12)), "stem_channels");
    only(&changed(plain(), |n| n.channel_mult = vec![1.5, 1.5, 2.0]), "channel_mult");
    only(&changed(plain(), |n| n.time = TimeFeatures::Fourier { scale: 1.0, frequency_first: false }), "features of the time");
    only(&changed(attentive(), |n| n.resample_skip_conv = true), "resample_skip_conv");
    only(&changed(attentive(), |n| n.class_embedding = ClassEmbedding::Features), "class_embedding");
    only(&changed(skips(), |n| n.scale_shift = true), "scale_shift");
    only(&changed(skips(), |n| n.heads = 2), "single head");
    only(&changed(skips(), |n| n.groups = 4), "groups");
    only(&changed(skips(), |n| n.attention_groups = None), "groups");
    only(&changed(skips(), |n| n.time = TimeFeatures::Fourier { scale: 16.0, frequency_first: true }), "frequency_first");
}

/// A table only comes near to a process of continuous time, so the process is the reason although the network would do.
#[test]
fn processes_predictions_and_data_it_does_not_have() {
    let continuous = [
        ProcessConfig::VpLinear { beta_min: 0.1, beta_max: 20.0 },
        ProcessConfig::VpCosine { offset: 0.008 },
        ProcessConfig::RectifiedFlow,
        ProcessConfig::Shifted { process: Box::new(plain().process), factor: 2.0 },
    ];
    for process in continuous {
        let name = process.name();
        only(&ModelMeta { process, ..plain() }, name);
    }
    only(&ModelMeta { process: ProcessConfig::Edm { sigma_min: 0.01, sigma_max: 50.0 }, ..skips() }, "edm");
    for prediction in [Prediction::Flow, Prediction::Score, Prediction::Edm { sigma_data: 0.5 }] {
        only(&ModelMeta { prediction, ..plain() }, prediction.name());
    }
    only(&ModelMeta { prediction: Prediction::Noise, ..skips() }, "noise");
    only(&ModelMeta { input: NetworkInput::default(), ..skips() }, "unscaled");
    only(&ModelMeta { time_input: TimeInput::QuarterLogRatio, ..plain() }, "time_input");
    only(&ModelMeta { time_input: TimeInput::Time { scale: 0.5 }, ..plain() }, "time_input");
    only(&ModelMeta { time_input: TimeInput::LogRatio { factor: 0.5 }, ..skips() }, "time_input");

    only(&ModelMeta { codec: Codec::pictures([3, 8, 12], [0.0, 1.0], Vec::new()), ..plain() }, "from -1 to 1");
    only(&ModelMeta { codec: Codec::pictures([3, 9, 12], [-1.0, 1.0], Vec::new()), ..plain() }, "multiples of 4");
    only(&ModelMeta { codec: Codec::pictures([3, 16, 24], [0.0, 1.0], Vec::new()), ..skips() }, "square");
    let mut with_null = attentive();
    with_null.training.label_dropout = 0.1;
    only(&with_null, "label_dropout = 0.1");
}

#[test]
fn every_reason_is_told_at_once() {
    let ours = ModelMeta {
        process: ProcessConfig::VpCosine { offset: 0.008 },
        prediction: Prediction::Edm { sigma_data: 0.5 },
        time_input: TimeInput::QuarterLogRatio,
        ..changed(plain(), |n| (n.augment, n.skip_rescale) = (true, true))
    };
    let found = reasons(&ours);
    assert_eq!(found.len(), 5, "{found:?}");
    for word in ["vp-cosine", "prediction", "time_input", "augment", "skip_rescale"] {
        assert!(found.iter().any(|r| r.contains(word)), "{word}: {found:?}");
    }

    let data = Dataset::from_rows("vectors", Shape::Vector { dim: 2 }, vec![0.1, 0.7, -1.3, 2.9], None);
    let network = NetworkConfig::Mlp(MlpConfig { hidden: 6, depth: 1, time_width: 4, ..MlpConfig::default() });
    let found = reasons(&ModelMeta { network, codec: Codec::fit(&data, &Default::default()).unwrap(), ..plain() });
    assert!(found.len() == 1 && found[0].contains("unet"), "{found:?}");
}
