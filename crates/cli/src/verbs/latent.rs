//! `encode`, `decode`, `interpolate`: data to the latents of the probability flow and back.

use super::nll::{examples_of, open_for};
use super::sample::{can_be_written, load};
use crate::context::Context;
use crate::failure::{Ended, misuse};
use anyhow::Result;
use clap::Args;
use scorefield::data::{self, write};
use scorefield::density::{Density, Examples};
use scorefield::model::{Model, Weights};
use scorefield::process::ProcessExt;
use scorefield::sample::density::{Flow, Probe, decode_with, encode_with, slerp};
use scorefield::tensor::{Batch, batch, rows, rows_f64};
use scorefield::{ClassChoice, Classes, require_posterior_mean};
use serde_json::json;
use std::path::{Path, PathBuf};

/// What the three verbs share.
#[derive(Args, Debug)]
struct Common {
    /// Tolerance of the integrator, relative and absolute
    #[arg(long, value_name = "R", default_value_t = 1e-4)]
    rtol: f64,
    /// Rows computed at once; changes the memory used and nothing else
    #[arg(long, value_name = "B", default_value_t = 64)]
    batch: usize,
    /// Use the optimiser's own weights and not their average
    #[arg(long)]
    raw: bool,
}

/// Carry data to the latents of the probability flow
#[derive(Args, Debug)]
pub(crate) struct Encode {
    /// A model file, a run folder, or another project's checkpoint
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The data
    #[arg(value_name = "DATA")]
    data: String,
    /// Examples encoded, evenly spread over the data; all if left out
    #[arg(short, long = "number", value_name = "N")]
    n: Option<usize>,
    /// A class by name or number, or none; the data's labels if left out
    #[arg(long, value_name = "C")]
    class: Option<String>,
    /// Standardised latents, x_end / sigma_end, [n, ...]
    #[arg(short, long = "output", value_name = "OUT.npy")]
    output: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// Carry latents of the probability flow to data
#[derive(Args, Debug)]
pub(crate) struct Decode {
    /// A model file, a run folder, or another project's checkpoint
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Standardised latents as encode writes them
    #[arg(value_name = "LATENTS.npy")]
    latents: PathBuf,
    /// A class by name or number, each (in turn) or none
    #[arg(long, value_name = "C", default_value = "none")]
    class: String,
    /// A factor on the latents: below 1 nearer to the middle of the law
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f64,
    /// .png (a grid), .npy, .npz, .csv, or a folder
    #[arg(short, long = "output", value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// Walk between two inputs on the great arc between their latents
#[derive(Args, Debug)]
pub(crate) struct Interpolate {
    /// A model file, a run folder, or another project's checkpoint
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The first input: data whose first example is taken, or DATA@I for example I
    #[arg(value_name = "A")]
    a: String,
    /// The second input
    #[arg(value_name = "B")]
    b: String,
    /// Points on the way, both ends among them
    #[arg(short, long = "number", value_name = "K", default_value_t = 9)]
    n: usize,
    /// A class by name or number, or none
    #[arg(long, value_name = "C", default_value = "none")]
    class: String,
    /// .png (a grid), .npy, .npz, .csv, or a folder
    #[arg(short, long = "output", value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    common: Common,
}

impl Common {
    fn model(&self, context: &Context, path: &Path) -> Result<Model> {
        if !(self.rtol > 0.0 && self.rtol < 1.0) {
            return Err(misuse(format!("--rtol {}: expected a number between 0 and 1", self.rtol)));
        }
        if self.batch == 0 {
            return Err(misuse("--batch 0: at least one row at once"));
        }
        let model = load(context, path, if self.raw { Weights::Raw } else { Weights::Ema })?;
        require_posterior_mean(&model, "the latents of the probability flow")?;
        Ok(model)
    }

    fn flow(&self) -> Flow {
        Flow::with_tolerance(self.rtol)
    }

