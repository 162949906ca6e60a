//! The networks whose last layer alone knows the time: their outputs by loops in double precision, their sizes, what they refuse.

use super::*;
use scorefield_nn::{Activation, BumpsConfig, MultiScaleConfig, NetworkError, PerceptronConfig, RbfConfig};

const BUMPS: BumpsConfig = BumpsConfig { count: 4, times: [-0.5, 1.0], width: 0.7 };

fn rbf() -> RbfConfig {
    RbfConfig { units: 5, bumps: BUMPS, ..RbfConfig::default() }
}

fn perceptron(activation: Activation) -> PerceptronConfig {
    PerceptronConfig { hidden: 6, depth: 2, activation, bumps: BUMPS, ..PerceptronConfig::default() }
}

fn multi_scale() -> MultiScaleConfig {
    MultiScaleConfig {
        channels: 3,
        layers: 2,
        scales: 3,
        dense_layers: 2,
        dense_width: 5,
        dense_outputs: 2,
        pixel_layers: 1,
        pixel_width: 4,
        bumps: BUMPS,
        ..MultiScaleConfig::default()
    }
}

pub(crate) fn zoo() -> Vec<(&'static str, NetworkConfig, Vec<usize>)> {
    let doubled = MultiScaleConfig { learned_variance: true, pixel_layers: 2, dense_layers: 0, ..multi_scale() };
    vec![
        ("radial basis", rbf().into(), vec![3]),
        ("radial basis of two outputs", RbfConfig { skip: false, learned_variance: true, ..rbf() }.into(), vec![2]),
        ("sigmoids", perceptron(Activation::Sigmoid).into(), vec![3]),
        ("tanhs of two outputs", PerceptronConfig { learned_variance: true, ..perceptron(Activation::Tanh) }.into(), vec![4]),
        ("softplus", perceptron(Activation::Softplus).into(), vec![2]),
        ("leaky", perceptron(Activation::LeakyRelu).into(), vec![3]),
        ("scales and the whole", multi_scale().into(), vec![2, 4, 8]),
        ("scales", doubled.into(), vec![1, 8, 4]),
        ("the whole", MultiScaleConfig { layers: 0, ..multi_scale() }.into(), vec![1, 3, 5]),
        ("one scale", MultiScaleConfig { scales: 1, pixel_layers: 0, dense_layers: 0, ..multi_scale() }.into(), vec![1, 5, 3]),
    ]
}

/// The numbers of a parameter, in double precision.
fn weights(network: &dyn Network, p: &Params) -> impl Fn(&str) -> Vec<f64> {
    let names: Vec<String> = network.params().iter().map(|s| s.name.clone()).collect();
    let host = p.to_host();
    move |name| {
        let at = names.iter().position(|n| n == name).unwrap_or_else(|| panic!("{name} is not in {names:?}"));
        host[at].iter().map(|&v| f64::from(v)).collect()
    }
}

/// `W h`, and a bias.
fn map(w: &[f64], bias: Option<Vec<f64>>, h: &[f64]) -> Vec<f64> {
    let product: Vec<f64> = w.chunks(h.len()).map(|row| row.iter().zip(h).map(|(w, h)| w * h).sum()).collect();
    let bias = bias.unwrap_or_else(|| vec![0.0; product.len()]);
    product.iter().zip(bias).map(|(p, b)| p + b).collect()
}

/// `sum_j g_j(t) z_j` from the formula of the bumps.
fn read_out(z: &[f64], t: f64) -> Vec<f64> {
    let (t, spacing) = (t.clamp(-0.5, 1.0), 1.5 / 3.0);
    let bump = |j: usize| (-((t - (-0.5 + spacing * j as f64)) / (0.7 * spacing)).powi(2) / 2.0).exp();
    let (sum, m) = ((0..4).map(bump).sum::<f64>(), z.len() / 4);
    (0..m).map(|i| (0..4).map(|j| bump(j) / sum * z[j * m + i]).sum()).collect()
}

