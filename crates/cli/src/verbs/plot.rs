//! `plot`: a 2-D law under noise, as a picture: its density, its score as arrows, and the ways of the probability flow.

mod chain;
mod field;
mod figure;
mod panel;

use crate::canvas::{self, Canvas};
use crate::context::Context;
use crate::failure::{Ended, misuse};
use anyhow::{Context as _, Result};
use clap::Args;
use field::Field;
use figure::Moment;
use rayon::prelude::*;
use scorefield::data::write;
use scorefield::process::{GridKind, ProcessExt, Span};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Draw the score field of a 2-D model or toy over its density, with the ways from noise to data; its chain; or the loss of a run
///
/// A .png has a panel for each noise level, a .gif moves from noise to data. Axes are (x_t - mean) / deviation of x_t, the same
/// window at every level. For toy:mixture the density and the score are those of the law it is drawn from; for other toys those of
/// 2,500 of its points, each a Gaussian 0.05 deviations wide (what a model of these points would be at its best). For a model the
/// score is the model's, and the density is that of 2,500 of its samples, carried to each noise level in closed form.
#[derive(Args, Debug)]
pub(crate) struct Plot {
    /// A model of points in the plane, or toy:NAME; with --loss a run folder
    #[arg(value_name = "MODEL|toy:NAME|RUN")]
    what: String,
    /// Draw the loss of a run folder
    #[arg(long, conflicts_with_all = ["times", "levels"])]
    loss: bool,
    /// Draw the chain of a model in three moments: DATA under noise, samples on their way, and the drift of the reverse steps
    #[arg(long, value_name = "DATA", conflicts_with_all = ["loss", "times", "levels", "ways"])]
    chain: Option<String>,
    /// Times of the process, separated by commas, a panel each
    #[arg(long, value_name = "t,...", value_delimiter = ',', conflicts_with = "levels")]
    times: Vec<f64>,
    /// Noise levels sigma/alpha, separated by commas, a panel each; 2, 0.7, 0.25, 0.06 if left out
    #[arg(long, value_name = "r,...", value_delimiter = ',')]
    levels: Vec<f64>,
    /// Points that move along the field; 20 in a .png and 150 in a .gif if left out
    #[arg(long, value_name = "N")]
    ways: Option<usize>,
    /// Frames of a .gif
    #[arg(long, value_name = "N", default_value_t = 40)]
    frames: usize,
    /// The picture: .png or .gif
    #[arg(short, long = "output", value_name = "OUT", default_value = "field.png")]
    output: PathBuf,
    /// The seed of the points that move
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

/// Noise levels of a still picture, if nothing else is said.
const LEVELS: [f64; 4] = [2.0, 0.7, 0.25, 0.06];
/// First and last noise level of an animation.
const MOVING: [f64; 2] = [5.0, 0.03];
/// More is no picture.
const MOST: usize = 10_000;
const MOST_PANELS: usize = 12;
const MOST_FRAMES: usize = 1000;
/// Milliseconds a frame stays, and the last one.
const DELAY: [u32; 2] = [70, 1800];

impl Plot {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        context.listen()?;
        let ending = self.output.extension().map(|e| e.to_string_lossy().to_lowercase());
        let moving = match ending.as_deref() {
            Some("png") => false,
            Some("gif") if !self.loss && self.chain.is_none() => true,
            _ if self.loss || self.chain.is_some() => return Err(misuse(format!("{}: expected a .png file", self.output.display()))),
            _ => return Err(misuse(format!("{}: expected a .png or .gif file", self.output.display()))),
        };
        super::sample::can_be_written(&self.output)?;
        if self.loss {
            return self.draw_loss(context);
        }
        if let Some(n) = self.ways.filter(|n| *n > MOST) {
            return Err(misuse(format!("--ways {n}: expected 0 to {MOST}")));
        }
        if moving && !(self.times.is_empty() && self.levels.is_empty()) {
            return Err(misuse(format!(
                "{}: a .gif goes through all noise levels; --times and --levels are for a .png",
                self.output.display()
            )));
        }
        if !(2..=MOST_FRAMES).contains(&self.frames) {
            return Err(misuse(format!("--frames {}: expected 2 to {MOST_FRAMES}", self.frames)));
        }
        let field = Field::open(context, &self.what)?;
        if let Some(data) = &self.chain {
            return self.draw_chain(context, &field, data);
        }
        if moving { self.draw_moving(context, &field) } else { self.draw_still(context, &field) }
    }

