//! What bfloat16 does to networks, and single precision to the presets at their full size.

use super::*;
use scorefield_nn::{Precision, presets};

/// Root of the mean square of the difference over that of the right numbers.
fn relative(ours: &[f64], right: &[f64]) -> f64 {
    assert_eq!(ours.len(), right.len());
    let square = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>();
    (square(&mut ours.iter().zip(right).map(|(a, b)| a - b)) / square(&mut right.iter().copied())).sqrt()
}

/// Outputs and gradients move by what rounding operands to eight bits does; networks without a rounded product do not move.
#[test]
fn bfloat16_is_near() {
    let device = Device::default();
    let presets = ["small28", "digits8", "sprites32", "mlp-vector"].map(|name| preset(name).unwrap());
    let presets = presets.into_iter().map(|p| (p.name, p.config, p.shape));
    for (name, config, shape) in zoo().into_iter().chain(presets) {
        let (network, x, w, input) = probe(&config, &shape);
        let run = |precision: Precision| {
            let p = params(network.as_ref()).tracked(network.params(), &device).kept(precision);
            let y = network.forward(&p, x.clone(), &input, &Mode::Eval);
            let mut gradients = (y.clone() * w.clone()).sum().backward();
            let gradients: Vec<f64> = p.grads(&mut gradients).into_iter().flatten().flat_map(rows_f64).collect();
            (rows_f64(y.inner()), gradients)
        };
        let ((y, g), (exact, exact_g)) = (run(Precision::Bf16), run(Precision::Single));
        let (output, gradient) = (relative(&y, &exact), relative(&g, &exact_g));
        // No map lies between hidden layers.
        let rounded = !name.contains("radial");
        assert!(output < 0.03 && gradient < 0.05, "{name}: output {output:.1e}, gradient {gradient:.1e}");
        assert!(
            !rounded || output > 1e-5 && gradient > 1e-5,
            "{name}: output {output:.1e}, gradient {gradient:.1e}: was anything rounded?"
        );
    }
}

/// Row i is the same bits alone and in a batch.
#[test]
fn rows_do_not_see_each_other_in_bfloat16() {
    let device = Device::default();
    let p = preset("small28").unwrap();
    for (name, config, shape) in [(p.name, p.config, p.shape)].into_iter().chain(foreign::usual()) {
        let network = config.build(&shape).unwrap();
        let weights = params(network.as_ref()).kept(Precision::Bf16);
        let (n, d) = (5, 784);
        let x = numbers(n, d, 0);
        let run = |rows: std::ops::Range<usize>| {
            let x = batch(x[rows.start * d..rows.end * d].to_vec(), rows.len(), &device);
            let y = network.forward(&weights, x, &Input::at(vec![0.3; rows.len()]), &Mode::Eval);
            super::rows(y).iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
        };
        let all = run(0..n);
        (0..n).for_each(|i| assert_eq!(run(i..i + 1), all[i * d..(i + 1) * d], "{name}, row {i}"));
    }
}

/// Every preset at its full size, one picture, against double precision: run with `--ignored`, it takes minutes.
#[test]
#[ignore = "minutes of arithmetic in double precision"]
#[allow(clippy::print_stderr, reason = "the errors are what it is run for")]
fn presets_agree_with_double_precision() {
    let device = Device::default();
    for p in presets() {
        let network = p.config.build(&p.shape).unwrap();
        let x = batch(numbers(1, p.shape.iter().product(), 0), 1, &device);
        let input = input(1, network.as_ref(), takes_augmentation(&p.config));
        let weights = params(network.as_ref());
        let double = weights.cast(DType::F64);
        let exact = rows_f64(network.forward(&double, x.clone().cast(DType::F64), &input, &Mode::Eval));
        drop(double);
        let run = |precision| rows_f64(network.forward(&weights.clone().kept(precision), x.clone(), &input, &Mode::Eval));
        let (single, half) = (run(Precision::Single), run(Precision::Bf16));
        let largest = exact.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let error = single.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest;
        let (rms, bf16) = (relative(&single, &exact), relative(&half, &exact));
        eprintln!("{:20} f32: largest error {error:.1e} of the largest output, rms {rms:.1e}; bf16: rms {bf16:.1e}", p.name);
        assert!(error < 1e-4 && bf16 < 0.05, "{}", p.name);
    }
}
