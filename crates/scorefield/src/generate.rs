//! Samples of a model by number: sample `i` of a seed is the same whatever else is asked for.
//!
//! Noise is drawn by (seed, sample, purpose, step), the class of a sample is a function of (seed, sample), and no kernel mixes rows; so
//! neither how many samples are asked for, nor from which on, nor the batch or the number of threads changes any of them.

use crate::guidance::Rows;
use crate::tally::Tally;
use crate::{GenerateError, Given, Guidance};
use scorefield_data::Codec;
use scorefield_model::Model;
use scorefield_process::{Clip, Denoiser, Grid, Process, Rescheduled, Thresholded};
use scorefield_sample::{Finish, Job, Path, Solver, sample_driven};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, DType, Device, Noise, Purpose, Streams, batch, rows};
use std::ops::{ControlFlow, Range};

/// Which class each sample has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassChoice {
    /// The unconditional model.
    None,
    /// One class for all.
    One(u32),
    /// Sample `i` has class `i mod classes`.
    InTurn,
    /// A class drawn for each sample from (seed, sample), all equally likely.
    #[default]
    Random,
}

/// Classes of samples by number, or none.
pub type Classes = Option<Vec<Option<u32>>>;

impl ClassChoice {
    /// The choice that a text stands for: a class by name or number, or else `none`, `each` (in turn) or `random`.
    ///
    /// # Errors
    /// When the model has no such class.
    pub fn parse(text: &str, codec: &Codec, classes: usize) -> Result<Self, GenerateError> {
        let names = codec.classes();
        let named = names.iter().position(|n| n == text).filter(|&i| i < classes);
        match text {
            _ if named.is_some() => {}
            "none" => return Ok(Self::None),
            _ if classes == 0 => return Err(GenerateError::NoClasses { found: text.into() }),
            "each" => return Ok(Self::InTurn),
            "random" => return Ok(Self::Random),
            _ => {}
        }
        let place = named.or_else(|| text.parse().ok().filter(|&i| i < classes));
        place.map(|i| Self::One(i as u32)).ok_or_else(|| GenerateError::NoSuchClass {
            found: text.into(),
            known: if names.is_empty() { format!("0 to {}", classes - 1) } else { names.join(", ") },
            near: scorefield_sample::nearest(text, names.iter().map(String::as_str)).map(str::to_owned),
        })
    }

    /// The classes of a range of samples; none for a model without classes.
    pub fn of(&self, model: &Model, seed: u64, samples: &Range<u64>) -> Classes {
        self.among(model.network().classes(), seed, &samples.clone().collect::<Vec<_>>())
    }

    /// The classes of samples by number among a number of classes; none among none.
    pub fn among(&self, classes: usize, seed: u64, samples: &[u64]) -> Classes {
        let classes = classes as u64;
        let draw = |i: u64| match self {
            Self::None => None,
            Self::One(class) => Some(*class),
            Self::InTurn => Some((i % classes) as u32),
            Self::Random => {
                let u = Stream::new(seed, i, Purpose::ClassDraw, 0, 0).uniform(0);
                Some(((u * classes as f64) as u64).min(classes - 1) as u32)
            }
        };
        (classes > 0).then(|| samples.iter().map(|i| draw(*i)).collect())
    }
}

/// Refuses a model whose output is no posterior mean, for what needs one: scores, likelihoods, latents, and every solver but the
/// one of consistency models.
///
/// # Errors
/// For a consistency model; `what` says what was to be done with it.
pub fn require_posterior_mean(model: &Model, what: &str) -> Result<(), GenerateError> {
    if model.states().is_some() {
        return Err(GenerateError::Categories { what: what.to_owned() });
    }
    if model.meta().prediction.is_posterior_mean() { Ok(()) } else { Err(GenerateError::PathEnds { what: what.to_owned() }) }
}

/// A request for samples.
#[derive(Clone)]
pub struct Generate<'a> {
    /// The model.
    pub model: &'a Model,
    /// The solver.
    pub solver: &'a dyn Solver,
    /// Its times, of `process` if there is one.
    pub grid: Grid,
    /// Another process to sample under, by exact change of schedule ([`Rescheduled`]); `None` is the model's own.
    pub process: Option<&'a dyn Process>,
    /// Bounds on what the model takes for clean data.
    pub clip: Option<Clip>,
    /// A factor on the spread of the law that runs start from; fresh noise of stochastic solvers keeps its own.
    pub temperature: f64,
    /// The Brownian paths that drive the solver, the same for every number of steps; `None` draws noise for each step afresh.
    pub path: Option<Path>,
    /// What the model is told of the samples, and how far it follows.
    pub guidance: Guidance<'a>,
    /// What is known of the samples, if anything is: the model is multiplied by it ([`scorefield_sample::Evidence`]).
    pub given: Option<Given>,
    /// The seed.
    pub seed: u64,
    /// Which samples.
    pub samples: Range<u64>,
    /// How many at a time.
    pub batch: usize,
    /// The element type of the states.
    pub dtype: DType,
    /// Where they live.
    pub device: Device,
}

/// Samples in model space, one state after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// The states, row-major.
    pub states: Vec<f32>,
    /// The classes they were asked for with.
    pub classes: Classes,
    /// Calls of the network that a batch took; the most, where batches differ.
    pub evaluations: u64,
    /// Evaluations of the network that a sample took, the mean over all: each row of each call is one.
    pub evaluations_per_sample: f64,
}

