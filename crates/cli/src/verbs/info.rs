//! `info`: what a model, a run or a preset is, without loading weights; and what there is to choose from.

use crate::context::Context;
use crate::failure::{Ended, misuse};
use crate::progress::clock;
use anyhow::Result;
use clap::Args;
use scorefield::model::Model;
use scorefield::nn::{preset, presets};
use scorefield::process::{GridKind, ProcessConfig};
use scorefield::recipes;
use scorefield::sample::{SolverKind, nearest};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Say what a model, run or preset is, without loading weights
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Info {
    /// A model file, a run folder, or preset:NAME
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// List the presets of networks
    #[arg(long)]
    presets: bool,
    /// List the solvers
    #[arg(long)]
    solvers: bool,
    /// List the recipes
    #[arg(long)]
    recipes: bool,
    /// List the grids of times
    #[arg(long)]
    grids: bool,
    /// List the processes
    #[arg(long)]
    processes: bool,
}

impl Info {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        let (json, text) = match &self.file {
            Some(file) => match file.strip_prefix("preset:") {
                Some(name) => of_preset(name)?,
                None => of_model(Path::new(file))?,
            },
            None if self.presets => list_presets()?,
            None if self.solvers => list("solvers", SolverKind::all().iter().map(|s| (s.to_string(), s.about().to_owned()))),
            None if self.recipes => list("recipes", recipes().iter().map(|r| (r.name.to_owned(), r.about().to_owned()))),
            None if self.grids => list("grids", GridKind::named().iter().map(|g| (g.name().to_owned(), g.about().to_owned()))),
            None => list("processes", ProcessConfig::named().iter().map(|p| (p.name().to_owned(), options_of(p)))),
        };
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}

fn list(what: &str, rows: impl Iterator<Item = (String, String)>) -> (Value, String) {
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().map(|r| r.0.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, about) in &rows {
        let _ = writeln!(text, "{name:width$}  {about}");
    }
    let rows: Vec<Value> = rows.into_iter().map(|(name, about)| json!({ "name": name, "about": about })).collect();
    (json!({ what: rows }), text)
}

/// The options of a process with their usual values.
fn options_of(process: &ProcessConfig) -> String {
    process.options().iter().map(|(k, v)| format!("{k} = {v}")).collect::<Vec<_>>().join(", ")
}

fn list_presets() -> Result<(Value, String)> {
    let mut rows = Vec::new();
    let mut json_rows = Vec::new();
    for p in presets() {
        let count = p.config.parameters(&p.shape)?;
        rows.push((p.name.to_owned(), format!("{count:>11} parameters at {:?}: {}", p.shape, p.about)));
        json_rows.push(json!({ "name": p.name, "about": p.about, "parameters": count, "shape": p.shape }));
    }
    let (_, text) = list("presets", rows.into_iter());
    Ok((json!({ "presets": json_rows }), text))
}

fn of_preset(name: &str) -> Result<(Value, String)> {
    let Some(p) = preset(name) else {
        let all = presets();
        let near = nearest(name, all.iter().map(|p| p.name)).unwrap_or_default();
        return Err(misuse(format!("there is no preset \"{name}\"; did you mean \"{near}\"? All are listed by info --presets")));
    };
    let network = p.config.build(&p.shape)?;
    let config = serde_json::to_value(&p.config)?;
    let layout: Vec<Value> = network
        .outline()
        .iter()
        .map(|s| json!({ "stage": s.name, "what": s.what, "output": s.output, "parameters": s.parameters }))
        .collect();
    let mut text = format!("preset {name}: {}\n{} parameters on {:?}\n\n", p.about, network.parameters(), p.shape);
    for stage in network.outline() {
        let _ = writeln!(text, "{:<28} {:>12} {:?}", stage.name, stage.parameters, stage.output);
    }
    if let Some(map) = config.as_object() {
        text.push('\n');
        map.iter().for_each(|(key, value)| {
            let _ = writeln!(text, "{key} = {value}");
        });
    }
    let json =
        json!({ "preset": name, "parameters": network.parameters(), "shape": p.shape, "network": config, "layout": layout });
    Ok((json, text))
}

fn of_model(path: &Path) -> Result<(Value, String)> {
    if !path.exists() {
        return Err(misuse(format!(
            "{}: no such file or folder; expected a model file, a run folder or preset:NAME",
            path.display()
        )));
    }
    let found = Model::inspect(path)?;
    let meta = &found.meta;
    let codec = &meta.codec;
    let network = meta.network.build(&codec.shape().dims())?;
    let raw = found.tensors.iter().any(|t| t.name.starts_with("raw."));
    let tensors: Vec<Value> = found.tensors.iter().map(|t| json!({ "name": t.name, "shape": t.shape })).collect();
    let json = json!({
        "file": found.path, "format": meta.format, "layout": "scorefield", "parameters": network.parameters(),
        "shape": codec.shape().dims(), "process": meta.process, "prediction": meta.prediction, "time_input": meta.time_input,
        "network": meta.network, "codec": codec, "sigma_data": meta.sigma_data, "training": meta.training, "data": meta.data,
        "sampling": meta.sampling, "raw": raw, "tensors": tensors,
    });
    let t = &meta.training;
    let mut text = String::new();
    let mut row = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<12}{value}");
    };
    row("file", found.path.display().to_string());
    row("layout", format!("scorefield, format {}", meta.format));
    row("parameters", network.parameters().to_string());
    row("shape", format!("{} ({})", codec.shape(), codec.channels().join(", ")));
    row("process", meta.process.to_string());
    row("prediction", serde_json::to_string(&meta.prediction)?);
    row("classes", if codec.classes().is_empty() { "none".into() } else { codec.classes().join(", ") });
    row("weights", if raw { "averaged (what is sampled) and raw" } else { "averaged" }.into());
    row(
        "trained",
        format!(
            "{} steps of {}, {} examples, {}, loss {:.4}, seed {}",
            t.steps,
            t.batch,
            t.examples,
            clock(t.seconds),
            t.loss,
            t.seed
        ),
    );
    row("average", format!("half-life {:.0} steps", t.ema_half_life));
    row("data", format!("{}: {} examples, sigma_data {:.4}", meta.data.name, meta.data.examples, meta.sigma_data));
    row("sampling", format!("{} in {} steps on the {} grid", meta.sampling.solver, meta.sampling.steps, meta.sampling.grid));
    Ok((json, text))
}
