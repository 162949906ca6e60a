//! `predict`: one evaluation of a network on given states, to compare with other programs.

use super::sample::load;
use crate::context::Context;
use crate::failure::{Ended, misuse};
use anyhow::Result;
use clap::{Args, ValueEnum};
use scorefield::data::{self, write};
use scorefield::model::Weights;
use scorefield::process::{Denoiser as _, DenoiserExt, ProcessExt};
use scorefield::tensor::{batch, rows};
use scorefield::{ClassChoice, require_posterior_mean};
use serde_json::json;
use std::path::PathBuf;

/// Evaluate the network once on states in a .npy file
#[derive(Args, Debug)]
pub(crate) struct Predict {
    /// A model file, a run folder, or another project's checkpoint
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// States x_t in model space: [n, c, h, w] or [n, d]
    #[arg(value_name = "INPUT.npy")]
    input: PathBuf,
    /// The time of the model's process
    #[arg(long, value_name = "T")]
    time: f64,
    /// A class by name or number, each (in turn), random or none
    #[arg(long, value_name = "C", default_value = "none")]
    class: String,
    /// What is written: the network's own output, or what it says of the state (of a consistency model, clean is the end of the path)
    #[arg(long = "as", value_enum, default_value = "raw", value_name = "WHAT")]
    what: What,
    /// Which weights
    #[arg(long, value_enum, default_value = "ema")]
    weights: WhichWeights,
    /// The array that is written
    #[arg(short, long = "output", value_name = "OUT.npy")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Raw,
    Clean,
    Noise,
    Score,
    Velocity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhichWeights {
    Ema,
    Raw,
}

impl Predict {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        let npy = |path: &PathBuf| path.extension().is_some_and(|e| e == "npy");
        for path in [&self.input, &self.output] {
            if !npy(path) {
                return Err(misuse(format!("{}: expected a .npy file", path.display())));
            }
        }
        let which = if self.weights == WhichWeights::Ema { Weights::Ema } else { Weights::Raw };
        let model = load(context, &self.model, which)?;
        if !matches!(self.what, What::Raw | What::Clean) {
            require_posterior_mean(&model, "predict --as noise, score or velocity")?;
        }
        let span = model.process().span();
        if !(span.start..=span.end).contains(&self.time) {
            return Err(misuse(format!("--time {}: the model's process runs from {} to {}", self.time, span.start, span.end)));
        }
        super::sample::can_be_written(&self.output)?;
        let class = ClassChoice::parse(&self.class, &model.meta().codec, model.network().classes())?;
        let input = data::open(&self.input.display().to_string(), &data::OpenOptions::default())?;
        let (found, expected) = (input.shape().dims(), model.meta().codec.shape().dims());
        if found != expected {
            return Err(misuse(format!("{}: examples of shape {found:?}; the model takes {expected:?}", self.input.display())));
        }
        let (n, d) = (input.len(), model.dim());
        let mut values = vec![0.0; n * d];
        values.chunks_exact_mut(d).enumerate().for_each(|(i, row)| input.row(i, row));
        let x = batch(values, n, &context.device);
        let denoiser = model.denoiser(class.of(&model, 0, &(0..n as u64)));
        let t = self.time;
        let answer = match self.what {
            What::Raw => {
                let coeffs = model.meta().coeffs(&model.process().at(t));
                model.output(coeffs.c_in * x, t, class.of(&model, 0, &(0..n as u64)).as_deref())
            }
            What::Clean => denoiser.denoise(&x, t),
            What::Noise => denoiser.noise(&x, t),
            What::Score => denoiser.score(&x, t),
            What::Velocity => denoiser.velocity(&x, t),
        };
        let answer = rows(answer);
        let width = answer.len() / n;
        let dims: Vec<usize> = if width == d { [n].into_iter().chain(expected).collect() } else { vec![n, width] };
        write::array(&self.output, &answer, &dims)?;
        let name = self.what.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
        let json = json!({ "output": self.output, "shape": dims, "time": t, "as": name });
        context.result(&json, &format!("{}: {name} of {n} states at time {t}, shape {dims:?}", self.output.display()))?;
        Ok(Ended::Done)
    }
}
