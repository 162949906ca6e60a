//! `eval`: distances between samples and data, each beside real against real.

use super::nll::open_for;
use super::sample::load;
use crate::context::Context;
use crate::failure::{Ended, misuse};
use anyhow::Result;
use clap::Args;
use scorefield::data::{self, Codec, CodecOptions, Dataset, Shape};
use scorefield::eval::{CompareOptions, FeatureSpace, METRICS, RowsBuf, compare, features};
use scorefield::model::{Model, Weights};
use scorefield::sample::states::StatesSolverKind;
use scorefield::sample::{SolverKind, nearest};
use scorefield::{Choices, ClassChoice, Draft, Generate, GenerateStates};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Measure distances between samples and data, each beside real against real
#[derive(Args, Debug)]
pub(crate) struct Eval {
    /// A model file, a run folder, or samples in any form that DATA takes
    #[arg(value_name = "MODEL|SAMPLES")]
    samples: PathBuf,
    /// The real data
    #[arg(value_name = "DATA")]
    data: String,
    /// The space in which distances are measured: raw or random-conv (pictures)
    #[arg(long, value_name = "NAME", default_value = "raw")]
    features: String,
    /// Samples drawn from a model, and rows of either set that are looked at
    #[arg(short, long = "number", value_name = "N", default_value_t = 1000)]
    n: usize,
    /// Measure these alone, separated by commas; all that suit the data if left out
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    metrics: Vec<String>,
    /// The seed of samples, halves and directions
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

impl Eval {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        let space = FeatureSpace::all().into_iter().find(|f| f.name() == self.features).ok_or_else(|| {
            let names: Vec<_> = FeatureSpace::all().iter().map(FeatureSpace::name).collect();
            let near = nearest(&self.features, names.iter().copied()).unwrap_or_default();
            misuse(format!(
                "there is no feature space \"{}\"; did you mean \"{near}\"? There are {}",
                self.features,
                names.join(", ")
            ))
        })?;
        if let Some(found) = self.metrics.iter().find(|m| !METRICS.contains(&m.as_str())) {
            let near = nearest(found, METRICS).unwrap_or_default();
            return Err(misuse(format!(
                "there is no metric \"{found}\"; did you mean \"{near}\"? There are {}",
                METRICS.join(", ")
            )));
        }
        if self.n < 2 {
            return Err(misuse(format!("-n {}: distances need two rows at least", self.n)));
        }
        let folder_of_run = self.samples.is_dir() && self.samples.join("model.safetensors").is_file();
        let is_model = folder_of_run || self.samples.extension().is_some_and(|e| e == "safetensors");
        let model = is_model.then(|| load(context, &self.samples, Weights::Ema)).transpose()?;
        let shape = model.as_ref().map(|m| m.meta().codec.shape());
        let real = match &model {
            // Categories as the model counts them.
            Some(model) if model.states().is_some() => open_for(model, &self.data)?,
            _ => data::open(&self.data, &self.options(shape)?)?,
        };
        let codec = match &model {
            Some(model) => model.meta().codec.clone(),
            None => Codec::fit(&real, &CodecOptions::default())?,
        };
        if real.shape() != codec.shape() {
            return Err(misuse(format!("{}: {}, but the samples are {}", self.data, real.shape(), codec.shape())));
        }
        let Some(samples) = self.samples(context, model.as_ref(), &codec)? else { return Ok(Ended::Interrupted) };
        let real = encoded(&real, &codec, 2 * self.n);
        let picture = match codec.shape() {
            Shape::Image { channels, height, width } => Some((channels, height, width)),
            Shape::Vector { .. } => None,
        };
        let (samples, real) = (features(space, samples.view(), picture)?, features(space, real.view(), picture)?);
        let levels = codec.levels();
        let options = CompareOptions {
            only: (!self.metrics.is_empty()).then(|| self.metrics.clone()),
            // Of more cells than rows, the noise is the distance.
            few: matches!(codec.shape(), Shape::Vector { .. })
                && levels
                    .iter()
                    .try_fold(1.0, |cells, l| l.map(|l| cells * l as f64))
                    .is_some_and(|cells| cells <= self.n as f64),
            seed: self.seed,
            limit: self.n,
            ..CompareOptions::default()
        };
        let metrics = compare(samples.view(), real.view(), &options)?;

