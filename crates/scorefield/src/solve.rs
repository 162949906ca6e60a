//! Posterior samples of a model given measurements: one model, any number of questions put to it.

mod calibration;
mod error;
mod portions;
mod posterior;
mod problem;

pub use calibration::Calibration;
pub use error::SolveError;
pub use posterior::{MOST_COMPARED, Posterior};
pub use problem::{Problem, Question};

use crate::GenerateError;
use crate::generate::{ClassChoice, require_posterior_mean};
use crate::guidance::{Guidance, Rows};
use crate::tally::Tally;
use portions::Portions;
use scorefield_control::rule::{Conditioned, Drawing, Jacobian, Rule, RuleKind, Ruled};
use scorefield_control::{Measurement, Tiled};
use scorefield_data::Shape;
use scorefield_model::Model;
use scorefield_nn::Precision;
use scorefield_process::{Denoiser, Differentiable, Grid, ProcessExt};
use scorefield_sample::{Solver, Trajectory, prior};
use scorefield_tensor::{Batch, DType, Device, Purpose, Streams, batch, rows};
use std::ops::{ControlFlow, Range};

/// How questions are answered.
#[derive(Clone)]
pub struct Solve<'a> {
    /// The model.
    pub model: &'a Model,
    /// What was measured, and how.
    pub problem: &'a Problem,
    /// The rule; `None` leaves the state a question starts from as the only hint ([`Problem::edit`]).
    pub rule: Option<RuleKind>,
    /// The solver under the rule.
    pub solver: &'a dyn Solver,
    /// Its times.
    pub grid: Grid,
    /// What the model is told: classes by the number of a question's sample, conditions by that of the question.
    pub guidance: Guidance<'a>,
    /// The seed.
    pub seed: u64,
    /// Samples of each question, at most 65,536.
    pub samples: u64,
    /// Rows that the network sees at once: memory and, where one sample's particles or windows are more, one more evaluation for a gradient.
    pub batch: usize,
    /// Pixels that neighbouring windows share where the problem is larger than the model.
    pub overlap: usize,
    /// The element type.
    pub dtype: DType,
    /// Where tensors live.
    pub device: Device,
}

/// The samples of a question.
#[derive(Clone, Debug)]
pub struct Answer {
    /// States in the model's units, one after the other.
    pub states: Vec<f32>,
    /// Of particles the smallest effective number on the way, one a sample; empty for other rules.
    pub effective: Vec<f64>,
}

/// What was asked of the network for all questions: each row of each call is one evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Evaluations.
    pub evaluations: u64,
    /// Those of them that went back through the network as well.
    pub pullbacks: u64,
}

/// The most samples of a question: numbers of samples are `65,536 question + sample`.
pub const MOST_SAMPLES: u64 = 1 << 16;

/// The most questions, so that particles find numbers above them.
pub const MOST_QUESTIONS: u64 = 1 << 20;

/// Random draws that a step has streams for.
const DRAWS: usize = 256;

impl<'a> Solve<'a> {
    /// One sample at a time of every question, unconditional, 16 of each, on the usual device.
    pub fn new(model: &'a Model, problem: &'a Problem, rule: RuleKind, solver: &'a dyn Solver, grid: Grid) -> Self {
        Self {
            model,
            problem,
            rule: Some(rule),
            solver,
            grid,
            guidance: Guidance { class: ClassChoice::None, ..Guidance::default() },
            seed: 0,
            samples: 16,
            batch: 64,
            overlap: 0,
            dtype: DType::F32,
            device: Device::default(),
        }
    }

