//! What every network keeps: derivatives, independence of rows, sizes, refusals.

mod derivatives;
mod foreign;
mod hourglass;
mod parameters;
mod precision;
mod pretrained;
mod refinenet;
mod refusals;
mod temporal;
mod zoo;

use scorefield_nn::{
    AdaGnUNetConfig, ConvStackConfig, Init, InitScheme, Input, LayerNormUNetConfig, Mlp, MlpConfig, Mode, Network, NetworkConfig,
    ParamSpec, Params, ParamsError, PooledConfig, RmsTimeFeatures, RmsUNetConfig, TrunkConfig, UNetConfig, preset,
};
use scorefield_tensor::{Batch, DType, Device, Purpose, Streams, Tensor, TensorData, batch, batch_f64, rows, rows_f64};
use zoo::{input, numbers, params, probe, takes_augmentation, zoo};

/// dL/dp against (L(p + h) - L(p - h)) / 2h in double precision, at two numbers of every parameter; L = sum of y * w.
#[test]
fn gradients_equal_finite_differences() {
    let device = Device::default();
    for (name, config, shape) in zoo() {
        let network = config.build(&shape).unwrap();
        let (n, d, out) = (2, shape.iter().product(), network.output_shape().iter().product::<usize>());
        let input = input(n, network.as_ref(), takes_augmentation(&config));
        let f64s = |v: Vec<f32>, d: usize| {
            let v: Vec<f64> = v.into_iter().map(f64::from).collect();
            Batch::from_data(TensorData::new(v, [n, d]), (&device, DType::F64))
        };
        let (x, w) = (f64s(numbers(n, d, 0), d), f64s(numbers(n, out, 1), out));
        let loss = |p: &Params| (network.forward(p, x.clone(), &input, &Mode::Eval) * w.clone()).sum();
        let p = params(network.as_ref()).cast(DType::F64);
        let tracked = p.tracked(network.params(), &device);
        let mut gradients = loss(&tracked).backward();
        let grads = tracked.grads(&mut gradients);

        for (i, spec) in network.params().iter().enumerate() {
            let Some(grad) = &grads[i] else {
                assert!(!spec.trainable, "{name}: no gradient for {}", spec.name);
                continue;
            };
            assert!(spec.trainable, "{name}: a gradient for {}", spec.name);
            let (grad, values) = (rows_f64(grad.clone()), rows_f64(p.values()[i].clone()));
            for at in [0, spec.len() / 2] {
                let moved = |h: f64| {
                    let mut q = p.clone();
                    let mut v = values.clone();
                    v[at] += h;
                    q.values_mut()[i] = Tensor::from_data(TensorData::new(v, [spec.len()]), (&device, DType::F64));
                    rows_f64(loss(&q))[0]
                };
                let h = 1e-5;
                let quotient = (moved(h) - moved(-h)) / (2.0 * h);
                assert!(
                    (grad[at] - quotient).abs() < 1e-6 * (1.0 + quotient.abs()),
                    "{name}: {}[{at}]: {} against {quotient}",
                    spec.name,
                    grad[at]
                );
            }
        }
    }
}

/// The fast bodies of single precision and their own backward passes against double precision, in the networks at a usual size.
#[test]
fn single_precision_agrees_with_double() {
    let device = Device::default();
    let presets = ["small28", "digits8", "sprites32", "mlp-2d"].map(|name| preset(name).unwrap());
    let presets = presets.into_iter().map(|p| (p.name, p.config, p.shape));
    for (name, config, shape) in zoo().into_iter().chain(presets) {
        let (network, x, w, input) = probe(&config, &shape);
        let run = |dtype: DType| {
            let p = params(network.as_ref()).cast(dtype).tracked(network.params(), &device);
            let y = network.forward(&p, x.clone().cast(dtype), &input, &Mode::Eval);
            let mut gradients = (y.clone() * w.clone().cast(dtype)).sum().backward();
            (rows_f64(y.inner()), p.grads(&mut gradients))
        };
        let ((y, grads), (exact, exact_grads)) = (run(DType::F32), run(DType::F64));
        let compare = |what: &str, a: &[f64], b: &[f64], tolerance: f64| {
            let largest = b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let error = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(error <= tolerance * largest, "{name}, {what}: {error:.1e} of {largest:.1e}");
        };
        compare("output", &y, &exact, 2e-5);
        // Biases before a norm of one channel a group have the derivative zero: what is left is rounding, measured by the largest.
        let all = |g: &[Option<Tensor<1>>]| -> Vec<f64> { g.iter().flatten().flat_map(|g| rows_f64(g.clone())).collect() };
        compare("gradient", &all(&grads), &all(&exact_grads), 1e-4);
    }
}

