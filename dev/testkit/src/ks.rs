//! The Kolmogorov-Smirnov test of samples against a law.

/// The largest distance between the samples' distribution function and `cdf`.
pub fn ks_distance(samples: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let both_sides = |(i, &x): (usize, &f64)| (cdf(x) - i as f64 / n).max((i + 1) as f64 / n - cdf(x));
    // A NaN sorts to an end, and its distance must not vanish in a maximum.
    sorted.iter().enumerate().map(both_sides).fold(0.0, |top, d| if d.is_nan() { 1.0 } else { d.max(top) })
}

/// The probability of a distance at least this large if the samples follow the law: Kolmogorov's series at Stephens' effective
/// argument `(sqrt n + 0.12 + 0.11 / sqrt n) D` (Stephens 1970), good from about eight samples on.
pub fn ks_p_value(distance: f64, n: usize) -> f64 {
    let root = (n as f64).sqrt();
    let z = (root + 0.12 + 0.11 / root) * distance;
    if z < 0.2 {
        return 1.0;
    }
    let term = |k: i32| (if k % 2 == 0 { -2.0 } else { 2.0 }) * (-2.0 * f64::from(k * k) * z * z).exp();
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// Asserts that samples follow a law at a level: a true law fails with that probability (over seeds; a test's seed is fixed).
#[track_caller]
pub fn assert_ks(name: &str, samples: &[f64], cdf: impl Fn(f64) -> f64, level: f64) {
    let distance = ks_distance(samples, cdf);
    let p = ks_p_value(distance, samples.len());
    assert!(
        p >= level,
        "{name}: Kolmogorov-Smirnov distance {distance:.4} of {} samples, p = {p:.2e} below {level}",
        samples.len()
    );
}

/// The standard normal distribution function: Taylor series about 0, continued fraction in the tails, absolute error below
/// 1e-14.
pub fn normal_cdf(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    if x.abs() < 5.0 {
        // Phi(x) = 1/2 + phi(x) (x + x^3/3 + x^5/(3 5) + ...)
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while term.abs() > 1e-17 * sum.abs() {
            k += 2.0;
            term *= x * x / k;
            sum += term;
        }
        return 0.5 + density * sum;
    }
    // 1 - Phi(x) = phi(x) / (x + 1/(x + 2/(x + ...)))
    let fraction = (1..=60).rev().fold(x.abs(), |tail, k| x.abs() + f64::from(k) / tail);
    if x > 0.0 { 1.0 - density / fraction } else { density / fraction }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Abramowitz and Stegun, table 26.1.
    #[test]
    fn normal_cdf_has_the_tabled_values() {
        for (x, p) in [(0.0, 0.5), (1.0, 0.841_344_746_068_543), (2.0, 0.977_249_868_051_821), (-3.0, 0.001_349_898_031_630)] {
            assert!((normal_cdf(x) - p).abs() < 1e-14, "{x}: {}", normal_cdf(x));
        }
        let step = normal_cdf(5.0 + 1e-12) - normal_cdf(5.0 - 1e-12);
        assert!(step.abs() < 1e-14, "{step}");
    }

    /// Kolmogorov's 5 % and 1 % points for many samples: 1.358 and 1.628 over sqrt n.
    #[test]
    fn p_values_are_kolmogorovs() {
        let n = 1_000_000;
        assert!((ks_p_value(1.3581 / 1e3, n) - 0.05).abs() < 2e-4);
        assert!((ks_p_value(1.6276 / 1e3, n) - 0.01).abs() < 1e-4);
    }

    #[test]
    fn a_shift_is_seen_and_equal_spacing_is_not() {
        let even: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
        assert!(ks_p_value(ks_distance(&even, |x| x), 1000) > 0.99);
        assert!(ks_p_value(ks_distance(&even, |x| (x - 0.1).clamp(0.0, 1.0)), 1000) < 1e-6);
        assert_eq!(ks_distance(&[f64::NAN], |x| x), 1.0);
    }
}
