//! What is particular to the RefineNet: its noise levels, its sizes, its outline, its refusals.

use super::*;
use scorefield_nn::RefineNetConfig;

/// Every kind of stage: the full size, half of it, and dilated.
pub(super) fn small(noise_levels: usize) -> RefineNetConfig {
    RefineNetConfig { model_channels: 4, channel_mult: vec![1, 2, 2], dilations: vec![1, 1, 2], noise_levels }
}

fn run(config: RefineNetConfig, shape: &[usize], input: &Input) -> Vec<f32> {
    let network = NetworkConfig::from(config).build(shape).unwrap();
    let n = input.time.len();
    let x = batch(numbers(n, shape.iter().product(), 0), n, &Default::default());
    rows(network.forward(&params(network.as_ref()), x, input, &Mode::Eval))
}

/// The index of the level is the time rounded; a network without a table does not look at times.
#[test]
fn levels_are_rounded_times() {
    let at = |levels: usize, time: f64| run(small(levels), &[1, 4, 6], &Input::at(vec![time]));
    for (time, level) in [(-0.4, 0.0), (0.49, 0.0), (0.51, 1.0), (1.8, 2.0), (2.3, 2.0)] {
        assert_eq!(at(3, time), at(3, level), "{time}");
    }
    assert_ne!(at(3, 0.0), at(3, 1.0));
    assert_ne!(at(3, 1.0), at(3, 2.0));
    assert_eq!(at(0, -7.0), at(0, 1e9));

    let config = NetworkConfig::from(small(3));
    for (time, takes) in [(-0.6, false), (-0.4, true), (2.4, true), (2.6, false), (f64::NAN, false), (f64::INFINITY, false)] {
        assert_eq!(config.takes_time(time), takes, "{time}");
    }
    assert!(NetworkConfig::from(small(0)).takes_time(1e9));
    assert_eq!(config.clone().with_classes(5), config);
}

#[test]
#[should_panic(expected = "time 3 is the index of none of the network's 3 noise levels")]
fn a_level_that_does_not_exist() {
    run(small(3), &[1, 4, 6], &Input::at(vec![0.0, 3.0]));
}

/// Rows of a usual size, shared out among threads, with all dilations: the same bits alone and in a batch.
#[test]
fn rows_do_not_see_each_other_at_a_usual_size() {
    for (config, shape) in [(RefineNetConfig::ncsn(), [1, 28, 28]), (RefineNetConfig::ncsnv2(), [3, 32, 32])] {
        let config = NetworkConfig::from(RefineNetConfig { model_channels: 16, ..config });
        let network = config.build(&shape).unwrap();
        let (p, d) = (params(network.as_ref()), shape.iter().product::<usize>());
        let (x, input) = (numbers(5, d, 0), input(5, network.as_ref(), false));
        let whole = rows(network.forward(&p, batch(x.clone(), 5, &Default::default()), &input, &Mode::Eval));
        for i in [0, 2, 4] {
            let row = batch(x[i * d..(i + 1) * d].to_vec(), 1, &Default::default());
            let alone = rows(network.forward(&p, row, &Input::at(vec![input.time[i]]), &Mode::Eval));
            assert!(alone == whole[i * d..(i + 1) * d], "{config:?}, row {i}");
        }
    }
}

/// Any sides that the halvings divide, down to one pixel at the deepest stage, and pictures smaller than a dilation.
#[test]
fn sizes() {
    for shape in [[1, 2, 2], [3, 2, 14], [1, 28, 28], [2, 6, 10]] {
        let config = RefineNetConfig { model_channels: 2, ..RefineNetConfig::ncsnv2() };
        let y = run(config, &shape, &Input::at(vec![0.0; 2]));
        assert!(y.len() == 2 * shape.iter().product::<usize>() && y.iter().all(|v| v.is_finite()), "{shape:?}");
    }
    let deeper = RefineNetConfig { model_channels: 2, ..RefineNetConfig::ncsnv2_deeper() };
    assert_eq!(run(deeper, &[3, 4, 8], &Input::at(vec![0.0])).len(), 96);
}

/// Every parameter belongs to a stage, the shapes follow the halvings, and the products are those of the layers as they are used.
#[test]
fn outline_and_products() {
    for (config, shape) in
        [(small(3), [2, 8, 4]), (RefineNetConfig { model_channels: 2, ..RefineNetConfig::ncsnv2_deeper() }, [3, 8, 12])]
    {
        let network = NetworkConfig::from(config.clone()).build(&shape).unwrap();
        let outline = network.outline();
        assert_eq!(outline.iter().map(|s| s.parameters).sum::<usize>(), network.parameters());
        assert!(outline.iter().all(|s| s.parameters > 0), "{outline:?}");
        assert_eq!(outline.last().unwrap().output, shape);
        let names: std::collections::BTreeSet<_> = network.params().iter().map(|s| &s.name).collect();
        assert_eq!(names.len(), network.params().len());

        let (watched, calls) = params(network.as_ref()).watched();
        let x = batch(numbers(1, shape.iter().product(), 0), 1, &Default::default());
        network.forward(&watched, x, &Input::at(vec![0.0]), &Mode::Eval);
        let calls = calls.lock().unwrap();
        let products = |c: &scorefield_nn::Call| {
            let places = c.input[0] * c.input[2] * c.input[3];
            (places * c.weights.iter().product::<usize>()) as u64
        };
        // Grids of a dilated layer are padded to one size; of these shapes only those of a dilation of 4 are.
        let padded = config.dilations.contains(&4);
        let counted: u64 = calls.iter().map(products).sum();
        let promised = network.multiplications();
        assert!(counted == promised || padded && counted > promised, "{counted} products, {promised} promised");
        assert_eq!(calls.len(), network.params().iter().filter(|s| s.shape.len() == 4).count());
    }
}