/// Row i is the same bits alone, in a batch, and at another place of a batch, in evaluation and under dropout.
#[test]
fn rows_do_not_see_each_other() {
    let device = Default::default();
    for (name, config, shape) in zoo() {
        let config = match config {
            NetworkConfig::UNet(c) => NetworkConfig::UNet(UNetConfig { dropout: 0.4, ..c }),
            NetworkConfig::Mlp(c) => NetworkConfig::Mlp(MlpConfig { dropout: if c.energy { 0.0 } else { 0.4 }, ..c }),
            NetworkConfig::Hourglass(c) => NetworkConfig::Hourglass(hourglass::with_dropout(c, 0.4)),
            NetworkConfig::RmsUNet(c) => NetworkConfig::RmsUNet(RmsUNetConfig { dropout: 0.4, ..c }),
            NetworkConfig::AdaGnUNet(c) => NetworkConfig::AdaGnUNet(AdaGnUNetConfig { dropout: 0.4, ..c }),
            without @ (NetworkConfig::RefineNet(_) | NetworkConfig::ConvStack(_) | NetworkConfig::LayerNormUNet(_)) => without,
            without @ (NetworkConfig::Rbf(_) | NetworkConfig::Perceptron(_) | NetworkConfig::MultiScale(_)) => without,
            NetworkConfig::Pooled(PooledConfig { outputs, trunk }) => {
                let trunk = match trunk {
                    TrunkConfig::UNet(c) => TrunkConfig::UNet(UNetConfig { dropout: 0.4, ..c }),
                    TrunkConfig::Mlp(c) => TrunkConfig::Mlp(MlpConfig { dropout: 0.4, ..c }),
                };
                NetworkConfig::Pooled(PooledConfig { outputs, trunk })
            }
        };
        let network = config.build(&shape).unwrap();
        let p = params(network.as_ref());
        let (n, d): (usize, usize) = (5, shape.iter().product());
        let (x, all) = (numbers(n, d, 0), input(n, network.as_ref(), takes_augmentation(&config)));
        let out = network.output_shape().iter().product::<usize>();
        let of = |rows_taken: &[usize], train: bool| {
            let pick = rows_taken.iter().flat_map(|&i| x[i * d..(i + 1) * d].to_vec()).collect();
            let input = Input {
                time: rows_taken.iter().map(|&i| all.time[i]).collect(),
                classes: all.classes.as_ref().map(|c| rows_taken.iter().map(|&i| c[i]).collect()),
                augment: all.augment.as_ref().map(|a| rows_taken.iter().map(|&i| a[i]).collect()),
                condition: all.condition.as_ref().map(|c| {
                    let m = network.condition();
                    rows_taken.iter().flat_map(|&i| c[i * m..(i + 1) * m].to_vec()).collect()
                }),
            };
            let samples = rows_taken.iter().map(|&i| i as u64).collect();
            let mode = if train { Mode::Train { noise: Streams::new(9, samples, Purpose::Dropout) } } else { Mode::Eval };
            rows(network.forward(&p, batch(pick, rows_taken.len(), &device), &input, &mode))
        };
        for train in [false, true] {
            let whole = of(&[0, 1, 2, 3, 4], train);
            for i in 0..n {
                assert_eq!(of(&[i], train), whole[i * out..(i + 1) * out], "{name}, row {i} alone");
            }
            assert_eq!(of(&[3, 1], train), [&whole[3 * out..4 * out], &whole[out..2 * out]].concat(), "{name}, another order");
        }
        let dropped = match &config {
            NetworkConfig::Mlp(c) => c.residual && !c.energy,
            NetworkConfig::RefineNet(_) | NetworkConfig::ConvStack(_) | NetworkConfig::LayerNormUNet(_) => false,
            NetworkConfig::Rbf(_) | NetworkConfig::Perceptron(_) | NetworkConfig::MultiScale(_) => false,
            _ => true,
        };
        if dropped {
            assert_ne!(of(&[0], true), of(&[0], false), "{name}: dropout drops");
        }
    }
}

