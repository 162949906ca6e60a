//! A process as the configuration of a scheduler: a table of rates for `DDPMScheduler`, the exploding one for `ScoreSdeVeScheduler`.

use super::error::Reasons;
use crate::ModelMeta;
use crate::import::diffusers_scheduler::{CLIP, COSINE_OFFSET, PREDICTIONS};
use scorefield_process::{Prediction, ProcessConfig};
use serde_json::{Value, json};

/// `scheduler/scheduler_config.json`.
pub(super) fn scheduler(meta: &ModelMeta, skips: bool, reasons: &mut Reasons) -> Value {
    let found = meta.prediction.name();
    if skips {
        reasons.unless(meta.prediction == Prediction::Score, || {
            format!("prediction = \"{found}\" with skip blocks; expected \"score\"")
        });
        reasons.unless(meta.input.unscaled, || {
            "an input scaled to unit variance with skip blocks; expected input.unscaled = true".into()
        });
        let ProcessConfig::Ve { sigma_min, sigma_max } = &meta.process else {
            reasons.add(format!("process = \"{}\" with skip blocks; expected \"ve\"", meta.process.name()));
            return Value::Null;
        };
        return exploding(meta, *sigma_min, *sigma_max);
    }
    let prediction = PREDICTIONS.iter().find(|(_, p)| *p == meta.prediction).map(|(name, _)| *name);
    reasons.unless(prediction.is_some(), || format!("prediction = \"{found}\"; expected \"noise\", \"velocity\" or \"clean\""));
    let Some(table) = table(&meta.process) else {
        reasons.add(format!(
            "process = \"{}\" is no table of rates; expected a discrete one: a table only comes near to a process of continuous time",
            meta.process.name()
        ));
        return Value::Null;
    };
    let (solver, options) = meta.sampling.solver.split_once(':').unwrap_or((&meta.sampling.solver, ""));
    let large = solver == "ddpm" && option(options, "variance") == Some("large");
    let variance = match meta.variance {
        Some(crate::LearnedVariance::Blend) => "learned_range",
        Some(crate::LearnedVariance::Free) => {
            reasons.add("variance = \"free\"; expected \"blend\" or none: no scheduler of theirs reads it".to_owned());
            return Value::Null;
        }
        None if large => "fixed_large",
        None => "fixed_small",
    };
    let spacing = match meta.sampling.grid.as_str() {
        grid @ ("trailing" | "linspace") => grid,
        _ => "leading",
    };
    let mut all = json!({
        "beta_end": 0.02,
        "beta_schedule": "linear",
        "beta_start": 1e-4,
        "clip_sample": false,
        "clip_sample_range": 1.0,
        "dynamic_thresholding_ratio": 0.995,
        "num_train_timesteps": 1000,
        "prediction_type": prediction,
        "rescale_betas_zero_snr": false,
        "sample_max_value": 1.0,
        "steps_offset": 0,
        "thresholding": false,
        "timestep_spacing": spacing,
        "trained_betas": null,
        "variance_type": variance,
    });
    for (key, value) in table.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    all
}

/// The keys that say a table: its name and constants where theirs is the same formula, else its rates; none for other processes.
fn table(process: &ProcessConfig) -> Option<Value> {
    let ranged = |name: &str, steps: usize, (start, end): (f64, f64), zero: bool| {
        json!({
            "beta_schedule": name, "num_train_timesteps": steps, "beta_start": start, "beta_end": end, "rescale_betas_zero_snr": zero
        })
    };
    let named = |name: &str, steps: usize, zero: bool| json!({ "beta_schedule": name, "num_train_timesteps": steps, "rescale_betas_zero_snr": zero });
    let listed = |betas: Vec<f64>, zero: bool| json!({ "num_train_timesteps": betas.len(), "trained_betas": betas, "rescale_betas_zero_snr": zero });
    use ProcessConfig as P;
    Some(match process {
        P::DiscreteLinear { steps, beta_min, beta_max, zero_terminal_snr } => {
            ranged("linear", *steps, (*beta_min, *beta_max), *zero_terminal_snr)
        }
        P::DiscreteScaledLinear { steps, beta_min, beta_max, zero_terminal_snr }
        | P::DiscreteQuadratic { steps, beta_min, beta_max, zero_terminal_snr } => {
            ranged("scaled_linear", *steps, (*beta_min, *beta_max), *zero_terminal_snr)
        }
        P::DiscreteSigmoid { steps, beta_min, beta_max, zero_terminal_snr } => {
            ranged("sigmoid", *steps, (*beta_min, *beta_max), *zero_terminal_snr)
        }
        P::DiscreteCosine { steps, offset, clip, zero_terminal_snr } if (*offset, *clip) == (COSINE_OFFSET, CLIP) => {
            named("squaredcos_cap_v2", *steps, *zero_terminal_snr)
        }
        P::DiscreteLaplace { steps, clip, zero_terminal_snr } if *clip == CLIP => named("laplace", *steps, *zero_terminal_snr),
        P::DiscreteBetas { betas, zero_terminal_snr } => listed(betas.clone(), *zero_terminal_snr),
        // Rescaled already where the table is.
        other => listed(other.discrete().ok()??.betas(), false),
    })
}

/// The predictor-corrector's constants where it is the model's solver, else the library's.
fn exploding(meta: &ModelMeta, sigma_min: f64, sigma_max: f64) -> Value {
    let (solver, options) = meta.sampling.solver.split_once(':').unwrap_or((&meta.sampling.solver, ""));
    let options = if solver == "pc" { options } else { "" };
    let number = |key: &str| option(options, key).and_then(|v| v.parse::<f64>().ok());
    json!({
        "correct_steps": number("n_steps").map_or(1, |n| n as usize),
        "num_train_timesteps": if solver == "pc" { meta.sampling.steps } else { 2000 },
        "sampling_eps": 1e-5,
        "sigma_max": sigma_max,
        "sigma_min": sigma_min,
        "snr": number("snr").unwrap_or(0.15),
    })
}

/// The value of a key among `key=value,...`.
fn option<'a>(options: &'a str, key: &str) -> Option<&'a str> {
    options.split(',').filter_map(|o| o.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v)
}
