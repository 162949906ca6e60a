//! The loop of a training run: a pure function of (recipe, data, step) that can be cut and resumed anywhere.
//!
//! Every random number is drawn by (seed, training example, purpose) from counters, and the data position is the step; so a
//! resumed run is the uninterrupted run, bit for bit, on the same machine.

use crate::ConsistencyConfig;
use crate::average::OptimState;
use crate::classifier::ClassifierRun;
use crate::doctor::Doctor;
use crate::event::{Event, Observer, StepReport};
use crate::log::Log;
use crate::memory::Memory;
use crate::rates::Rates;
use crate::run::{Position, RunFolder};
use crate::score_matching::MOST_DIMENSIONS;
use crate::states::States;
use crate::step::Step;
use crate::{ConfigError, Length, Loss, TrainConfig, TrainError, condition};
use scorefield_data::{Codec, Dataset, stats};
use scorefield_model::{Model, StatesAdapter};
use scorefield_nn::{Network, Params};
use scorefield_process::Process;
use scorefield_tensor::Device;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Steps in a row with a loss that is not finite before a run stops.
const PATIENCE: u32 = 10;
/// How long a run of given minutes is timed before its number of steps is fixed.
const TIMING: Duration = Duration::from_secs(12);

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub ended: Ended,
    /// Where it stands.
    pub position: Position,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All steps are done.
    Finished,
    /// The minutes are over.
    OutOfTime,
    /// It was asked to stop, and saved.
    Interrupted,
}

/// A training run in its folder.
#[derive(Debug)]
pub struct Trainer<'a> {
    pub(super) config: TrainConfig,
    pub(super) dataset: &'a Dataset,
    pub(super) codec: Codec,
    pub(super) sigma_data: f64,
    pub(super) run: RunFolder,
    pub(super) network: Box<dyn Network>,
    pub(super) process: Box<dyn Process>,
    /// For data with categories.
    pub(super) states: Option<States>,
    /// For a classifier of noised data.
    pub(super) classifier: Option<ClassifierRun>,
    /// How what examples are given with is encoded, if they are.
    pub(super) condition: Option<Codec>,
    /// Whose flow is distilled, if anyone's.
    pub(super) teacher: Option<Model>,
    pub(super) device: Device,
    pub(super) params: Params,
    pub(super) state: OptimState,
    /// What the objective has learned besides the network.
    pub(super) memory: Memory,
    pub(super) position: Position,
    /// The step that was last saved.
    pub(super) saved: u64,
    pub(super) doctor: Doctor,
    pub(super) notes: Vec<String>,
}

impl<'a> Trainer<'a> {
    /// Starts a run in a new or empty folder; `recipe` is the text kept as `recipe.toml`.
    ///
    /// # Errors
    /// When the folder is in use, holds a run or files that a run would replace, or the recipe makes no run with these data.
    pub fn create(
        path: &Path,
        config: TrainConfig,
        recipe: &str,
        dataset: &'a Dataset,
        device: &Device,
    ) -> Result<Self, TrainError> {
        Self::categories_fit(&config, dataset)?;
        config.validate()?;
        RunFolder::refuse_other_files(path)?;
        let (new, whole) = (!path.join("state").exists(), !path.exists());
        let run = RunFolder::open(path)?;
        if run.has_state() {
            let step = run.saved_step()?;
            return Err(TrainError::Exists { path: path.to_owned(), step });
        }
        // A run that ended before its first save may have left figures.
        run.rewind_metrics(0)?;
        let trainer = Self::build(run, config, dataset, device, None).inspect_err(|_| {
            if new {
                RunFolder::unmake(path, whole);
            }
        })?;
        trainer.run.write_text(&trainer.run.recipe(), recipe)?;
        Ok(trainer)
    }

    /// Goes on with the run in a folder; `config` is its own recipe, `dataset` its own data.
    ///
    /// # Errors
    /// When there is no run, it is in use, or the data are not its data.
    pub fn resume(path: &Path, config: TrainConfig, dataset: &'a Dataset, device: &Device) -> Result<Self, TrainError> {
        if !path.join("state").join("state.safetensors").is_file() {
            return Err(TrainError::NothingToResume { path: path.to_owned() });
        }
        let run = RunFolder::open(path)?;
        Self::build(run, config, dataset, device, Some(()))
    }