    /// Refuses what cannot be done, before any time is spent.
    ///
    /// # Errors
    /// When the model is no posterior mean, has no unconditional part and no class was chosen, cannot be guided as asked, or the rule refuses the measurement.
    pub fn check(&self, questions: &[Question]) -> Result<(), SolveError> {
        require_posterior_mean(self.model, "solving")?;
        let say = |what: String| Err(SolveError::Request { what });
        if !(1..=MOST_SAMPLES).contains(&self.samples) {
            return say(format!("{} samples of a measurement; expected 1 to {MOST_SAMPLES}", self.samples));
        }
        if questions.iter().any(|q| q.number >= MOST_QUESTIONS) {
            return say(format!("a measurement numbered {MOST_QUESTIONS} or more; take fewer at once"));
        }
        let steered = self.guidance.classifier.is_some() || !self.guidance.joined.is_empty();
        if self.guidance.class == ClassChoice::None
            && !steered
            && self.model.network().classes() > 0
            && self.model.meta().training.label_dropout == 0.0
        {
            return say("the model never saw examples without their class (label_dropout 0): choose a class".into());
        }
        self.guidance.checked(self.model)?;
        if let Some(rows) = self.guidance.conditions(self.model).filter(|rows| *rows > 1)
            && let Some(question) = questions.iter().find(|q| q.number >= rows)
        {
            return say(format!(
                "measurement {} and a condition of {rows} rows, numbered from 0: expected one row for each measurement by its number, or one row \
                 for all",
                question.number
            ));
        }
        if self.guidance.condition.is_some() && self.problem.whole().is_some() {
            return say("windows of a larger picture, and a model that is given a condition of its own size".into());
        }
        self.problem.windows(self.model, self.overlap)?;
        if self.solver.samples_path_ends() {
            return say(format!("solver {}: samples consistency models only, which have no posterior mean", self.solver.name()));
        }
        if self.solver.needs_variance() && (self.problem.whole().is_some() || !self.learned_variance()) {
            return Err(GenerateError::NoVariance { solver: self.solver.name() }.into());
        }
        if questions.iter().any(|q| !q.sigma.is_finite() || q.sigma < 0.0) {
            return say("noise of a deviation that is no number from 0 on".into());
        }
        let Some(kind) = &self.rule else { return Ok(()) };
        if let Some(what) = self.too_coarse(kind) {
            return say(what);
        }
        let draws = kind.repeats() * (3 + self.solver.evaluations_per_step());
        if draws >= DRAWS {
            let most = (DRAWS - 1) / (3 + self.solver.evaluations_per_step());
            return say(format!("{} repeats of a step; {} takes at most {most}", kind.repeats(), self.solver.name()));
        }
        let rule = kind.build(self.model.meta().sigma_data.powi(2));
        for question in questions {
            let measured = self.problem.measurement(&[question])?;
            let refused = match &rule {
                Drawing::Rule(rule) => rule.refuses(&measured),
                Drawing::Particles(twisted) => twisted.refuses(&measured),
            };
            if let Some(why) = refused {
                return Err(SolveError::Refused { rule: kind.name(), operator: self.problem.name(), why });
            }
        }
        Ok(())
    }

    /// What is wrong with differences of answers in bfloat16, where the rule takes any: of the models, or of a classifier's gradients, whose slope is a
    /// difference under every rule with a Jacobian.
    fn too_coarse(&self, kind: &RuleKind) -> Option<String> {
        let (jacobian, name) = (kind.jacobian()?, kind.name());
        let coarse = |precision: Precision| precision != Precision::Single;
        if self.guidance.classifier.is_some_and(|(c, scale)| scale != 0.0 && coarse(c.precision())) {
            return Some(format!(
                "rule {name} with a classifier in bfloat16, which is too coarse for the differences of its gradients: take single precision, or \
                 a rule without a gradient (ddnm)"
            ));
        }
        let models = [Some(self.model), self.guidance.guide];
        let differs = jacobian == Jacobian::Difference && models.into_iter().flatten().any(|m| coarse(m.precision()));
        differs.then(|| {
            format!(
                "rule {name} by differences of a model in bfloat16, which is too coarse for them: take {name}:jacobian=pullback, or single \
                 precision"
            )
        })
    }

    /// Whether the model has learned the variance of its steps: asked of itself, with one row.
    fn learned_variance(&self) -> bool {
        let row = batch(vec![0.0; self.model.dim()], 1, &self.device);
        let denoiser = self.guidance.plain(self.model, Rows { seed: self.seed, samples: &[0], conditions: &[0] });
        denoiser.denoise_with_variance(&row, self.model.process().span().end).1.is_some()
    }

