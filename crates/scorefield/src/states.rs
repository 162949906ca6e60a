//! Samples and bounds of models whose data have categories.

use crate::density::Examples;
use crate::tally::Tally;
use crate::{ClassChoice, Classes, GenerateError, Given, Sampled};
use scorefield_model::{Model, StatesAdapter};
use scorefield_process::Grid;
use scorefield_process::states::StatesConfig;
use scorefield_sample::Job;
use scorefield_sample::density::{StatesBound, StatesBoundOptions, null_nats, states_bound};
use scorefield_sample::states::{StatesSolver, sample_states};
use scorefield_tensor::{Batch, DType, Device, batch, rows};
use std::ops::{ControlFlow, Range};

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
        let codec = &self.model.meta().codec;
        if let Some(given) = &self.given {
            given.fits(codec)?;
        }
        let factor = |range: &Range<u64>| {
            self.given.as_ref().map(|g| g.factor(adapter.process(), codec, (range.end - range.start) as usize, &self.device))
        };
        let drawn = sample_states(denoiser, factor, self.solver, &grid, &job, |range, frame| {
            let flow = watch(range, frame.index, &frame.x);
            broke |= flow.is_break();
            flow
        });
        let Some(x) = drawn.filter(|_| !broke) else { return Ok(None) };
        let classes = self.class.of(self.model, self.seed, &self.samples);
        Sampled::checked(rows(x), &self.samples, classes, evaluations.max(tally.take_calls()), tally.rows()).map(Some)
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
