//! The networks that are tested, and what they are fed.

use crate::{foreign, hourglass, refinenet, temporal};
use scorefield_nn::{
    DownPadding, Init, Input, MlpConfig, Network, NetworkConfig, ParamSpec, Params, PooledConfig, ProgressiveInput,
    ProgressiveOutput, ResampleFilter, Resampling, TimeFeatures, TrunkConfig, UNetConfig,
};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Device, Purpose, batch};

/// Small networks that together take every path of the code.
pub(crate) fn zoo() -> Vec<(&'static str, NetworkConfig, Vec<usize>)> {
    let small = UNetConfig {
        model_channels: 8,
        channel_mult: vec![1.0, 2.0],
        blocks: 1,
        attention_levels: vec![1],
        classes: 3,
        ..UNetConfig::default()
    };
    let half = UNetConfig { progressive_input: ProgressiveInput::Residual, augment: true, ..small.clone() };
    let unet = |name, shape: [usize; 3], config| (name, NetworkConfig::UNet(config), shape.to_vec());
    let mlp = MlpConfig { hidden: 16, depth: 2, time_width: 4, classes: 3, ..MlpConfig::default() };
    let mut zoo = vec![
        ("mlp", NetworkConfig::Mlp(mlp.clone()), vec![5]),
        ("energy", NetworkConfig::Mlp(MlpConfig { energy: true, ..mlp.clone() }), vec![4]),
        ("plain energy", NetworkConfig::Mlp(MlpConfig { energy: true, residual: false, ..mlp.clone() }), vec![3]),
        ("mlp of two outputs", NetworkConfig::Mlp(MlpConfig { learned_variance: true, ..mlp.clone() }), vec![3]),
        ("plain mlp", NetworkConfig::Mlp(MlpConfig { residual: false, ..mlp }), vec![3]),
        unet("blocks", [1, 6, 4], UNetConfig { heads: 2, ..small.clone() }),
        unet(
            "convolutions",
            [2, 4, 4],
            UNetConfig {
                resampling: Resampling::Conv,
                down_padding: DownPadding::BottomRight,
                scale_shift: false,
                time: TimeFeatures::ddpm(),
                learned_variance: true,
                ..small.clone()
            },
        ),
        unet(
            "residual input",
            [3, 4, 5],
            UNetConfig {
                filter: ResampleFilter::Fir,
                progressive_input: ProgressiveInput::Residual,
                skip_rescale: true,
                mid_rescale: Some(false),
                resample_skip_conv: true,
                augment: true,
                ..small.clone()
            },
        ),
        unet(
            "skip input and output",
            [1, 7, 3],
            UNetConfig {
                progressive_input: ProgressiveInput::Skip,
                progressive_output: ProgressiveOutput::Skip,
                attention_levels: vec![0],
                attention_groups: Some(8),
                mid_attention: false,
                ..small
            },
        ),
    ];
    let given = MlpConfig { hidden: 16, depth: 2, time_width: 4, condition_width: 3, ..MlpConfig::default() };
    zoo.push(("energy given a vector", NetworkConfig::Mlp(MlpConfig { energy: true, ..given.clone() }), vec![4]));
    zoo.push(("mlp given a vector", NetworkConfig::Mlp(given), vec![5]));
    zoo.push(("unet given a picture", NetworkConfig::UNet(UNetConfig { condition_channels: 2, ..half.clone() }), vec![1, 7, 5]));
    zoo.push(("unet given a vector", NetworkConfig::UNet(UNetConfig { condition_width: 3, ..half.clone() }), vec![1, 4, 6]));
    let pooled = |trunk| NetworkConfig::Pooled(PooledConfig { outputs: 4, trunk });
    let told = MlpConfig { hidden: 16, depth: 2, time_width: 4, classes: 3, ..MlpConfig::default() };
    zoo.push(("vectors to four numbers", pooled(TrunkConfig::Mlp(told)), vec![5]));
    zoo.push(("pictures to four numbers", pooled(TrunkConfig::UNet(half)), vec![2, 7, 5]));
    zoo.extend(hourglass::zoo());
    zoo.extend(foreign::zoo());
    zoo.extend(temporal::zoo());
    zoo.push(("refinenet told the level", NetworkConfig::RefineNet(refinenet::small(3)), vec![2, 6, 4]));
    zoo.push(("refinenet told nothing", NetworkConfig::RefineNet(refinenet::small(0)), vec![1, 4, 6]));
    zoo
}

