//! `demo`: the main job on the embedded digits, from data to scored samples, in a folder of pictures and a report.

mod pictures;
mod report;
mod score;

use super::plot::losses_of;
use super::train::watch;
use crate::context::Context;
use crate::failure::Ended;
use anyhow::{Context as _, Result};
use clap::Args;
use report::Report;
use scorefield::data::{self, Dataset, write};
use scorefield::model::Model;
use scorefield::sample::SolverKind;
use scorefield::tensor::Purpose;
use scorefield::tensor::noise::Stream;
use scorefield::train::{Ended as RunEnded, Length, Trainer};
use scorefield::{Choices, ClassChoice, Draft, Generate, Guidance, Sampled};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Train on the embedded digits, sample, restore and score; writes pictures and a report
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Where pictures and report go
    #[arg(long, value_name = "DIR", default_value = "scorefield-demo")]
    out: PathBuf,
    /// A run of seconds; its figures are marked as such
    #[arg(long)]
    quick: bool,
}

/// The seed of the split, the training and the samples.
const SEED: u64 = 0;
/// Digits the model never sees.
const HELD_OUT: usize = 500;
/// Where they are kept, for `nll`, `eval` and `encode`.
const HELD_OUT_FILE: &str = "held-out.npz";
/// Samples that are scored.
const SAMPLES: u64 = 500;
/// Steps of `--quick`.
const QUICK_STEPS: u64 = 200;
/// Steps of the sampler.
const SAMPLING_STEPS: usize = 18;

impl Demo {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        context.listen()?;
        let begun = Instant::now();
        let digits = data::open("digits", &data::OpenOptions::default())?;
        let (training, held_out) = split(&digits);
        let kind = if self.quick { " (quick: the figures are those of a short run)" } else { "" };
        std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        write::dataset(&self.out.join(HELD_OUT_FILE), &held_out)?;
        context.say(&format!("demo: {} digits to learn from, {} held out{kind}", training.len(), held_out.len()));

        let run = self.out.join("run");
        let choices = Choices {
            recipe: Some("digits".into()),
            steps: self.quick.then_some(QUICK_STEPS),
            seed: Some(SEED),
            source: Some("digits".into()),
            ..Choices::default()
        };
        let recipe = Draft::new(&choices)?.resolve(&training)?;
        let text = recipe.to_toml();
        let device = &context.device;
        let mut trainer = if unfinished(&run, &text)? {
            context.say("going on with the run that was interrupted");
            Trainer::resume(&run, recipe.train, &training, device)?
        } else {
            clear_earlier_run(&run)?;
            Trainer::create(&run, recipe.train, &text, &training, device)?
        };
        let outcome = watch(context, &mut trainer)?;
        if outcome.ended == RunEnded::Interrupted {
            context.say(&format!("interrupted: the run is saved in {}; the same command goes on with it", run.display()));
            return Ok(Ended::Interrupted);
        }
        let trained_seconds = begun.elapsed().as_secs_f64();
        let model = trainer.model()?;
        model.save(&self.out.join("model.safetensors"), None)?;

        context.say(&format!("sampling {SAMPLES} digits, {} of each class", SAMPLES / 10));
        let Some((drawn, frames)) = draw(context, &model)? else {
            context.say("interrupted: the model is saved, there is no report");
            return Ok(Ended::Interrupted);
        };
        let scores = score::scores(&drawn, &training, &held_out, model.meta())?;
        let mut made = vec![
            pictures::samples(&self.out, &drawn, &model)?,
            pictures::nearest(&self.out, &drawn, &scores, &training, &model)?,
            pictures::loss(&self.out, &losses_of(&run)?)?,
            pictures::trajectory(&self.out, &frames, &model)?,
        ];
        let restored = pictures::restore(context, &self.out, &model, &held_out)?;
        made.push(restored.picture);
        let report = Report {
            quick: self.quick,
            seconds: begun.elapsed().as_secs_f64(),
            trained_seconds,
            steps: outcome.position.step,
            parameters: model.network().parameters(),
            training: training.len(),
            held_out: held_out.len(),
            samples: SAMPLES,
            scores,
            restore_sigma: restored.sigma,
            restore_psnr_noisy: restored.psnr_noisy,
            restore_psnr_mean: restored.psnr_mean,
            pictures: made,
        };
        let (json, text) = report.write(&self.out)?;
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}

/// A fixed split: the digits in the order of a random number each, the first ones held out.
fn split(digits: &Dataset) -> (Dataset, Dataset) {
    let mut places: Vec<usize> = (0..digits.len()).collect();
    let key = |i: usize| Stream::new(SEED, i as u64, Purpose::User, 0, 0).uniform(0);
    places.sort_by(|&a, &b| key(a).total_cmp(&key(b)));
    (digits.subset(&places[HELD_OUT..]), digits.subset(&places[..HELD_OUT]))
}

/// Whether the folder holds a run of this very recipe that was cut before its end.
fn unfinished(run: &Path, recipe: &str) -> Result<bool> {
    let same = std::fs::read_to_string(run.join("recipe.toml")).is_ok_and(|text| text == recipe);
    if !(same && run.join("state").join("state.safetensors").is_file()) {
        return Ok(false);
    }
    let meta = Model::inspect(run)?.meta;
    let total = if let Length::Steps(n) = recipe_length(recipe)? { n } else { 0 };
    Ok(meta.training.steps < total)
}

/// The length of a recipe.
fn recipe_length(recipe: &str) -> Result<Length> {
    #[derive(serde::Deserialize)]
    struct Only {
        length: Length,
    }
    Ok(toml::from_str::<Only>(recipe)?.length)
}

/// Removes the run of an earlier demo, and nothing that is not one.
fn clear_earlier_run(run: &Path) -> Result<()> {
    if run.join("recipe.toml").is_file() {
        std::fs::remove_dir_all(run)
            .with_context(|| format!("{}: the run of an earlier demo cannot be removed", run.display()))?;
    }
    Ok(())
}

/// The samples by class, and the way of the first hundred from noise; `None` when interrupted.
fn draw(context: &Context, model: &Model) -> Result<Option<(Sampled, Vec<Vec<f32>>)>> {
    let solver: SolverKind = "heun".parse()?;
    let built = solver.build();
    let generate = Generate {
        guidance: Guidance { class: ClassChoice::InTurn, ..Guidance::default() },
        seed: SEED,
        batch: 100,
        device: context.device.clone(),
        ..Generate::new(model, &*built, solver.default_grid().grid(model.process(), SAMPLING_STEPS)?, SAMPLES)
    };
    let mut frames = Vec::new();
    let drawn = generate.run(|range, _, x| {
        if range.start == 0 {
            frames.push(scorefield::tensor::rows(x.clone()));
        }
        if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(drawn.map(|drawn| (drawn, frames)))
}
