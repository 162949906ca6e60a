//! The demo's pictures: samples by class, their nearest training digits, the loss, the way from noise, and noise taken back.

use super::score::{Scores, encoded};
use crate::canvas::{self, BLACK, Canvas, WHITE};
use crate::context::Context;
use anyhow::{Context as _, Result};
use scorefield::Sampled;
use scorefield::data::Dataset;
use scorefield::data::write::{self, Picture};
use scorefield::eval::psnr;
use scorefield::model::Model;
use scorefield::process::{GridKind, ProcessExt, Span};
use scorefield::sample::{SolverKind, Trajectory};
use scorefield::tensor::{Noise, Purpose, Streams, batch, rows};
use std::path::Path;

/// Pixels a digit's pixel is wide.
const ENLARGED: usize = 5;
/// Classes.
const CLASSES: usize = 10;
/// Samples of a class that are shown.
const COLUMNS: usize = 20;

fn shown(state: &[f32], model: &Model) -> Result<Picture> {
    Ok(Picture::of_state(state, &model.meta().codec).context("digits are pictures")?.rgb().enlarged(ENLARGED))
}

fn save(out: &Path, name: &str, picture: &Picture) -> Result<String> {
    picture.save_png(&out.join(name))?;
    Ok(name.to_owned())
}

/// A class a row.
pub(super) fn samples(out: &Path, drawn: &Sampled, model: &Model) -> Result<String> {
    let d = model.dim();
    let all: Vec<&[f32]> = drawn.states.chunks_exact(d).collect();
    let mut by_class = Vec::new();
    for class in 0..CLASSES {
        for column in 0..COLUMNS {
            by_class.push(shown(all[column * CLASSES + class], model)?);
        }
    }
    save(out, "samples.png", &write::grid(&by_class, COLUMNS))
}

/// Pairs: a sample, and beside it the nearest digit the model has learned from.
pub(super) fn nearest(out: &Path, drawn: &Sampled, scores: &Scores, training: &Dataset, model: &Model) -> Result<String> {
    let d = model.dim();
    let (train, _) = encoded(training, model.meta());
    let side = 8 * ENLARGED;
    let (rows, columns) = (10, 8);
    let (step_x, step_y) = (2 * side + 14, side + 6);
    let mut canvas = Canvas::new(columns * step_x + 8, rows * step_y + 30, WHITE);
    canvas.text((8.0, 6.0), "left: sample; right: nearest digit learned from", BLACK);
    for (i, state) in drawn.states.chunks_exact(d).take(rows * columns).enumerate() {
        let (x, y) = ((i / rows) * step_x + 8, (i % rows) * step_y + 24);
        canvas.0.paste(&shown(state, model)?, x, y);
        let near = train.view().row(scores.memorisation.nearest[i].index);
        canvas.0.paste(&shown(near, model)?, x + side + 2, y);
    }
    save(out, "nearest.png", &canvas.0)
}

/// The loss beside that of a predictor that knows only mean and spread.
pub(super) fn loss(out: &Path, losses: &[(f64, f64, f64)]) -> Result<String> {
    save(out, "loss.png", &canvas::losses(losses))
}

/// The first hundred samples on their way from noise.
pub(super) fn trajectory(out: &Path, frames: &[Vec<f32>], model: &Model) -> Result<String> {
    let d = model.dim();
    let mut pictures = Vec::new();
    for frame in frames {
        let digits: Result<Vec<Picture>> = frame.chunks_exact(d).take(100).map(|s| shown(s, model)).collect();
        pictures.push(write::grid(&digits?, CLASSES));
    }
    let last = pictures.last().cloned();
    pictures.extend(std::iter::repeat_n(last, 12).flatten());
    write::gif(&out.join("trajectory.gif"), &pictures, 90)?;
    Ok("trajectory.gif".into())
}

/// What came of taking noise back.
#[derive(Debug)]
pub(super) struct Restored {
    pub picture: String,
    pub sigma: f64,
    pub psnr_noisy: f64,
    pub psnr_mean: f64,
}

