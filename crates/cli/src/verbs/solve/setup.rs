//! What is asked: the task, the rule, the solver under it, on the model's shape or a larger one.

use super::items::Item;
use super::{Solve as Asked, noise};
use crate::failure::misuse;
use crate::mask;
use crate::verbs::sample::grid_named;
use crate::verbs::steering::Steering;
use anyhow::Result;
use scorefield::control::operator::{Kernel, Matrix, MeasurementNoise, Shape as Plane};
use scorefield::control::rule::{Dps, Jacobian, Mmps, RuleKind};
use scorefield::control::{Chain, Parts, Seen, Task, Tasks};
use scorefield::data::{self, Codec, PictureFile, Shape};
use scorefield::model::{Classifier, Model};
use scorefield::nn::Precision;
use scorefield::process::{Denoiser, Grid, GridKind};
use scorefield::sample::{Solver, SolverKind};
use scorefield::solve::{Problem, Solve, SolveError};
use scorefield::tensor::{Batch, Device, batch, rows};
use serde_json::{Value, json};
use std::path::Path;

/// The request, read and checked as far as it can be without the measurements.
pub(super) struct Setup<'a> {
    asked: &'a Asked,
    pub model: &'a Model,
    kind: Kind,
    pub law: MeasurementNoise,
    rule: Option<RuleKind>,
    solver: (SolverKind, Box<dyn Solver>),
    grid: (GridKind, Grid),
    steering: &'a Steering,
    pub shares: Vec<f64>,
    kernel: Option<Kernel>,
    matrix: Option<Matrix>,
    device: Device,
    own: Option<Problem>,
}

/// What is done.
#[derive(Clone, Debug)]
enum Kind {
    /// A measurement is answered.
    Measured(Tasks),
    /// A picture is changed: noised up to a share of the steps, and denoised again.
    Edit(f64),
}

impl<'a> Setup<'a> {
    pub(super) fn new(asked: &'a Asked, model: &'a Model, steering: &'a Steering, device: Device) -> Result<Self> {
        let codec = &model.meta().codec;
        let kind = kind_of(&asked.task.join(" & "))?;
        let rule = match (&kind, &asked.rule) {
            (Kind::Edit(_), Some(_)) => return Err(misuse("--rule: task edit measures nothing, it has no rule")),
            (Kind::Edit(_), None) => None,
            (Kind::Measured(_), Some(text)) => Some(text.parse::<RuleKind>()?),
            (Kind::Measured(tasks), None) => Some(usual_rule(tasks, model.precision())),
        };
        if matches!(kind, Kind::Edit(_)) {
            let of_no_use = [
                ("--noise", asked.noise.is_some()),
                ("--simulate", asked.simulate),
                ("--mask", asked.mask.is_some()),
                ("--kernel", asked.kernel.is_some()),
                ("--matrix", asked.matrix.is_some()),
                ("--truth", asked.truth.is_some()),
                ("--calibrate", asked.calibrate.is_some()),
            ];
            if let Some((flag, _)) = of_no_use.into_iter().find(|(_, given)| *given) {
                return Err(misuse(format!("{flag}: task edit measures nothing")));
            }
        }
        if let (Some(rule), Some(_)) = (rule.as_ref().filter(|r| !r.takes_solver()), &asked.solver) {
            return Err(misuse(format!("--solver: rule {} brings its own steps", rule.name())));
        }
        let solver: SolverKind = match (&asked.solver, &rule) {
            (Some(text), _) => text.parse()?,
            (None, Some(rule)) => rule.default_solver().parse()?,
            (None, None) => "ddpm".parse()?,
        };
        if solver.adaptive() {
            return Err(misuse(format!("--solver {}: chooses its own steps; take a solver of given steps", solver.name())));
        }
        let spacing = match &asked.grid {
            Some(text) => grid_named(text)?,
            None => solver.default_grid(),
        };
        let steps = asked.steps.or(spacing.count()).unwrap_or_else(|| rule.as_ref().map_or(100, RuleKind::default_steps));
        if !(1..=100_000).contains(&steps) {
            return Err(misuse(format!("--steps {steps}: expected 1 to 100000")));
        }
        let process = model.process();
        let mut grid = solver
            .grid(&spacing, process, process.span(), steps)
            .map_err(|e| misuse(format!("--steps {steps} --grid {}: {e}", spacing.name())))?;
        if let Kind::Edit(strength) = kind {
            let times = grid.times();
            let skipped = ((1.0 - strength) * (times.len() - 1) as f64).floor() as usize;
            grid = Grid::new(times[skipped.min(times.len() - 2)..].to_vec())?;
        }
        let picture = codec.bounds().is_some();
        let numbers = matches!(&kind, Kind::Measured(tasks) if !tasks.0.iter().all(gives_picture));
        let usual = if picture && !numbers { "round" } else { "0" };
        let law = noise::law(asked.noise.as_deref().unwrap_or(usual), codec.bounds().filter(|_| !numbers))?;
        let built = solver.build();
        let mut setup = Self {
            asked,
            model,
            kind,
            law,
            rule,
            solver: (solver, built),
            grid: (spacing, grid),
            steering,
            shares: shares_of(&asked.quantiles)?,
            kernel: None,
            matrix: None,
            device,
            own: None,
        };
        setup.kernel = asked.kernel.as_deref().map(kernel_of).transpose()?;
        setup.matrix = asked.matrix.as_deref().map(matrix_of).transpose()?;
        // What cannot be asked of the model's own shape cannot be asked of a larger one, but for the mask's size.
        if !asked.tile {
            setup.own = Some(setup.problem(None, None)?);
        }
        Ok(setup)
    }

