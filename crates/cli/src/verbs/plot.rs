//! `plot`: a 2-D law under noise, as a picture: its density, its score as arrows, and the ways of the probability flow.

use super::sample::load;
use crate::canvas::{self, BLACK, BLUE, Canvas, Colour, ORANGE, RED, WHITE};
use crate::context::Context;
use crate::failure::{Ended, misuse};
use anyhow::{Context as _, Result};
use clap::Args;
use scorefield::data::{self, Codec, CodecOptions, Dataset};
use scorefield::model::{Model, Weights};
use scorefield::process::oracle::Mixture;
use scorefield::process::{Denoiser, DenoiserExt, Grid, GridKind, Process, ProcessConfig, ProcessExt};
use scorefield::sample::{SolverKind, Trajectory};
use scorefield::tensor::{Batch, DType, Device, Purpose, Streams, batch, rows};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Draw the score field of a 2-D model or toy on its density, with trajectories; or the loss of a run
#[derive(Args, Debug)]
pub(crate) struct Plot {
    /// A model of points in the plane, or toy:NAME; with --loss a run folder
    #[arg(value_name = "MODEL|toy:NAME|RUN")]
    what: String,
    /// Draw the loss of a run folder
    #[arg(long, conflicts_with = "times")]
    loss: bool,
    /// Times of the process, separated by commas; four noise levels if left out
    #[arg(long, value_name = "t,...", value_delimiter = ',')]
    times: Vec<f64>,
    /// The picture
    #[arg(short, long = "output", value_name = "OUT.png", default_value = "field.png")]
    output: PathBuf,
    /// The seed of the trajectories
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

/// Pixels a panel is wide.
const SIDE: usize = 360;
/// States whose density is drawn.
const POINTS: usize = 1500;
/// Ways that are drawn.
const WAYS: usize = 14;
/// Arrows a row.
const ARROWS: usize = 17;
/// Steps of the probability flow.
const STEPS: usize = 40;

/// What is drawn: a model, or the law of a toy's own points, whose score is known exactly.
enum Field {
    Model(Box<Model>),
    Exact(Box<Mixture<Box<dyn Process>>>),
}

impl Field {
    fn process(&self) -> &dyn Process {
        match self {
            Self::Model(model) => model.process(),
            Self::Exact(law) => law.process(),
        }
    }

    /// The denoiser for `n` rows.
    fn denoiser(&self, n: usize) -> Box<dyn Denoiser + '_> {
        match self {
            Self::Model(model) => Box::new(model.denoiser((model.network().classes() > 0).then(|| vec![None; n]))),
            Self::Exact(law) => Box::new(&**law),
        }
    }

    fn score(&self, x: &Batch, t: f64) -> Batch {
        self.denoiser(x.dims()[0]).score(x, t)
    }
}

impl Plot {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        if self.output.extension().is_none_or(|e| e != "png") {
            return Err(misuse(format!("{}: expected a .png file", self.output.display())));
        }
        super::sample::can_be_written(&self.output)?;
        if self.loss {
            return self.draw_loss(context);
        }
        let field = self.field(context)?;
        let process = field.process();
        let times = self.panel_times(process)?;
        let device = &context.device;
        let (span, solver) = (process.span(), "heun".parse::<SolverKind>()?.build());

        // One run of the flow through all the times that are drawn gives densities and ways.
        let mut all: Vec<f64> = GridKind::Karras { rho: 7.0 }.grid(process, STEPS)?.times().to_vec();
        all.extend(times.iter().copied().filter(|t| *t > span.start && *t < span.end));
        all.sort_by(|a, b| b.total_cmp(a));
        all.dedup();
        let grid = Grid::new(all)?;
        let mut streams = Streams::new(self.seed, (0..POINTS as u64).collect(), Purpose::Prior);
        let denoiser = field.denoiser(POINTS);
        let run = Trajectory::from_prior(&*denoiser, &*solver, &grid, &mut streams, 2, (device, DType::F32));
        let frames: Vec<(f64, Vec<f32>)> = run.map(|f| (f.t, rows(f.x))).collect();

        let mut canvas = Canvas::new(times.len() * (SIDE + 8) + 8, SIDE + 34, WHITE);
        for (column, &t) in times.iter().enumerate() {
            let at = frames.iter().position(|f| f.0 <= t).unwrap_or(frames.len() - 1);
            let panel = panel(&field, &frames, at, t, device);
            canvas.0.paste(&panel.0, 8 + column * (SIDE + 8), 26);
            let m = process.at(t);
            canvas.text(((8 + column * (SIDE + 8)) as f64, 8.0), &format!("t {t:.4}  sigma/alpha {:.3}", m.ratio()), BLACK);
        }
        canvas.0.save_png(&self.output)?;
        let text = format!("{}: score and density of {} at {} times", self.output.display(), self.what, times.len());
        context.result(&json!({ "output": self.output, "times": times }), &text)?;
        Ok(Ended::Done)
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

    fn field(&self, context: &Context) -> Result<Field> {
        if self.what.starts_with("toy:") {
            return Ok(Field::Exact(Box::new(exact(&data::open(&self.what, &data::OpenOptions::default())?)?)));
        }
        let model = load(context, self.what.as_ref(), Weights::Ema)?;
        if model.dim() != 2 {
            return Err(misuse(format!(
                "{}: its states have {} numbers; plot draws points in the plane",
                self.what,
                model.dim()
            )));
        }
        Ok(Field::Model(Box::new(model)))
    }