    /// Clean states to standardised latents; `None` when interrupted.
    fn encode(&self, context: &Context, model: &Model, x0: &Batch, classes: &Classes) -> Result<Option<(Batch, u64)>> {
        let alpha = model.process().at(self.flow().times(model.process()).0).alpha;
        self.in_batches(context, &(x0.clone() * alpha), |x, first| {
            encode_with(model.process(), |rows| denoiser(model, classes, rows, first), x, &self.flow())
        })
    }

    /// Standardised latents to clean states; `None` when interrupted.
    fn decode(&self, context: &Context, model: &Model, z: &Batch, classes: &Classes) -> Result<Option<(Batch, u64)>> {
        let alpha = model.process().at(self.flow().times(model.process()).0).alpha;
        let done = self.in_batches(context, z, |z, first| {
            decode_with(model.process(), |rows| denoiser(model, classes, rows, first), z, &self.flow())
        })?;
        Ok(done.map(|(x, evaluations)| (x / alpha, evaluations)))
    }

    fn in_batches<E: std::error::Error + Send + Sync + 'static>(
        &self,
        context: &Context,
        x: &Batch,
        f: impl Fn(&Batch, usize) -> Result<(Batch, Vec<u64>), E>,
    ) -> Result<Option<(Batch, u64)>> {
        let n = x.dims()[0];
        let (mut out, mut evaluations) = (Vec::new(), 0);
        for first in (0..n).step_by(self.batch) {
            if context.stopped() {
                context.say("interrupted: nothing was written");
                return Ok(None);
            }
            let (y, e) = f(&x.clone().narrow(0, first, self.batch.min(n - first)), first)?;
            out.push(y);
            evaluations += e.iter().sum::<u64>();
        }
        Ok(Some((Batch::cat(out, 0), evaluations)))
    }
}

fn denoiser<'a>(model: &'a Model, classes: &Classes, rows: &[usize], first: usize) -> scorefield::model::ModelDenoiser<'a> {
    model.denoiser(classes.as_ref().map(|c| rows.iter().map(|&i| c[first + i]).collect()))
}

/// Encoded states of examples as they are, without dequantisation: a latent is of the very datum.
fn clean(context: &Context, model: &Model, common: &Common, examples: &Examples<'_>) -> Batch {
    let density = Density {
        model,
        flow: common.flow(),
        probes: None,
        law: Probe::default(),
        passes: None,
        seed: 0,
        batch: common.batch,
        device: context.device.clone(),
    };
    density.states(examples, 0..examples.places.len(), None)
}

/// The root of the mean squared difference.
fn distance(a: &Batch, b: &Batch) -> f64 {
    let (a, b) = (rows_f64(a.clone()), rows_f64(b.clone()));
    (a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / a.len() as f64).sqrt()
}

impl Encode {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        context.listen()?;
        if self.output.extension().is_none_or(|e| e != "npy") {
            return Err(misuse(format!("{}: expected a .npy file", self.output.display())));
        }
        if self.n == Some(0) {
            return Err(misuse("-n 0: at least one example"));
        }
        can_be_written(&self.output)?;
        let model = self.common.model(context, &self.model)?;
        let data = open_for(&model, &self.data)?;
        let examples = examples_of(&model, &data, self.n.unwrap_or(data.len()), self.class.as_deref())?;
        let x = clean(context, &model, &self.common, &examples);
        let Some((z, evaluations)) = self.common.encode(context, &model, &x, &examples.classes)? else {
            return Ok(Ended::Interrupted);
        };
        let Some((back, _)) = self.common.decode(context, &model, &z, &examples.classes)? else {
            return Ok(Ended::Interrupted);
        };
        let n = examples.places.len();
        let dims: Vec<usize> = [n].into_iter().chain(model.meta().codec.shape().dims()).collect();
        let error = distance(&x, &back);
        let numbers = rows(z);
        write::array(&self.output, &numbers, &dims)?;
        let spread = (numbers.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / numbers.len() as f64).sqrt();
        let evaluations = evaluations as f64 / n as f64;
        let json = json!({
            "output": self.output, "shape": dims, "round_trip_error": error, "latent_rms": spread, "evaluations": evaluations,
        });
        let text = format!(
            "{}: {n} latents of root mean square {spread:.4}, {evaluations:.1} evaluations each; there and back changes a number by \
             {error:.2e} (root mean square, model units)",
            self.output.display()
        );
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}