    /// The problem on the model's shape, or on pictures of `whole` (height, width): of all measurements beside each other, or of that of a number.
    pub(super) fn problem(&self, of: Option<usize>, whole: Option<[usize; 2]>) -> Result<Problem> {
        if let (None, None, Some(own)) = (of, whole, &self.own) {
            return Ok(own.clone());
        }
        let codec = &self.model.meta().codec;
        let Kind::Measured(tasks) = &self.kind else { return Ok(Problem::edit(codec, whole)?) };
        let mut parts = Parts { mask: None, kernel: self.kernel.clone(), matrix: self.matrix.clone(), bounds: None };
        if let Some(asked) = &self.asked.mask {
            let shape = masked(tasks, codec.shape(), whole, &parts)?;
            parts.mask = Some(mask::known(asked, shape, codec.channels(), self.asked.seed)?);
        }
        match of {
            None => Ok(Problem::new(codec, whole, tasks, &parts)?),
            Some(i) => {
                let one = Tasks::from(tasks.0[i].clone());
                Ok(Problem::new(codec, whole, &one, &one.taken(&parts))?)
            }
        }
    }

    /// How many measurements of one state stand beside each other.
    pub(super) fn beside(&self) -> usize {
        match &self.kind {
            Kind::Measured(tasks) => tasks.0.len(),
            Kind::Edit(_) => 1,
        }
    }

    /// How much smaller the measured picture is than the whole: that of a number, or the only one.
    pub(super) fn factor(&self, of: Option<usize>) -> usize {
        let Kind::Measured(tasks) = &self.kind else { return 1 };
        let factor = |task: &Task| if let Task::SuperResolution { factor, .. } = task { *factor } else { 1 };
        tasks.0[of.unwrap_or(0)].0.iter().map(factor).product()
    }

    /// Whether the answer starts from the measurement and is not measured.
    pub(super) fn edits(&self) -> bool {
        matches!(self.kind, Kind::Edit(_))
    }

    pub(super) fn tiles(&self) -> bool {
        self.asked.tile
    }

    /// Refuses what the rule or the model cannot take, before any time is spent.
    pub(super) fn check(&self, items: &[Item]) -> Result<()> {
        for item in items {
            self.solve(&item.problem, self.asked.samples())?.check(std::slice::from_ref(&item.question))?;
        }
        Ok(())
    }

