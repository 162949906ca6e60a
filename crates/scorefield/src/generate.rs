//! Samples of a model by number: sample `i` of a seed is the same whatever else is asked for.
//!
//! Noise is drawn by (seed, sample, purpose, step), the class of a sample is a function of (seed, sample), and no kernel mixes rows; so
//! neither how many samples are asked for, nor from which on, nor the batch or the number of threads changes any of them.

use scorefield_data::Codec;
use scorefield_model::{Model, ModelDenoiser};
use scorefield_process::{Denoiser, Grid, Process};
use scorefield_sample::{Finish, Guided, Job, Path, PathError, Solver, sample_driven};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, DType, Device, Noise, Purpose, Streams, rows};
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

/// What a model cannot give.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GenerateError {
    /// A class was asked of a model that has none.
    #[error("class {found} was asked for, but the model was trained without classes; leave the class out")]
    NoClasses {
        /// What was asked for.
        found: String,
    },
    /// There is no such class.
    #[error("there is no class \"{found}\"; the model's classes are {known}{}", .near.as_ref().map(|n| format!(" (\"{n}\"?)")).unwrap_or_default())]
    NoSuchClass {
        /// What was asked for.
        found: String,
        /// The classes there are.
        known: String,
        /// The nearest of them.
        near: Option<String>,
    },
    /// A weight that is no number.
    #[error("guidance {weight}: expected a finite number; 1 is the conditional model itself")]
    Weight {
        /// The weight.
        weight: String,
    },
    /// A sample came out infinite or as no number.
    #[error(
        "sample {sample} came out as {found}, not as numbers: a smaller --guidance, more --steps or another --solver may help"
    )]
    NotFinite {
        /// The sample's number.
        sample: u64,
        /// What stands in it.
        found: f32,
    },
    /// The grid does not fit the path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Guidance needs an unconditional model beside the conditional one.
    #[error("guidance {weight} was asked for, but the model {why}; leave guidance out, or use 1")]
    NoGuidance {
        /// The weight.
        weight: String,
        /// Why not.
        why: &'static str,
    },
}

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
        let classes = model.network().classes() as u64;
        let draw = |i: u64| match self {
            Self::None => None,
            Self::One(class) => Some(*class),
            Self::InTurn => Some((i % classes) as u32),
            Self::Random => {
                let u = Stream::new(seed, i, Purpose::ClassDraw, 0, 0).uniform(0);
                Some(((u * classes as f64) as u64).min(classes - 1) as u32)
            }
        };
        (classes > 0).then(|| samples.clone().map(draw).collect())
    }
}

/// A request for samples.
#[derive(Debug)]
pub struct Generate<'a> {
    /// The model.
    pub model: &'a Model,
    /// The solver.
    pub solver: &'a dyn Solver,
    /// Its times.
    pub grid: Grid,
    /// The Brownian paths that drive the solver, the same for every number of steps; `None` draws noise for each step afresh.
    pub path: Option<Path>,
    /// Classes.
    pub class: ClassChoice,
    /// Classifier-free guidance `D_u + w (D_c - D_u)` (Ho and Salimans 2022); none or 1 is the conditional model itself.
    pub guidance: Option<f64>,
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
}

enum Maybe<'a> {
    Plain(ModelDenoiser<'a>),
    Guided(Guided<ModelDenoiser<'a>, ModelDenoiser<'a>>),
}

impl Denoiser for Maybe<'_> {
    fn process(&self) -> &dyn Process {
        match self {
            Self::Plain(d) => d.process(),
            Self::Guided(d) => d.process(),
        }
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        match self {
            Self::Plain(d) => d.denoise(x, t),
            Self::Guided(d) => d.denoise(x, t),
        }
    }

    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        match self {
            Self::Plain(d) => d.denoise_each(x, times),
            Self::Guided(d) => d.denoise_each(x, times),
        }
    }
}

impl Generate<'_> {
    /// Draws the samples. `watch` is called before each step of each batch with the batch's range, the frame's place, and the state;
    /// `None` when it broke off.
    ///
    /// # Errors
    /// When guidance is asked of a model that has none, or the grid has times too near each other for the path.
    pub fn run(
        &self,
        mut watch: impl FnMut(&Range<u64>, usize, &Batch) -> ControlFlow<()>,
    ) -> Result<Option<Sampled>, GenerateError> {
        let classes = self.model.network().classes();
        if let Some(w) = self.guidance.filter(|w| !w.is_finite()) {
            return Err(GenerateError::Weight { weight: w.to_string() });
        }
        let weight = self.guidance.filter(|w| *w != 1.0);
        if let Some(w) = weight {
            let no = |why| Err(GenerateError::NoGuidance { weight: w.to_string(), why });
            if classes == 0 {
                return no("was trained without classes");
            }
            if self.class == ClassChoice::None {
                return no("was asked for no class");
            }
            if self.model.meta().training.label_dropout == 0.0 {
                return no("never saw examples without their label (label_dropout 0)");
            }
        }
        let job = Job {
            seed: self.seed,
            samples: self.samples.clone(),
            dim: self.model.dim(),
            batch: self.batch,
            dtype: self.dtype,
            device: self.device.clone(),
            finish: Finish::default(),
        };
        let denoiser = |range: &Range<u64>| {
            let main = self.model.denoiser(self.class.of(self.model, self.seed, range));
            match weight {
                None => Maybe::Plain(main),
                Some(w) => {
                    let none = vec![None; (range.end - range.start) as usize];
                    Maybe::Guided(Guided::new(main, self.model.denoiser(Some(none)), w))
                }
            }
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
        let states = rows(x);
        if let Some(i) = states.iter().position(|v| !v.is_finite()) {
            let sample = self.samples.start + (i / self.model.dim()) as u64;
            return Err(GenerateError::NotFinite { sample, found: states[i] });
        }
        Ok(Some(Sampled { states, classes: self.class.of(self.model, self.seed, &self.samples) }))
    }
}