/// The authors' networks at their width, by the sum of their layers.
#[test]
fn published_widths() {
    let count = |config: RefineNetConfig, shape: &[usize]| NetworkConfig::from(config).parameters(shape).unwrap();
    let three = |i: usize, o: usize| 9 * i * o;
    let (n, w) = (128, 256);
    // Filters of the network of 2020 without biases and norms, written out stage by stage.
    let blocks = 4 * three(n, n) + three(n, n) + three(n, w) + n * w + 2 * three(w, w) + 2 * (5 * three(w, w));
    let units = |width: usize, of: usize| 2 * of * three(width, width);
    let refine = [
        units(w, 2) + 2 * three(w, w) + units(w, 1),
        2 * units(w, 2) + 2 * three(w, w) + 2 * three(w, w) + units(w, 1),
        2 * units(w, 2) + 2 * three(w, n) + 2 * three(n, n) + units(n, 1),
        2 * units(n, 2) + 2 * three(n, n) + 2 * three(n, n) + units(n, 3),
    ];
    let filters = three(3, n) + blocks + refine.iter().sum::<usize>() + three(n, 3);
    let network = NetworkConfig::from(RefineNetConfig::ncsnv2()).build(&[3, 32, 32]).unwrap();
    let ours: usize = network.params().iter().filter(|s| s.shape.len() == 4).map(|s| s.len()).sum();
    assert_eq!(ours, filters);
    // The tables of ten levels are all that 2019 has beside, 30 numbers a channel in place of three in the norms they share.
    let (told, plain) = (count(RefineNetConfig::ncsn(), &[3, 32, 32]), count(RefineNetConfig::ncsnv2(), &[3, 32, 32]));
    let tables = NetworkConfig::from(RefineNetConfig::ncsn()).build(&[3, 32, 32]).unwrap();
    let tables: usize = tables.params().iter().filter(|s| s.name.ends_with(".table")).map(|s| s.len()).sum();
    let own: usize = network.params().iter().filter(|s| s.name.contains("norm")).map(|s| s.len()).sum();
    assert_eq!(told - tables, plain - own);
}

/// What cannot be is refused with what would do.
#[test]
fn refusals_of_the_refinenet() {
    let refuse = |config: RefineNetConfig, shape: &[usize]| NetworkConfig::from(config).build(shape).unwrap_err().to_string();
    let base = || small(0);
    let cases = [
        (base(), vec![1, 7, 8], &["7 x 8", "multiple of 2", "8 x 8"][..]),
        (RefineNetConfig::ncsnv2_deeper(), vec![3, 34, 30], &["34 x 30", "multiple of 4", "36 x 32"]),
        (base(), vec![64], &["[64]", "[channels, height, width]", "mlp"]),
        (base(), vec![0, 8, 8], &["[0, 8, 8]"]),
        (RefineNetConfig { channel_mult: vec![], ..base() }, vec![1, 8, 8], &["channel_mult", "1 to 16"]),
        (RefineNetConfig { channel_mult: vec![1, 0, 2], ..base() }, vec![1, 8, 8], &["channel_mult = [1, 0, 2]", "positive"]),
        (RefineNetConfig { dilations: vec![1, 1], ..base() }, vec![1, 8, 8], &["dilations = [1, 1]", "3 stages"]),
        (RefineNetConfig { dilations: vec![1, 1, 0], ..base() }, vec![1, 8, 8], &["dilations = [1, 1, 0]", "from 1"]),
        (RefineNetConfig { dilations: vec![1, 1, 64], ..base() }, vec![1, 8, 8], &["dilations = [1, 1, 64]", "to 32"]),
        (RefineNetConfig { model_channels: 1, ..base() }, vec![1, 8, 8], &["model_channels = 1", "at least 2"]),
        (RefineNetConfig { model_channels: 0, ..base() }, vec![1, 8, 8], &["model_channels = 0", "at least 2"]),
        (RefineNetConfig { noise_levels: 1, ..base() }, vec![1, 8, 8], &["noise_levels = 1", "at least 2"]),
    ];
    for (config, shape, words) in cases {
        let text = refuse(config, &shape);
        words.iter().for_each(|w| assert!(text.contains(w), "{w:?} is not in {text:?}"));
    }

    let unknown = toml::from_str::<NetworkConfig>("kind = \"refinenet\"\nngf = 8").unwrap_err().to_string();
    assert!(unknown.contains("ngf") && unknown.contains("model_channels"), "{unknown}");
    let read: NetworkConfig = toml::from_str("kind = \"refinenet\"\nmodel_channels = 16\nnoise_levels = 10").unwrap();
    assert_eq!(read, RefineNetConfig { model_channels: 16, ..RefineNetConfig::ncsn() }.into());
    assert_eq!(toml::from_str::<NetworkConfig>(&toml::to_string(&read).unwrap()).unwrap(), read);
}
