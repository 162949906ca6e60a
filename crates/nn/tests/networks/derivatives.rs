//! Derivatives with respect to the input: forward mode, and energies whose fields are gradients.

use super::*;

/// `J v` by forward mode and by differences in double precision, and the differences of networks without forward mode among themselves.
#[test]
fn jacobian_products_equal_differences() {
    let device = Device::default();
    for (name, config, shape) in zoo() {
        let network = config.build(&shape).unwrap();
        let (n, d) = (2, shape.iter().product());
        let input = input(n, network.as_ref(), takes_augmentation(&config));
        let p = params(network.as_ref()).cast(DType::F64);
        let f64s = |step: u32| batch(numbers(n, d, step), n, &device).cast(DType::F64);
        let (x, v) = (f64s(0), f64s(3));
        let noise = Streams::new(1, (0..n as u64).collect(), Purpose::Dropout);
        for mode in [Mode::Eval, Mode::Train { noise }] {
            let (y, products) = network.jvp(&p, x.clone(), &[v.clone(), v.clone() * 2.0], &input, &mode);
            let at = |h: f64| network.forward(&p, x.clone() + v.clone() * h, &input, &mode);
            let h = 1e-4;
            let quotient = rows_f64((at(h) - at(-h)) / (2.0 * h));
            let largest = quotient.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            // The step of the library's own differences is that of single precision.
            let tolerance = match &config {
                _ if network.exact_jvp() => 1e-6,
                // Steps of that size cross the kinks of maxima.
                NetworkConfig::RefineNet(_) => 2e-2,
                // Norms of few numbers are crooked on its scale.
                NetworkConfig::Hourglass(_) => 1e-2,
                _ => 3e-3,
            };
            let tolerance = tolerance * largest;
            assert_eq!(rows_f64(y), rows_f64(at(0.0)), "{name}");
            let [once, twice] = [0, 1].map(|k| rows_f64(products[k].clone()));
            for ((a, b), q) in once.iter().zip(&twice).zip(&quotient) {
                // The error of a difference is the cube of its direction's length.
                assert!((a - q).abs() < tolerance && (b - 2.0 * q).abs() < 8.0 * tolerance, "{name}: {a} {b} {q}");
            }
            assert!(largest > 0.02, "{name}: {largest}");
        }
    }
}

/// The field of an energy is minus its gradient by differences, and has no curl: its Jacobian is symmetric. That of a network
/// without an energy is not, so the check can fail.
#[test]
fn energies_have_conservative_fields() {
    let device = Device::default();
    for residual in [true, false] {
        let config = MlpConfig { hidden: 16, depth: 2, time_width: 4, residual, energy: true, ..MlpConfig::default() };
        let network = Mlp::new(&config, &[3]).unwrap();
        let input = Input::at(vec![0.3]);
        let p = params(&network).cast(DType::F64);
        let row = |v: [f64; 3]| batch_f64(v.to_vec(), 1, &device);
        let (at, h) = ([0.4, -0.9, 0.2], 1e-4);
        let moved = |i: usize, h: f64| {
            let mut v = at;
            v[i] += h;
            row(v)
        };
        let energy = |x| rows_f64(network.energy(&p, x, &input))[0];
        let field = rows_f64(network.forward(&p, row(at), &input, &Mode::Eval));
        for (i, along) in field.iter().enumerate() {
            let slope = (energy(moved(i, h)) - energy(moved(i, -h))) / (2.0 * h);
            assert!((along + slope).abs() < 1e-6, "{residual} {i}: {along} {slope}");
        }
        let curl = |config: &MlpConfig| {
            let network = Mlp::new(config, &[3]).unwrap();
            let p = params(&network).cast(DType::F64);
            let field = |x| rows_f64(network.forward(&p, x, &input, &Mode::Eval));
            let column =
                |j: usize| field(moved(j, h)).iter().zip(field(moved(j, -h))).map(|(a, b)| (a - b) / (2.0 * h)).collect();
            let jacobian: Vec<Vec<f64>> = (0..3).map(column).collect();
            [(0, 1), (0, 2), (1, 2)].map(|(i, j)| (jacobian[i][j] - jacobian[j][i]).abs()).into_iter().fold(0.0, f64::max)
        };
        let (with, without) = (curl(&config), curl(&MlpConfig { energy: false, ..config.clone() }));
        assert!(with < 1e-6 && without > 0.05, "{residual}: {with} {without}");
    }
    let refused = MlpConfig { energy: true, dropout: 0.1, ..MlpConfig::default() };
    assert!(Mlp::new(&refused, &[2]).unwrap_err().to_string().contains("network.energy"));
}
