//! diffusers' scheduler configurations as process, prediction and default solver.

use super::error::Fault;
use super::usual::sampling;
use crate::SamplingDefaults;
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use serde_json::Value;

/// The offset of the library's cosine table, and the largest rate of its tables by products.
pub(crate) const COSINE_OFFSET: f64 = 0.008;
pub(crate) const CLIP: f64 = 0.999;

/// What a network predicts, by the library's names.
pub(crate) const PREDICTIONS: [(&str, Prediction); 3] =
    [("epsilon", Prediction::Noise), ("v_prediction", Prediction::Velocity), ("sample", Prediction::Clean)];

/// What a scheduler says.
pub(crate) struct Schedule {
    pub(crate) process: ProcessConfig,
    pub(crate) prediction: Prediction,
    pub(crate) time_input: TimeInput,
    pub(crate) sampling: SamplingDefaults,
    /// Whether its network's second half is a variance between the two known ones.
    pub(crate) learned_range: bool,
    pub(crate) notes: Vec<String>,
}

/// Keys with their defaults.
struct Config<'a>(&'a Value);

impl Config<'_> {
    fn get<T>(&self, key: &str, expected: &str, usual: T, read: impl Fn(&Value) -> Option<T>) -> Result<T, Fault> {
        match self.0.get(key).filter(|v| !v.is_null()) {
            None => Ok(usual),
            Some(v) => {
                read(v).ok_or_else(|| Fault::new(format!("scheduler_config.json: {key} = {v}"), format!("{expected} for {key}")))
            }
        }
    }

    fn number(&self, key: &str, usual: f64) -> Result<f64, Fault> {
        self.get(key, "a number", usual, Value::as_f64)
    }

    fn text(&self, key: &str, usual: &str) -> Result<String, Fault> {
        self.get(key, "a text", usual.to_owned(), |v| v.as_str().map(str::to_owned))
    }

    fn flag(&self, key: &str) -> Result<bool, Fault> {
        self.get(key, "true or false", false, Value::as_bool)
    }

    fn steps(&self, usual: u64) -> Result<usize, Fault> {
        self.get("num_train_timesteps", "a whole number", usual, Value::as_u64).map(|n| n as usize)
    }
}

/// Reads a `scheduler_config.json`.
pub(crate) fn schedule(document: &Value) -> Result<Schedule, Fault> {
    let config = Config(document);
    let class = config.text("_class_name", "DDPMScheduler")?;
    match class.as_str() {
        "ScoreSdeVeScheduler" => {
            let (sigma_min, sigma_max) = (config.number("sigma_min", 0.01)?, config.number("sigma_max", 1348.0)?);
            Ok(Schedule {
                process: ProcessConfig::Ve { sigma_min, sigma_max },
                prediction: Prediction::Score,
                time_input: TimeInput::Ratio,
                sampling: sampling(&format!("pc:snr={}", config.number("snr", 0.15)?), "uniform", config.steps(2000)?),
                learned_range: false,
                notes: Vec::new(),
            })
        }
        name if TABLES.iter().any(|(n, _, _)| *n == name) => table(&config, name),
        name => {
            let known: Vec<&str> = TABLES.iter().map(|(n, _, _)| *n).collect();
            let expected = format!("one of {}, ScoreSdeVeScheduler", known.join(", "));
            Err(Fault::new(format!("scheduler_config.json: the scheduler {name}"), expected))
        }
    }
}

