//! Settings made from the data: what is used where neither a recipe nor the caller says anything.
//!
//! The process and the objective are those of Karras et al. 2022, scaled to the data: `sigma_data` is measured, the highest noise is
//! the largest distance between two examples (Song and Ermon 2020, technique 1), and the noise levels trained on are centred half an
//! e-fold below `sigma_data`, which for the 0.5 of that paper is its own -1.2.

use scorefield_data::{Codec, Dataset, Shape, stats};
use scorefield_nn::{MlpConfig, NetworkConfig, UNetConfig};
use scorefield_process::states::{StatesConfig, Transition};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use scorefield_train::{
    EmaConfig, ExampleConfig, Length, Objective, OptimConfig, PreviewConfig, StatesLoss, StatesTraining, TimeLaw, TrainConfig,
    Weight,
};

/// What is measured on the encoded data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Root mean square of the centred data.
    pub sigma_data: f64,
    /// The largest distance between two examples.
    pub sigma_max: f64,
}

impl Measured {
    /// Measures a data set in its states.
    pub(crate) fn of(data: &Dataset, codec: &Codec) -> Self {
        let sigma_data = three_digits(stats::sigma_data(data, codec));
        // All examples alike have no distance; noise must still drown them.
        let sigma_max = three_digits(stats::max_pairwise_distance(data, codec).max(10.0 * sigma_data));
        Self { sigma_data, sigma_max }
    }
}

/// Rounded to three significant digits, to be read in a recipe.
fn three_digits(v: f64) -> f64 {
    format!("{v:.2e}").parse().unwrap_or(v)
}

/// The run for a data set of which nothing is known but itself.
pub(crate) fn config(data: &Dataset, m: Measured) -> TrainConfig {
    let shape = data.shape();
    let pictures = matches!(shape, Shape::Image { .. });
    let classes = data.classes().len();
    let Measured { sigma_data, sigma_max } = m;
    let numbers = TrainConfig {
        seed: 0,
        batch: if pictures { 64 } else { 256 },
        accumulate: 1,
        precision: Default::default(),
        label_dropout: if classes > 0 { 0.1 } else { 0.0 },
        condition_dropout: 0.0,
        save_seconds: 60.0,
        time_input: TimeInput::QuarterLogRatio,
        length: if pictures { Length::Minutes(30.0) } else { Length::Steps(8_000) },
        prediction: Prediction::Edm { sigma_data },
        process: ProcessConfig::Edm { sigma_min: 0.002, sigma_max },
        consistency: None,
        states: None,
        rates: None,
        objective: Objective {
            stratified: true,
            ..Objective::new(
                Weight::Edm { sigma_data },
                TimeLaw::LogNormal { mean: three_digits(sigma_data.ln() - 0.5), deviation: if pictures { 1.2 } else { 1.6 } },
            )
        },
        optim: OptimConfig::default(),
        ema: EmaConfig::default(),
        preview: PreviewConfig { every_seconds: if pictures { 120.0 } else { 0.0 }, ..PreviewConfig::default() },
        examples: ExampleConfig::default(),
        network: network(shape).with_classes(classes),
    };
    if (0..shape.channels()).all(|c| data.categories(c).is_none()) {
        return numbers;
    }
    // Categories are masked, in continuous time: of the discrete processes the one that learns fastest (Austin et al. 2021; Sahoo et al.
    // 2024). Numbers beside them run on a cosine, whose time is the categories'.
    TrainConfig {
        time_input: TimeInput::Time { scale: 1.0 },
        prediction: Prediction::Velocity,
        process: ProcessConfig::VpCosine { offset: 0.008 },
        objective: Objective::new(Weight::SigmaSquared, TimeLaw::Uniform),
        states: Some(StatesTraining {
            loss: StatesLoss::WeightedCrossEntropy,
            process: StatesConfig { transition: Transition::Absorbing, ..StatesConfig::default() },
        }),
        ..numbers
    }
}

/// A network for a shape, of a size that a laptop's processor trains in tens of minutes.
fn network(shape: Shape) -> NetworkConfig {
    match shape {
        Shape::Vector { dim } => {
            let hidden = if dim <= 4 { 128 } else { 256 };
            NetworkConfig::Mlp(MlpConfig { hidden, depth: 3, ..MlpConfig::default() })
        }
        Shape::Image { height, width, .. } => {
            // Halve until the picture is at most 8 wide, where attention is cheap.
            let halvings = (0..5).find(|k| height.max(width).div_ceil(1 << k) <= 8).unwrap_or(5).max(1);
            let mut channel_mult = vec![2.0; halvings + 1];
            channel_mult[0] = 1.0;
            NetworkConfig::UNet(UNetConfig {
                model_channels: 32,
                channel_mult,
                blocks: 1,
                attention_levels: vec![halvings],
                ..UNetConfig::default()
            })
        }
    }
}