    fn panel_times(&self, process: &dyn Process) -> Result<Vec<f64>> {
        if self.times.is_empty() {
            return Ok([1.5, 0.6, 0.25, 0.08].iter().map(|&ratio| process.time_of_ratio(ratio)).collect());
        }
        let span = process.span();
        match self.times.iter().find(|t| !(span.start..=span.end).contains(*t)) {
            Some(t) => Err(misuse(format!("--times {t}: the process runs from {} to {}", span.start, span.end))),
            None => Ok(self.times.clone()),
        }
    }
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

/// The law of a toy's points, each a little blurred: a mixture whose score under noise has a closed form.
fn exact(toy: &Dataset) -> Result<Mixture<Box<dyn Process>>> {
    if toy.shape().len() != 2 {
        return Err(misuse(format!("{}: {}; plot draws points in the plane", toy.name(), toy.shape())));
    }
    let codec = Codec::fit(toy, &CodecOptions::default())?;
    let (mut natural, mut state) = (vec![0.0; 2], vec![0.0; 2]);
    let n = toy.len().min(400);
    let means: Vec<Vec<f64>> = (0..n)
        .map(|k| {
            toy.row(k * toy.len() / n, &mut natural);
            codec.encode_row(&natural, &mut state);
            state.iter().map(|&v| f64::from(v)).collect()
        })
        .collect();
    let process = ProcessConfig::Edm { sigma_min: 0.002, sigma_max: 20.0 }.build()?;
    Ok(Mixture::isotropic(process, &vec![1.0; n], &means, &vec![0.05; n]))
}

/// One panel: the density of the states at frame `at`, the score at time `t`, the ways that end here.
fn panel(field: &Field, frames: &[(f64, Vec<f32>)], at: usize, t: f64, device: &Device) -> Canvas {
    let states = &frames[at].1;
    let side = SIDE as f64;
    let (center, half) = window(states);
    let to_pixel = |x: f64, y: f64| {
        let u = |v: f64, c: f64| (v - c) / (2.0 * half) + 0.5;
        (u(x, center[0]) * side, (1.0 - u(y, center[1])) * side)
    };
    let mut canvas = Canvas::new(SIDE, SIDE, WHITE);
    density(&mut canvas, states, to_pixel);

    let step = 2.0 * half / ARROWS as f64;
    let mut places = Vec::with_capacity(2 * ARROWS * ARROWS);
    for i in 0..ARROWS {
        for j in 0..ARROWS {
            let of = |k: usize, c: f64| c - half + (k as f64 + 0.5) * step;
            places.extend([of(i, center[0]) as f32, of(j, center[1]) as f32]);
        }
    }
    let scores = rows(field.score(&batch(places.clone(), ARROWS * ARROWS, device), t));
    let longest = scores.chunks_exact(2).map(|s| f64::from(s[0].hypot(s[1]))).fold(1e-12, f64::max);
    for (p, s) in places.chunks_exact(2).zip(scores.chunks_exact(2)) {
        let (x, y, sx, sy) = (f64::from(p[0]), f64::from(p[1]), f64::from(s[0]), f64::from(s[1]));
        let size = sx.hypot(sy).max(1e-12);
        // By the root of its size, so that weak parts of the field are seen too.
        let length = 0.95 * step * (size / longest).sqrt();
        canvas.arrow(to_pixel(x, y), to_pixel(x + length * sx / size, y + length * sy / size), BLUE);
    }

    for k in 0..WAYS {
        let way: Vec<_> = frames[..=at].iter().map(|f| to_pixel(f64::from(f.1[2 * k]), f64::from(f.1[2 * k + 1]))).collect();
        way.windows(2).for_each(|w| canvas.line(w[0], w[1], ORANGE, 1));
        way.last().iter().for_each(|&&end| canvas.dot(end, 5, RED));
    }
    canvas
}

/// The middle of the states and half the side of a square around most of them.
fn window(states: &[f32]) -> ([f64; 2], f64) {
    let n = (states.len() / 2) as f64;
    let mean = |j: usize| states.iter().skip(j).step_by(2).map(|&v| f64::from(v)).sum::<f64>() / n;
    let center = [mean(0), mean(1)];
    let spread = states.iter().enumerate().map(|(i, &v)| (f64::from(v) - center[i % 2]).powi(2)).sum::<f64>() / (2.0 * n);
    (center, (2.7 * spread.sqrt()).max(1e-6))
}

/// Shades the panel by a kernel estimate of the density.
fn density(canvas: &mut Canvas, states: &[f32], to_pixel: impl Fn(f64, f64) -> (f64, f64)) {
    const CELL: usize = 4;
    const REACH: i64 = 4;
    let cells = SIDE / CELL;
    let mut heat = vec![0.0f64; cells * cells];
    for s in states.chunks_exact(2) {
        let (x, y) = to_pixel(f64::from(s[0]), f64::from(s[1]));
        let (cx, cy) = (x / CELL as f64, y / CELL as f64);
        for dy in -REACH..=REACH {
            for dx in -REACH..=REACH {
                let (i, j) = (cx.floor() as i64 + dx, cy.floor() as i64 + dy);
                if (0..cells as i64).contains(&i) && (0..cells as i64).contains(&j) {
                    let r2 = (i as f64 + 0.5 - cx).powi(2) + (j as f64 + 0.5 - cy).powi(2);
                    heat[j as usize * cells + i as usize] += (-r2 / 4.0).exp();
                }
            }
        }
    }
    let most = heat.iter().copied().fold(1e-12, f64::max);
    let dark: Colour = [90, 100, 110];
    for (k, h) in heat.iter().enumerate() {
        let depth = (h / most).sqrt();
        let colour: Vec<u8> = dark.iter().map(|&d| (255.0 - depth * f64::from(255 - d)) as u8).collect();
        let cell = data::write::Picture::filled(CELL, CELL, &colour);
        canvas.0.paste(&cell, (k % cells) * CELL, (k / cells) * CELL);
    }
}
