//! Small models that diffusers can express, one of each family of its blocks.

use scorefield_data::Codec;
use scorefield_model::{DataSummary, FORMAT, LearnedVariance, Model, ModelMeta, NetworkInput, SamplingDefaults, TrainingSummary};
use scorefield_nn::{
    AttentionPlacement, DownPadding, Init, ParamSpec, Params, ProgressiveInput, ProgressiveOutput, ResampleFilter, Resampling,
    SinCos, TimeFeatures, UNetConfig,
};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};

/// What reading a folder of diffusers makes of one: every field that such a folder says is free.
pub(crate) fn meta(network: UNetConfig, shape: [usize; 3], process: ProcessConfig, prediction: Prediction) -> ModelMeta {
    let exploding = matches!(process, ProcessConfig::Ve { .. });
    let range = if exploding { [0.0, 1.0] } else { [-1.0, 1.0] };
    let sampling = |solver: &str, grid: &str, steps| SamplingDefaults { solver: solver.into(), grid: grid.into(), steps };
    ModelMeta {
        format: FORMAT,
        variance: network.learned_variance.then_some(LearnedVariance::Blend),
        network: network.into(),
        process,
        prediction,
        time_input: if exploding { TimeInput::LogRatio { factor: 1.0 } } else { TimeInput::Time { scale: 1.0 } },
        states: None,
        classifier: None,
        condition: None,
        input: NetworkInput { unscaled: exploding, centred: false },
        codec: Codec::pictures(shape, range, Vec::new()),
        sigma_data: 0.25 * (range[1] - range[0]),
        training: TrainingSummary { version: "imported from diffusers".into(), ..TrainingSummary::default() },
        data: DataSummary::default(),
        sampling: if exploding { sampling("pc:snr=0.16", "uniform", 1000) } else { sampling("ddpm", "trailing", 100) },
    }
}

/// The blocks of Ho et al. 2020.
pub(crate) fn plain() -> ModelMeta {
    let network = UNetConfig {
        model_channels: 8,
        channel_mult: vec![1.0, 1.5, 2.0],
        blocks: 1,
        attention_levels: vec![1],
        head_channels: Some(4),
        resampling: Resampling::Conv,
        down_padding: DownPadding::BottomRight,
        scale_shift: false,
        groups: 4,
        group_width: 1,
        norm_eps: 1e-6,
        time: TimeFeatures::ddpm(),
        embedding_mult: 2,
        ..UNetConfig::default()
    };
    let process = ProcessConfig::DiscreteLinear { steps: 100, beta_min: 1e-3, beta_max: 0.2, zero_terminal_snr: false };
    meta(network, [3, 8, 12], process, Prediction::Noise)
}

/// Attention everywhere, so that resampling may be in residual blocks; classes, scale and shift, a learned variance.
pub(crate) fn attentive() -> ModelMeta {
    let network = UNetConfig {
        model_channels: 8,
        channel_mult: vec![1.0, 2.0],
        blocks: 2,
        attention_levels: vec![0, 1],
        mid_attention: true,
        resampling: Resampling::Block,
        scale_shift: true,
        groups: 8,
        group_width: 1,
        dropout: 0.1,
        time: TimeFeatures::Sinusoidal { order: SinCos::CosFirst, endpoint: false, scale: 1.0 },
        classes: 5,
        learned_variance: true,
        ..UNetConfig::default()
    };
    let process = ProcessConfig::DiscreteCosine { steps: 100, offset: 0.008, clip: 0.999, zero_terminal_snr: true };
    let described = meta(network, [1, 8, 8], process, Prediction::Velocity);
    ModelMeta { input: NetworkInput { unscaled: false, centred: true }, ..described }
}

/// NCSN++.
pub(crate) fn skips() -> ModelMeta {
    let network = UNetConfig {
        model_channels: 32,
        channel_mult: vec![1.0, 1.0, 2.0],
        blocks: 1,
        attention_levels: vec![1],
        attention_placement: AttentionPlacement::LastBlock,
        attention_groups: Some(32),
        filter: ResampleFilter::Fir,
        resample_skip_conv: true,
        skip_rescale: true,
        mid_rescale: Some(false),
        progressive_input: ProgressiveInput::Skip,
        progressive_output: ProgressiveOutput::Skip,
        scale_shift: false,
        norm_eps: 1e-6,
        time: TimeFeatures::Fourier { scale: 16.0, frequency_first: false },
        ..UNetConfig::default()
    };
    meta(network, [3, 16, 16], ProcessConfig::Ve { sigma_min: 0.01, sigma_max: 50.0 }, Prediction::Score)
}

/// A model of a description, every weight drawn from a normal so that no layer is silent.
pub(crate) fn model(meta: &ModelMeta, seed: u64) -> Model {
    let network = meta.network.build(&meta.codec.shape().dims()).unwrap();
    let loud = |spec: &ParamSpec| ParamSpec { init: Init::Normal { std: 0.3 }, ..spec.clone() };
    let specs: Vec<_> = network.params().iter().map(loud).collect();
    Model::new(meta.clone(), Params::init(&specs, seed, &Default::default())).unwrap()
}
