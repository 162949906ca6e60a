//! Noise laws have the mean and the variance that they claim.

use crate::list::*;
use scorefield_control::operator::MeasurementNoise;

/// Mean and variance of many draws at one value.
fn moments(law: MeasurementNoise, y: f64, n: usize, seed: u64) -> (f64, f64) {
    let draws = law.checked().unwrap().draw(&vec![y; n], &mut uniforms(seed));
    let mean = draws.iter().sum::<f64>() / n as f64;
    (mean, draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1) as f64)
}

/// The mean within five standard errors; the variance too, whose own is `sqrt((kurtosis - 1) / n)`, at most `sqrt(22 / n)` here.
fn agrees(law: MeasurementNoise, y: f64, seed: u64) -> Result<(), String> {
    let n = 100_000;
    let (mean, variance) = moments(law, y, n, seed);
    let exact = law.variance(y);
    let (first, second) =
        ((mean - y).abs() / (exact / n as f64).sqrt(), (variance / exact - 1.0).abs() / (22.0 / n as f64).sqrt());
    if first < 5.0 && second < 5.0 { Ok(()) } else { Err(format!("{law:?} at {y}: {mean} {variance} {exact}")) }
}

#[test]
fn means_and_variances() {
    let mut seed = 0;
    let mut check = |law, y| {
        seed += 1;
        agrees(law, y, seed).unwrap();
    };
    check(MeasurementNoise::Gaussian { sigma: 0.3 }, 0.7);
    // Means of 1.2, 3, 12.5, 40, 900 and 2e6 photons, and one drawn as a rounded normal.
    for (peak, y) in [(1.0, 0.2), (2.0, 0.5), (10.0, 0.25), (40.0, 0.0), (600.0, 0.5), (1e6, 1.0), (1e9, 0.5)] {
        check(MeasurementNoise::Poisson { peak, dark: -1.0 }, y);
    }
}

#[test]
fn a_planted_factor_of_two_is_found() {
    let law = MeasurementNoise::Poisson { peak: 40.0, dark: 0.0 };
    let wrong = MeasurementNoise::Poisson { peak: 80.0, dark: 0.0 };
    assert!(agrees(law, 1.0, 1).is_ok());
    let (_, variance) = moments(law, 1.0, 100_000, 1);
    assert!((variance / wrong.variance(1.0) - 1.0).abs() > 0.9);
}

/// Frequencies of small counts against `m^n e^-m / n!`.
#[test]
fn poisson_frequencies() {
    let (mean, n) = (2.5f64, 200_000);
    let draws = MeasurementNoise::Poisson { peak: 1.0, dark: 0.0 }.draw(&vec![mean; n], &mut uniforms(9));
    let mut probability = (-mean).exp();
    for k in 0..10 {
        let found = draws.iter().filter(|d| **d == f64::from(k)).count() as f64 / n as f64;
        let error = (probability * (1.0 - probability) / n as f64).sqrt();
        assert!((found - probability).abs() < 5.0 * error, "{k}: {found} {probability}");
        probability *= mean / f64::from(k + 1);
    }
}

#[test]
fn laws_without_chance() {
    let mut never = || -> f64 { unreachable!("nothing is drawn") };
    assert_eq!(MeasurementNoise::None.draw(&[0.3, -4.0], &mut never), [0.3, -4.0]);
    assert_eq!(MeasurementNoise::None.variance(1.0), 0.0);
    let law = MeasurementNoise::Quantise { levels: 5, low: -1.0, high: 1.0 };
    assert_eq!(law.draw(&[-3.0, -0.8, -0.7, 0.2, 0.3, 1.7], &mut never), [-1.0, -1.0, -0.5, 0.0, 0.5, 1.0]);
    // Errors of evenly spread values: mean zero, variance step^2 / 12.
    let values: Vec<f64> = (0..10_000).map(|i| -1.0 + 2.0 * (f64::from(i) + 0.5) / 10_000.0).collect();
    let squares: f64 = law.draw(&values, &mut never).iter().zip(&values).map(|(d, v)| (d - v).powi(2)).sum();
    assert!((squares / 1e4 / law.variance(0.0) - 1.0).abs() < 1e-3);
    // Below the value of no light there is nothing to count, and the variance is that of one photon.
    let counts = MeasurementNoise::Poisson { peak: 10.0, dark: -1.0 };
    assert_eq!(counts.draw(&[-1.0, -2.0, f64::NAN], &mut never), [-1.0; 3]);
    assert!((counts.variance(-1.0) - 0.01).abs() < 1e-15);
}
