//! The exact denoiser of the data of [`points`](super::points), and how far another is from it.

use super::{normals, points};
use scorefield_model::Model;
use scorefield_process::oracle::Mixture;
use scorefield_process::{Denoiser, Process, ProcessExt};
use scorefield_tensor::{Batch, batch, rows};

/// Noise levels `sigma / alpha`.
pub(crate) const RATIOS: [f64; 3] = [0.4, 1.0, 2.5];
const ROWS: usize = 500;

/// The law of the encoded points as a Gaussian of their mean and covariance, and the points.
pub(crate) fn law(model: &Model) -> (Mixture<Box<dyn Process>>, Vec<f32>) {
    let data = points(2000);
    let (mut natural, mut states) = ([0.0; 2], Vec::new());
    for i in 0..data.len() {
        data.row(i, &mut natural);
        let mut state = [0.0; 2];
        model.meta().codec.encode_row(&natural, &mut state);
        states.extend(state);
    }
    let n = data.len() as f64;
    let mean = |i: usize| states.chunks(2).map(|r| f64::from(r[i])).sum::<f64>() / n;
    let means = [mean(0), mean(1)];
    let product = |i: usize, j: usize| {
        states.chunks(2).map(|r| (f64::from(r[i]) - means[i]) * (f64::from(r[j]) - means[j])).sum::<f64>() / n
    };
    let covariance = vec![vec![product(0, 0), product(0, 1)], vec![product(1, 0), product(1, 1)]];
    assert!(covariance[0][1] > 0.7, "{covariance:?}");
    (Mixture::new(model.meta().process.build().unwrap(), &[1.0], &[means.to_vec()], &[covariance]), states)
}

/// The relative error of a denoiser at each noise level.
pub(crate) fn errors(model: &Model, denoise: impl Fn(&Batch, f64) -> Batch) -> Vec<f64> {
    let (exact, states) = law(model);
    let device = Default::default();
    let x0 = batch(states[..2 * ROWS].to_vec(), ROWS, &device);
    let eps = batch(normals(2 * ROWS, 99), ROWS, &device);
    RATIOS
        .iter()
        .map(|&ratio| {
            let t = model.process().time_of_ratio(ratio);
            let x = model.process().at(t).perturb(&x0, &eps);
            let (right, found) = (rows(exact.denoise(&x, t)), rows(denoise(&x, t)));
            let square = |v: f32| f64::from(v) * f64::from(v);
            let error: f64 = right.iter().zip(&found).map(|(a, b)| square(a - b)).sum();
            (error / right.iter().map(|&v| square(v)).sum::<f64>()).sqrt()
        })
        .collect()
}

pub(crate) fn largest(errors: &[f64]) -> f64 {
    errors.iter().copied().fold(0.0, f64::max)
}
