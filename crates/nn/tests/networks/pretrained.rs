//! The stack of convolutions and the U-Net with layer norms: what they keep besides what every network keeps.

use super::*;

/// Small ones that together take every path of the code.
pub(super) fn zoo() -> Vec<(&'static str, NetworkConfig, Vec<usize>)> {
    let stack =
        ConvStackConfig { channels: vec![4, 6, 5], kernel: 5, last_kernel: 3, frequencies: 2, time_width: 6, time_depth: 2 };
    let one = ConvStackConfig { channels: vec![3], kernel: 3, last_kernel: 1, time_depth: 1, ..stack.clone() };
    vec![
        ("stack", stack.into(), vec![2, 5, 4]),
        ("stack of one block", one.into(), vec![1, 3, 6]),
        ("layer norms", small(vec![4, 6]).into(), vec![2, 6, 10]),
        ("layer norms of one level", small(vec![6]).into(), vec![3, 5, 3]),
    ]
}

fn small(channels: Vec<usize>) -> LayerNormUNetConfig {
    LayerNormUNetConfig { channels, mid_channels: 3, times: 3, time_width: 4 }
}

/// The published ones.
pub(super) fn usual() -> Vec<(&'static str, NetworkConfig, Vec<usize>)> {
    vec![
        ("stack of 28", ConvStackConfig::default().into(), vec![1, 28, 28]),
        ("layer norms of 28", LayerNormUNetConfig::default().into(), vec![1, 28, 28]),
    ]
}

/// The authors' networks have as many numbers as theirs; that of the second has a norm it does not use and a table.
#[test]
fn published_sizes() {
    let count = |config: NetworkConfig| config.parameters(&[1, 28, 28]).unwrap();
    let norm = |c: usize| 2 * c * 784;
    let conv = |k: usize, i: usize, o: usize| k * k * i * o + o;
    let stack = [(1, 16), (16, 32), (32, 32), (32, 16)].map(|(i, o)| conv(7, i, o) + norm(o)).iter().sum::<usize>();
    let time = [(32, 128), (128, 128), (128, 128), (128, 16)].map(|(i, o)| i * o + o).iter().sum::<usize>();
    assert_eq!(count(ConvStackConfig::default().into()), stack + time + conv(3, 16, 1));
    assert_eq!(count(LayerNormUNetConfig::default().into()), 606_852 - 100_000 - norm(10));
}

/// Products as they are made, transposed convolutions on the pictures with zeros between.
#[test]
fn products() {
    for (name, config, shape) in zoo().into_iter().chain(usual()) {
        let network = config.build(&shape).unwrap();
        let (watched, calls) = params(network.as_ref()).watched();
        let x = batch(numbers(1, shape.iter().product(), 0), 1, &Default::default());
        network.forward(&watched, x, &Input::at(vec![0.0]), &Mode::Eval);
        let products = |c: &scorefield_nn::Call| {
            let places = match (c.input.get(2), c.weights.get(2)) {
                (Some(_), Some(k)) => {
                    let side = |side: usize, pads: usize| (side + pads - k) / c.stride + 1;
                    side(c.input[2], c.pad.top + c.pad.bottom) * side(c.input[3], c.pad.left + c.pad.right)
                }
                _ => 1,
            };
            (places * c.weights.iter().product::<usize>()) as u64
        };
        let made: u64 = calls.lock().unwrap().iter().map(products).sum();
        assert_eq!(made, network.multiplications(), "{name}");
    }
}

/// The norm of the picture hides its mean and size from the U-Net, whatever the weights; times are told by their nearest row.
#[test]
fn what_the_unet_does_not_see() {
    let network = NetworkConfig::from(small(vec![4, 6])).build(&[1, 6, 10]).unwrap();
    let p = params(network.as_ref()).cast(DType::F64);
    let x = || batch(numbers(1, 60, 0), 1, &Device::default()).cast(DType::F64);
    let of = |x: Batch, t: f64| rows_f64(network.forward(&p, x, &Input::at(vec![t]), &Mode::Eval));
    let y = of(x(), 1.0);
    let near = |z: Vec<f64>| y.iter().zip(z).all(|(a, b)| (a - b).abs() < 1e-3);
    assert!(near(of(x() * 3.0 - 8.0, 1.0)));
    assert!(!near(of(x() * x(), 1.0)) && !near(of(x(), 2.0)));
    assert_eq!(y, of(x(), 1.4));
}

