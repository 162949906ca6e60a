//! The networks of other projects: what they keep besides what every network keeps.

use super::*;
use scorefield_nn::{AdaGnUNet, RmsUNet};

pub(super) fn rms(config: RmsUNetConfig) -> NetworkConfig {
    NetworkConfig::RmsUNet(config)
}

pub(super) fn adagn(config: AdaGnUNetConfig) -> NetworkConfig {
    NetworkConfig::AdaGnUNet(config)
}

pub(super) fn small_rms() -> RmsUNetConfig {
    RmsUNetConfig {
        model_channels: 6,
        channel_mult: vec![1, 2],
        full_attention_levels: vec![1],
        heads: 2,
        head_channels: 3,
        ..RmsUNetConfig::default()
    }
}

pub(super) fn small_adagn() -> AdaGnUNetConfig {
    AdaGnUNetConfig {
        mapping_width: 8,
        depths: vec![1, 2],
        channels: vec![4, 8],
        attention_levels: vec![1],
        head_channels: 4,
        group_width: 2,
        ..AdaGnUNetConfig::default()
    }
}

/// Small networks that together take every path of the code.
pub(super) fn zoo() -> Vec<(&'static str, NetworkConfig, Vec<usize>)> {
    vec![
        ("rms", rms(small_rms()), vec![2, 4, 6]),
        (
            "rms with trained frequencies",
            rms(RmsUNetConfig {
                stem_channels: Some(5),
                full_attention_levels: vec![0],
                time: RmsTimeFeatures::Learned { width: 4 },
                learned_variance: true,
                self_conditioning: true,
                ..small_rms()
            }),
            vec![1, 4, 4],
        ),
        (
            "rms with random frequencies",
            rms(RmsUNetConfig {
                time: RmsTimeFeatures::Random { width: 6 },
                channel_mult: vec![1],
                full_attention_levels: vec![],
                ..small_rms()
            }),
            vec![1, 3, 5],
        ),
        ("adagn", adagn(AdaGnUNetConfig { augment: true, ..small_adagn() }), vec![2, 4, 8]),
        (
            "adagn with patches",
            adagn(AdaGnUNetConfig { patch_size: 2, variance_channel: true, attention_levels: vec![0], ..small_adagn() }),
            vec![1, 8, 8],
        ),
        (
            "adagn of one level",
            adagn(AdaGnUNetConfig { depths: vec![2], channels: vec![6], attention_levels: vec![], ..small_adagn() }),
            vec![1, 3, 1],
        ),
    ]
    .into_iter()
    .chain(pretrained::zoo())
    .collect()
}

/// Networks of a usual size, where work is shared out among threads.
pub(super) fn usual() -> Vec<(&'static str, NetworkConfig, Vec<usize>)> {
    let levels = RmsUNetConfig {
        model_channels: 32,
        channel_mult: vec![1, 2, 2],
        full_attention_levels: vec![2],
        ..RmsUNetConfig::default()
    };
    let patches = AdaGnUNetConfig {
        mapping_width: 64,
        depths: vec![1, 1],
        channels: vec![32, 64],
        attention_levels: vec![1],
        ..AdaGnUNetConfig::default()
    };
    vec![("rms of 28", rms(levels), vec![1, 28, 28]), ("adagn of 28", adagn(patches), vec![1, 28, 28])]
        .into_iter()
        .chain(pretrained::usual())
        .collect()
}

/// The parts own all parameters, names are unique, the configuration's TOML reads back as itself, and a fresh network is zero.
#[test]
fn outlines_are_whole() {
    for (name, config, shape) in zoo().into_iter().chain(usual()) {
        let network = config.build(&shape).unwrap();
        let staged: usize = network.outline().iter().map(|s| s.parameters).sum();
        assert_eq!(staged, network.parameters(), "{name}");
        assert!(network.outline().iter().all(|s| s.parameters > 0), "{name}: {:?}", network.outline());
        let names: std::collections::BTreeSet<_> = network.params().iter().map(|s| &s.name).collect();
        assert_eq!(names.len(), network.params().len(), "{name}");
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<NetworkConfig>(&text).unwrap(), config, "{name}: {text}");
        assert!(network.multiplications() > network.parameters() as u64 / 2, "{name}");

        let p = Params::init(network.params(), 0, &Default::default());
        let x = batch(numbers(1, shape.iter().product(), 0), 1, &Default::default());
        let y = network.forward(&p, x, &Input::at(vec![0.2]), &Mode::Eval);
        assert_eq!(y.dims()[1], network.output_shape().iter().product::<usize>(), "{name}");
        assert!(rows(y).iter().all(|&v| v == 0.0), "{name}");
    }
}

/// An estimate is told; none is an estimate of zeros.
#[test]
fn self_conditioning() {
    let config = RmsUNetConfig { self_conditioning: true, ..small_rms() };
    let network = RmsUNet::new(&config, &[2, 4, 4]).unwrap();
    let (p, device, input) = (params(&network), Default::default(), Input::at(vec![3.0, 4.0]));
    let x = || batch(numbers(2, 32, 0), 2, &device);
    let given = |estimate: Option<Batch>| rows(network.forward_given(&p, x(), estimate, &input, &Mode::Eval));
    let none = given(None);
    assert_eq!(none, rows(network.forward(&p, x(), &input, &Mode::Eval)));
    assert_eq!(none, given(Some(x().zeros_like())));
    assert_ne!(none, given(Some(x())));
}

/// The logarithm of the variance is one number a picture, that of its own picture; the output is the same size with it and without.
#[test]
fn variance_channel() {
    let config = AdaGnUNetConfig { patch_size: 2, variance_channel: true, ..small_adagn() };
    let network = AdaGnUNet::new(&config, &[1, 8, 8]).unwrap();
    let (p, device) = (params(&network), Default::default());
    let of = |x: Vec<f32>, times: Vec<f64>| {
        let x = batch(x, times.len(), &device);
        let (y, v) = network.forward_with_log_variance(&p, x, &Input::at(times), &Mode::Eval);
        (rows(y), rows(v.expect("a variance")))
    };
    let x = numbers(2, 64, 0);
    let (y, v) = of(x.clone(), vec![0.1, -0.7]);
    assert_eq!((y.len(), v.len()), (128, 2));
    assert_ne!(v[0], v[1]);
    assert_eq!(of(x[64..].to_vec(), vec![-0.7]).1, v[1..]);

    let without = AdaGnUNet::new(&AdaGnUNetConfig { variance_channel: false, ..config }, &[1, 8, 8]).unwrap();
    assert_eq!(network.output_shape(), without.output_shape());
    let mut values = p.to_host();
    for (v, spec) in values.iter_mut().zip(without.params()) {
        v.truncate(spec.len());
    }
    let p = Params::from_host(without.params(), values, &device).unwrap();
    let (z, none) = without.forward_with_log_variance(&p, batch(x, 2, &device), &Input::at(vec![0.1, -0.7]), &Mode::Eval);
    assert!(none.is_none());
    rows(z).iter().zip(&y).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} {b}"));
}
