//! What the benches and the side-by-side runs share: networks by name, made-up data, a trainer that only steps.
//!
//! Figures of one machine mean nothing on another, and little on the same machine an hour later: `peers.py` runs ours and the peers
//! in turn and prints ratios of medians.

use scorefield_data::{Dataset, Shape};
use scorefield_model::{DataSummary, FORMAT, Model, ModelMeta, SamplingDefaults, TrainingSummary};
use scorefield_nn::{NetworkConfig, Params, Preset};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use scorefield_tensor::Device;
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;
use scorefield_train::{Length, Objective, TimeLaw, TrainConfig, Weight};

/// The preset of a name.
///
/// # Panics
/// When there is none.
pub fn preset(name: &str) -> Preset {
    scorefield_nn::preset(name).unwrap_or_else(|| panic!("no preset {name}"))
}

/// `n` pictures of noise in the shape of a preset, as bytes.
pub fn noise_pictures(preset: &Preset, n: usize) -> Dataset {
    let &[channels, height, width] = preset.shape.as_slice() else { panic!("{} is no network for pictures", preset.name) };
    let shape = Shape::Image { channels, height, width };
    let d = shape.len();
    let values = (0..n)
        .flat_map(|i| {
            let stream = Stream::new(0, i as u64, Purpose::User, 0, 0);
            (0..d).map(move |j| (stream.word(j) & 0xFF) as f32)
        })
        .collect();
    Dataset::from_rows("noise", shape, values, None)
}

/// A run of the given network with DDPM's objective, ready to step.
pub fn config(network: NetworkConfig, batch: usize) -> TrainConfig {
    TrainConfig {
        seed: 0,
        batch,
        accumulate: 1,
        label_dropout: 0.0,
        save_seconds: 1e9,
        time_input: TimeInput::Time { scale: 999.0 },
        length: Length::Steps(1_000_000),
        prediction: Prediction::Noise,
        process: ProcessConfig::all()[0],
        objective: Objective { weight: Weight::SigmaSquared, times: TimeLaw::Uniform, stratified: false },
        optim: Default::default(),
        ema: Default::default(),
        preview: Default::default(),
        examples: Default::default(),
        network,
    }
}

/// A model of a preset with the weights it starts training from: what it computes is noise, how long it takes is not.
pub fn untrained(preset: &Preset, codec: scorefield_data::Codec) -> Model {
    let network = preset.config.build(&codec.shape().dims()).expect("presets build");
    let weights = Params::init(network.params(), 0, &Device::default());
    let meta = ModelMeta {
        format: FORMAT,
        network: preset.config.clone(),
        process: ProcessConfig::all()[4],
        prediction: Prediction::Edm { sigma_data: 0.5 },
        time_input: TimeInput::QuarterLogRatio,
        codec,
        sigma_data: 0.5,
        training: TrainingSummary::default(),
        data: DataSummary::default(),
        sampling: SamplingDefaults::default(),
    };
    Model::new(meta, weights).expect("presets make models")
}
