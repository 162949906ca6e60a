//! Distances against closed forms of Gaussian laws, and against sums written out.

use scorefield_eval::*;
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;
use std::f64::consts::PI;

/// `n` rows of `d` normals of the given mean (along the first entry) and deviation; sample `i` of the set `seed`.
fn gaussian(seed: u64, n: usize, d: usize, mean: f64, deviation: f64) -> RowsBuf {
    let mut values = Vec::with_capacity(n * d);
    for i in 0..n {
        let mut row = vec![0.0; d];
        Stream::new(seed, i as u64, Purpose::User, 0, 0).fill_normal(&mut row);
        row.iter_mut().for_each(|v| *v *= deviation);
        row[0] += mean;
        values.extend(row.into_iter().map(|v| v as f32));
    }
    RowsBuf::new(values, n, d)
}

/// `erf` by its Taylor series, exact to 1e-14 for the arguments below 3 used here.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for k in 1..200 {
        term *= -x * x / k as f64;
        sum += term / (2 * k + 1) as f64;
    }
    2.0 / PI.sqrt() * sum
}

/// `E|Z|` for `Z ~ N(m, v)`: `sqrt(2 v / pi) exp(-m^2 / 2v) + m erf(m / sqrt(2v))`.
fn mean_absolute(m: f64, v: f64) -> f64 {
    (2.0 * v / PI).sqrt() * (-m * m / (2.0 * v)).exp() + m * erf(m / (2.0 * v).sqrt())
}

/// `E k(Z)` for `Z ~ N(m, v)` and `k = exp(-z^2 / 2h^2)`: `h / sqrt(h^2 + v) exp(-m^2 / (2 (h^2 + v)))`.
fn mean_kernel(m: f64, v: f64, h: f64) -> f64 {
    h / (h * h + v).sqrt() * (-m * m / (2.0 * (h * h + v))).exp()
}

#[test]
fn energy_distance_of_two_gaussians() {
    for (seed, m, s) in [(1, 0.0, 1.0), (2, 1.0, 1.0), (3, 0.3, 1.5), (4, -2.0, 0.5)] {
        let (x, y) = (gaussian(seed, 3000, 1, 0.0, 1.0), gaussian(seed + 100, 2500, 1, m, s));
        let exact = 2.0 * mean_absolute(m, 1.0 + s * s) - mean_absolute(0.0, 2.0) - mean_absolute(0.0, 2.0 * s * s);
        let found = energy_distance(x.view(), y.view()).unwrap();
        assert!((found.unbiased - exact).abs() < 4.0 * found.standard_error + 1e-12, "{m} {s}: {found:?} {exact}");
        // The V-statistic exceeds it by the diagonals: E|X - X'| / n + E|Y - Y'| / m.
        let diagonals = mean_absolute(0.0, 2.0) / 3000.0 + mean_absolute(0.0, 2.0 * s * s) / 2500.0;
        assert!(((found.biased - found.unbiased) / diagonals - 1.0).abs() < 0.05, "{found:?} {diagonals}");
    }
}

#[test]
fn mmd_of_two_gaussians() {
    for (seed, m, s, h) in [(11, 0.0, 1.0, 1.0), (12, 1.0, 1.0, 0.7), (13, 0.5, 2.0, 1.3)] {
        let (x, y) = (gaussian(seed, 2000, 1, 0.0, 1.0), gaussian(seed + 100, 2000, 1, m, s));
        let exact = mean_kernel(0.0, 2.0, h) + mean_kernel(0.0, 2.0 * s * s, h) - 2.0 * mean_kernel(m, 1.0 + s * s, h);
        let found = mmd(x.view(), y.view(), h).unwrap();
        assert!((found.unbiased - exact).abs() < 4.0 * found.standard_error, "{m} {s} {h}: {found:?} {exact}");
        assert!(found.biased > found.unbiased && found.biased >= 0.0);
    }
}