/// Parameters of which none is zero: every path carries something.
pub(crate) fn params(network: &dyn Network) -> Params {
    let draw = |(i, spec): (usize, &ParamSpec)| {
        let mut values = vec![0.0f32; spec.len()];
        Stream::new(5, i as u64, Purpose::User, 0, 0).fill_normal_f32(&mut values);
        let fan = spec.shape.iter().skip(1).product::<usize>().max(1);
        let scale = if spec.shape.len() > 1 { (fan as f32).sqrt().recip() } else { 0.3 };
        let centre = match spec.init {
            Init::Ones => 1.0,
            // Attention that starts sharp is too crooked for differences and roundings of small networks.
            Init::Constant { .. } => 1.0,
            Init::Geometric { .. } => return spec.draw(0, i),
            _ => 0.0,
        };
        values.iter().map(|v| centre + scale * v).collect()
    };
    let values = network.params().iter().enumerate().map(draw).collect();
    Params::from_host(network.params(), values, &Default::default()).unwrap()
}

pub(crate) fn numbers(n: usize, d: usize, step: u32) -> Vec<f32> {
    let mut values = vec![0.0; n * d];
    let fill = |(i, row): (usize, &mut [f32])| Stream::new(6, i as u64, Purpose::User, step, 0).fill_normal_f32(row);
    values.chunks_mut(d).enumerate().for_each(fill);
    values
}

pub(crate) fn input(n: usize, network: &dyn Network, augment: bool) -> Input {
    // Tables of noise levels or times are told indices: 1, 0, 2, 1, ...
    let indices = network.params().iter().any(|s| s.name.ends_with(".table"));
    let time = (0..n).map(|i| if indices { ((2 * i + 1) % 3) as f64 } else { 0.3 * i as f64 - 0.4 }).collect();
    let classes = (network.classes() > 0).then(|| (0..n).map(|i| (i % 4 < 3).then_some((i % 4) as u32)).collect());
    let augment = augment.then(|| (0..n).map(|i| [0.1 * i as f32; 9]).collect());
    let condition = (network.condition() > 0).then(|| numbers(n, network.condition(), 2));
    Input { time, classes, augment, condition }
}

pub(crate) fn takes_augmentation(config: &NetworkConfig) -> bool {
    match config {
        NetworkConfig::Mlp(_) | NetworkConfig::RefineNet(_) => false,
        NetworkConfig::ConvStack(_) | NetworkConfig::LayerNormUNet(_) => false,
        NetworkConfig::Rbf(_) | NetworkConfig::Perceptron(_) | NetworkConfig::MultiScale(_) => false,
        NetworkConfig::UNet(c) => c.augment,
        NetworkConfig::Pooled(PooledConfig { trunk: TrunkConfig::UNet(c), .. }) => c.augment,
        NetworkConfig::Pooled(_) => false,
        NetworkConfig::Hourglass(_) => true,
        NetworkConfig::RmsUNet(_) => false,
        NetworkConfig::AdaGnUNet(c) => c.augment,
    }
}

/// A network of a configuration, two rows to run it on, weights of a linear function of its output, and what it is told.
pub(crate) fn probe(config: &NetworkConfig, shape: &[usize]) -> (Box<dyn Network>, Batch, Batch, Input) {
    let network = config.build(shape).unwrap();
    let (n, device) = (2, Device::default());
    let (d, out) = (shape.iter().product(), network.output_shape().iter().product());
    let (x, w) = (batch(numbers(n, d, 0), n, &device), batch(numbers(n, out, 1), n, &device));
    let input = input(n, network.as_ref(), takes_augmentation(config));
    (network, x, w, input)
}