/// Schedulers over a table of rates, the solver of ours that is theirs, and the steps their pipelines take by default.
const TABLES: [(&str, &str, usize); 17] = [
    ("DDPMScheduler", "ddpm", 1000),
    ("DDIMScheduler", "ddim", 50),
    ("DDPMParallelScheduler", "ddpm", 1000),
    ("DDIMParallelScheduler", "ddim", 50),
    ("PNDMScheduler", "pndm", 50),
    ("LMSDiscreteScheduler", "lms", 50),
    ("DPMSolverMultistepScheduler", "dpmpp-2m", 25),
    ("DPMSolverSinglestepScheduler", "dpmpp-2s", 25),
    ("DPMSolverSDEScheduler", "dpmpp-sde", 25),
    ("UniPCMultistepScheduler", "unipc", 25),
    ("DEISMultistepScheduler", "deis", 25),
    ("EulerDiscreteScheduler", "euler", 50),
    ("EulerAncestralDiscreteScheduler", "euler-ancestral", 50),
    ("HeunDiscreteScheduler", "heun", 25),
    ("KDPM2DiscreteScheduler", "dpm-2", 25),
    ("KDPM2AncestralDiscreteScheduler", "dpm2-ancestral", 25),
    ("IPNDMScheduler", "ipndm", 50),
];

fn table(config: &Config<'_>, class: &str) -> Result<Schedule, Fault> {
    let mut notes = Vec::new();
    let steps = config.steps(1000)?;
    let (beta_min, beta_max) = (config.number("beta_start", 1e-4)?, config.number("beta_end", 0.02)?);
    let zero_terminal_snr = config.flag("rescale_betas_zero_snr")?;
    let trained = config.get("trained_betas", "a list of numbers", None, |v| {
        v.as_array().and_then(|items| items.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>()).map(Some)
    })?;
    let name = config.text("beta_schedule", "linear")?;
    let (offset, clip) = (COSINE_OFFSET, CLIP);
    let process = match (trained, name.as_str()) {
        (Some(betas), _) => ProcessConfig::DiscreteBetas { betas, zero_terminal_snr },
        (None, "linear") => ProcessConfig::DiscreteLinear { steps, beta_min, beta_max, zero_terminal_snr },
        (None, "scaled_linear") => ProcessConfig::DiscreteScaledLinear { steps, beta_min, beta_max, zero_terminal_snr },
        (None, "squaredcos_cap_v2") => ProcessConfig::DiscreteCosine { steps, offset, clip, zero_terminal_snr },
        (None, "sigmoid") => ProcessConfig::DiscreteSigmoid { steps, beta_min, beta_max, zero_terminal_snr },
        (None, "laplace") => ProcessConfig::DiscreteLaplace { steps, clip, zero_terminal_snr },
        (None, "exp") => ProcessConfig::DiscreteExponential { steps, rate: 12.0, clip, zero_terminal_snr },
        (None, other) => {
            let known = "linear, scaled_linear, squaredcos_cap_v2, sigmoid, laplace or exp";
            return Err(Fault::new(format!("scheduler_config.json: beta_schedule = \"{other}\""), known));
        }
    };
    let said = config.text("prediction_type", "epsilon")?;
    let Some((_, prediction)) = PREDICTIONS.into_iter().find(|(name, _)| *name == said) else {
        let known = "epsilon, v_prediction or sample";
        return Err(Fault::new(format!("scheduler_config.json: prediction_type = \"{said}\""), known));
    };
    let learned_range = match config.text("variance_type", "fixed_small")?.as_str() {
        "learned_range" => true,
        "learned" => {
            let expected = "learned_range or a fixed variance: a network that gives the variance itself is not read";
            return Err(Fault::new("scheduler_config.json: variance_type = \"learned\"", expected));
        }
        _ => false,
    };
    let usual = if class.starts_with("DD") || class.starts_with("PNDM") { "leading" } else { "linspace" };
    let grid = match config.text("timestep_spacing", usual)?.as_str() {
        "trailing" => "trailing",
        "linspace" => "linspace",
        _ => "leading",
    };
    let (solver, taken) = TABLES.iter().find(|(n, _, _)| *n == class).map_or(("ddim", 50), |(_, s, n)| (*s, *n));
    if config.flag("clip_sample")? {
        notes.push("its scheduler clips clean pictures to [-1, 1]: sample with --clip 1 for that".into());
    }
    let steps = steps.min(taken);
    Ok(Schedule {
        process,
        prediction,
        time_input: TimeInput::Time { scale: 1.0 },
        sampling: sampling(solver, grid, steps),
        learned_range,
        notes,
    })
}