/// Both estimates written out as double sums, and the jackknife as `n + m` statistics of sets with a row removed.
#[test]
fn statistics_and_jackknife_equal_their_definitions() {
    let (x, y) = (gaussian(5, 23, 3, 0.0, 1.0), gaussian(6, 17, 3, 2.0, 1.2));
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let mean =
        |a: Rows<'_>, b: Rows<'_>, pairs: f64| a.iter().flat_map(|a| b.iter().map(move |b| distance(a, b))).sum::<f64>() / pairs;
    let u = |x: Rows<'_>, y: Rows<'_>| {
        let (n, m) = (x.len() as f64, y.len() as f64);
        2.0 * mean(x, y, n * m) - mean(x, x, n * (n - 1.0)) - mean(y, y, m * (m - 1.0))
    };
    let without = |rows: Rows<'_>, i: usize| rows.take(&(0..rows.len()).filter(|&j| j != i).collect::<Vec<_>>());
    let spread = |all: Vec<f64>| {
        let n = all.len() as f64;
        let centre = all.iter().sum::<f64>() / n;
        (n - 1.0) / n * all.iter().map(|t| (t - centre).powi(2)).sum::<f64>()
    };
    let (x, y) = (x.view(), y.view());
    let of_x = spread((0..x.len()).map(|i| u(without(x, i).view(), y)).collect());
    let of_y = spread((0..y.len()).map(|i| u(x, without(y, i).view())).collect());
    let v = 2.0 * mean(x, y, 23.0 * 17.0) - mean(x, x, 23.0 * 23.0) - mean(y, y, 17.0 * 17.0);
    let found = energy_distance(x, y).unwrap();
    assert!((found.unbiased - u(x, y)).abs() < 1e-6, "{found:?}");
    assert!((found.biased - v).abs() < 1e-6, "{found:?}");
    assert!((found.standard_error - (of_x + of_y).sqrt()).abs() < 1e-6, "{found:?} {}", (of_x + of_y).sqrt());
}

