//! A small model with every kind of number in its description.

use scorefield_data::{Codec, Dataset, Shape};
use scorefield_model::{DataSummary, FORMAT, Model, ModelMeta, NetworkInput, SamplingDefaults, TrainingSummary};
use scorefield_nn::{
    AdaGnUNetConfig, BumpsConfig, ConvStackConfig, HourglassAttention, HourglassConfig, HourglassLevel, LayerNormUNetConfig,
    MlpConfig, MultiScaleConfig, NetworkConfig, Params, PerceptronConfig, RbfConfig, RefineNetConfig, RmsUNetConfig, UNetConfig,
};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};

/// The description of a network for a data set; numbers that decimal fractions do not hold exactly are among it.
pub(crate) fn meta(data: &Dataset, network: NetworkConfig) -> ModelMeta {
    ModelMeta {
        format: FORMAT,
        network,
        process: ProcessConfig::VpCosine { offset: 0.008 },
        prediction: Prediction::Edm { sigma_data: 1.0 / 3.0 },
        variance: None,
        time_input: TimeInput::QuarterLogRatio,
        states: None,
        classifier: None,
        condition: None,
        input: NetworkInput::default(),
        codec: Codec::fit(data, &Default::default()).unwrap(),
        sigma_data: 2f64.sqrt() / 3.0,
        training: TrainingSummary {
            steps: 17,
            examples: u64::MAX,
            seconds: 0.1 + 0.2,
            loss: 1e-300 / 7.0,
            ema_half_life: 30.0,
            label_dropout: 0.1,
            condition_dropout: 0.0,
            batch: 8,
            seed: 1 << 63,
            version: "0.0".into(),
        },
        data: DataSummary { name: "sét \"of\" three\n".into(), examples: 3, fingerprint: "ab".into() },
        sampling: SamplingDefaults::default(),
    }
}

/// Vectors of two numbers whose mean and deviation are no round numbers.
pub(crate) fn vectors() -> Dataset {
    Dataset::from_rows("vectors", Shape::Vector { dim: 2 }, vec![0.1, 0.7, -1.3, 2.9, 0.33, 4.1], None)
}

/// 4x4 pictures with three classes.
pub(crate) fn pictures() -> Dataset {
    let shape = Shape::Image { channels: 1, height: 4, width: 4 };
    let values = (0..48).map(|i| f32::from(i as u8) * 5.0).collect();
    Dataset::from_rows("pictures", shape, values, Some((vec![0, 1, 2], ["a", "b", "c"].map(String::from).to_vec())))
}

/// A multilayer perceptron of a few hundred numbers.
pub(crate) fn small_mlp() -> NetworkConfig {
    NetworkConfig::Mlp(MlpConfig { hidden: 6, depth: 2, time_width: 4, ..MlpConfig::default() })
}

/// A U-Net of a few thousand numbers with classes.
pub(crate) fn small_unet() -> NetworkConfig {
    NetworkConfig::UNet(UNetConfig {
        model_channels: 4,
        channel_mult: vec![1.0, 2.0],
        blocks: 1,
        attention_levels: vec![1],
        groups: 2,
        group_width: 2,
        classes: 3,
        ..UNetConfig::default()
    })
}

/// An hourglass transformer of two levels with classes.
pub(crate) fn small_hourglass() -> NetworkConfig {
    let level = |attention| HourglassLevel { width: 8, depth: 1, head_channels: 8, attention, ..HourglassLevel::default() };
    NetworkConfig::Hourglass(HourglassConfig {
        patch: [2, 2],
        levels: vec![level(HourglassAttention::ShiftedWindow { size: 2 }), level(HourglassAttention::Neighbourhood { size: 1 })],
        mapping_width: 4,
        mapping_depth: 1,
        classes: 3,
        ..HourglassConfig::default()
    })
}

/// A description of a network of each kind: vectors for the first, pictures for the others.
pub(crate) fn every_kind() -> Vec<ModelMeta> {
    let rms = NetworkConfig::RmsUNet(RmsUNetConfig {
        model_channels: 4,
        channel_mult: vec![1, 2],
        full_attention_levels: vec![1],
        heads: 1,
        head_channels: 2,
        ..RmsUNetConfig::default()
    });
    let adagn = NetworkConfig::AdaGnUNet(AdaGnUNetConfig {
        mapping_width: 4,
        depths: vec![1, 1],
        channels: vec![4, 6],
        attention_levels: vec![1],
        head_channels: 3,
        group_width: 2,
        variance_channel: true,
        ..AdaGnUNetConfig::default()
    });
    // They know no classes, so neither may the data.
    let plain = Dataset::from_rows("plain", pictures().shape(), [0.0, 17.0, 255.0, 3.0].repeat(12), None);
    // Times from 0 to 1 become the levels 0 to 2.
    let refinenet = RefineNetConfig { model_channels: 2, channel_mult: vec![1, 2, 2], dilations: vec![1, 1, 2], noise_levels: 3 };
    let refinenet = ModelMeta { time_input: TimeInput::Time { scale: 2.0 }, ..meta(&plain, refinenet.into()) };
    let unet = meta(&pictures(), small_unet());
    let hourglass = meta(&pictures(), small_hourglass());
    let stack = ConvStackConfig { channels: vec![3, 2], kernel: 5, last_kernel: 3, frequencies: 2, time_width: 4, time_depth: 1 };
    let stack = meta(&plain, stack.into());
    // Twice an odd number of pixels a side, and a row of times for 0, 1 and 2.
    let shape = Shape::Image { channels: 1, height: 6, width: 6 };
    let odd = Dataset::from_rows("odd", shape, [0.0, 17.0, 255.0, 3.0].repeat(27), None);
    let layer_norm = LayerNormUNetConfig { channels: vec![2, 4], mid_channels: 3, times: 3, time_width: 4 };
    let layer_norm = ModelMeta { time_input: TimeInput::Time { scale: 2.0 }, ..meta(&odd, layer_norm.into()) };
    let bumps = BumpsConfig { count: 3, ..BumpsConfig::default() };
    let rbf = meta(&vectors(), RbfConfig { units: 4, bumps, ..RbfConfig::default() }.into());
    let perceptron = meta(&vectors(), PerceptronConfig { hidden: 5, depth: 2, bumps, ..PerceptronConfig::default() }.into());
    let multi_scale = MultiScaleConfig {
        channels: 3,
        layers: 1,
        scales: 2,
        dense_layers: 2,
        dense_width: 4,
        pixel_width: 3,
        bumps,
        ..MultiScaleConfig::default()
    };
    let multi_scale = meta(&plain, multi_scale.into());
    let first = [meta(&vectors(), small_mlp()), unet, meta(&plain, rms), meta(&plain, adagn), refinenet, hourglass];
    first.into_iter().chain([stack, layer_norm, rbf, perceptron, multi_scale]).collect()
}

/// A model of that description, every weight drawn from a normal so that no layer is silent.
pub(crate) fn model(meta: &ModelMeta, seed: u64) -> Model {
    let network = meta.network.build(&meta.codec.shape().dims()).unwrap();
    let loud = |spec: &scorefield_nn::ParamSpec| scorefield_nn::ParamSpec {
        init: scorefield_nn::Init::Normal { std: 0.3 },
        ..spec.clone()
    };
    let specs: Vec<_> = network.params().iter().map(loud).collect();
    Model::new(meta.clone(), Params::init(&specs, seed, &Default::default())).unwrap()
}