    fn build(
        run: RunFolder,
        config: TrainConfig,
        dataset: &'a Dataset,
        device: &Device,
        resume: Option<()>,
    ) -> Result<Self, TrainError> {
        Self::categories_fit(&config, dataset)?;
        config.validate()?;
        let classifier = ClassifierRun::of(&config, dataset)?;
        let condition = condition::codec(&config, dataset)?;
        let codec = Codec::fit(dataset, &config.examples.codec)?;
        let states = Self::states_of(&config, dataset, &codec)?;
        let shape = states.as_ref().map_or_else(|| codec.shape().dims().to_vec(), |s| s.adapter.shape().to_vec());
        let network = config.network.build(&shape)?;
        let classes = dataset.classes().len();
        if network.classes() != 0 && network.classes() != classes {
            return Err(TrainError::Classes { network: network.classes(), data: classes });
        }
        let dimensions = codec.shape().len();
        if config.objective.loss == Loss::ExactTrace && dimensions > MOST_DIMENSIONS {
            let found = format!("exact-trace for examples of {dimensions} numbers");
            return Err(ConfigError { key: "objective.loss", found, expected: "at most 64 numbers; take the sliced loss" }.into());
        }
        let teacher = ConsistencyConfig::load_teacher(&config, &codec, device)?;
        let sigma_data = stats::sigma_data(dataset, &codec);
        let fingerprint = dataset.fingerprint();
        let mut doctor = Doctor::default();
        let mut notes = Vec::new();
        let mut memory = Memory::new(&config)?;
        let (position, params, state) = if resume.is_some() {
            let mut loaded = run.load_state(network.params(), &mut memory, device)?;
            if loaded.0.data != fingerprint {
                return Err(TrainError::OtherData { found: fingerprint, expected: loaded.0.data });
            }
            run.rewind_metrics(loaded.0.step)?;
            if let (Length::Steps(n), None) = (config.length, loaded.0.total) {
                // Cut between the timing of its minutes and the next save.
                loaded.0.total = Some(n);
            }
            // Another length than before is the caller's wish, and another run from here on than the one begun.
            if let (Length::Steps(n), Some(total)) = (config.length, loaded.0.total)
                && n != total
            {
                notes.push(format!(
                    "the run had {total} steps, it has {n} from here on: rates and averages follow the new length"
                ));
                loaded.0.total = Some(n);
            }
            loaded
        } else {
            let check = stats::outside_range(dataset, &codec);
            notes = doctor.before(&config, dataset.len(), check.outside, check.values);
            notes.extend(doctor.tails(dataset, &codec));
            let params = Params::init(network.params(), config.seed, device);
            let state = OptimState::new(&params);
            let total = if let Length::Steps(n) = config.length { Some(n) } else { None };
            (Position { total, data: fingerprint, ..Position::default() }, params, state)
        };
        if let Some(total) = position.total {
            notes.extend(doctor.length(&config.ema, total));
        }
        let process = memory.rates.as_ref().map_or_else(|| config.process.clone(), Rates::config).build()?;
        let (device, saved) = (device.clone(), position.step);
        Ok(Self {
            config,
            dataset,
            codec,
            sigma_data,
            run,
            network,
            process,
            states,
            classifier,
            condition,
            teacher,
            device,
            params,
            state,
            memory,
            position,
            saved,
            doctor,
            notes,
        })
    }

    /// A recipe for numbers is none for data with categories, nor the other way round.
    fn categories_fit(config: &TrainConfig, dataset: &Dataset) -> Result<(), ConfigError> {
        let categories = (0..dataset.shape().channels()).any(|c| dataset.categories(c).is_some());
        let (found, expected) = match (config.states.is_some(), categories) {
            (false, true) => ("no section, and data with categories", "a [states] section, for example --set states.loss=bound"),
            (true, false) => (
                "a section, and data of numbers alone",
                "data with categories: --set data.categorical=all for whole numbers, --set data.binarise=0.5 for bits",
            ),
            _ => return Ok(()),
        };
        Err(ConfigError { key: "states", found: found.into(), expected })
    }

    /// What data with categories need.
    fn states_of(config: &TrainConfig, dataset: &Dataset, codec: &Codec) -> Result<Option<States>, TrainError> {
        let Some(how) = &config.states else { return Ok(None) };
        let adapter = StatesAdapter::new(codec, &how.process, &config.process, config.prediction)?;
        Ok(Some(States::new(adapter, dataset, codec)))
    }