    /// A panel for each noise level.
    fn draw_still(&self, context: &Context, field: &Field) -> Result<Ended> {
        let times = self.panel_times(field)?;
        let ways = field.ways(self.ways.unwrap_or(20), &times, self.seed, &context.device)?;
        let mut canvas = figure::page(times.len());
        for (index, &t) in times.iter().enumerate() {
            if context.stopped() {
                return Ok(interrupted(context));
            }
            figure::still(&mut canvas, field, index, t, &ways, &context.device);
        }
        figure::legend(&mut canvas, field);
        canvas.0.save_png(&self.output)?;
        let text = format!("{}: score and density of {} at {} noise levels", self.output.display(), self.what, times.len());
        let levels: Vec<f64> = times.iter().map(|t| field.process().at(*t).ratio()).collect();
        context.result(&json!({ "output": self.output, "times": times, "levels": levels }), &text)?;
        Ok(Ended::Done)
    }

    /// A frame for each moment, from noise to data.
    fn draw_moving(&self, context: &Context, field: &Field) -> Result<Ended> {
        let process = field.process();
        let span = Span { start: process.time_of_ratio(MOVING[1]), end: process.time_of_ratio(MOVING[0]) };
        let times = GridKind::LogSnr.between(process, span, self.frames)?.times().to_vec();
        let all = field.ways(self.ways.unwrap_or(150), &times, self.seed, &context.device)?;
        let moments: Vec<Moment> = all.into_iter().filter(|m| times.contains(&m.0)).collect();
        let draw = |k: usize| {
            let drawn = (!context.stopped()).then(|| figure::frame(field, &self.what, &moments[..=k], &context.device));
            drawn.map(|canvas: Canvas| canvas.0)
        };
        let Some(frames) = (0..moments.len()).into_par_iter().map(draw).collect::<Option<Vec<_>>>() else {
            return Ok(interrupted(context));
        };
        write::gif_resting(&self.output, &frames, DELAY[0], DELAY[1])?;
        let text = format!("{}: {} from noise to data in {} frames", self.output.display(), self.what, frames.len());
        context.result(&json!({ "output": self.output, "frames": frames.len() }), &text)?;
        Ok(Ended::Done)
    }

    fn panel_times(&self, field: &Field) -> Result<Vec<f64>> {
        let process = field.process();
        let span = process.span();
        let (low, high) = (process.at(span.start).ratio(), process.at(span.end).ratio());
        let times: Vec<f64> = if !self.times.is_empty() {
            if let Some(t) = self.times.iter().find(|t| !span.contains(**t)) {
                return Err(misuse(format!("--times {t}: the process runs from {} to {}", span.start, span.end)));
            }
            self.times.clone()
        } else {
            if let Some(r) = self.levels.iter().find(|r| !(low..=high).contains(*r)) {
                return Err(misuse(format!("--levels {r}: the process has noise levels from {low:.3e} to {high:.3e}")));
            }
            let levels = if self.levels.is_empty() { &LEVELS[..] } else { &self.levels };
            levels.iter().map(|&ratio| process.time_of_ratio(ratio)).collect()
        };
        if times.len() > MOST_PANELS {
            return Err(misuse(format!("{} panels: expected at most {MOST_PANELS}", times.len())));
        }
        Ok(times)
    }

    /// The loss of every step in a run's `metrics.jsonl`.
    fn draw_loss(&self, context: &Context) -> Result<Ended> {
        let losses = losses_of(Path::new(&self.what))?;
        let Some(last) = losses.last() else {
            return Err(misuse(format!("{}: no step in it yet", self.what)));
        };
        let steps = last.0;
        canvas::losses(&losses).save_png(&self.output)?;
        let text = format!("{}: the loss of {steps:.0} steps of {}", self.output.display(), self.what);
        context.result(&json!({ "output": self.output, "steps": steps }), &text)?;
        Ok(Ended::Done)
    }
}

fn interrupted(context: &Context) -> Ended {
    context.say("interrupted: nothing was written");
    Ended::Interrupted
}

/// Step, loss and loss of the trivial predictor of every step in a run's `metrics.jsonl`.
pub(crate) fn losses_of(run: &Path) -> Result<Vec<(f64, f64, f64)>> {
    let path = run.join("metrics.jsonl");
    let text =
        std::fs::read_to_string(&path).map_err(|e| misuse(format!("{}: {e}; expected the folder of a run", path.display())))?;
    let mut losses = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let value: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("{}: line {}", path.display(), i + 1))?;
        let number = |key: &str| value[key].as_f64();
        // Lines that say something else than a step's figures are not drawn.
        losses.extend(number("step").zip(number("loss")).map(|(step, loss)| (step, loss, number("trivial").unwrap_or(f64::NAN))));
    }
    Ok(losses)
}
