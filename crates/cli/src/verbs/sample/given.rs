//! What is known of the samples: `--given DATA@I --mask MASK`.

use super::Sample;
use crate::failure::misuse;
use crate::verbs::nll::open_for;
use anyhow::Result;
use scorefield::Given;
use scorefield::data::{self, Codec, Shape};
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
        Ok(Some(Given { row, known: known(mask, codec)?, flips: self.flips, noise: self.noise }))
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
    if matches!(shape, Shape::Vector { .. }) && ["top", "bottom"].contains(&mask) {
        return Err(misuse(format!(
            "--mask {mask}: is for pictures; an example here is {shape}: left, right, around or an array"
        )));
    }
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
