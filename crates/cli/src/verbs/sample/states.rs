//! `sample` for models whose data have categories.

use super::{MOST_STEPS, Sample, can_be_written, check_output, default_output, write_trajectory};
use crate::context::Context;
use crate::failure::{Ended, misuse};
use crate::progress::Progress;
use anyhow::Result;
use scorefield::data::{Codec, write};
use scorefield::model::Model;
use scorefield::sample::states::StatesSolverKind;
use scorefield::tensor::rows;
use scorefield::{ClassChoice, GenerateStates};
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
        let class = self.steering.class(codec, model.network().classes(), ClassChoice::InTurn)?;
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
            "given": self.given, "mask": self.mask, "flips": self.flips, "noise": self.noise, "seconds": seconds,
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
            ("--temperature", self.temperature != 1.0),
            ("--repeats (ancestral:repeats=R is what categories have)", self.repeats.is_some()),
        ];
        match self.steering.given().into_iter().chain(given).find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => {
                Err(misuse(format!("{flag}: is for models of numbers, and the data of this one have categories; leave it out")))
            }
        }
    }
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