        let (n, m) = (samples.view().len(), real.view().len());
        let mut text = format!("{n} samples, {m} real rows in two halves, features {}\n", self.features);
        let _ = writeln!(text, "{:<26}{:>12}{:>10}{:>16}", "metric", "value", "+/-", "real vs real");
        for m in &metrics {
            let error = m.standard_error.map(|e| format!("{e:.4}")).unwrap_or_default();
            let _ = writeln!(text, "{:<26}{:>12.4}{:>10}{:>16.4}", m.name, m.value, error, m.real_vs_real);
        }
        let rows: Vec<Value> = metrics
            .iter()
            .map(|m| json!({ "name": m.name, "value": m.value, "real_vs_real": m.real_vs_real, "standard_error": m.standard_error }))
            .collect();
        let json =
            json!({ "metrics": rows, "features": self.features, "dimensions": real.view().dim(), "samples": n, "real": m });
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }

    /// How pictures are read to be compared with a model's: as its run read them, and brought to its size and channels.
    fn options(&self, shape: Option<Shape>) -> Result<data::OpenOptions> {
        let recipe = self.samples.join("recipe.toml");
        let mut options = if recipe.is_file() {
            Draft::new(&Choices { recipe: Some(recipe.display().to_string()), ..Choices::default() })?.data
        } else {
            data::OpenOptions::default()
        };
        if let Some(Shape::Image { channels, height, width }) = shape {
            options.size = Some([height, width]);
            options.channels = match (channels, options.channels) {
                (1, data::ChannelPolicy::Auto) => data::ChannelPolicy::Grey,
                (3, data::ChannelPolicy::Auto) => data::ChannelPolicy::Rgb,
                (4, data::ChannelPolicy::Auto) => data::ChannelPolicy::Rgba,
                (_, said) => said,
            };
        }
        Ok(options)
    }

    /// The samples in model space; `None` when interrupted.
    fn samples(&self, context: &Context, model: Option<&Model>, codec: &Codec) -> Result<Option<RowsBuf>> {
        let Some(model) = model else {
            let name = self.samples.display().to_string();
            let set = data::open(&name, &self.options(self.samples.is_dir().then_some(codec.shape()))?)?;
            if set.shape() != codec.shape() {
                return Err(misuse(format!("{name}: {}, but the data are {}", set.shape(), codec.shape())));
            }
            return Ok(Some(encoded(&codec.align(&set)?, codec, self.n)));
        };
        let defaults = &model.meta().sampling;
        let watch = || if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        if model.states().is_some() {
            let solver: StatesSolverKind = defaults.solver.parse()?;
            context.say(&format!("drawing {} samples by {solver} in {} steps", self.n, defaults.steps));
            let built = solver.build();
            let request = GenerateStates {
                model,
                solver: &*built,
                steps: defaults.steps,
                class: ClassChoice::Random,
                given: None,
                seed: self.seed,
                samples: 0..self.n as u64,
                batch: if matches!(codec.shape(), Shape::Vector { .. }) { 1000 } else { 64 },
                device: context.device.clone(),
            };
            let drawn = request.run(|_, _, _| watch())?;
            return Ok(drawn.map(|d| RowsBuf::new(d.states, self.n, model.dim())));
        }
        let solver: SolverKind = defaults.solver.parse()?;
        let built = solver.build();
        context.say(&format!("drawing {} samples by {solver} in {} steps", self.n, defaults.steps));
        let spacing = super::sample::grid_named(&defaults.grid)?;
        let grid = solver.grid(&spacing, model.process(), model.process().span(), defaults.steps)?;
        let drawn =
            Generate { seed: self.seed, device: context.device.clone(), ..Generate::new(model, &*built, grid, self.n as u64) }
                .run(|_, _, _| watch())?;
        Ok(drawn.map(|d| RowsBuf::new(d.states, self.n, model.dim())))
    }
}

/// At most `limit` encoded rows, evenly spread over the set.
fn encoded(data: &Dataset, codec: &Codec, limit: usize) -> RowsBuf {
    let d = data.shape().len();
    let n = data.len().min(limit);
    let (mut natural, mut state) = (vec![0.0; d], vec![0.0; d]);
    let mut values = Vec::with_capacity(n * d);
    for k in 0..n {
        data.row(k * data.len() / n, &mut natural);
        codec.encode_row(&natural, &mut state);
        values.extend_from_slice(&state);
    }
    RowsBuf::new(values, n, d)
}