impl Decode {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        context.listen()?;
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(misuse(format!("--temperature {}: expected a number from 0 on", self.temperature)));
        }
        let model = self.common.model(context, &self.model)?;
        let codec = &model.meta().codec;
        super::sample::check_output(&self.output, codec, false)?;
        can_be_written(&self.output)?;
        let latents = data::open(&self.latents.display().to_string(), &data::OpenOptions::default())?;
        if latents.shape() != codec.shape() {
            let found = latents.shape();
            return Err(misuse(format!("{}: {found}, but the model takes {}", self.latents.display(), codec.shape())));
        }
        let (n, d) = (latents.len(), model.dim());
        let mut values = vec![0.0; n * d];
        values.chunks_exact_mut(d).enumerate().for_each(|(i, row)| latents.row(i, row));
        let classes = ClassChoice::parse(&self.class, codec, model.network().classes())?.of(&model, 0, &(0..n as u64));
        let z = batch(values, n, &context.device) * self.temperature;
        let Some((x, evaluations)) = self.common.decode(context, &model, &z, &classes)? else { return Ok(Ended::Interrupted) };
        write::samples(&self.output, &rows(x), n, codec)?;
        let evaluations = evaluations as f64 / n as f64;
        let json = json!({ "output": self.output, "n": n, "temperature": self.temperature, "evaluations": evaluations });
        context.result(&json, &format!("{}: {n} decoded, {evaluations:.1} evaluations each", self.output.display()))?;
        Ok(Ended::Done)
    }
}

impl Interpolate {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        context.listen()?;
        if self.n < 2 {
            return Err(misuse(format!("-n {}: both ends are among the points, so at least 2", self.n)));
        }
        let model = self.common.model(context, &self.model)?;
        let codec = &model.meta().codec;
        super::sample::check_output(&self.output, codec, false)?;
        can_be_written(&self.output)?;
        let class = ClassChoice::parse(&self.class, codec, model.network().classes())?;
        let end = |text: &str| -> Result<Batch> {
            let (spec, place) = match text.rsplit_once('@') {
                Some((spec, place)) if !Path::new(text).exists() => {
                    (spec, place.parse::<usize>().map_err(|_| misuse(format!("{text}: expected a number behind the @")))?)
                }
                _ => (text, 0),
            };
            let data = open_for(&model, spec)?;
            if place >= data.len() {
                return Err(misuse(format!("{text}: there are {} examples, numbered from 0", data.len())));
            }
            let examples = Examples { data: &data, places: vec![place], classes: None };
            Ok(clean(context, &model, &self.common, &examples))
        };
        let ends = Batch::cat(vec![end(&self.a)?, end(&self.b)?], 0);
        let classes = class.of(&model, 0, &(0..self.n as u64));
        let Some((z, _)) = self.common.encode(context, &model, &ends, &classes)? else { return Ok(Ended::Interrupted) };
        let z = rows_f64(z);
        let (a, b) = z.split_at(z.len() / 2);
        let points: Vec<f32> = (0..self.n).flat_map(|k| slerp(a, b, k as f64 / (self.n - 1) as f64)).map(|v| v as f32).collect();
        let z = batch(points, self.n, &context.device);
        let Some((x, evaluations)) = self.common.decode(context, &model, &z, &classes)? else { return Ok(Ended::Interrupted) };
        let way = [x.clone().narrow(0, 0, 1), x.clone().narrow(0, self.n - 1, 1)];
        let error = distance(&ends, &Batch::cat(way.to_vec(), 0));
        write::samples(&self.output, &rows(x), self.n, codec)?;
        let evaluations = evaluations as f64 / self.n as f64;
        let json = json!({ "output": self.output, "n": self.n, "round_trip_error": error, "evaluations": evaluations });
        let text = format!("{}: {} points, the ends come back to {error:.2e}", self.output.display(), self.n);
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}
