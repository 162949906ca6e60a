//! Samples and bounds of models whose data have categories.

use crate::density::Examples;
use crate::tally::Tally;
use crate::{ClassChoice, Classes, GenerateError, Sampled};
use scorefield_model::{Model, StatesAdapter};
use scorefield_process::Grid;
use scorefield_process::states::StatesConfig;
use scorefield_sample::Job;
use scorefield_sample::density::{StatesBound, StatesBoundOptions, null_nats, states_bound};
use scorefield_sample::states::{Factor, StatesSolver, sample_states};
use scorefield_tensor::{Batch, DType, Device, batch, rows};
use std::ops::{ControlFlow, Range};

/// What is known of every sample: rows as the codec encodes them, the same for all, which columns are known, and how surely.
#[derive(Clone, Debug)]
pub struct Given {
    /// An encoded example.
    pub row: Vec<f32>,
    /// Which of its columns are known.
    pub known: Vec<bool>,
    /// For each category the probability that what is seen is not what is: another level, all alike; 0 for certain.
    pub flips: f64,
}

/// A request for samples of a model of states.
pub struct GenerateStates<'a> {
    /// The model.
    pub model: &'a Model,
    /// The sampler.
    pub solver: &'a dyn StatesSolver,
    /// Steps of the run.
    pub steps: usize,
    /// Classes.
    pub class: ClassChoice,
    /// What is known of the samples, if anything is.
    pub given: Option<Given>,
    /// The seed.
    pub seed: u64,
    /// Which samples.
    pub samples: Range<u64>,
    /// How many at a time.
    pub batch: usize,
    /// Where they live.
    pub device: Device,
}

/// The adapter of a model of states.
///
/// # Errors
/// For a model of numbers.
fn adapter<'a>(model: &'a Model, what: &str) -> Result<&'a StatesAdapter, GenerateError> {
    model.states().ok_or_else(|| GenerateError::Numbers { what: what.to_owned() })
}

impl GenerateStates<'_> {
    /// Draws the samples, encoded rows of columns; `watch` as in [`crate::Generate::run`], with wide rows.
    ///
    /// # Errors
    /// When the model has no categories, or the solver cannot sample it.
    pub fn run(
        &self,
        mut watch: impl FnMut(&Range<u64>, usize, &Batch) -> ControlFlow<()>,
    ) -> Result<Option<Sampled>, GenerateError> {
        let adapter = adapter(self.model, &format!("solver {}", self.solver.name()))?;
        if let Some(why) = self.solver.refuses(adapter.process()) {
            return Err(GenerateError::States { solver: self.solver.name(), why });
        }
        let grid = Grid::new(StatesConfig::times(self.steps)).expect("times that fall from 1 to 0");
        let job = Job {
            samples: self.samples.clone(),
            batch: self.batch,
            dtype: DType::F32,
            device: self.device.clone(),
            ..Job::new(self.seed, 0, self.model.dim())
        };
        let (tally, mut evaluations, mut broke) = (Tally::default(), 0, false);
        let denoiser = |range: &Range<u64>| {
            evaluations = evaluations.max(tally.take_calls());
            let classes = self.class.of(self.model, self.seed, range);
            tally.of(self.model.states_denoiser(classes).expect("the model has an adapter"))
        };
        let factor =
            |range: &Range<u64>| self.given.as_ref().map(|g| g.factor(adapter, (range.end - range.start) as usize, &self.device));
        let drawn = sample_states(denoiser, factor, self.solver, &grid, &job, |range, frame| {
            let flow = watch(range, frame.index, &frame.x);
            broke |= flow.is_break();
            flow
        });
        let Some(x) = drawn.filter(|_| !broke) else { return Ok(None) };
        let states = rows(x);
        if let Some(i) = states.iter().position(|v| !v.is_finite()) {
            let sample = self.samples.start + (i / self.model.dim()) as u64;
            return Err(GenerateError::NotFinite { sample, found: states[i] });
        }
        Ok(Some(Sampled {
            states,
            classes: self.class.of(self.model, self.seed, &self.samples),
            evaluations: evaluations.max(tally.take_calls()),
            evaluations_per_sample: tally.rows() as f64 / (self.samples.end - self.samples.start) as f64,
        }))
    }
}

impl Given {
    /// The factor on `n` samples.
    fn factor(&self, adapter: &StatesAdapter, n: usize, device: &Device) -> Factor {
        let columns = adapter.process().columns();
        let wide = columns.expand(&batch(self.row.repeat(n), n, device));
        if self.flips == 0.0 {
            return Factor::known(adapter.process(), &wide, &self.known);
        }
        let mut factor = Factor::known(adapter.process(), &wide, &self.known);
        let seen = |group: &scorefield_process::states::Group| {
            let value = group.of(&factor.value);
            if !group.is_category() {
                return value;
            }
            let levels = (group.states - usize::from(columns.masked())) as f64;
            // r of a level is the probability of what is seen given that level.
            let (same, other) = (1.0 - self.flips, self.flips / (levels - 1.0));
            value * (same - other) + other
        };
        factor.value = Batch::cat(columns.groups().iter().map(seen).collect(), 1);
        factor
    }
}

/// The bounds of examples, and `E[ln p]` of columns that know nothing of each other; `None` when `watch` breaks.
///
/// # Errors
/// For a model of numbers.
pub fn states_bounds(
    model: &Model,
    examples: &Examples<'_>,
    options: &StatesBoundOptions,
    batch_size: usize,
    device: &Device,
    mut watch: impl FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<(Vec<StatesBound>, f64)>, GenerateError> {
    let process = adapter(model, "a bound of categories")?.process();
    let (d, codec) = (model.dim(), &model.meta().codec);
    let encoded = |range: Range<usize>| {
        let (mut natural, mut state, mut out) = (vec![0.0; d], vec![0.0; d], Vec::new());
        for &place in &examples.places[range.clone()] {
            examples.data.row(place, &mut natural);
            codec.encode_row(&natural, &mut state);
            out.extend_from_slice(&state);
        }
        process.columns().expand(&batch(out, range.len(), device))
    };
    let n = examples.places.len();
    let mut bounds = Vec::new();
    for first in (0..n).step_by(batch_size.max(1)) {
        if watch(first).is_break() {
            return Ok(None);
        }
        let range = first..n.min(first + batch_size.max(1));
        let classes: Classes = examples.classes.as_ref().map(|c| c[range.clone()].to_vec());
        let samples: Vec<u64> = examples.places[range.clone()].iter().map(|&p| p as u64).collect();
        let denoiser = model.states_denoiser(classes).expect("the model has an adapter");
        bounds.push(states_bound(&denoiser, &encoded(range), &samples, options)?);
    }
    Ok(Some((bounds, null_nats(process.columns(), &encoded(0..n)))))
}
