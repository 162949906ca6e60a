//! `train`: from data to a run folder with a model in it.

use crate::context::{Context, warn};
use crate::failure::{Ended, misuse};
use crate::progress::{Progress, clock};
use anyhow::Result;
use clap::Args;
use scorefield::data::{self, Dataset, Shape};
use scorefield::model::ClassifierSummary;
use scorefield::nn::Precision;
use scorefield::train::{Ended as RunEnded, Event, Outcome, Trainer};
use scorefield::{Choices, Draft};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Train a model on data
#[derive(Args, Debug)]
pub(crate) struct Train {
    /// A folder of pictures, an IDX file, a CIFAR folder, .npy, .npz, .csv, toy:NAME or digits
    #[arg(value_name = "DATA")]
    data: Option<String>,
    /// A recipe by name (info --recipes) or a TOML file
    #[arg(long, value_name = "NAME|FILE.toml")]
    recipe: Option<String>,
    /// Sets one key of the recipe, for example optim.lr=1e-3; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The run folder; runs/DATA if left out
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Go on with the run in the run folder
    #[arg(long, conflicts_with_all = ["recipe", "set", "steps", "minutes", "seed", "classifier"])]
    resume: bool,
    /// Train a classifier of noised data, for sample --classifier, on half of the recipe's network; the data need classes
    #[arg(long)]
    classifier: bool,
    /// Steps of the optimiser
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    steps: Option<u64>,
    /// Minutes to train
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// The seed of everything random
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

impl Train {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        context.listen()?;
        let out = match (&self.out, &self.data) {
            (Some(out), _) => out.clone(),
            (None, Some(data)) => default_run(data, self.classifier),
            (None, None) => return Err(misuse("train needs DATA, or --out RUN --resume to go on with a run")),
        };
        let recipe = if self.resume { Some(out.join("recipe.toml").display().to_string()) } else { self.recipe.clone() };
        if self.resume && !out.join("recipe.toml").is_file() {
            return Err(misuse(format!("{}: no run in it (no recipe.toml); start one without --resume", out.display())));
        }
        let mut set = self.set.clone();
        if context.precision == Precision::Bf16 && !self.resume {
            set.push("precision=bf16".into());
        }
        let (steps, minutes, seed, classifier) = (self.steps, self.minutes, self.seed, self.classifier);
        let choices = Choices { recipe, set, steps, minutes, seed, source: self.data.clone(), classifier };
        let draft = Draft::new(&choices)?;
        let Some(source) = draft.source.clone() else {
            return Err(misuse("train needs DATA: a folder of pictures, an IDX file, toy:NAME or digits"));
        };
        let dataset = open(context, &source, &draft)?;
        let recipe = draft.resolve(&dataset)?;
        if context.precision == Precision::Bf16 && recipe.train.precision == Precision::Single {
            return Err(misuse(format!(
                "--precision bf16: {} was begun in f32, and goes on in f32: leave the flag out",
                out.display()
            )));
        }
        let mut trainer = if self.resume {
            Trainer::resume(&out, recipe.train, &dataset, &context.device)?
        } else {
            let text = recipe.to_toml();
            Trainer::create(&out, recipe.train, &text, &dataset, &context.device)?
        };
        let outcome = watch(context, &mut trainer)?;
        report(context, &out, &outcome, trainer.classifier(), matches!(dataset.shape(), Shape::Image { .. }))
    }
}

/// The data, with what happened while they were read.
fn open(context: &Context, source: &str, draft: &Draft) -> Result<Dataset> {
    let progress = std::sync::Mutex::new(Progress::new(context, "reading", None));
    let opened = data::open_with(source, &draft.data, &|done, total| {
        // A poisoned lock would only cost a line of progress.
        if let Ok(mut progress) = progress.lock() {
            progress.set(done, Some(total), "");
        }
    });
    progress.into_inner().iter().for_each(Progress::end);
    let dataset = opened?;
    let report = dataset.report();
    let classes = dataset.classes().len();
    let of = if classes > 0 { format!(" in {classes} classes") } else { String::new() };
    context.say(&format!("data: {source}: {} examples of {}{of}", dataset.len(), dataset.shape()));
    for (name, reason) in report.skipped.iter().take(5) {
        warn(&format!("skipped {name}: {reason}"));
    }
    if !report.skipped.is_empty() {
        warn(&format!("{} of {} files were skipped", report.skipped.len(), report.found));
    }
    report.notes.iter().for_each(|note| context.say(&format!("note: {note}")));
    Ok(dataset)
}

/// Runs a trainer and shows what it says.
pub(crate) fn watch(context: &Context, trainer: &mut Trainer<'_>) -> Result<Outcome> {
    let mut progress = Progress::new(context, "step", trainer.position().total);
    let mut smooth = None::<f64>;
    let outcome = trainer.run(
        &mut |event: &Event| match event {
            Event::Start { step, parameters, examples } => {
                let from = if *step > 0 { format!(", from step {step}") } else { String::new() };
                progress.say(&format!("training {parameters} parameters on {examples} examples{from}"));
            }
            Event::Step(r) => {
                let loss = smooth.map_or(r.loss, |s| s + 0.05 * (r.loss - s));
                smooth = Some(loss);
                let spent = clock(r.seconds);
                progress.set(r.step, r.total, &format!("loss {loss:.4}  {:.0} examples/s  {spent}", r.examples_per_second));
            }
            Event::Note(text) => progress.say(&format!("note: {text}")),
            Event::Warning(text) => warn(&format!("warning: {text}")),
            Event::Preview(path) => progress.say(&format!("samples: {}", path.display())),
            Event::Saved { .. } => {}
        },
        &context.stop,
    );
    progress.end();
    Ok(outcome?)
}

fn report(
    context: &Context,
    out: &Path,
    outcome: &Outcome,
    classifier: Option<&ClassifierSummary>,
    pictures: bool,
) -> Result<Ended> {
    let p = &outcome.position;
    let model = out.join("model.safetensors");
    let ended = match outcome.ended {
        RunEnded::Finished => "finished",
        RunEnded::OutOfTime => "out of time",
        RunEnded::Interrupted => "interrupted",
    };
    // Before the first step there is no loss.
    let loss = (p.updates > 0).then_some(p.loss);
    let json = json!({
        "run": out, "model": model, "ended": ended, "steps": p.step, "examples": p.examples, "loss": loss, "seconds": p.seconds,
        "accuracy": classifier.map(|c| &c.accuracy),
    });
    let next = if outcome.ended == RunEnded::Interrupted {
        format!("go on with it: scorefield train --out {} --resume", out.display())
    } else if classifier.is_some() {
        format!("guide a model of the same data by it: scorefield sample MODEL --classifier {} --class C", out.display())
    } else {
        let ending = if pictures { "png" } else { "csv" };
        format!("sample it: scorefield sample {} -n 64 -o samples.{ending}", out.display())
    };
    let text = format!(
        "{ended} at step {} after {}{}, saved in {}\n{next}",
        p.step,
        clock(p.seconds),
        loss.map(|l| format!(": loss {l:.4}")).unwrap_or_default(),
        model.display()
    );
    context.result(&json, &text)?;
    Ok(if outcome.ended == RunEnded::Interrupted { Ended::Interrupted } else { Ended::Done })
}

/// `runs/NAME` after the last part of the data's name; `runs/NAME-classifier` for a classifier.
fn default_run(data: &str, classifier: bool) -> PathBuf {
    let name = data.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or("run");
    let name = name.split('.').next().filter(|n| !n.is_empty()).unwrap_or("run");
    Path::new("runs").join(if classifier { format!("{name}-classifier") } else { name.to_owned() })
}
