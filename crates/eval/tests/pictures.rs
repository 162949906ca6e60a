//! PSNR and SSIM against a reference implementation, random features against a convolution written out.

use scorefield_eval::*;
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;

fn picture(h: usize, w: usize, [a, b, c]: [f64; 3]) -> Vec<f32> {
    (0..h * w)
        .map(|k| {
            let (i, j) = (k / w, k % w);
            let wave = (a * i as f64 + 0.3).sin() * (b * j as f64).cos();
            (wave + c * ((i * 7 + j * 13) % 5) as f64 / 5.0 - 0.2) as f32
        })
        .collect()
}

/// Golden: scikit-image 0.26.0, `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
/// data_range=2)` and `peak_signal_noise_ratio(data_range=2)` on the same two 19 x 16 pictures.
#[test]
fn psnr_and_ssim_of_the_reference_implementation() {
    let (x, y) = (picture(19, 16, [0.4, 0.9, 0.5]), picture(19, 16, [0.41, 0.85, 0.4]));
    assert!((psnr(&x, &y, 2.0) - 19.281_693_166_161_87).abs() < 1e-4);
    assert!((ssim(&x, &y, (1, 19, 16), 2.0) - 0.539_686_290_831_590_6).abs() < 1e-5);
}

/// Flat pictures have no structure: `(2ab + C_1) / (a^2 + b^2 + C_1)`; equal pictures give one, and infinity dB.
#[test]
fn closed_forms_of_flat_and_equal_pictures() {
    let (a, b, c1) = (0.25f64, 0.75f64, (0.01f64 * 2.0).powi(2));
    for (h, w) in [(12, 14), (8, 8), (3, 20), (1, 1)] {
        let flat = |v: f64| vec![v as f32; 2 * h * w];
        let exact = (2.0 * a * b + c1) / (a * a + b * b + c1);
        assert!((ssim(&flat(a), &flat(b), (2, h, w), 2.0) - exact).abs() < 1e-9, "{h} x {w}");
        assert!((ssim(&flat(a), &flat(a), (2, h, w), 2.0) - 1.0).abs() < 1e-9);
        assert!((psnr(&flat(a), &flat(b), 2.0) - 10.0 * (4.0 / 0.25f64).log10()).abs() < 1e-9);
    }
    let x = picture(16, 16, [0.4, 0.9, 0.5]);
    assert_eq!(psnr(&x, &x, 2.0), f64::INFINITY);
    assert!((ssim(&x, &x, (1, 16, 16), 2.0) - 1.0).abs() < 1e-12);
}

/// The first level's sixteen pairs of mean and deviation, from the convolution as a sum with a clamped border.
#[test]
fn random_features_equal_the_convolution_written_out() {
    let (c, h, w) = (2, 5, 4);
    let x: Vec<f32> = [picture(h, w, [0.4, 0.9, 0.5]), picture(h, w, [1.4, 0.2, 0.1])].concat();
    let found = features(FeatureSpace::RandomConv, Rows::new(&x, 1, c * h * w), Some((c, h, w))).unwrap();
    assert_eq!(found.view().dim(), Features::RANDOM_CONV_DIM);
    let mut taps = vec![0.0; 16 * c * 9];
    Stream::new(Features::RANDOM_CONV_SEED, 0, Purpose::Init, 0, 0).fill_normal(&mut taps);
    for o in 0..16 {
        let mut plane = Vec::new();
        for i in 0..h as isize {
            for j in 0..w as isize {
                let mut sum = 0.0;
                for s in 0..c {
                    for (tap, (di, dj)) in (-1..=1).flat_map(|di| (-1..=1).map(move |dj| (di, dj))).enumerate() {
                        let (y, z) = ((i + di).clamp(0, h as isize - 1), (j + dj).clamp(0, w as isize - 1));
                        let value = f64::from(x[s * h * w + y as usize * w + z as usize]);
                        sum += (2.0 / (9.0 * c as f64)).sqrt() * taps[(o * c + s) * 9 + tap] * value;
                    }
                }
                plane.push(if sum > 0.0 { sum } else { 0.2 * sum });
            }
        }
        let mean = plane.iter().sum::<f64>() / plane.len() as f64;
        let deviation = (plane.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / plane.len() as f64).sqrt();
        let row = found.view().row(0);
        assert!((f64::from(row[2 * o]) - mean).abs() < 1e-5, "{o}: {} {mean}", row[2 * o]);
        assert!((f64::from(row[2 * o + 1]) - deviation).abs() < 1e-5, "{o}");
    }
}

/// Pictures whose pixels are permuted have the same histogram but another texture: random features tell them apart, and a
/// picture's features do not depend on its neighbours in the set.
#[test]
fn random_features_see_texture() {
    let set = |seed: u64, permuted: bool| -> RowsBuf {
        let mut values = Vec::new();
        for i in 0..60u64 {
            let stream = Stream::new(seed, i, Purpose::User, 0, 0);
            let (a, b, c) = (0.3 + 0.5 * stream.uniform(0), 0.3 + 0.5 * stream.uniform(1), 0.2 * stream.uniform(2));
            let x = picture(12, 12, [a, b, c]);
            // 89 is coprime to 144: k -> 89 k is a permutation.
            values.extend((0..144).map(|k| if permuted { x[89 * k % 144] } else { x[k] }));
        }
        let rows = RowsBuf::new(values, 60, 144);
        features(FeatureSpace::RandomConv, rows.view(), Some((1, 12, 12))).unwrap()
    };
    let (a, b, other) = (set(1, false), set(2, false), set(3, true));
    let same = energy_distance(a.view(), b.view()).unwrap().biased;
    let different = energy_distance(a.view(), other.view()).unwrap().biased;
    assert!(different > 10.0 * same, "{different} {same}");
    let alone = RowsBuf::new(picture(12, 12, [0.5, 0.5, 0.1]), 1, 144);
    let twice = RowsBuf::new([picture(12, 12, [0.1, 0.2, 0.3]), picture(12, 12, [0.5, 0.5, 0.1])].concat(), 2, 144);
    let of = |rows: &RowsBuf| features(FeatureSpace::RandomConv, rows.view(), Some((1, 12, 12))).unwrap();
    assert_eq!(of(&alone).view().row(0), of(&twice).view().row(1));
}

#[test]
fn pictures_of_a_single_line_have_features() {
    let x = RowsBuf::new(picture(1, 7, [0.5, 0.5, 0.1]), 1, 7);
    let found = features(FeatureSpace::RandomConv, x.view(), Some((1, 1, 7))).unwrap();
    assert!(found.view().values().iter().all(|v| v.is_finite()));
}
