//! Training reaches the exact denoiser where there is one: correlated Gaussian data, for every prediction under several processes.
//!
//! The error is `sqrt(E |D - D*|^2 / E |D*|^2)` over the law of `x_t`, at three noise levels. Correlated data, since on
//! standardised independent ones EDM's network would be right before it has learned anything.

mod common;

use common::*;
use scorefield_model::Model;
use scorefield_nn::{MlpConfig, NetworkConfig};
use scorefield_process::oracle::Mixture;
use scorefield_process::{Denoiser, Prediction, ProcessConfig, ProcessExt};
use scorefield_tensor::{Batch, batch, rows};
use scorefield_train::{OptimConfig, TimeLaw};

const PROCESSES: [ProcessConfig; 4] = [
    ProcessConfig::VpLinear { beta_min: 0.1, beta_max: 20.0 },
    ProcessConfig::SubVp { beta_min: 0.1, beta_max: 20.0 },
    ProcessConfig::Edm { sigma_min: 0.002, sigma_max: 80.0 },
    ProcessConfig::RectifiedFlow,
];
/// Noise levels `sigma / alpha`.
const RATIOS: [f64; 3] = [0.4, 1.0, 2.5];
/// Largest relative error of a trained network.
const BOUND: f64 = 0.12;
const ROWS: usize = 500;

/// The relative error of a denoiser at each noise level.
fn errors(model: &Model, denoise: impl Fn(&Batch, f64) -> Batch) -> Vec<f64> {
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
    let exact = Mixture::new(model.meta().process.build().unwrap(), &[1.0], &[means.to_vec()], &[covariance]);

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

fn largest(errors: &[f64]) -> f64 {
    errors.iter().copied().fold(0.0, f64::max)
}

fn trained(prediction: Prediction, process: ProcessConfig) -> (f64, f64, f64) {
    let mut recipe = recipe(500);
    (recipe.batch, recipe.prediction, recipe.process) = (128, prediction, process);
    recipe.objective.times = TimeLaw::LogNormal { mean: 0.0, deviation: 0.8 };
    recipe.objective.stratified = true;
    recipe.optim = OptimConfig { lr: 1e-2, warmup: 20, ..OptimConfig::default() };
    recipe.network = NetworkConfig::Mlp(MlpConfig { hidden: 32, depth: 1, time_width: 4, ..MlpConfig::default() });
    let (folder, data) = (tempfile::tempdir().unwrap(), points(2000));
    let mut trainer = create(folder.path(), &recipe, &data);
    let before = trainer.model().unwrap();
    let untrained = largest(&errors(&before, |x, t| before.denoiser(None).denoise(x, t)));
    run(&mut trainer).0.unwrap();
    let model = trainer.model().unwrap();
    let found = largest(&errors(&model, |x, t| model.denoiser(None).denoise(x, t)));
    // What a network would be that had learned twice the target.
    let doubled = largest(&errors(&model, |x, t| {
        let c = prediction.coeffs(&model.process().at(t));
        let output = model.output(x.clone() * c.c_in as f32, t, None);
        c.assemble(x, &(output * 2.0f32))
    }));
    (found, untrained, doubled)
}

#[test]
fn networks_learn_the_exact_denoiser() {
    let mut table = String::new();
    let mut sound = true;
    for process in PROCESSES {
        for prediction in Prediction::all() {
            let (found, untrained, doubled) = trained(prediction, process.clone());
            // A bound that an untrained network or one of twice the target kept would say nothing.
            let ok = found < BOUND && untrained > 2.0 * BOUND && doubled > 2.0 * BOUND;
            sound &= ok;
            let name = format!("{} {}", process.name(), prediction.name());
            table += &format!("{name}: trained {found:.3}, untrained {untrained:.3}, doubled {doubled:.3}, {ok}\n");
        }
    }
    assert!(sound, "bound {BOUND}\n{table}");
}
