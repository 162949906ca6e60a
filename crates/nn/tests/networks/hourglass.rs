//! What the hourglass transformer keeps beside what all networks keep.

use super::*;
use scorefield_nn::{HourglassAttention, HourglassConfig, HourglassLevel};

/// Two levels with windows that move, and two with neighbourhoods and windows. Tokens of few numbers can be near zero, where a norm is
/// crooked: these have a dozen and eight.
pub(crate) fn zoo() -> Vec<(&'static str, NetworkConfig, Vec<usize>)> {
    let level = |width, attention| HourglassLevel { width, depth: 1, head_channels: 8, attention, ..HourglassLevel::default() };
    let small = HourglassConfig { mapping_width: 8, mapping_depth: 1, classes: 3, ..HourglassConfig::default() };
    let windows = HourglassConfig {
        patch: [2, 2],
        levels: vec![level(16, HourglassAttention::ShiftedWindow { size: 2 }), level(24, HourglassAttention::Global)],
        ..small.clone()
    };
    let neighbours = HourglassConfig {
        patch: [1, 2],
        levels: vec![
            level(16, HourglassAttention::Neighbourhood { size: 3 }),
            HourglassLevel { depth: 2, hidden: Some(5), ..level(16, HourglassAttention::ShiftedWindow { size: 3 }) },
        ],
        learned_variance: true,
        ..small
    };
    let hourglass = |name, shape: [usize; 3], config| (name, NetworkConfig::Hourglass(config), shape.to_vec());
    vec![hourglass("windows", [3, 8, 8], windows), hourglass("neighbours", [4, 6, 24], neighbours)]
}

pub(crate) fn with_dropout(mut config: HourglassConfig, rate: f64) -> HourglassConfig {
    config.mapping_dropout = rate;
    config.levels.iter_mut().for_each(|level| level.dropout = rate);
    config
}

/// What cannot be is refused with what would do.
#[test]
fn refusals() {
    let base = HourglassConfig { mapping_width: 8, ..HourglassConfig::default() };
    let level = HourglassLevel { width: 16, depth: 1, head_channels: 8, ..HourglassLevel::default() };
    let two = |first: HourglassLevel| HourglassConfig { levels: vec![first, level.clone()], ..base.clone() };
    let attending = |attention| two(HourglassLevel { attention, ..level.clone() });
    let says = |config: HourglassConfig, shape: &[usize], words: &[&str]| {
        let text = NetworkConfig::Hourglass(config).build(shape).unwrap_err().to_string();
        words.iter().for_each(|w| assert!(text.contains(w), "{w:?} is not in {text:?}"));
    };
    let good = [1, 8, 8];
    says(base.clone(), &[64], &["hourglass", "[64]", "[channels, height, width]", "mlp"]);
    says(HourglassConfig { patch: [3, 2], ..two(level.clone()) }, &good, &["patch = [3, 2]", "8 x 8"]);
    says(HourglassConfig { patch: [0, 2], ..two(level.clone()) }, &good, &["patch = [0, 2]"]);
    says(two(level.clone()), &[1, 8, 6], &["4 x 3 tokens", "at most 1 levels"]);
    says(HourglassConfig { levels: vec![], ..base.clone() }, &good, &["levels = 0"]);
    says(attending(HourglassAttention::ShiftedWindow { size: 3 }), &good, &["attention.size = 3", "level 0", "4 x 4"]);
    says(attending(HourglassAttention::ShiftedWindow { size: 0 }), &good, &["attention.size = 0"]);
    says(attending(HourglassAttention::Neighbourhood { size: 2 }), &good, &["attention.size = 2", "odd"]);
    says(attending(HourglassAttention::Neighbourhood { size: 5 }), &good, &["attention.size = 5", "4 x 4"]);
    says(two(HourglassLevel { head_channels: 12, ..level.clone() }), &good, &["head_channels = 12", "multiple of 8"]);
    says(two(HourglassLevel { width: 20, ..level.clone() }), &good, &["head_channels = 8", "width of 20"]);
    says(two(HourglassLevel { depth: 0, ..level.clone() }), &good, &["levels.depth = 0"]);
    says(two(HourglassLevel { dropout: 1.0, ..level.clone() }), &good, &["dropout = 1"]);
    says(HourglassConfig { mapping_width: 7, ..two(level.clone()) }, &good, &["mapping_width = 7", "even"]);
    assert!(NetworkConfig::Hourglass(two(level.clone())).build(&good).is_ok());

    let read = |text: &str| toml::from_str::<NetworkConfig>(text);
    let unknown = "kind = \"hourglass\"\n[[levels]]\nattention = { kind = \"dilated\", size = 3 }";
    let unknown = read(unknown).unwrap_err().to_string();
    assert!(unknown.contains("dilated") && unknown.contains("neighbourhood"), "{unknown}");
    let config = NetworkConfig::Hourglass(attending(HourglassAttention::Neighbourhood { size: 3 }));
    assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config);
    assert_eq!(read("kind = \"hourglass\"").unwrap(), NetworkConfig::Hourglass(HourglassConfig::default()));
}

