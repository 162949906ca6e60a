//! A chain as Sohl-Dickstein et al. 2015 draw it (figure 1): data under noise, samples on their way, and the drift of the reverse steps,
//! at the beginning, in the middle and at the end.

use super::field::Field;
use super::figure::short;
use super::panel::{Look, Panel};
use super::{Plot, interrupted};
use crate::brush::Paint;
use crate::canvas::{BLACK, BLUE, Canvas, Face, GREY, WHITE};
use crate::context::Context;
use crate::failure::{Ended, misuse};
use crate::verbs::nll::open_for;
use crate::verbs::sample::grid_named;
use anyhow::Result;
use scorefield::data::Dataset;
use scorefield::process::{Grid, ProcessExt};
use scorefield::sample::SolverKind;
use scorefield::tensor::{Noise, Purpose, Streams, batch, rows};
use scorefield::{ClassChoice, Generate, Guidance};
use serde_json::json;
use std::ops::ControlFlow;

/// Points of a panel.
const POINTS: usize = 3000;
const LOOK: Look = Look { side: 300, arrows: 21, bands: 0, point: 0.9 };
/// The length of an arrow is `ln(1 + CONTRAST |v| / longest)`.
const CONTRAST: f64 = 30.0;
/// Pixels between panels, and around them.
const GAP: usize = 18;
const LEFT: usize = 112;
const TOP: usize = 34;
const EDGE: usize = 14;
const BOTTOM: usize = 48;

impl Plot {
    /// Three moments of the chain of the model, a column each.
    pub(super) fn draw_chain(&self, context: &Context, field: &Field, spec: &str) -> Result<Ended> {
        let Some(model) = field.model() else {
            return Err(misuse(format!("{}: --chain draws the chain of a trained model; expected a model or a run", self.what)));
        };
        let data = open_for(model, spec)?;
        let defaults = &model.meta().sampling;
        let kind = defaults.solver.parse::<SolverKind>()?;
        let process = model.process();
        let grid = kind.grid(&grid_named(&defaults.grid)?, process, process.span(), defaults.steps)?;
        let times = grid.times().to_vec();
        if times.len() < 3 {
            return Err(misuse(format!("{}: its chain has one step; --chain draws two or more", self.what)));
        }
        // The step to the data, one in the middle, and the first from noise.
        let legs = [times.len() - 2, (times.len() - 1) / 2, 0];
        let Some(reverse) = self.reverse(context, field, &kind, grid, legs)? else { return Ok(interrupted(context)) };

        let side = LOOK.side + GAP;
        let mut canvas = Canvas::new(LEFT + 3 * side + EDGE - GAP, TOP + 3 * side + BOTTOM - GAP, WHITE);
        let panel = |row: usize, column: usize| Panel::new(LEFT + column * side, TOP + row * side, LOOK);
        for (column, &leg) in legs.iter().enumerate() {
            let (t, s) = (times[leg], times[leg + 1]);
            let dots = Paint(BLUE, 0.75);
            panel(0, column).dots(&mut canvas, &field.places(&forward(field, &data, t, self.seed, context), t), dots);
            panel(1, column).dots(&mut canvas, &field.places(&reverse[column], t), dots);
            let drift = panel(2, column);
            let mut vectors = field.drift(&drift.cells(), (t, s), &context.device);
            let longest = vectors.iter().map(|v| v[0].hypot(v[1])).fold(1e-12, f64::max);
            // Where the data are the drift is small beside that at the edges, and is what there is to see.
            vectors.iter_mut().flatten().for_each(|v| *v *= CONTRAST / longest);
            drift.arrows(&mut canvas, &vectors, Paint(BLACK, 0.9));
            for row in 0..3 {
                panel(row, column).frame(&mut canvas);
            }
            drift.axes(&mut canvas, column == 0);
            let left = (LEFT + column * side) as f64;
            let step = times.len() - 1 - leg;
            let text = format!("step {step} of {}, sigma/alpha = {}", times.len() - 1, short(process.at(t).ratio()));
            canvas.label((left, 12.0), &text, BLACK, Face::Small);
            let text = format!("longest arrow {}", short(longest));
            canvas.label((left, (TOP + 3 * side - GAP + 26) as f64), &text, GREY, Face::Small);
        }
        let names = [["data", "under", "noise"], ["samples", "on their", "way"], ["drift", "E[x_s|x_t]", "- x_t"]];
        for (row, lines) in names.iter().enumerate() {
            let y = (TOP + row * side + LOOK.side / 2) as f64 - 30.0;
            canvas.label((8.0, y), lines[0], BLACK, Face::Title);
            lines[1..].iter().enumerate().for_each(|(k, line)| {
                canvas.label((8.0, y + 20.0 + 15.0 * k as f64), line, GREY, Face::Small);
            });
        }
        canvas.0.save_png(&self.output)?;
        let text = format!("{}: {} steps of {} on {spec}, and their drift", self.output.display(), times.len() - 1, self.what);
        let drawn: Vec<f64> = legs.iter().map(|&leg| times[leg]).collect();
        context.result(&json!({ "output": self.output, "times": drawn, "solver": kind.to_string() }), &text)?;
        Ok(Ended::Done)
    }

    /// Samples of the model before each of the steps; none when interrupted.
    fn reverse(
        &self,
        context: &Context,
        field: &Field,
        kind: &SolverKind,
        grid: Grid,
        legs: [usize; 3],
    ) -> Result<Option<[Vec<f32>; 3]>> {
        let Some(model) = field.model() else { return Ok(None) };
        let solver = kind.build();
        let request = Generate {
            seed: self.seed,
            batch: POINTS,
            device: context.device.clone(),
            guidance: Guidance { class: ClassChoice::None, ..Guidance::default() },
            ..Generate::new(model, &*solver, grid, POINTS as u64)
        };
        let mut caught = [const { Vec::new() }; 3];
        let drawn = request.run(|_, index, x| {
            legs.iter().zip(&mut caught).filter(|(leg, _)| **leg == index).for_each(|(_, c)| *c = rows(x.clone()));
            if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(drawn.map(|_| caught))
    }
}

/// Examples under the noise of a time.
fn forward(field: &Field, data: &Dataset, t: f64, seed: u64, context: &Context) -> Vec<f32> {
    let Some(model) = field.model() else { return Vec::new() };
    let n = data.len().min(POINTS);
    let (mut natural, mut state, mut clean) = ([0.0f32; 2], [0.0f32; 2], Vec::with_capacity(2 * n));
    for k in 0..n {
        data.row(k * data.len() / n, &mut natural);
        model.meta().codec.encode_row(&natural, &mut state);
        clean.extend_from_slice(&state);
    }
    let (m, clean) = (model.process().at(t), batch(clean, n, &context.device));
    let noise = Streams::new(seed, (0..n as u64).collect(), Purpose::Perturb).normal(&clean);
    rows(clean * m.alpha + noise * m.sigma)
}