    /// Groups of measurements of one problem: one size.
    pub(super) fn by_problem<'i>(&self, items: &[&'i Item]) -> Vec<(&'i Problem, Vec<&'i Item>)> {
        let mut groups: Vec<(&Problem, Vec<&Item>)> = Vec::new();
        for &item in items {
            match groups.iter_mut().find(|(p, _)| p.whole() == item.problem.whole()) {
                Some((_, group)) => group.push(item),
                None => groups.push((&item.problem, vec![item])),
            }
        }
        groups
    }

    pub(super) fn solve<'s>(&'s self, problem: &'s Problem, samples: u64) -> Result<Solve<'s>> {
        let half = match self.model.meta().codec.shape() {
            Shape::Image { height, width, .. } => height.min(width) / 2,
            Shape::Vector { .. } => 0,
        };
        Ok(Solve {
            model: self.model,
            problem,
            rule: self.rule.clone(),
            solver: &*self.solver.1,
            grid: self.grid.1.clone(),
            guidance: self.steering.guidance(),
            seed: self.asked.seed,
            samples,
            batch: self.asked.batch,
            overlap: self.asked.overlap.unwrap_or(half),
            dtype: scorefield::tensor::DType::F32,
            device: self.device.clone(),
        })
    }

    pub(super) fn task(&self) -> String {
        self.task_of(None)
    }

    /// What is measured, all of it or one of the measurements beside each other.
    pub(super) fn task_of(&self, of: Option<usize>) -> String {
        match &self.kind {
            Kind::Measured(tasks) => of.map_or_else(|| tasks.to_string(), |i| tasks.0[i].to_string()),
            Kind::Edit(strength) => format!("edit:strength={strength}"),
        }
    }

    pub(super) fn rule_name(&self) -> String {
        self.rule.as_ref().map_or("none".into(), RuleKind::to_string)
    }

    pub(super) fn solver_name(&self) -> String {
        match &self.rule {
            Some(rule) if !rule.takes_solver() => format!("its own, {}", rule.name()),
            _ => self.solver.0.to_string(),
        }
    }

    /// Whether measurements are sums of entries whose weights add up to one, so that their bounds are the data's.
    pub(super) fn keeps_bounds(&self) -> bool {
        self.kernel.is_none()
    }

    pub(super) fn steps(&self) -> usize {
        self.grid.1.legs().count()
    }

    pub(super) fn codec(&self) -> &Codec {
        &self.model.meta().codec
    }

    /// Everything that an answer depends on: a folder holds answers of one of these.
    pub(super) fn settings(&self) -> Value {
        let a = self.asked;
        let content = |path: &str| std::fs::read(path).ok().map(|bytes| digest(bytes.iter().map(|b| u64::from(*b))));
        let kernel = a.kernel.as_ref().map(|p| p.to_string_lossy().into_owned());
        json!({
            "model": self.answer_of(self.model), "raw": a.raw, "simulate": a.simulate, "task": self.task(), "rule": self.rule_name(),
            "samples": a.samples(), "mask": a.mask, "mask_file": a.mask.as_deref().and_then(content), "kernel": kernel,
            "kernel_file": kernel.as_deref().and_then(content), "matrix": a.matrix,
            "matrix_file": a.matrix.as_deref().and_then(content), "noise": format!("{:?}", self.law),
            "solver": self.solver_name(), "grid": self.grid.0.to_string(), "steps": self.steps(),
            "steering": a.steering.json(), "guide": self.steering.guide().map(|guide| self.answer_of(guide)),
            "classifier": self.steering.classifier().map(|classifier| self.verdict_of(classifier)), "condition":
            self.steering.condition().map(|rows| digest(rows.iter().map(|v| u64::from(v.to_bits())))), "quantiles": self.shares, "tile": a.tile, "overlap": a.overlap, "seed": a.seed,
        })
    }
}

impl Setup<'_> {
    /// What tells models apart: one evaluation on a fixed state, to four digits.
    fn answer_of(&self, model: &Model) -> String {
        let (d, span) = (model.dim(), model.process().span());
        let classes = (model.network().classes() > 0).then(|| vec![None]);
        let condition = model.meta().condition.as_ref().map(|meta| vec![0.0; meta.codec.shape().len()]);
        let out = model.denoiser_given(classes, condition).denoise(&self.fixed(), 0.5 * (span.start + span.end));
        let out = rows(out);
        let size = (out.iter().map(|v| v * v).sum::<f32>() / d as f32).sqrt();
        let told: Vec<String> = [0, d / 3, d / 2, d - 1].iter().map(|i| format!("{:.3}", out[*i])).collect();
        format!("{size:.4} {}", told.join(" "))
    }
}

impl Setup<'_> {
    /// A state that is always the same.
    fn fixed(&self) -> Batch {
        batch((0..self.model.dim()).map(|i| (i as f32).sin()).collect(), 1, &self.device)
    }

    /// What tells classifiers apart: what one says of that state.
    fn verdict_of(&self, classifier: &Classifier) -> String {
        let span = classifier.process().span();
        let said = rows(classifier.log_probabilities(&self.fixed(), &[span.start + 0.1 * (span.end - span.start)]));
        said.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(" ")
    }
}