/// Each parameter belongs to a stage, and the multiplications are those of the maps at the tokens where they are used.
#[test]
fn outline_and_cost() {
    for (name, config, shape) in zoo() {
        let network = config.build(&shape).unwrap();
        let staged: usize = network.outline().iter().map(|s| s.parameters).sum();
        assert_eq!(staged, network.parameters(), "{name}");
    }
    // Levels of 16 and 4 tokens, widths 16 and 24, hidden three times as wide; what is told is mapped once a layer and branch.
    let (_, config, shape) = zoo().remove(0);
    let layer = |c: u64| (3 + 1 + 6 + 3) * c * c;
    let trunk = 16 * (2 * 12 * 16 + 2 * layer(16)) + 4 * (2 * 24 * 64 + layer(24));
    let told = 2 * 64 + 4 * 8 + 8 * 48 + 24 * 8 + 2 * 2 * 8 * 16 + 2 * 8 * 24;
    assert_eq!(config.build(&shape).unwrap().multiplications(), trunk + told);
}

/// Fresh networks are zero, and their frequencies are those of the paper: pi (10)^(i / 8), down the heads first.
#[test]
fn drawn_parameters() {
    let level = HourglassLevel { width: 32, depth: 1, head_channels: 16, ..HourglassLevel::default() };
    let config = HourglassConfig { levels: vec![level.clone(), level], ..HourglassConfig::default() };
    let network = NetworkConfig::Hourglass(config).build(&[1, 8, 8]).unwrap();
    let p = Params::init(network.params(), 0, &Default::default());
    let y = network.forward(&p, batch(numbers(1, 64, 0), 1, &Default::default()), &Input::at(vec![0.0]), &Mode::Eval);
    assert!(rows(y).iter().all(|&v| v == 0.0));
    for (spec, values) in network.params().iter().zip(p.to_host()) {
        let end = spec.name.rsplit('.').next().unwrap();
        let expected: Vec<f64> = match end {
            "frequencies" => [0.0, 2.0, 1.0, 3.0].map(|i: f64| std::f64::consts::PI * 10f64.powf(i / 4.0)).to_vec(),
            "scale" if spec.name.contains("attention") => vec![10.0; 2],
            "share" => vec![0.5],
            _ => continue,
        };
        assert_eq!((spec.trainable, values.len()), (end != "frequencies", expected.len()), "{}", spec.name);
        values.iter().zip(expected).for_each(|(v, e)| assert!((f64::from(*v) - e).abs() < 1e-6 * e, "{}", spec.name));
    }
}

/// Row i is the same bits alone and in a batch at a usual size, where work is shared out among threads, in both precisions.
#[test]
fn rows_do_not_see_each_other_at_a_usual_size() {
    use scorefield_nn::Precision;
    let device = Device::default();
    let attention = HourglassAttention::ShiftedWindow { size: 4 };
    let fine = HourglassLevel { width: 64, depth: 2, head_channels: 32, attention, ..HourglassLevel::default() };
    let middle = HourglassLevel {
        width: 128,
        depth: 1,
        attention: HourglassAttention::Neighbourhood { size: 5 },
        ..HourglassLevel::default()
    };
    let last = HourglassLevel { width: 128, depth: 1, ..HourglassLevel::default() };
    let config = HourglassConfig { levels: vec![fine, middle, last], ..HourglassConfig::default() };
    let network = NetworkConfig::Hourglass(config).build(&[1, 32, 32]).unwrap();
    let (n, d) = (5, 1024);
    let (x, input) = (numbers(n, d, 0), input(n, network.as_ref(), true));
    for precision in [Precision::Single, Precision::Bf16] {
        let p = params(network.as_ref()).kept(precision);
        let run = |rows: std::ops::Range<usize>| {
            let one = Input {
                time: input.time[rows.clone()].to_vec(),
                classes: None,
                augment: input.augment.as_ref().map(|a| a[rows.clone()].to_vec()),
                condition: None,
            };
            let x = batch(x[rows.start * d..rows.end * d].to_vec(), rows.len(), &device);
            super::rows(network.forward(&p, x, &one, &Mode::Eval))
        };
        let whole = run(0..n);
        assert!(whole.iter().any(|v| v.abs() > 0.1));
        for i in [0, 2, 4] {
            assert!(run(i..i + 1) == whole[i * d..(i + 1) * d], "{precision:?}, row {i}");
        }
    }
}