/// Runs a network on three rows and compares each with a function of its row and time. What is left is the rounding of the bumps, which
/// are told in single precision.
fn compare(config: NetworkConfig, shape: &[usize], row: impl Fn(&dyn Fn(&str) -> Vec<f64>, &[f64], f64) -> Vec<f64>) {
    let network = config.build(shape).unwrap();
    let p = params(network.as_ref());
    let (n, d, times) = (3, shape.iter().product::<usize>(), vec![0.15, 0.9, -3.0]);
    let x = numbers(n, d, 0);
    let rows = batch(x.clone(), n, &Device::default()).cast(DType::F64);
    let y = rows_f64(network.forward(&p.cast(DType::F64), rows, &Input::at(times.clone()), &Mode::Eval));
    let w = weights(network.as_ref(), &p);
    for (i, (x, t)) in x.chunks(d).zip(times).enumerate() {
        let x: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let expected = row(&w, &x, t);
        let found = &y[i * expected.len()..][..expected.len()];
        let error = found.iter().zip(&expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
        let largest = expected.iter().fold(0.0f64, |m, e| m.max(e.abs()));
        assert!(error < 1e-6 * largest && largest > 0.05, "{config:?}, row {i}: {error:.1e} of {largest}");
    }
}

#[test]
fn radial_basis_functions_by_loops() {
    for (skip, learned_variance) in [(true, false), (false, true)] {
        compare(RbfConfig { skip, learned_variance, ..rbf() }.into(), &[3], |w, x, t| {
            let (centres, widths) = (w("units.centre"), w("units.log_width"));
            let unit = |(c, log_width): (&[f64], &f64)| {
                let distance = c.iter().zip(x).map(|(c, x)| (x - c).powi(2)).sum::<f64>();
                (-distance / (2.0 * log_width.exp().powi(2))).exp()
            };
            let units: Vec<f64> = centres.chunks(3).zip(&widths).map(unit).collect();
            let sum: f64 = units.iter().sum();
            let phi: Vec<f64> = units.iter().map(|u| u / sum).collect();
            let mut z = map(&w("last.units.weight"), None, &phi);
            if skip {
                z.iter_mut().zip(map(&w("last.skip.weight"), None, x)).for_each(|(z, s)| *z += s);
            }
            assert_eq!(z.len(), if learned_variance { 24 } else { 12 });
            read_out(&z, t)
        });
    }
}

#[test]
fn perceptrons_by_loops() {
    let function = |activation: Activation, x: f64| match activation {
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::Softplus => x.exp().ln_1p(),
        Activation::LeakyRelu => x.max(0.05 * x),
    };
    for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Softplus, Activation::LeakyRelu] {
        compare(perceptron(activation).into(), &[3], |w, x, t| {
            let mut h = x.to_vec();
            for i in 0..2 {
                let z = map(&w(&format!("hidden.{i}.weight")), Some(w(&format!("hidden.{i}.bias"))), &h);
                h = z.into_iter().map(|z| function(activation, z)).collect();
            }
            read_out(&map(&w("last.weight"), Some(w("last.bias")), &h), t)
        });
    }
}

/// `[c, h, w]` on the host.
#[derive(Clone)]
struct Picture([usize; 3], Vec<f64>);

impl Picture {
    fn of(shape: [usize; 3], pixel: impl Fn(usize, usize, usize) -> f64) -> Self {
        let places = (0..shape[0]).flat_map(|c| (0..shape[1]).flat_map(move |i| (0..shape[2]).map(move |j| (c, i, j))));
        Self(shape, places.map(|(c, i, j)| pixel(c, i, j)).collect())
    }

    fn at(&self, c: usize, i: usize, j: usize) -> f64 {
        self.1[(c * self.0[1] + i) * self.0[2] + j]
    }

    /// Means of blocks of `side` x `side`, at once.
    fn coarse(&self, side: usize) -> Self {
        let [c, h, w] = self.0;
        let block = |c, i, j| {
            let pixels = (0..side * side).map(|k| self.at(c, i * side + k / side, j * side + k % side));
            pixels.sum::<f64>() / (side * side) as f64
        };
        Self::of([c, h / side, w / side], block)
    }

    /// Correlation with filters `[outputs, c, k, k]`, zeros beyond the border.
    fn filtered(&self, filters: &[f64], outputs: usize, k: usize) -> Self {
        let [channels, h, w] = self.0;
        Self::of([outputs, h, w], |o, i, j| {
            let mut sum = 0.0;
            for (c, a, b) in (0..channels).flat_map(|c| (0..k).flat_map(move |a| (0..k).map(move |b| (c, a, b)))) {
                let (Some(r), Some(s)) = ((i + a).checked_sub(k / 2), (j + b).checked_sub(k / 2)) else { continue };
                if r < h && s < w {
                    sum += filters[((o * channels + c) * k + a) * k + b] * self.at(c, r, s);
                }
            }
            sum
        })
    }
}