    /// Where the run stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The recipe.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Trains until the steps or minutes are done, or `stop` becomes true; saves before it returns.
    ///
    /// # Errors
    /// When the disk refuses or the loss stays non-finite; what was saved before is whole in either case.
    pub fn run(&mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome, TrainError> {
        let parameters = self.network.parameters() as u64;
        observer.event(&Event::Start { step: self.position.step, parameters, examples: self.dataset.len() });
        for note in std::mem::take(&mut self.notes) {
            observer.event(&Event::Note(note));
        }
        let mut log = Log::open(&self.run)?;
        // A disk that refuses says so now, and a run cut at any later instant can be resumed.
        if !self.run.has_state() && !self.save(observer, &mut log)? {
            return Err(self.diverged(0));
        }
        let ended = self.steps(observer, &mut log, stop);
        // Whatever ended the loop, the figures so far are kept.
        let flushed = log.flush();
        let ended = ended?;
        flushed?;
        if ended != Ended::Interrupted {
            self.measure_classifier(observer)?;
        }
        if !self.save(observer, &mut log)? {
            return Err(self.diverged(0));
        }
        if self.config.preview.every_seconds > 0.0 && ended != Ended::Interrupted {
            self.preview(observer, &mut log)?;
        }
        Ok(Outcome { ended, position: self.position.clone() })
    }

    fn diverged(&self, count: u32) -> TrainError {
        TrainError::Diverged { count, step: self.position.step, saved: self.saved }
    }

    /// The loop itself.
    fn steps(&mut self, observer: &mut dyn Observer, log: &mut Log, stop: &AtomicBool) -> Result<Ended, TrainError> {
        let started = Instant::now();
        let (seconds_before, first_step) = (self.position.seconds, self.position.step);
        let (mut last_save, mut last_preview, mut save_cost) = (Instant::now(), Instant::now(), 0.0f64);
        let (mut bad, mut pace) = (0u32, None::<f64>);
        loop {
            let Position { step, total, seconds, .. } = self.position;
            if total.is_some_and(|total| step >= total) {
                return Ok(Ended::Finished);
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(Ended::Interrupted);
            }
            if let Length::Minutes(minutes) = self.config.length
                && seconds > minutes * 60.0
            {
                return Ok(Ended::OutOfTime);
            }

            let step_started = Instant::now();
            let step = self.advance();
            let took = step_started.elapsed().as_secs_f64();
            // The first step warms caches and is no measure of the pace.
            if self.position.step > first_step + 1 {
                pace = Some(pace.map_or(took, |p| p + 0.05 * (took - p)));
            }
            self.position.seconds = seconds_before + started.elapsed().as_secs_f64();

            match step {
                Step::Taken { loss, trivial, lr, grad_norm } => {
                    bad = 0;
                    let smooth = if self.position.updates <= 1 { loss } else { 0.98 * self.position.loss + 0.02 * loss };
                    self.position.loss = smooth;
                    // The consistency loss changes its scale with the number of levels: no verdict by it.
                    if self.config.consistency.is_none()
                        && trivial.is_finite()
                        && let Some(note) = self.doctor.step(loss, trivial)
                    {
                        observer.event(&Event::Note(note));
                    }
                    let examples = (self.config.batch * self.config.accumulate) as f64;
                    let total = self.position.total;
                    let left = total.zip(pace).map(|(total, pace)| total.saturating_sub(self.position.step) as f64 * pace);
                    let report = StepReport {
                        step: self.position.step,
                        total,
                        loss,
                        trivial,
                        lr,
                        grad_norm,
                        examples_per_second: examples / pace.unwrap_or(took),
                        seconds: self.position.seconds,
                        seconds_left: left,
                    };
                    log.step(&report)?;
                    observer.event(&Event::Step(report));
                }
                Step::Skipped { loss, grad_norm } => {
                    bad += 1;
                    let step = self.position.step;
                    observer.event(&Event::Warning(format!(
                        "step {step} was skipped: loss {loss}, gradient norm {grad_norm} ({bad} in a row; {PATIENCE} stop the run)"
                    )));
                    if bad >= PATIENCE {
                        return Err(self.diverged(bad));
                    }
                }
            }

            if self.position.total.is_none()
                && let (Length::Minutes(minutes), Some(pace)) = (self.config.length, pace)
                && (started.elapsed() > TIMING || self.position.seconds > 0.1 * minutes * 60.0)
            {
                self.fix_length(minutes, pace, observer)?;
            }
            // A save may not cost more than a twentieth of the time.
            let due = self.config.save_seconds.max(20.0 * save_cost);
            if bad == 0 && last_save.elapsed().as_secs_f64() >= due {
                let began = Instant::now();
                self.save(observer, log)?;
                (save_cost, last_save) = (began.elapsed().as_secs_f64(), Instant::now());
            }
            let every = self.config.preview.every_seconds;
            if every > 0.0 && last_preview.elapsed().as_secs_f64() >= every {
                self.preview(observer, log)?;
                last_preview = Instant::now();
            }
        }
    }

    /// Turns minutes into steps, once, so that what follows is a function of the step alone; written into the recipe.
    fn fix_length(&mut self, minutes: f64, pace: f64, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let left = (minutes * 60.0 * 0.96 - self.position.seconds).max(0.0);
        let total = self.position.step + ((left / pace) as u64).max(1);
        self.position.total = Some(total);
        observer.event(&Event::Note(format!("{minutes} minutes at {:.1} ms a step: the run has {total} steps", pace * 1e3)));
        for note in self.doctor.length(&self.config.ema, total) {
            observer.event(&Event::Note(note));
        }
        let path = self.run.recipe();
        let text = std::fs::read_to_string(&path).map_err(|source| TrainError::Io { path: path.clone(), source })?;
        // The recipe says steps from here on, so that running it again repeats this run wherever that is. A text without a length (an
        // embedder's own) is left as it is.
        let mut kept = text;
        if let Ok(mut table) = kept.parse::<toml::Table>()
            && table.contains_key("length")
        {
            let steps = toml::Value::Integer(total as i64);
            table.insert("length".into(), toml::Value::Table(toml::Table::from_iter([("steps".to_owned(), steps)])));
            kept = toml::to_string(&table).unwrap_or(kept);
        }
        let line = format!("# {minutes} minutes became {total} steps on this machine");
        self.run.write_text(&path, &format!("{line}\n{kept}"))
    }
}
