//! `sample` for models whose data have categories, and filling in what is not known of an example.

use super::{MOST_STEPS, Sample, can_be_written, check_output, default_output, write_trajectory};
use crate::context::Context;
use crate::failure::{Ended, misuse};
use crate::progress::Progress;
use crate::verbs::nll::open_for;
use anyhow::Result;
use scorefield::data::{self, Codec, Shape, write};
use scorefield::model::Model;
use scorefield::sample::states::StatesSolverKind;
use scorefield::tensor::rows;
use scorefield::{ClassChoice, GenerateStates, Given};
use serde_json::json;
use std::ops::{ControlFlow, Range};
use std::time::Instant;

impl Sample {
    /// Samples `range` of a model of states.
    pub(super) fn states(&self, context: &Context, model: &Model, range: Range<u64>, batch: usize) -> Result<Ended> {
        let begun = Instant::now();
        self.refuse_flags_of_numbers()?;
        let (codec, meta) = (&model.meta().codec, model.meta());
        let output = self.output.clone().unwrap_or_else(|| default_output(codec, self.trajectory));
        check_output(&output, codec, self.trajectory)?;
        can_be_written(&output)?;
        let solver: StatesSolverKind = self.solver.as_deref().unwrap_or(&meta.sampling.solver).parse()?;
        let steps = self.steps.unwrap_or(meta.sampling.steps);
        if !(1..=MOST_STEPS).contains(&steps) {
            return Err(misuse(format!("--steps {steps}: expected 1 to {MOST_STEPS}")));
        }
        let class = match &self.class {
            Some(text) => ClassChoice::parse(text, codec, model.network().classes())?,
            None => ClassChoice::InTurn,
        };
        let built = solver.build();
        let (n, first) = (range.end - range.start, range.start);
        let generate = GenerateStates {
            model,
            solver: &*built,
            steps,
            class,
            given: self.given(model)?,
            seed: self.seed,
            samples: range,
            batch,
            device: context.device.clone(),
        };
        let columns = model.states().map(|s| s.process().columns().clone());
        let mut frames: Vec<Vec<f32>> = Vec::new();
        let mut progress = Progress::new(context, "step", None);
        let total = n.div_ceil(batch as u64) * steps as u64;
        let drawn = generate.run(|range, index, x| {
            if let (true, Some(columns)) = (self.trajectory, &columns) {
                if frames.len() <= index {
                    frames.push(Vec::new());
                }
                frames[index].extend(shown(rows(columns.collapse(x)), codec));
            }
            let done = (range.start - first) / batch as u64 * steps as u64 + index as u64;
            progress.set(done, Some(total), &format!("samples {} to {}", range.start, range.end - 1));
            if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        progress.end();
        let Some(drawn) = drawn else {
            context.say("interrupted: nothing was written");
            return Ok(Ended::Interrupted);
        };
        if self.trajectory {
            write_trajectory(&output, &frames, n as usize, codec)?;
        } else {
            write::samples_from(&output, &drawn.states, n as usize, codec, first)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let json = json!({
            "output": output, "n": n, "first": first, "seed": self.seed, "solver": solver.to_string(), "steps": steps,
            "evaluations": drawn.evaluations, "evaluations_per_sample": drawn.evaluations_per_sample, "classes": drawn.classes,
            "given": self.given, "mask": self.mask, "seconds": seconds,
        });
        let each = drawn.evaluations_per_sample;
        let text =
            format!("{}: {n} samples by {solver} in {steps} steps, {each:.0} evaluations each, {seconds:.2} s", output.display());
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }

    fn refuse_flags_of_numbers(&self) -> Result<()> {
        let given = [
            ("--grid", self.grid.is_some()),
            ("--process", self.process.is_some()),
            ("--clip", self.clip.is_some()),
            ("--threshold", self.threshold.is_some()),
            ("--path", self.path.is_some()),
            ("--guidance", self.guidance.is_some()),
            ("--temperature", self.temperature != 1.0),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => {
                Err(misuse(format!("{flag}: is for models of numbers, and the data of this one have categories; leave it out")))
            }
        }
    }

    /// The example that is known in part.
    fn given(&self, model: &Model) -> Result<Option<Given>> {
        let (Some(text), Some(mask)) = (&self.given, &self.mask) else { return Ok(None) };
        if !(0.0..1.0).contains(&self.flips) {
            return Err(misuse(format!("--flips {}: expected a probability from 0 up to, but not including, 1", self.flips)));
        }
        let codec = &model.meta().codec;
        let (spec, place) = text
            .rsplit_once('@')
            .and_then(|(spec, i)| Some((spec, i.parse::<usize>().ok()?)))
            .ok_or_else(|| misuse(format!("--given {text}: expected DATA@I, for example digits@3")))?;
        let data = open_for(model, spec)?;
        if place >= data.len() {
            return Err(misuse(format!("--given {text}: {spec} has {} examples, numbered from 0", data.len())));
        }
        let d = codec.shape().len();
        let (mut natural, mut row) = (vec![0.0; d], vec![0.0; d]);
        data.row(place, &mut natural);
        codec.encode_row(&natural, &mut row);
        Ok(Some(Given { row, known: known(mask, codec)?, flips: self.flips }))
    }
}

/// Which entries of an example a mask says are known.
fn known(mask: &str, codec: &Codec) -> Result<Vec<bool>> {
    let shape = codec.shape();
    let (height, width) = match shape {
        Shape::Image { height, width, .. } => (height, width),
        Shape::Vector { dim } => (1, dim),
    };
    let place = |i: usize| (i % shape.plane().max(1) / width.max(1), i % width.max(1));
    let at = |i: usize| if matches!(shape, Shape::Image { .. }) { place(i) } else { (0, i) };
    let inside = |v: usize, side: usize| side > 1 && (side / 4..side - side / 4).contains(&v);
    let by = |of: &dyn Fn((usize, usize)) -> bool| (0..shape.len()).map(|i| of(at(i))).collect::<Vec<bool>>();
    let found = match mask {
        "left" => by(&|(_, x)| x < width / 2),
        "right" => by(&|(_, x)| x >= width / 2),
        "top" => by(&|(y, _)| y < height / 2),
        "bottom" => by(&|(y, _)| y >= height / 2),
        "around" => by(&|(y, x)| !(inside(x, width) && (height == 1 || inside(y, height)))),
        "all" => vec![true; shape.len()],
        path => {
            let array = data::open(path, &data::OpenOptions::default())
                .map_err(|e| misuse(format!("--mask {path}: neither left, right, top, bottom, around, all nor an array: {e}")))?;
            let mut values = Vec::new();
            let mut row = vec![0.0; array.shape().len()];
            for i in 0..array.len() {
                array.row(i, &mut row);
                values.extend_from_slice(&row);
            }
            if values.len() != shape.len() {
                return Err(misuse(format!(
                    "--mask {path}: {} numbers, but an example of the model has {}",
                    values.len(),
                    shape.len()
                )));
            }
            if let Some(wrong) = values.iter().find(|v| **v != 0.0 && **v != 1.0 && **v != 255.0) {
                return Err(misuse(format!(
                    "--mask {path}: {wrong} in it; expected 0 where unknown and 1 (or white, 255) where known"
                )));
            }
            values.into_iter().map(|v| v > 0.5).collect()
        }
    };
    if !found.contains(&true) {
        return Err(misuse(format!("--mask {mask}: nothing of the example is known under it; leave --given out")));
    }
    Ok(found)
}

/// Rows on the way, a masked category as the level in the middle: half a bit, a grey.
fn shown(mut states: Vec<f32>, codec: &Codec) -> Vec<f32> {
    let (plane, levels) = (codec.shape().plane(), codec.levels());
    for (i, v) in states.iter_mut().enumerate() {
        if let Some(levels) = levels[i % codec.shape().len() / plane]
            && *v >= levels as f32
        {
            *v = (levels - 1) as f32 / 2.0;
        }
    }
    states
}