    /// Answers the questions in their order: `answered` gets each with its place when its samples are there, `watch` is called before every
    /// step with the samples done so far and the share of the step in the batch. `None` when either broke off.
    ///
    /// # Errors
    /// As [`Solve::check`], and when a sample comes out as no number.
    pub fn run(
        &self,
        questions: &[Question],
        mut watch: impl FnMut(u64, f64) -> ControlFlow<()>,
        mut answered: impl FnMut(usize, Answer) -> ControlFlow<()>,
    ) -> Result<Option<Cost>, SolveError> {
        self.check(questions)?;
        let weight = self.guidance.checked(self.model)?;
        let tally = Tally::default();
        let d = self.problem.inputs();
        let total = questions.len() as u64 * self.samples;
        let mut answer = Answer { states: Vec::new(), effective: Vec::new() };
        let mut done = 0;
        while done < total {
            let chunk = self.chunk(questions, done, total)?;
            let drawn = self.draw(questions, chunk.clone(), (weight, &tally), |share| watch(done, share))?;
            let Some((states, effective)) = drawn else { return Ok(None) };
            for i in 0..(chunk.end - chunk.start) as usize {
                let state = &states[i * d..(i + 1) * d];
                let (place, sample) = ((done + i as u64) / self.samples, (done + i as u64) % self.samples);
                if let Some(v) = state.iter().find(|v| !v.is_finite()) {
                    let question = questions[place as usize].number;
                    return Err(SolveError::NotFinite { question, sample, found: *v });
                }
                answer.states.extend_from_slice(state);
                answer.effective.extend(effective.get(i));
                if sample + 1 == self.samples {
                    let whole = std::mem::replace(&mut answer, Answer { states: Vec::new(), effective: Vec::new() });
                    if answered(place as usize, whole).is_break() {
                        return Ok(None);
                    }
                }
            }
            done = chunk.end;
        }
        Ok(Some(Cost { evaluations: tally.rows(), pullbacks: tally.pullbacks() }))
    }

    /// The samples that are drawn together: of questions under the same noise.
    fn chunk(&self, questions: &[Question], from: u64, total: u64) -> Result<Range<u64>, SolveError> {
        let particles = match &self.rule {
            Some(RuleKind::Tds(twisted)) => twisted.particles,
            _ => 1,
        };
        let rows = particles * self.problem.windows(self.model, self.overlap)?;
        let most = (self.batch / rows).max(1) as u64;
        let sigma = |i: u64| questions[(i / self.samples) as usize].sigma;
        let end = (from..total.min(from + most)).take_while(|i| sigma(*i) == sigma(from)).count() as u64;
        Ok(from..from + end)
    }

