//! What is known of the samples: `--given DATA@I --mask MASK`.

use super::Sample;
use crate::failure::misuse;
use crate::mask;
use crate::verbs::nll::open_for;
use anyhow::Result;
use scorefield::Given;
use scorefield::model::Model;
use scorefield::sample::{Repeated, Solver, SolverKind};

impl Sample {
    /// The example that is known in part.
    pub(super) fn given(&self, model: &Model) -> Result<Option<Given>> {
        let (Some(text), Some(mask)) = (&self.given, &self.mask) else { return Ok(None) };
        if !(0.0..1.0).contains(&self.flips) {
            return Err(misuse(format!("--flips {}: expected a probability from 0 up to, but not including, 1", self.flips)));
        }
        if !(self.noise >= 0.0 && self.noise.is_finite()) {
            return Err(misuse(format!("--noise {}: expected a deviation in the data's own units, from 0 on", self.noise)));
        }
        let codec = &model.meta().codec;
        let categories = codec.levels().iter().flatten().count();
        if self.flips > 0.0 && categories == 0 {
            return Err(misuse("--flips: the data of the model are numbers; --noise is what measurements of them have"));
        }
        if self.noise > 0.0 && categories == codec.levels().len() {
            return Err(misuse("--noise: the data of the model are categories; --flips is what measurements of them have"));
        }
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
        Ok(Some(Given {
            row,
            known: mask::known(mask, codec.shape(), codec.channels(), 0)?,
            flips: self.flips,
            noise: self.noise,
        }))
    }
}

impl Sample {
    /// The solver with its repeats.
    pub(super) fn repeated(&self, kind: &SolverKind) -> Result<Box<dyn Solver>> {
        let inner = kind.build();
        match self.repeats {
            None | Some(1) => Ok(inner),
            Some(0) => Err(misuse("--repeats 0: every step is made at least once")),
            Some(_) if kind.adaptive() => {
                Err(misuse(format!("--repeats: {} chooses its own steps; take a solver of given steps", inner.name())))
            }
            Some(times) => {
                // A step has streams for 256 draws: those of the solver, at most one a look at the model, and one to go forwards again.
                let most = (255 / (1 + inner.evaluations_per_step())).min(MOST_REPEATS);
                if times > most {
                    return Err(misuse(format!("--repeats {times}: {} takes at most {most}", inner.name())));
                }
                Ok(Box::new(Repeated { inner, times }))
            }
        }
    }
}

/// More repeats of a step bring nothing nearer.
const MOST_REPEATS: usize = 60;
