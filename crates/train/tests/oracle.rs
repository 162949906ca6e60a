//! Training reaches the exact denoiser where there is one: correlated Gaussian data, for every prediction under several processes.
//!
//! The error is `sqrt(E |D - D*|^2 / E |D*|^2)` over the law of `x_t`, at three noise levels. Correlated data, since on
//! standardised independent ones EDM's network would be right before it has learned anything.

mod common;

use common::exact::{errors, largest};
use common::*;
use scorefield_nn::{MlpConfig, NetworkConfig};
use scorefield_process::{Denoiser, Prediction, ProcessConfig, ProcessExt};
use scorefield_train::{OptimConfig, TimeLaw};

const PROCESSES: [ProcessConfig; 4] = [
    ProcessConfig::VpLinear { beta_min: 0.1, beta_max: 20.0 },
    ProcessConfig::SubVp { beta_min: 0.1, beta_max: 20.0 },
    ProcessConfig::Edm { sigma_min: 0.002, sigma_max: 80.0 },
    ProcessConfig::RectifiedFlow,
];
/// Largest relative error of a trained network.
const BOUND: f64 = 0.12;

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
        // The raw score is of order 1 / sigma: a small network cannot be all of its sizes, which is why scores are trained times sigma.
        for prediction in Prediction::all().into_iter().filter(|p| *p != Prediction::RawScore) {
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
