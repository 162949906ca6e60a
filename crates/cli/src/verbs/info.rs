//! `info`: what a model, a run or a preset is, without loading weights; and what there is to choose from.

mod control;
mod lists;
mod plan;

use crate::context::Context;
use crate::failure::{Ended, misuse};
use crate::hub;
use crate::progress::clock;
use anyhow::Result;
use clap::{ArgGroup, Args};
use scorefield::model::Model;
use scorefield::nn::{preset, presets};
use scorefield::sample::states::StatesSolverKind;
use scorefield::sample::{SolverKind, nearest};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Say what a model, run or preset is, without loading weights
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).multiple(false))]
pub(crate) struct Info {
    /// A model file, a run folder, another project's checkpoint, preset:NAME, or solver:NAME[:key=value,...]
    #[arg(value_name = "FILE", group = "what")]
    file: Option<String>,
    /// With preset:NAME or a model: time which algorithm computes which layer on this machine (--precision bf16 for that)
    #[arg(long, requires = "file")]
    plan: bool,
    /// Examples at once in the plan
    #[arg(long, value_name = "B", default_value_t = 1, requires = "plan")]
    batch: usize,
    /// List the presets of networks
    #[arg(long, group = "what")]
    presets: bool,
    /// List the solvers
    #[arg(long, group = "what")]
    solvers: bool,
    /// List the recipes
    #[arg(long, group = "what")]
    recipes: bool,
    /// List the grids of times
    #[arg(long, group = "what")]
    grids: bool,
    /// List the tasks of solve
    #[arg(long, group = "what")]
    tasks: bool,
    /// List the rules of solve
    #[arg(long, group = "what")]
    rules: bool,
    /// List the processes
    #[arg(long, group = "what")]
    processes: bool,
}

impl Info {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        let (json, text) = match &self.file {
            Some(file) if self.plan => self.plan_of(context, file)?,
            Some(file) => match file.split_once(':') {
                Some(("preset", name)) => of_preset(name)?,
                Some(("solver", name)) => of_solver(name)?,
                _ => of_model(&hub::local(context, Path::new(file))?)?,
            },
            None if self.presets => lists::preset_names()?,
            None if self.solvers => lists::solvers(),
            None if self.recipes => lists::recipe_names(),
            None if self.grids => lists::grids(),
            None if self.tasks => control::tasks(),
            None if self.rules => control::rules(),
            None => lists::processes(),
        };
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}

impl Info {
    fn plan_of(&self, context: &Context, file: &str) -> Result<(Value, String)> {
        if !(1..=MOST).contains(&self.batch) {
            return Err(misuse(format!("--batch {}: expected 1 to {MOST}", self.batch)));
        }
        let (config, shape) = match file.split_once(':') {
            Some(("preset", name)) => {
                let p = preset(name).ok_or_else(|| no_preset(name))?;
                (p.config, p.shape)
            }
            _ => {
                let meta = Model::inspect(hub::local(context, Path::new(file))?)?.meta;
                (meta.network, meta.codec.shape().dims())
            }
        };
        plan::plan(context, &*config.build(&shape)?, self.batch)
    }
}

/// Most examples at once in a plan.
const MOST: usize = 4096;

fn no_preset(name: &str) -> anyhow::Error {
    let all = presets();
    let near = nearest(name, all.iter().map(|p| p.name)).unwrap_or_default();
    misuse(format!("there is no preset \"{name}\"; did you mean \"{near}\"? All are listed by info --presets"))
}

/// One solver with its options.
fn of_solver(name: &str) -> Result<(Value, String)> {
    if let Ok(kind) = name.parse::<StatesSolverKind>() {
        return Ok(lists::states_solver(&kind, name.parse::<SolverKind>().ok().as_ref()));
    }
    Ok(lists::solver(&name.parse::<SolverKind>()?))
}

