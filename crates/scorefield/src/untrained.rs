//! Networks that have learned nothing: what they compute is noise, how long it takes is not.

use crate::data::{Codec, Dataset, Shape};
use crate::model::{
    DataSummary, FORMAT, LearnedVariance, Model, ModelError, ModelMeta, NetworkInput, SamplingDefaults, TrainingSummary,
};
use crate::nn::{NetworkConfig, Params};
use crate::process::{Prediction, ProcessConfig, TimeInput};
use crate::tensor::noise::Stream;
use crate::tensor::{Device, Purpose};
use crate::train::{Length, Objective, PreviewConfig, TimeLaw, TrainConfig, Weight};

/// `n` examples of noise in a shape, `[d]` or `[channels, height, width]`: bytes for pictures, uniform numbers for vectors.
pub fn noise(dims: &[usize], n: usize) -> Dataset {
    let shape = match *dims {
        [channels, height, width] => Shape::Image { channels, height, width },
        _ => Shape::Vector { dim: dims.iter().product() },
    };
    let d = shape.len();
    let values = (0..n).flat_map(|i| {
        let stream = Stream::new(0, i as u64, Purpose::User, 0, 0);
        (0..d).map(move |j| (stream.word(j) & 0xFF) as f32)
    });
    Dataset::from_rows("noise", shape, values.collect(), None)
}

/// A run of a network with DDPM's objective, ready to step; it never saves by itself.
pub fn config(network: NetworkConfig, batch: usize) -> TrainConfig {
    TrainConfig {
        seed: 0,
        batch,
        accumulate: 1,
        precision: Default::default(),
        label_dropout: 0.0,
        condition_dropout: 0.0,
        save_seconds: 1e9,
        time_input: TimeInput::Time { scale: 999.0 },
        length: Length::Steps(1_000_000),
        prediction: Prediction::Noise,
        process: ProcessConfig::all()[0].clone(),
        consistency: None,
        states: None,
        rates: None,
        objective: Objective::new(Weight::SigmaSquared, TimeLaw::Uniform),
        optim: Default::default(),
        ema: Default::default(),
        preview: PreviewConfig { every_seconds: 0.0, ..PreviewConfig::default() },
        examples: Default::default(),
        network,
    }
}

/// A model of a network with the weights it starts training from.
///
/// # Errors
/// When the network cannot take the codec's shape.
pub fn model(network: &NetworkConfig, codec: Codec, device: &Device) -> Result<Model, ModelError> {
    let weights = Params::init(network.build(&codec.shape().dims())?.params(), 0, device);
    let meta = ModelMeta {
        format: FORMAT,
        network: network.clone(),
        process: ProcessConfig::all()[4].clone(),
        prediction: Prediction::Edm { sigma_data: 0.5 },
        variance: network.learned_variance().then_some(LearnedVariance::Blend),
        time_input: TimeInput::QuarterLogRatio,
        states: None,
        classifier: None,
        condition: None,
        input: NetworkInput::default(),
        codec,
        sigma_data: 0.5,
        training: TrainingSummary::default(),
        data: DataSummary::default(),
        sampling: SamplingDefaults::default(),
    };
    Model::new(meta, weights)
}