/// Every scale from means of the whole block and repeated at once, against the network's chain of halvings and doublings.
#[test]
fn scales_by_loops() {
    let shape @ [_, height, width] = [2, 4, 8];
    let doubled = MultiScaleConfig { learned_variance: true, ..multi_scale() };
    for config in [multi_scale(), doubled, MultiScaleConfig { dense_layers: 0, kernel: 5, ..multi_scale() }] {
        compare(config.clone().into(), &shape, |w, x, t| {
            let mut h = Picture(shape, x.to_vec());
            for layer in 0..2 {
                let bias = w(&format!("layer.{layer}.0.bias"));
                let scale = |s: usize| {
                    h.coarse(1 << s).filtered(&w(&format!("layer.{layer}.{s}.weight")), config.channels, config.kernel)
                };
                let scales = [scale(0), scale(1), scale(2)];
                h = Picture::of([config.channels, height, width], |c, i, j| {
                    let sum: f64 = scales.iter().enumerate().map(|(s, p)| p.at(c, i >> s, j >> s)).sum();
                    (sum + bias[c]).exp().ln_1p()
                });
            }
            if config.dense_layers > 0 {
                let layer = |h: &[f64], i: usize| {
                    let z = map(&w(&format!("dense.{i}.weight")), Some(w(&format!("dense.{i}.bias"))), h);
                    z.into_iter().map(f64::tanh).collect::<Vec<_>>()
                };
                h.1.extend(layer(&layer(x, 0), 1));
                h.0[0] += config.dense_outputs;
            }
            let bias = w("pixel.0.bias");
            let z = h.filtered(&w("pixel.0.weight"), config.pixel_width, 1);
            let h = Picture::of(z.0, |c, i, j| (z.at(c, i, j) + bias[c]).tanh());
            let bias = w("last.bias");
            let z = h.filtered(&w("last.weight"), bias.len(), 1);
            read_out(&Picture::of(z.0, |c, i, j| z.at(c, i, j) + bias[c]).1, t)
        });
    }
}

/// The sizes by their formulas; a fresh network is zero.
#[test]
fn sizes_and_starts() {
    let count = |config: NetworkConfig, shape: &[usize]| {
        let network = config.build(shape).unwrap();
        let p = Params::init(network.params(), 0, &Device::default());
        let x = batch(numbers(1, shape.iter().product(), 0), 1, &Device::default());
        let y = rows(network.forward(&p, x, &Input::at(vec![0.4]), &Mode::Eval));
        assert!(y.iter().all(|&v| v == 0.0), "{config:?}");
        let double = if config.learned_variance() { 2 } else { 1 };
        assert_eq!(network.output_shape()[0], double * shape[0]);
        network.parameters()
    };
    let (d, k, j) = (7, 5, 4);
    assert_eq!(count(rbf().into(), &[d]), k * d + k + j * d * (k + d));
    assert_eq!(count(RbfConfig { skip: false, learned_variance: true, ..rbf() }.into(), &[d]), k * d + k + j * 2 * d * k);
    let hidden = 6;
    let expected = (d + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * j * d;
    assert_eq!(count(perceptron(Activation::Tanh).into(), &[d]), expected);
    let (c, pixels) = (3, 4 * 8);
    let layers = 3 * 9 * 2 * c + c + 3 * 9 * c * c + c;
    let dense = (2 * pixels + 1) * 5 + (5 + 1) * 2 * pixels;
    let pixel = (c + 2 + 1) * 4 + (4 + 1) * j * 2;
    assert_eq!(count(multi_scale().into(), &[2, 4, 8]), layers + dense + pixel);
    let whole = MultiScaleConfig { layers: 0, ..multi_scale() };
    assert_eq!(count(whole.into(), &[2, 4, 8]), dense + (2 + 1) * 4 + (4 + 1) * j * 2);

    let network = NetworkConfig::from(multi_scale()).build(&[2, 4, 8]).unwrap();
    // Filters at three scales, maps of the picture, maps of every pixel.
    let scales = (2 * c + c * c) * 9 * (pixels + pixels / 4 + pixels / 16);
    let expected = scales + 2 * pixels * 5 + 5 * 2 * pixels + ((c + 2) * 4 + 4 * j * 2) * pixels;
    assert_eq!(network.multiplications(), expected as u64);
}

#[test]
fn keys_are_read_and_written() {
    for (name, config, _) in zoo() {
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<NetworkConfig>(&text).unwrap(), config, "{name}");
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<NetworkConfig>(&json).unwrap(), config, "{name}");
    }
    let read = |text: &str| toml::from_str::<NetworkConfig>(text);
    let bumps = BumpsConfig { count: 8, times: [0.0, 1000.0], ..BumpsConfig::default() };
    let text = "kind = \"multi-scale\"\nscales = 2\nbumps = { count = 8, times = [0.0, 1000.0] }";
    assert_eq!(read(text).unwrap(), MultiScaleConfig { scales: 2, bumps, ..MultiScaleConfig::default() }.into());
    assert_eq!(read("kind = \"rbf\"").unwrap(), RbfConfig::default().into());
    let leaky = PerceptronConfig { activation: Activation::LeakyRelu, ..PerceptronConfig::default() };
    assert_eq!(read("kind = \"perceptron\"\nactivation = \"leaky-relu\"").unwrap(), leaky.into());
    for (kind, key) in [("rbf", "hidden"), ("perceptron", "units"), ("multi-scale", "times")] {
        let unknown = read(&format!("kind = \"{kind}\"\n{key} = 8")).unwrap_err().to_string();
        assert!(unknown.contains(key), "{unknown}");
    }
    assert!(read("kind = \"rbf\"\nbumps = { counts = 3 }").unwrap_err().to_string().contains("counts"));
}