impl Sampled {
    /// The states of samples, refused if one of them is no number; `seen` is how many rows the network was called on.
    pub(crate) fn checked(
        states: Vec<f32>,
        samples: &Range<u64>,
        classes: Classes,
        evaluations: u64,
        seen: u64,
    ) -> Result<Self, GenerateError> {
        let n = samples.end - samples.start;
        if let Some(i) = states.iter().position(|v| !v.is_finite()) {
            let sample = samples.start + i as u64 * n / states.len() as u64;
            return Err(GenerateError::NotFinite { sample, found: states[i] });
        }
        Ok(Self { states, classes, evaluations, evaluations_per_sample: seen as f64 / n as f64 })
    }
}

impl<'a> Generate<'a> {
    /// Samples 0 to `n` of seed 0, as the model is: its own process, a random class each, 64 at a time, on the usual device.
    pub fn new(model: &'a Model, solver: &'a dyn Solver, grid: Grid, n: u64) -> Self {
        Self {
            model,
            solver,
            grid,
            process: None,
            clip: None,
            temperature: 1.0,
            path: None,
            guidance: Guidance::default(),
            given: None,
            seed: 0,
            samples: 0..n,
            batch: 64,
            dtype: DType::F32,
            device: Device::default(),
        }
    }

    /// Refuses what the model cannot give; the weight of guidance, if it changes anything.
    fn checked(&self) -> Result<Option<f64>, GenerateError> {
        let prediction = &self.model.meta().prediction;
        if self.model.states().is_some() {
            return Err(GenerateError::Categories { what: format!("solver {}", self.solver.name()) });
        }
        let weight = self.guidance.checked(self.model)?;
        if let Some(given) = &self.given {
            given.fits(&self.model.meta().codec)?;
            require_posterior_mean(self.model, "filling in what is not known")?;
        }
        if self.solver.samples_path_ends() {
            if prediction.is_posterior_mean() {
                return Err(GenerateError::NoPathEnds { solver: self.solver.name(), prediction: prediction.name() });
            }
            if self.process.is_some() {
                return Err(GenerateError::PathEndsProcess);
            }
        } else {
            require_posterior_mean(self.model, &format!("solver {}", self.solver.name()))?;
        }
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(GenerateError::Temperature { found: self.temperature.to_string() });
        }
        if self.solver.needs_variance() && !self.learned_variance() {
            return Err(GenerateError::NoVariance { solver: self.solver.name() });
        }
        Ok(weight)
    }

    /// Whether the model has learned the variance of its steps: asked of itself, with one row.
    fn learned_variance(&self) -> bool {
        let (dim, span) = (self.model.dim(), self.model.process().span());
        let row = batch(vec![0.0; dim], 1, &self.device);
        let denoiser = self.guidance.plain(self.model, Rows { seed: self.seed, samples: &[0], conditions: &[0] });
        denoiser.denoise_with_variance(&row, span.end).1.is_some()
    }

    /// The model as it was asked for: classes, guidance, schedule, bounds, and what is known. Bounds are on what the solver sees of the
    /// model; what is known is known.
    fn denoiser<'t>(&'t self, range: &Range<u64>, weight: Option<f64>, tally: &'t Tally) -> Box<dyn Denoiser + 't> {
        let numbers: Vec<u64> = range.clone().collect();
        let rows = Rows { seed: self.seed, samples: &numbers, conditions: &numbers };
        let guided: Box<dyn Denoiser> = Box::new(self.guidance.denoiser(self.model, rows, weight, tally));
        let scheduled = match self.process {
            None => guided,
            Some(process) => Box::new(Rescheduled::new(guided, process)),
        };
        let bounded = match self.clip {
            None => scheduled,
            Some(clip) => Box::new(Thresholded::new(scheduled, clip)),
        };
        match &self.given {
            None => bounded,
            Some(given) => Box::new(given.evidence(bounded, self.model.meta(), (self.dtype, &self.device))),
        }
    }

    /// Draws the samples. `watch` is called before each step of each batch with the batch's range, the frame's place, and the state;
    /// `None` when it broke off.
    ///
    /// # Errors
    /// When the model cannot give what was asked for, or the grid has times too near each other for the path.
    pub fn run(
        &self,
        mut watch: impl FnMut(&Range<u64>, usize, &Batch) -> ControlFlow<()>,
    ) -> Result<Option<Sampled>, GenerateError> {
        let weight = self.checked()?;
        let job = Job {
            seed: self.seed,
            temperature: self.temperature,
            samples: self.samples.clone(),
            dim: self.model.dim(),
            batch: self.batch,
            dtype: self.dtype,
            device: self.device.clone(),
            finish: Finish::default(),
        };
        let (tally, mut evaluations) = (Tally::default(), 0);
        let denoiser = |range: &Range<u64>| {
            evaluations = evaluations.max(tally.take_calls());
            self.denoiser(range, weight, &tally)
        };
        let mut broke = false;
        if let Some(path) = &self.path {
            path.fits(&self.grid)?;
        }
        let source = |streams: Streams| -> Box<dyn Noise> {
            match &self.path {
                Some(path) => path.noise(streams),
                None => Box::new(streams),
            }
        };
        let drawn = sample_driven(denoiser, source, self.solver, &self.grid, &job, |range, frame| {
            let flow = watch(range, frame.index, &frame.x);
            broke |= flow.is_break();
            flow
        });
        let Some(x) = drawn.filter(|_| !broke) else { return Ok(None) };
        let numbers: Vec<u64> = self.samples.clone().collect();
        let classes = self.guidance.class.among(self.guidance.classes(self.model), self.seed, &numbers);
        Sampled::checked(rows(x), &self.samples, classes, evaluations.max(tally.take_calls()), tally.rows()).map(Some)
    }
}