/// Held-out digits that are restored.
const RESTORED: usize = 8;
/// Posterior samples of each.
const POSTERIOR: usize = 16;

/// Held-out digits under noise of a known level, and samples of what they may have been: the reverse SDE from that level on draws from
/// `p(x_0 | x_t)` itself, no approximation but the model's and the solver's (Song et al. 2021, section 3). Mean and spread with it.
pub(super) fn restore(context: &Context, out: &Path, model: &Model, held_out: &Dataset) -> Result<Restored> {
    let (d, process) = (model.dim(), model.process());
    let (clean, _) = encoded(&held_out.subset(&(0..RESTORED).collect::<Vec<_>>()), model.meta());
    let t = process.time_of_ratio(1.0);
    let m = process.at(t);
    let x0 = batch(clean.view().values().to_vec(), RESTORED, &context.device);
    let noise = Streams::new(0, (0..RESTORED as u64).collect(), Purpose::Measurement).normal(&x0);
    let x_t = rows(m.perturb(&x0, &noise));

    let repeated: Vec<f32> = x_t.chunks_exact(d).flat_map(|row| std::iter::repeat_n(row, POSTERIOR).flatten().copied()).collect();
    let n = RESTORED * POSTERIOR;
    let denoiser = model.denoiser((model.network().classes() > 0).then(|| vec![None; n]));
    let solver = "euler-maruyama".parse::<SolverKind>()?.build();
    let grid = GridKind::Karras { rho: 7.0 }.between(process, Span { start: process.span().start, end: t }, 60)?;
    let mut streams = Streams::new(1, (0..n as u64).collect(), Purpose::Solver);
    let start = batch(repeated, n, &context.device);
    let posterior = rows(Trajectory::new(&denoiser, &*solver, &grid, &mut streams, start).run());

    let mut mean = vec![0.0f32; RESTORED * d];
    let mut spread = vec![0.0f32; RESTORED * d];
    for i in 0..RESTORED {
        for j in 0..d {
            let values = (0..POSTERIOR).map(|k| f64::from(posterior[(i * POSTERIOR + k) * d + j]));
            let mu = values.clone().sum::<f64>() / POSTERIOR as f64;
            let var = values.map(|v| (v - mu).powi(2)).sum::<f64>() / (POSTERIOR - 1) as f64;
            mean[i * d + j] = mu as f32;
            // Spread 0 is shown black, spread 1 (half the range) white.
            spread[i * d + j] = (2.0 * var.sqrt() - 1.0) as f32;
        }
    }

    let side = 8 * ENLARGED;
    let names = ["true", "noisy", "s1", "s2", "s3", "s4", "mean", "spread"];
    let mut canvas = Canvas::new(names.len() * (side + 6) + 10, RESTORED * (side + 6) + 26, WHITE);
    for (c, name) in names.iter().enumerate() {
        canvas.text(((c * (side + 6) + 8) as f64, 8.0), name, BLACK);
    }
    for i in 0..RESTORED {
        let of = |values: &[f32], row: usize| shown(&values[row * d..(row + 1) * d], model);
        let mut row = vec![of(clean.view().values(), i)?, of(&x_t, i)?];
        for k in 0..4 {
            row.push(of(&posterior, i * POSTERIOR + k)?);
        }
        row.extend([of(&mean, i)?, of(&spread, i)?]);
        for (c, picture) in row.iter().enumerate() {
            canvas.0.paste(picture, c * (side + 6) + 8, i * (side + 6) + 22);
        }
    }
    let alpha = m.alpha as f32;
    let observed: Vec<f32> = x_t.iter().map(|v| v / alpha).collect();
    let of_rows = |estimate: &[f32]| {
        let pairs = clean.view().values().chunks_exact(d).zip(estimate.chunks_exact(d));
        pairs.map(|(real, estimate)| psnr(real, estimate, 2.0)).sum::<f64>() / RESTORED as f64
    };
    let (psnr_noisy, psnr_mean) = (of_rows(&observed), of_rows(&mean));
    Ok(Restored { picture: save(out, "restore.png", &canvas.0)?, sigma: m.ratio(), psnr_noisy, psnr_mean })
}
