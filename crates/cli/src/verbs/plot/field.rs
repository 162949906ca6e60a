//! What is drawn: a law in the plane whose density under noise is a closed form, and the score of it or of a model.

use crate::context::Context;
use crate::failure::misuse;
use crate::verbs::sample::load;
use anyhow::{Result, anyhow};
use scorefield::data::{self, Codec, CodecOptions, Dataset};
use scorefield::model::{Model, Weights};
use scorefield::process::oracle::{Empirical, Mixture};
use scorefield::process::{Denoiser, DenoiserExt, Grid, GridKind, Process, ProcessConfig, ProcessExt, ReverseStep};
use scorefield::require_posterior_mean;
use scorefield::sample::{SolverKind, Trajectory};
use scorefield::tensor::{DType, Device, Purpose, Streams, batch, rows};

/// Points that make an empirical law.
const POINTS: usize = 2500;
/// Their width, in standard deviations of the data: wide enough to close the gaps between them.
const WIDTH: f64 = 0.05;
/// Steps of the probability flow over the whole span; the times that are drawn come on top.
const STEPS: usize = 100;

/// A law that knows its density at every time.
#[derive(Debug)]
enum Law {
    Mixture(Mixture<Box<dyn Process>>),
    Empirical(Empirical<Box<dyn Process>>),
}

/// Where a state stands in the picture: `(x_t - alpha mean) / deviation of x_t`, so that one window serves every time of every
/// process.
#[derive(Clone, Copy, Debug)]
struct View {
    mean: [f64; 2],
    deviation: f64,
}

/// A law, its process, and whose score is drawn.
pub(super) struct Field {
    law: Law,
    model: Option<Box<Model>>,
    view: View,
    /// What the shades are, for the legend.
    pub shades: &'static str,
}

impl Field {
    /// The field of `toy:NAME` or of a model of points in the plane.
    pub(super) fn open(context: &Context, what: &str) -> Result<Self> {
        if what.starts_with("toy:") {
            return toy(what, &data::open(what, &data::OpenOptions::default())?);
        }
        let model = load(context, what.as_ref(), Weights::Ema)?;
        if model.dim() != 2 {
            return Err(misuse(format!(
                "{what}: its states have {} numbers; plot draws points in the plane: a model trained on toy:NAME or on a table of two \
                 columns, or toy:NAME itself",
                model.dim()
            )));
        }
        require_posterior_mean(&model, "plot")?;
        let steps = GridKind::Karras { rho: 7.0 }.grid(model.process(), 60)?;
        let start = Streams::new(0, (0..POINTS as u64).collect(), Purpose::Prior);
        let drawn =
            rows(flow(&of_rows(&model, POINTS), &steps, start, &context.device)?.pop().ok_or_else(|| anyhow!("no frame"))?.1);
        let points: Vec<f64> = drawn.iter().map(|&v| f64::from(v)).collect();
        if points.iter().any(|v| !v.is_finite()) {
            return Err(anyhow!("{what}: the model's samples are not finite; it has diverged in training"));
        }
        let view = View::of(&points);
        let law = Law::Empirical(Empirical::new(model.meta().process.build()?, 2, points, WIDTH * view.deviation));
        Ok(Self { law, model: Some(Box::new(model)), view, shades: "density of its samples" })
    }

    /// The process.
    pub(super) fn process(&self) -> &dyn Process {
        match (&self.model, &self.law) {
            (Some(model), _) => model.process(),
            (None, Law::Mixture(law)) => law.process(),
            (None, Law::Empirical(law)) => law.process(),
        }
    }