/// The same at a usual size, where work is shared out among threads.
#[test]
fn rows_do_not_see_each_other_at_a_usual_size() {
    let presets = ["small28", "sprites32"].map(|name| preset(name).unwrap());
    let presets = presets.into_iter().map(|p| (p.name, p.config, p.shape));
    for (name, config, shape) in presets.chain(foreign::usual()) {
        let network = config.build(&shape).unwrap();
        let (p, d) = (params(network.as_ref()), shape.iter().product::<usize>());
        let (x, input) = (numbers(7, d, 0), input(7, network.as_ref(), false));
        let whole = rows(network.forward(&p, batch(x.clone(), 7, &Default::default()), &input, &Mode::Eval));
        for i in [0, 3, 6] {
            let row = batch(x[i * d..(i + 1) * d].to_vec(), 1, &Default::default());
            let alone = rows(network.forward(&p, row, &Input::at(vec![input.time[i]]), &Mode::Eval));
            assert!(alone == whole[i * d..(i + 1) * d], "{name}, row {i}");
        }
    }
}

/// Dropout keeps a share of 1 - rate and the mean.
#[test]
fn dropout_rate() {
    // h = 1 + ... : a one-block perceptron whose inner units are all equal shows the kept share in its output.
    let config = MlpConfig { hidden: 4096, depth: 1, time_width: 1, dropout: 0.25, ..MlpConfig::default() };
    let network = NetworkConfig::Mlp(config).build(&[1]).unwrap();
    let fill = |s: &ParamSpec| match s.name.as_str() {
        "block.0.linear0.bias" => vec![1.0; s.len()],
        // Column sums into unit 0 only.
        "block.0.linear1.weight" => (0..s.len()).map(|i| if i < 4096 { 1.0 / 4096.0 } else { 0.0 }).collect(),
        "last.weight" => (0..s.len()).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect(),
        _ => vec![0.0; s.len()],
    };
    let p = Params::from_host(network.params(), network.params().iter().map(fill).collect(), &Default::default()).unwrap();
    let silu = |v: f64| v / (1.0 + (-v).exp());
    let n = 16;
    let mode = Mode::Train { noise: Streams::new(1, (0..n as u64).collect(), Purpose::Dropout) };
    let y = rows(network.forward(&p, batch(vec![0.0; n], n, &Default::default()), &Input::at(vec![0.0; n]), &mode));
    // The mean of 16 * 4096 kept-or-not numbers of mean 1 and variance r / (1 - r), through two activations of slope about one.
    let mean = y.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
    let sd = silu(1.0) * (0.25f64 / 0.75 / (16.0 * 4096.0)).sqrt();
    assert!((mean - silu(silu(1.0))).abs() < 5.0 * sd, "{mean} against {}", silu(silu(1.0)));
}

/// Any size of at least one pixel at the deepest level keeps its shape; what a padded network sees of the border is zeros.
#[test]
fn sizes() {
    let config = NetworkConfig::UNet(UNetConfig {
        model_channels: 4,
        channel_mult: vec![1.0, 1.0, 1.0],
        blocks: 1,
        attention_levels: vec![],
        ..UNetConfig::default()
    });
    for shape in [[1, 4, 4], [2, 5, 9], [7, 4, 13], [3, 28, 17]] {
        let network = config.build(&shape).unwrap();
        let d = shape.iter().product();
        let x = batch(numbers(2, d, 0), 2, &Default::default());
        let y = network.forward(&params(network.as_ref()), x, &Input::at(vec![0.1, 0.2]), &Mode::Eval);
        assert_eq!(y.dims(), [2, d]);
        assert!(rows(y).iter().all(|v| v.is_finite()));
    }

    // 5 x 9 is worked on as 8 x 12 with one row above, two below, one column at the left, two at the right.
    let (small, large) = (config.build(&[1, 5, 9]).unwrap(), config.build(&[1, 8, 12]).unwrap());
    assert_eq!(small.params(), large.params());
    let p = params(small.as_ref());
    let x = numbers(1, 45, 0);
    let mut padded = vec![0.0; 96];
    (0..5).for_each(|r| padded[(r + 1) * 12 + 1..][..9].copy_from_slice(&x[r * 9..][..9]));
    let run = |net: &dyn Network, x| rows(net.forward(&p, batch(x, 1, &Default::default()), &Input::at(vec![0.3]), &Mode::Eval));
    let (y, whole) = (run(small.as_ref(), x), run(large.as_ref(), padded));
    (0..5).for_each(|r| assert_eq!(y[r * 9..][..9], whole[(r + 1) * 12 + 1..][..9]));
}