#[test]
fn what_cannot_be_is_refused() {
    let refuse = |config: NetworkConfig, shape: &[usize], words: &[&str]| {
        let error: NetworkError = config.build(shape).unwrap_err();
        let text = error.to_string();
        words.iter().for_each(|w| assert!(text.contains(w), "{w:?} is not in {text:?}"));
    };
    refuse(rbf().into(), &[1, 8, 8], &["rbf", "[1, 8, 8]", "unet"]);
    refuse(rbf().into(), &[1 << 17], &["rbf", "65536", "skip = false"]);
    refuse(RbfConfig { units: 0, ..rbf() }.into(), &[2], &["network.units = 0"]);
    refuse(RbfConfig { spread: -1.0, ..rbf() }.into(), &[2], &["network.spread = -1", "positive"]);
    refuse(RbfConfig { width: f64::NAN, ..rbf() }.into(), &[2], &["network.width = NaN", "positive"]);
    let with = |bumps: BumpsConfig| RbfConfig { bumps, ..rbf() }.into();
    refuse(with(BumpsConfig { count: 1, ..BUMPS }), &[2], &["network.bumps.count = 1", "from 2", "4096"]);
    refuse(with(BumpsConfig { count: 5000, ..BUMPS }), &[2], &["network.bumps.count = 5000"]);
    refuse(with(BumpsConfig { times: [1.0, 1.0], ..BUMPS }), &[2], &["network.bumps.times = [1.0, 1.0]", "below"]);
    refuse(with(BumpsConfig { times: [0.0, f64::INFINITY], ..BUMPS }), &[2], &["network.bumps.times"]);
    refuse(with(BumpsConfig { width: 0.0, ..BUMPS }), &[2], &["network.bumps.width = 0", "spacings"]);

    let base = perceptron(Activation::Tanh);
    refuse(base.clone().into(), &[0], &["perceptron", "[0]"]);
    refuse(PerceptronConfig { depth: 0, ..base.clone() }.into(), &[2], &["network.depth = 0"]);
    refuse(PerceptronConfig { hidden: 0, ..base.clone() }.into(), &[2], &["network.hidden = 0"]);
    let bumps = BumpsConfig { width: f64::NAN, ..BUMPS };
    refuse(PerceptronConfig { bumps, ..base }.into(), &[2], &["network.bumps.width = NaN"]);

    let (base, picture) = (multi_scale(), [1, 8, 8]);
    refuse(base.clone().into(), &[64], &["multi-scale", "[64]", "[channels, height, width]", "mlp"]);
    refuse(base.clone().into(), &[1, 6, 8], &["6 x 8", "multiple of 4", "8 x 8", "give fewer scales"]);
    refuse(
        MultiScaleConfig { layers: 0, dense_layers: 0, ..base.clone() }.into(),
        &picture,
        &["network.layers = 0", "dense_layers"],
    );
    refuse(MultiScaleConfig { scales: 0, ..base.clone() }.into(), &picture, &["network.scales = 0"]);
    refuse(MultiScaleConfig { scales: 64, ..base.clone() }.into(), &picture, &["network.scales = 64"]);
    refuse(MultiScaleConfig { kernel: 2, ..base.clone() }.into(), &picture, &["network.kernel = 2", "odd"]);
    refuse(MultiScaleConfig { channels: 0, ..base.clone() }.into(), &picture, &["network.channels = 0"]);
    refuse(MultiScaleConfig { dense_width: 0, ..base.clone() }.into(), &picture, &["network.dense_width = 0"]);
    refuse(MultiScaleConfig { dense_outputs: 0, ..base.clone() }.into(), &picture, &["network.dense_outputs = 0"]);
    refuse(MultiScaleConfig { pixel_width: 0, ..base.clone() }.into(), &picture, &["network.pixel_width = 0"]);
    refuse(MultiScaleConfig { bumps, ..base }.into(), &picture, &["network.bumps.width = NaN"]);
}