#[test]
#[should_panic(expected = "time 2.6 is the index of none of the network's 3 rows of times")]
fn a_time_that_does_not_exist() {
    let network = NetworkConfig::from(small(vec![4])).build(&[1, 3, 3]).unwrap();
    let x = batch(vec![0.0; 9], 1, &Default::default());
    network.forward(&params(network.as_ref()), x, &Input::at(vec![2.6]), &Mode::Eval);
}

/// The table of a fresh network: the sine and cosine of each whole time, slower from pair to pair.
#[test]
fn fresh_table() {
    let network = NetworkConfig::from(LayerNormUNetConfig::default()).build(&[1, 28, 28]).unwrap();
    let spec = network.params().iter().find(|s| s.name == "embed.table").unwrap();
    assert!(!spec.trainable && spec.shape == [1000, 100]);
    let table = spec.draw(0, 0);
    for (i, j) in [(0usize, 0usize), (0, 1), (3, 0), (3, 1), (999, 42), (999, 43), (500, 99)] {
        let angle = i as f64 / 10_000f64.powf((j / 2 * 2) as f64 / 100.0);
        let expected = if j % 2 == 0 { angle.sin() } else { angle.cos() };
        assert!((f64::from(table[i * 100 + j]) - expected).abs() < 1e-6, "{i} {j}");
    }
}

/// What cannot be is refused with what would do.
#[test]
fn refusals_of_both() {
    let refuse = |config: NetworkConfig, shape: &[usize]| config.build(shape).unwrap_err().to_string();
    let stack = ConvStackConfig::default;
    let unet = LayerNormUNetConfig::default;
    let cases: Vec<(NetworkConfig, Vec<usize>, &[&str])> = vec![
        (stack().into(), vec![64], &["[64]", "[channels, height, width]", "mlp"]),
        (ConvStackConfig { channels: vec![], ..stack() }.into(), vec![1, 8, 8], &["channels = []", "at least one block"]),
        (ConvStackConfig { channels: vec![3, 0], ..stack() }.into(), vec![1, 8, 8], &["channels = [3, 0]"]),
        (ConvStackConfig { kernel: 6, ..stack() }.into(), vec![1, 8, 8], &["kernel = 6", "odd"]),
        (ConvStackConfig { last_kernel: 65, ..stack() }.into(), vec![1, 8, 8], &["last_kernel = 65", "63"]),
        (ConvStackConfig { frequencies: 0, ..stack() }.into(), vec![1, 8, 8], &["frequencies = 0"]),
        (ConvStackConfig { time_depth: 0, ..stack() }.into(), vec![1, 8, 8], &["time_depth = 0"]),
        (unet().into(), vec![1, 32, 28], &["[1, 32, 28]", "odd number", "28 x 28"]),
        (unet().into(), vec![1, 4, 28], &["[1, 4, 28]", "at least 3"]),
        (LayerNormUNetConfig { channels: vec![1; 17], ..unet() }.into(), vec![1, 28, 28], &["1 to 16 levels"]),
        (LayerNormUNetConfig { mid_channels: 0, ..unet() }.into(), vec![1, 28, 28], &["mid_channels = 0"]),
        (LayerNormUNetConfig { time_width: 7, ..unet() }.into(), vec![1, 28, 28], &["time_width = 7", "even"]),
    ];
    for (config, shape, words) in cases {
        let text = refuse(config, &shape);
        words.iter().for_each(|w| assert!(text.contains(w), "{w:?} is not in {text:?}"));
    }
}