    fn denoiser(&self, n: usize) -> Box<dyn Denoiser + '_> {
        match (&self.model, &self.law) {
            (Some(model), _) => of_rows(model, n),
            (None, Law::Mixture(law)) => Box::new(law),
            (None, Law::Empirical(law)) => Box::new(law),
        }
    }

    fn scale(&self, t: f64) -> f64 {
        let m = self.process().at(t);
        (m.alpha * self.view.deviation).hypot(m.sigma)
    }

    fn state(&self, place: [f64; 2], t: f64) -> [f64; 2] {
        let (m, scale) = (self.process().at(t), self.scale(t));
        [0, 1].map(|i| m.alpha * self.view.mean[i] + scale * place[i])
    }

    /// The finest detail of the density at a time, in units of the picture.
    pub(super) fn detail(&self, t: f64) -> f64 {
        let m = self.process().at(t);
        (m.alpha * self.view.deviation * WIDTH).hypot(m.sigma) / self.scale(t)
    }

    /// The density at a place of the picture.
    pub(super) fn density(&self, place: [f64; 2], t: f64) -> f64 {
        let x = self.state(place, t);
        let ln = match &self.law {
            Law::Mixture(law) => law.ln_density(&x, t),
            Law::Empirical(law) => law.ln_density(&x, t),
        };
        (ln + 2.0 * self.scale(t).ln()).exp()
    }

    /// The score at places of the picture, per unit of the picture.
    pub(super) fn scores(&self, places: &[[f64; 2]], t: f64, device: &Device) -> Vec<[f64; 2]> {
        let x: Vec<f32> = places.iter().flat_map(|p| self.state(*p, t)).map(|v| v as f32).collect();
        let scores = rows(self.denoiser(places.len()).score(&batch(x, places.len(), device), t));
        let scale = self.scale(t);
        scores.chunks_exact(2).map(|s| [f64::from(s[0]) * scale, f64::from(s[1]) * scale]).collect()
    }

    /// Runs the probability flow for `n` points from noise through all of `times`: for each time on the way, the places.
    pub(super) fn ways(&self, n: usize, times: &[f64], seed: u64, device: &Device) -> Result<Vec<(f64, Vec<[f64; 2]>)>> {
        let process = self.process();
        let mut all: Vec<f64> = GridKind::LogSnr.grid(process, STEPS)?.times().to_vec();
        all.extend(times.iter().filter(|t| process.span().contains(**t)));
        all.sort_by(|a, b| b.total_cmp(a));
        all.dedup();
        let start = Streams::new(seed, (0..n as u64).collect(), Purpose::Prior);
        let frames = flow(&*self.denoiser(n), &Grid::new(all)?, start, device)?;
        Ok(frames.into_iter().map(|(t, x)| (t, self.places(&rows(x), t))).collect())
    }

    /// States of a time as places of the picture.
    pub(super) fn places(&self, states: &[f32], t: f64) -> Vec<[f64; 2]> {
        let (m, scale) = (self.process().at(t), self.scale(t));
        let place = |s: &[f32]| [0, 1].map(|i| (f64::from(s[i]) - m.alpha * self.view.mean[i]) / scale);
        states.chunks_exact(2).map(place).collect()
    }

    /// Where the mean of the reverse step `t -> s` carries places of the picture, as a change of place:
    /// `E[x_s | x_t] = c_0 D(x_t) + (alpha_t / alpha_s) (sigma_s / sigma_t)^2 x_t`.
    pub(super) fn drift(&self, places: &[[f64; 2]], (t, s): (f64, f64), device: &Device) -> Vec<[f64; 2]> {
        let x: Vec<f32> = places.iter().flat_map(|p| self.state(*p, t)).map(|v| v as f32).collect();
        let state = batch(x, places.len(), device);
        let clean = self.denoiser(places.len()).denoise(&state, t);
        let (at_t, at_s) = (self.process().at(t), self.process().at(s));
        let mean = if at_s.sigma > 0.0 {
            let kept = at_t.alpha / at_s.alpha * (at_s.sigma / at_t.sigma).powi(2);
            clean * ReverseStep::between(&at_t, &at_s).of_clean + state * kept
        } else {
            clean
        };
        let to = self.places(&rows(mean), s);
        to.iter().zip(places).map(|(to, from)| [to[0] - from[0], to[1] - from[1]]).collect()
    }

    /// The model, if a model is drawn.
    pub(super) fn model(&self) -> Option<&Model> {
        self.model.as_deref()
    }
}

impl View {
    fn of(points: &[f64]) -> Self {
        let n = (points.len() / 2) as f64;
        let mean = [0, 1].map(|i| points.iter().skip(i).step_by(2).sum::<f64>() / n);
        let square = points.iter().enumerate().map(|(i, v)| (v - mean[i % 2]).powi(2)).sum::<f64>() / (2.0 * n);
        Self { mean, deviation: square.sqrt().max(1e-9) }
    }
}

/// A model as a denoiser of `n` rows, without class.
fn of_rows(model: &Model, n: usize) -> Box<dyn Denoiser + '_> {
    Box::new(model.denoiser((model.network().classes() > 0).then(|| vec![None; n])))
}

type States = scorefield::tensor::Batch;

/// The probability flow from noise by Heun's method: time and states after every step.
fn flow(denoiser: &dyn Denoiser, grid: &Grid, mut start: Streams, device: &Device) -> Result<Vec<(f64, States)>> {
    let solver = "heun".parse::<SolverKind>()?.build();
    let run = Trajectory::from_prior(denoiser, &*solver, grid, &mut start, 2, (device, DType::F32));
    Ok(run.finish(scorefield::sample::Finish::Leave).map(|f| (f.t, f.x)).collect())
}

/// The exact field of a toy: of `toy:mixture` the law it is drawn from, of the others the law of its points.
fn toy(what: &str, toy: &Dataset) -> Result<Field> {
    if toy.shape().len() != 2 {
        return Err(misuse(format!(
            "{what}: {}; plot draws points in the plane: toy:swiss-roll, toy:moons, toy:checkerboard or toy:mixture",
            toy.shape()
        )));
    }
    let codec = Codec::fit(toy, &CodecOptions::default())?;
    let encode = |natural: [f32; 2]| {
        let mut state = [0.0f32; 2];
        codec.encode_row(&natural, &mut state);
        state.map(f64::from)
    };
    let mut natural = [0.0f32; 2];
    let n = toy.len().min(POINTS);
    let mut points = Vec::with_capacity(2 * n);
    for k in 0..n {
        toy.row(k * toy.len() / n, &mut natural);
        points.extend(encode(natural));
    }
    let view = View::of(&points);
    let process = ProcessConfig::all()[0].build()?;
    let is_mixture = what.split(':').nth(1) == Some("mixture");
    let (law, shades) = if is_mixture {
        // Eight Gaussians of deviation 0.1 on a circle of radius 2, through the codec's scales.
        let zero = encode([0.0, 0.0]);
        let unit = encode([1.0, 1.0]);
        let variance = [0, 1].map(|i| (0.1 * (unit[i] - zero[i])).powi(2));
        let angle = |k: usize| std::f32::consts::TAU * k as f32 / 8.0;
        let means: Vec<Vec<f64>> = (0..8).map(|k| encode([2.0 * angle(k).cos(), 2.0 * angle(k).sin()]).to_vec()).collect();
        let covariance = vec![vec![variance[0], 0.0], vec![0.0, variance[1]]];
        (Law::Mixture(Mixture::new(process, &[1.0; 8], &means, &vec![covariance; 8])), "density, exact")
    } else {
        (Law::Empirical(Empirical::new(process, 2, points, WIDTH * view.deviation)), "density of its points")
    };
    Ok(Field { law, model: None, view, shades })
}