/// The middle divides by the root of two as the rest does unless it is told otherwise, and attention's groups count only where it is.
#[test]
fn exceptions_of_the_middle_and_of_attention() {
    let base = UNetConfig { model_channels: 16, channel_mult: vec![1.0, 1.0], blocks: 1, ..UNetConfig::default() };
    let run = |config: UNetConfig| {
        let network = NetworkConfig::UNet(config).build(&[1, 4, 4]).unwrap();
        let x = batch(numbers(1, 16, 0), 1, &Default::default());
        rows(network.forward(&params(network.as_ref()), x, &Input::at(vec![0.3]), &Mode::Eval))
    };
    for skip_rescale in [false, true] {
        let with = |mid_rescale| run(UNetConfig { skip_rescale, mid_rescale, attention_levels: vec![], ..base.clone() });
        assert_eq!(with(None), with(Some(skip_rescale)));
        assert_ne!(with(None), with(Some(!skip_rescale)));
    }
    let with = |attention_groups, attention_levels| run(UNetConfig { attention_groups, attention_levels, ..base.clone() });
    assert_eq!(with(None, vec![]), with(Some(16), vec![])); // the middle's attention keeps its own
    assert_ne!(with(None, vec![0]), with(Some(16), vec![0]));
}

/// Conditions change the output, and the null class of an added embedding is no class at all.
#[test]
fn conditions_matter() {
    let told_indices = |c: &NetworkConfig| matches!(c, NetworkConfig::RefineNet(_) | NetworkConfig::LayerNormUNet(_));
    for (name, config, shape) in zoo().into_iter().filter(|(_, c, _)| !told_indices(c)) {
        let network = config.build(&shape).unwrap();
        let p = params(network.as_ref());
        let x = numbers(1, shape.iter().product(), 0);
        let given = |step: u32| (network.condition() > 0).then(|| numbers(1, network.condition(), step));
        let run = |input: Input| {
            let input = Input { condition: input.condition.or_else(|| given(2)), ..input };
            rows(network.forward(&p, batch(x.clone(), 1, &Default::default()), &input, &Mode::Eval))
        };
        let none = run(Input::at(vec![0.5]));
        if let Some(other) = given(3) {
            assert_ne!(none, run(Input { condition: Some(other), ..Input::at(vec![0.5]) }), "{name}: another condition");
        }
        assert_ne!(none, run(Input::at(vec![0.6])), "{name}: time");
        assert_eq!(none, run(Input::of_classes(vec![0.5], vec![None])), "{name}: null class");
        if network.classes() > 0 {
            assert_ne!(none, run(Input::of_classes(vec![0.5], vec![Some(0)])), "{name}: class");
            let one = run(Input::of_classes(vec![0.5], vec![Some(1)]));
            assert_ne!(one, run(Input::of_classes(vec![0.5], vec![Some(2)])), "{name}: another class");
        }
        if takes_augmentation(&config) {
            assert_ne!(none, run(Input { augment: Some(vec![[0.5; 9]]), ..Input::at(vec![0.5]) }), "{name}: augmentation");
            assert_eq!(none, run(Input { augment: Some(vec![[0.0; 9]]), ..Input::at(vec![0.5]) }), "{name}: no augmentation");
        }
    }
}

#[test]
#[should_panic(expected = "class 3 of a network with 3 classes")]
fn a_class_that_does_not_exist() {
    let (_, config, shape) = zoo().remove(0);
    let network = config.build(&shape).unwrap();
    let input = Input::of_classes(vec![0.0], vec![Some(3)]);
    network.forward(&params(network.as_ref()), batch(vec![0.0; 5], 1, &Default::default()), &input, &Mode::Eval);
}