/// A number for a sequence of numbers (FNV-1a, 64 bits).
pub(super) fn digest(numbers: impl Iterator<Item = u64>) -> String {
    let step = |hash: u64, n: u64| n.to_le_bytes().iter().fold(hash, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    format!("{:016x}", numbers.fold(0xcbf2_9ce4_8422_2325, step))
}

/// The shape of what a mask covers: of the whole, or of what the tasks before it make of that.
fn masked(tasks: &Tasks, own: Shape, whole: Option<[usize; 2]>, parts: &Parts) -> Result<Shape> {
    let Shape::Image { channels, height, width } = own else { return Ok(own) };
    let [height, width] = whole.unwrap_or([height, width]);
    let plane = Plane::new(channels, height, width).map_err(SolveError::from)?;
    let seen = tasks.masked(plane, parts).map_err(SolveError::from)?;
    Ok(Shape::Image { channels: seen.channels(), height: seen.height(), width: seen.width() })
}

/// Tasks, or `edit`.
fn kind_of(text: &str) -> Result<Kind> {
    let name = |one: &str| one.split([':', '+']).next().unwrap_or_default().trim() == "edit";
    if text.contains('&') && text.split('&').any(name) {
        return Err(misuse(format!("--task {text}: edit measures nothing, it stands alone")));
    }
    let Some(rest) = text.strip_prefix("edit").filter(|rest| rest.is_empty() || rest.starts_with(':')) else {
        return Ok(Kind::Measured(text.parse::<Tasks>().map_err(|e| {
            let more = if e.to_string().starts_with("there is no task") { ", edit" } else { "" };
            misuse(format!("--task {text}: {e}{more}"))
        })?));
    };
    let value = rest.trim_start_matches(':').trim();
    let strength = if value.is_empty() { Some(0.5) } else { value.strip_prefix("strength=").and_then(|v| v.parse().ok()) };
    match strength.filter(|s| *s > 0.0 && *s <= 1.0) {
        Some(strength) => Ok(Kind::Edit(strength)),
        None => Err(misuse(format!(
            "--task {text}: expected edit:strength=S, the share of the steps that are made, above 0 and at most 1"
        ))),
    }
}

/// Exact on normal laws where the measurement is linear; the one that takes any otherwise. Bfloat16 is too coarse for differences.
fn usual_rule(tasks: &Tasks, precision: Precision) -> RuleKind {
    let nonlinear = |t: &Task| matches!(t, Task::Declip { .. } | Task::Gamma { .. } | Task::PhaseRetrieval { .. });
    match (tasks.each().any(nonlinear), precision) {
        (true, _) => RuleKind::Dps(Dps::default()),
        (false, Precision::Single) => RuleKind::Mmps(Mmps::default()),
        (false, Precision::Bf16) => RuleKind::Mmps(Mmps { jacobian: Jacobian::Pullback, ..Mmps::default() }),
    }
}

/// Whether the measurement is a picture.
fn gives_picture(chain: &Chain) -> bool {
    let numbers = |t: &Task| {
        matches!(
            t,
            Task::CompressedSensing { .. } | Task::Matrix | Task::Mri { .. } | Task::Ct { .. } | Task::PhaseRetrieval { .. }
        )
    };
    !chain.0.last().is_some_and(numbers)
}

fn shares_of(text: &str) -> Result<Vec<f64>> {
    let say = || misuse(format!("--quantiles {text}: expected numbers between 0 and 1, for example 0.05,0.5,0.95"));
    let shares: Option<Vec<f64>> = text.split(',').map(|p| p.trim().parse().ok().filter(|p| *p > 0.0 && *p < 1.0)).collect();
    shares.filter(|s| s.len() <= 99).ok_or_else(say)
}

/// Numbers of a file as rows.
pub(super) fn rows_of(spec: &str) -> Result<(Vec<f32>, usize)> {
    let data = data::open(spec, &data::OpenOptions::default())?;
    let d = data.shape().len();
    let mut values = vec![0.0; data.len() * d];
    values.chunks_exact_mut(d).enumerate().for_each(|(i, row)| data.row(i, row));
    Ok((values, d))
}

fn kernel_of(path: &Path) -> Result<Kernel> {
    let say = |e: String| misuse(format!("--kernel {}: {e}", path.display()));
    let (values, width) = if PictureFile::is_one(path) {
        let picture = PictureFile::read(path)?;
        let grey = picture.with_channels(1).ok_or_else(|| say("a picture of colours; expected a grey one".into()))?;
        // A picture of a kernel says its shape; its sum is made 1, so that brightness stays.
        let total: f32 = grey.values.iter().sum();
        (grey.values.iter().map(|v| v / total.max(f32::MIN_POSITIVE)).collect(), grey.width)
    } else {
        rows_of(&path.to_string_lossy())?
    };
    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
    Kernel::new(values.len() / width.max(1), width, values).map_err(|e| say(e.to_string()))
}

fn matrix_of(spec: &str) -> Result<Matrix> {
    let (values, columns) = rows_of(spec)?;
    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
    Matrix::new(values.len() / columns.max(1), columns, values).map_err(|e| misuse(format!("--matrix {spec}: {e}")))
}

/// Channels, height and width of a measurement that is a picture.
pub(super) fn seen_shape(seen: Seen) -> Option<[usize; 3]> {
    match seen {
        Seen::Picture(shape) | Seen::Part(shape) => Some([shape.channels(), shape.height(), shape.width()]),
        Seen::Numbers(_) => None,
    }
}