    /// The model for the samples of a chunk, each in `copies` rows in a way that keeps them together.
    fn denoiser<'t>(
        &'t self,
        questions: &[Question],
        chunk: &Range<u64>,
        copies: usize,
        (weight, tally): (Option<f64>, &'t Tally),
    ) -> Result<Box<dyn Differentiable + 't>, SolveError> {
        let windows = self.problem.windows(self.model, self.overlap)?;
        let rows = |of: &dyn Fn(u64) -> u64| chunk.clone().map(of).collect::<Vec<_>>().repeat(copies * windows);
        let samples = rows(&|i| i % self.samples);
        let conditions = rows(&|i| questions[(i / self.samples) as usize].number);
        let portion = |(samples, conditions): (&[u64], &[u64])| {
            self.guidance.denoiser(self.model, Rows { seed: self.seed, samples, conditions }, weight, tally)
        };
        // Particles and windows of a single sample may be more than fit.
        let at_once = self.batch.max(1);
        let guided: Box<dyn Differentiable> = match samples.len() <= at_once {
            true => portion((&samples, &conditions)),
            false => {
                let parts = samples.chunks(at_once).zip(conditions.chunks(at_once)).map(portion).collect();
                Box::new(Portions::new(parts, at_once))
            }
        };
        let (Some(whole), Shape::Image { channels, height, width }) = (self.problem.whole(), self.model.meta().codec.shape())
        else {
            return Ok(guided);
        };
        Ok(Box::new(Tiled::new(guided, channels, [height, width], whole, self.overlap)?))
    }

    /// The states of a chunk's samples, and the effective number of particles.
    #[allow(clippy::type_complexity, reason = "states and their weights, or an end")]
    fn draw(
        &self,
        questions: &[Question],
        chunk: Range<u64>,
        with: (Option<f64>, &Tally),
        mut watch: impl FnMut(f64) -> ControlFlow<()>,
    ) -> Result<Option<(Vec<f32>, Vec<f64>)>, SolveError> {
        let asked: Vec<&Question> = chunk.clone().map(|i| &questions[(i / self.samples) as usize]).collect();
        let numbers: Vec<u64> = chunk.clone().zip(&asked).map(|(i, q)| q.number * MOST_SAMPLES + i % self.samples).collect();
        let steps = (self.grid.times().len() - 1) as f64;
        let Some(kind) = &self.rule else {
            let model = self.denoiser(questions, &chunk, 1, with)?;
            let streams = Streams::new(self.seed, numbers, Purpose::Solver);
            let start = self.edited(&asked, &streams, &*model);
            let x = self.follow(&*model, self.solver, streams, start, |k| watch(k as f64 / steps));
            return Ok(x.map(|x| (rows(x), Vec::new())));
        };
        let measured = self.problem.measurement(&asked)?;
        match kind.build(self.model.meta().sigma_data.powi(2)) {
            Drawing::Particles(twisted) => {
                let model = self.denoiser(questions, &chunk, twisted.particles, with)?;
                let on = (self.dtype, &self.device);
                let drawn =
                    twisted.sample(&*model, &measured, &self.grid, (self.seed, &numbers), on, |k| watch(k as f64 / steps));
                Ok(drawn.map(|drawn| (rows(drawn.x), drawn.effective)))
            }
            Drawing::Rule(rule) => {
                let model = self.denoiser(questions, &chunk, 1, with)?;
                let streams = Streams::new(self.seed, numbers, Purpose::Solver);
                let process = model.process();
                let t = self.grid.times()[0];
                let start = prior(process, t, &streams, self.problem.inputs(), (&self.device, self.dtype));
                let start = rule.start(process, &measured, start, t);
                let x = self.ruled(&*model, &*rule, &measured, streams, start, |k| watch(k as f64 / steps));
                Ok(x.map(|x| (rows(x), Vec::new())))
            }
        }
    }

    fn ruled(
        &self,
        model: &dyn Differentiable,
        rule: &dyn Rule,
        measured: &Measurement,
        streams: Streams,
        start: Batch,
        watch: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Option<Batch> {
        let solver = Ruled { solver: self.solver, rule, model, measured };
        let conditioned = Conditioned { inner: model, rule, measured };
        self.follow(&conditioned, &solver, streams, start, watch)
    }

    /// `alpha x + sigma z` at the grid's first time of what each question starts from.
    fn edited(&self, asked: &[&Question], streams: &Streams, model: &dyn Differentiable) -> Batch {
        let at = model.process().at(self.grid.times()[0]);
        let all: Vec<f32> = asked.iter().flat_map(|q| q.y.iter().map(|v| *v as f32)).collect();
        let x = batch(all, asked.len(), &self.device).cast(self.dtype);
        let z = streams.of(Purpose::Prior);
        let z = scorefield_tensor::Noise::normal(&mut { z }, &x);
        x * at.alpha + z * at.sigma
    }

    fn follow(
        &self,
        denoiser: &dyn Denoiser,
        solver: &dyn Solver,
        mut streams: Streams,
        start: Batch,
        mut watch: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Option<Batch> {
        let mut last = None;
        for frame in Trajectory::new(denoiser, solver, &self.grid, &mut streams, start) {
            if watch(frame.index).is_break() {
                return None;
            }
            last = Some(frame.x);
        }
        last
    }
}