/// Over 120 repetitions the estimate spreads as its standard error says, where the laws differ and where they agree.
#[test]
fn standard_errors_are_the_spread_over_repetitions() {
    for (mean, least, most) in [(1.0, 0.75, 1.35), (0.0, 0.75, 1.7)] {
        let runs: Vec<TwoSample> = (0..120)
            .map(|r| {
                let (x, y) = (gaussian(1000 + 2 * r, 150, 2, 0.0, 1.0), gaussian(1001 + 2 * r, 150, 2, mean, 1.0));
                energy_distance(x.view(), y.view()).unwrap()
            })
            .collect();
        let n = runs.len() as f64;
        let centre = runs.iter().map(|r| r.unbiased).sum::<f64>() / n;
        let spread = (runs.iter().map(|r| (r.unbiased - centre).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let claimed = runs.iter().map(|r| r.standard_error).sum::<f64>() / n;
        assert!((least..most).contains(&(claimed / spread)), "mean {mean}: claimed {claimed}, found {spread}");
    }
}

/// Same bits with one thread and with three, and in blocks of any height.
#[test]
fn sums_do_not_depend_on_threads() {
    let (x, y) = (gaussian(7, 131, 40, 0.0, 1.0), gaussian(8, 97, 40, 0.1, 1.0));
    let measure = || {
        let e = energy_distance(x.view(), y.view()).unwrap();
        let s = sliced_wasserstein(x.view(), y.view(), 2.0, 33, 5).unwrap();
        [e.unbiased, e.biased, e.standard_error, s.value, s.standard_error, frechet_distance(x.view(), y.view()).unwrap()]
    };
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(measure);
    assert_eq!(with(1).map(f64::to_bits), with(3).map(f64::to_bits));
}

#[test]
fn median_distance_is_the_median() {
    let x = RowsBuf::new(vec![0.0, 1.0], 2, 1);
    let y = RowsBuf::new(vec![3.0], 1, 1);
    assert_eq!(median_distance(x.view(), y.view(), 10), 2.0);
    assert!(median_distance(x.view().first(1), x.view().first(1), 10) > 0.0);
}

/// In one dimension: sorted pairs for equal sizes, the written-out integral for unequal ones.
#[test]
fn one_dimensional_transport() {
    assert_eq!(wasserstein_1d(&mut [3.0, 1.0], &mut [2.0, 7.0], 1.0), 2.5);
    assert_eq!(wasserstein_1d(&mut [3.0, 1.0], &mut [2.0, 7.0], 2.0), 8.5);
    // F^-1 = 0 | 6 halves, G^-1 = 0 | 3 | 6 thirds: |0-0|/3 + |0-3|/6 + |6-3|/6 + 0.
    assert!((wasserstein_1d(&mut [0.0, 6.0], &mut [6.0, 0.0, 3.0], 1.0) - 1.0).abs() < 1e-15);
}

/// A shift by `m` moves every projection by `theta . m`: `SW_2^2 = E (theta . m)^2 = |m|^2 / d`.
#[test]
fn sliced_distance_of_a_shift() {
    let d = 5;
    let x = gaussian(9, 50, d, 0.0, 1.0);
    let shifted = RowsBuf::new(x.view().iter().flat_map(|row| row.iter().map(|v| v + 0.5)).collect(), 50, d);
    let found = sliced_wasserstein(x.view(), shifted.view(), 2.0, 4000, 3).unwrap();
    assert!((found.value - 0.5).abs() < 4.0 * found.standard_error, "{found:?}");
    assert!(found.standard_error < 0.01, "{found:?}");
    let line = sliced_wasserstein(x.view(), x.view(), 2.0, 10, 3).unwrap();
    assert_eq!((line.value, line.standard_error), (0.0, 0.0));
}

/// Commuting covariances give `sum (sqrt a - sqrt b)^2`; for 2 x 2, `tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB))`.
#[test]
fn frechet_distance_of_gaussians() {
    let moments = |mean: &[f64], c: &[f64]| Moments { mean: mean.to_vec(), covariance: c.to_vec() };
    let a = moments(&[0.0, 1.0], &[4.0, 0.0, 0.0, 1.0]);
    let b = moments(&[3.0, 1.0], &[1.0, 0.0, 0.0, 9.0]);
    assert!((gaussian_frechet(&a, &b) - (9.0 + 1.0 + 4.0)).abs() < 1e-12);

    let (p, q) = ([2.0, 0.7, 0.7, 1.0], [1.0, -0.4, -0.4, 3.0]);
    let trace_product = p[0] * q[0] + p[1] * q[2] + p[2] * q[1] + p[3] * q[3];
    let determinant = (p[0] * p[3] - p[1] * p[2]) * (q[0] * q[3] - q[1] * q[2]);
    let exact = 3.0 + 4.0 - 2.0 * (trace_product + 2.0 * f64::sqrt(determinant)).sqrt();
    assert!((gaussian_frechet(&moments(&[0.0; 2], &p), &moments(&[0.0; 2], &q)) - exact).abs() < 1e-12);

    // Samples: |m|^2 + d (1 - s)^2, with the bias of 10,000 rows well below the tolerance.
    let (x, y) = (gaussian(20, 10_000, 3, 0.0, 1.0), gaussian(21, 10_000, 3, 2.0, 1.5));
    let found = frechet_distance(x.view(), y.view()).unwrap();
    assert!((found - (4.0 + 3.0 * 0.25)).abs() < 0.15, "{found}");
    assert!(frechet_distance(x.view(), x.view()).unwrap().abs() < 1e-9);
}

#[test]
fn errors_name_what_they_found() {
    let (x, y) = (gaussian(1, 5, 2, 0.0, 1.0), gaussian(2, 5, 3, 0.0, 1.0));
    let text = |e: EvalError| e.to_string();
    let widths = text(energy_distance(x.view(), y.view()).unwrap_err());
    assert!(widths.contains("rows of 2 and of 3 numbers"), "{widths}");
    let few = text(energy_distance(x.view().first(1), x.view()).unwrap_err());
    assert!(few.contains("at least 2 rows, but the first set has 1"), "{few}");
    let wide = RowsBuf::new(vec![0.0; 2 * 300], 2, 300);
    let wide = text(frechet_distance(wide.view(), wide.view()).unwrap_err());
    assert!(wide.contains("300 x 300") && wide.contains("256 x 256"), "{wide}");
    let name = text("inception".parse::<FeatureSpace>().unwrap_err());
    assert!(name.contains("inception") && name.contains("raw, random-conv"), "{name}");
    let vector = text(features(FeatureSpace::RandomConv, x.view(), None).unwrap_err());
    assert!(vector.contains("rows of 2 numbers"), "{vector}");
    let nan = RowsBuf::new(vec![0.0, f32::INFINITY, 0.0, 0.0], 2, 2);
    assert!(text(sliced_wasserstein(nan.view(), x.view(), 2.0, 3, 0).unwrap_err()).contains("row 0, entry 1 is inf"));
}