fn of_preset(name: &str) -> Result<(Value, String)> {
    let p = preset(name).ok_or_else(|| no_preset(name))?;
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
            "{}: no such file or folder; expected a model file, a run folder, preset:NAME or solver:NAME",
            path.display()
        )));
    }
    let found = Model::inspect(path)?;
    let meta = &found.meta;
    let codec = &meta.codec;
    let network = meta.network.build(&meta.network_shape()?)?;
    let (raw, foreign) = (found.has_raw, found.layout != "scorefield");
    let tensors: Vec<Value> = found.tensors.iter().map(|t| json!({ "name": t.name, "shape": t.shape })).collect();
    let json = json!({
        "file": found.path, "format": meta.format, "layout": found.layout, "parameters": network.parameters(),
        "shape": codec.shape().dims(), "process": meta.process, "prediction": meta.prediction, "time_input": meta.time_input,
        "input": meta.input, "network": meta.network, "codec": codec, "sigma_data": meta.sigma_data, "training": meta.training, "data": meta.data, "variance": meta.variance,
        "sampling": meta.sampling, "states": meta.states, "classifier": meta.classifier, "condition": meta.condition, "raw": raw, "tensors": tensors, "notes": found.notes,
    });
    let t = &meta.training;
    let mut text = String::new();
    let mut row = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<12}{value}");
    };
    row("file", found.path.display().to_string());
    row("layout", if foreign { found.layout.to_owned() } else { format!("scorefield, format {}", meta.format) });
    row("parameters", network.parameters().to_string());
    row("shape", format!("{} ({})", codec.shape(), codec.channels().join(", ")));
    if let Some(states) = &meta.states {
        let levels: Vec<String> = codec.levels().into_iter().map(|l| l.map_or("number".into(), |l| l.to_string())).collect();
        row("categories", format!("levels {}", shortened(levels.join(", "))));
        row("transition", serde_json::to_string(&states.transition)?);
        row("survival", shortened(serde_json::to_string(&states.survival)?));
        row("chain", format!("{} steps", states.steps));
    }
    if let Some(condition) = &meta.condition {
        let (shape, names) = (condition.codec.shape(), condition.codec.channels().join(", "));
        row("condition", format!("{}: {shape} ({names}), given by sample --condition", condition.source));
    }
    if let Some(classifier) = &meta.classifier {
        let accuracy: Vec<String> = classifier.accuracy.iter().map(|a| format!("{:.3} at {:.2e}", a.accuracy, a.level)).collect();
        row("classifier", "of noised data: no model to sample, but for --classifier beside one".into());
        row("accuracy", if accuracy.is_empty() { "not yet measured".into() } else { accuracy.join(", ") });
        row("process", shortened(meta.process.to_string()));
    } else if codec.levels().iter().any(Option::is_none) {
        row("process", shortened(meta.process.to_string()));
        row("prediction", serde_json::to_string(&meta.prediction)?);
    }
    if let Some(variance) = &meta.variance {
        row("variance", format!("learned: {}", serde_json::to_string(variance)?));
    }
    row(
        "classes",
        match (network.classes(), codec.classes()) {
            (0, names) if meta.classifier.is_none() || names.is_empty() => "none".into(),
            (n, []) => format!("{n}, 0 to {}", n - 1),
            (_, names) => names.join(", "),
        },
    );
    row(
        "weights",
        match (raw, foreign) {
            (true, _) => "averaged (what is sampled) and raw",
            (false, false) => "averaged",
            (false, true) => "one set",
        }
        .into(),
    );
    found.notes.iter().for_each(|note| row("note", note.clone()));
    if foreign {
        row("sampling", format!("{} in {} steps on the {} grid", meta.sampling.solver, meta.sampling.steps, meta.sampling.grid));
        return Ok((json, text));
    }
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
    if meta.classifier.is_some() {
        return Ok((json, text));
    }
    row("sampling", format!("{} in {} steps on the {} grid", meta.sampling.solver, meta.sampling.steps, meta.sampling.grid));
    Ok((json, text))
}

/// A table of a thousand rates is no line to read; the JSON has all of it.
fn shortened(text: String) -> String {
    const MOST: usize = 160;
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(" ...".chars()).collect() }
}
