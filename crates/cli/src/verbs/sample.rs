//! `sample`: new data from a model.

mod given;
mod loading;
mod states;

pub(crate) use loading::{load, load_any};

use crate::context::{Context, warn};
use crate::failure::{Ended, misuse};
use crate::progress::Progress;
use anyhow::Result;
use clap::Args;
use scorefield::data::write::{self, Picture};
use scorefield::data::{Codec, Shape};
use scorefield::model::{Model, Weights};
use scorefield::process::{Clip, GridKind, GridTextError, Process, ProcessConfig, ProcessExt, Span, common_span};
use scorefield::sample::{Path as BrownianPath, SolverKind};
use scorefield::tensor::rows;
use scorefield::{ClassChoice, Generate};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Draw samples from a model
#[derive(Args, Debug)]
pub(crate) struct Sample {
    /// A model file, a run folder, or another project's checkpoint
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// How many samples
    #[arg(short, long = "number", value_name = "N", default_value_t = 64)]
    n: u64,
    /// The solver with its options (info --solvers); the model's if left out
    #[arg(long, value_name = "NAME[:key=value,...]")]
    solver: Option<String>,
    /// Times at which the solver stands; the model's if left out, and two for solvers that choose their own steps
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Spacing of the times with its options (info --grids), times=T;T;... or levels=R;R;... with numbers or a file of them
    #[arg(long, value_name = "NAME[:key=value,...]")]
    grid: Option<String>,
    /// Sample under another process (info --processes), by exact change of schedule
    #[arg(long, value_name = "NAME[:key=value,...]")]
    process: Option<String>,
    /// Cut what the model takes for clean data into [-C, C], in its own units (those of bytes: 1)
    #[arg(long, value_name = "C", conflicts_with = "threshold", allow_negative_numbers = true)]
    clip: Option<f64>,
    /// Dynamic thresholding: pull clean data back to the P-quantile of a sample's magnitudes, from 1 to MAX
    #[arg(long, value_name = "P[:MAX]")]
    threshold: Option<String>,
    /// A factor on the spread of the noise that runs start from: below 1 nearer to the middle of the law, and less varied
    #[arg(long, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f64,
    /// Follow one Brownian path a sample, the same for every number of steps of a grid, in CELLS cells (1024; more for more steps)
    #[arg(long, value_name = "CELLS", num_args = 0..=1, require_equals = true, default_missing_value = "1024")]
    path: Option<u32>,
    #[command(flatten)]
    steering: super::steering::Flags,
    /// The seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// The number of the first sample
    #[arg(long, value_name = "I", default_value_t = 0)]
    first: u64,
    /// Samples computed at once; changes the memory used and nothing else
    #[arg(long, value_name = "B", default_value_t = 64)]
    batch: usize,
    /// .png (a grid), .npy, .npz, .csv, .gif (with --trajectory), or a folder (one PNG a sample)
    #[arg(short, long = "output", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Write the way from noise to data: frames of a .gif, or [steps + 1, n, ...] in a .npy, the start being the first
    #[arg(long)]
    trajectory: bool,
    /// An example that is known in part, example I of DATA: what is not known of it is filled in
    #[arg(long, value_name = "DATA@I", requires = "mask")]
    given: Option<String>,
    /// What of it is known: left, right, top, bottom, around (all but the middle), all, random:SHARE, box:T,L,H,W (hidden), columns:NAME,NAME,
    /// or a picture or an array with 1 (or white) where it is known
    #[arg(long, value_name = "MASK", requires = "given")]
    mask: Option<String>,
    /// The probability that a known category is seen wrongly, as another level: 0 for certain
    #[arg(long, value_name = "P", requires = "given", default_value_t = 0.0)]
    flips: f64,
    /// The deviation with which a known number was measured, in the data's own units (bytes: of 255): 0 for certain
    #[arg(long, value_name = "S", requires = "given", default_value_t = 0.0, allow_negative_numbers = true)]
    noise: f64,
    /// Make every step R times, noised again in between (RePaint): what is filled in fits better, at R times the cost
    #[arg(long, value_name = "R", requires = "given", conflicts_with = "path")]
    repeats: Option<usize>,
    /// Use the optimiser's own weights and not their average
    #[arg(long)]
    raw: bool,
}

impl Sample {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        context.listen()?;
        let begun = Instant::now();
        if self.n == 0 {
            return Err(misuse("-n 0: at least one sample"));
        }
        if self.batch == 0 {
            return Err(misuse("--batch 0: at least one sample at once"));
        }
        let Some(end) = self.first.checked_add(self.n) else {
            return Err(misuse(format!("--first {} -n {}: sample numbers end at {}", self.first, self.n, u64::MAX)));
        };
        let batch = self.batch.min(usize::try_from(self.n).unwrap_or(usize::MAX));
        let weights = if self.raw { Weights::Raw } else { Weights::Ema };
        let model = load_any(context, &self.model, weights)?;
        if model.states().is_some() {
            return self.states(context, &model, self.first..end, batch);
        }
        let solver_of = |text: &str| text.parse::<SolverKind>();
        let asked = self.solver.as_deref().map(solver_of).transpose()?;
        let grid_asked = self.grid.as_deref().map(grid_named).transpose()?;
        let codec = &model.meta().codec;
        let output = self.output.clone().unwrap_or_else(|| default_output(codec, self.trajectory));
        check_output(&output, codec, self.trajectory)?;
        can_be_written(&output)?;
        if output.is_dir()
            && let Some(others) = others_in(&output, self.first, end)
        {
            warn(&format!("warning: {}: {others} of the pictures in it are not of this call and stay", output.display()));
        }

        let defaults = &model.meta().sampling;
        let solver = match asked {
            Some(kind) => kind,
            None => solver_of(&defaults.solver)?,
        };
        let grid_kind = match grid_asked {
            Some(kind) => kind,
            None if self.solver.is_some() => solver.default_grid(),
            None => grid_named(&defaults.grid)?,
        };
        let process = self.process.as_deref().map(process_named).transpose()?;
        let steps = self.steps.unwrap_or(if solver.adaptive() { 2 } else { grid_kind.count().unwrap_or(defaults.steps) });
        if !(1..=MOST_STEPS).contains(&steps) {
            return Err(misuse(format!("--steps {steps}: expected 1 to {MOST_STEPS}")));
        }
        let (under, span) = self.schedule(&model, process.as_deref())?;
        let grid = solver
            .grid(&grid_kind, under, span, steps)
            .map_err(|e| misuse(format!("--steps {steps} --grid {}: {e}", grid_kind.name())))?;
        let path = match self.path {
            Some(cells) => {
                let path = BrownianPath::new(under, &grid_kind, cells).map_err(|e| misuse(format!("--path={cells}: {e}")))?;
                path.fits(&grid).map_err(|e| misuse(format!("--path={cells} --steps {steps}: {e}")))?;
                Some(path)
            }
            None => None,
        };
        let steering = self.steering.read(context, weights, &model, ClassChoice::InTurn)?;

        let built = self.repeated(&solver)?;
        let generate = Generate {
            process: process.as_deref(),
            given: self.given(&model)?,
            clip: self.bound()?,
            temperature: self.temperature,
            path,
            guidance: steering.guidance(),
            seed: self.seed,
            samples: self.first..end,
            batch,
            device: context.device.clone(),
            ..Generate::new(&model, &*built, grid, self.n)
        };
        let mut frames: Vec<Vec<f32>> = Vec::new();
        let mut progress = Progress::new(context, "step", None);
        let total = self.n.div_ceil(batch as u64) * steps as u64;
        let mut first_at = None;
        let drawn = generate.run(|range, index, x| {
            if self.trajectory {
                if frames.len() <= index {
                    frames.push(Vec::new());
                }
                frames[index].extend(rows(x.clone()));
            }
            if index + 1 >= steps {
                first_at.get_or_insert_with(|| begun.elapsed().as_secs_f64());
            }
            let done = (range.start - self.first) / batch as u64 * steps as u64 + index as u64;
            progress.set(done, Some(total), &format!("samples {} to {}", range.start, range.end - 1));
            if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        progress.end();
        let Some(drawn) = drawn else {
            context.say("interrupted: nothing was written");
            return Ok(Ended::Interrupted);
        };
        let n = self.n as usize;
        if self.trajectory {
            write_trajectory(&output, &frames, n, codec)?;
        } else {
            write::samples_from(&output, &drawn.states, n, codec, self.first)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let json = json!({
            "output": output, "n": self.n, "first": self.first, "seed": self.seed, "solver": solver.to_string(),
            "grid": grid_kind.to_string(), "steps": steps, "evaluations": drawn.evaluations,
            "evaluations_per_sample": drawn.evaluations_per_sample, "temperature": self.temperature, "classes": drawn.classes,
            "given": self.given, "mask": self.mask, "noise": self.noise, "repeats": self.repeats,
            "guidance": self.steering.json(), "condition": self.steering.condition_asked(), "seconds": seconds, "first_sample_seconds": first_at,
        });
        let per_sample = (100.0 * drawn.evaluations_per_sample).round() / 100.0;
        let text = format!(
            "{}: {n} samples by {solver} in {steps} steps, {per_sample} evaluations each, {seconds:.2} s",
            output.display()
        );
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }

    /// The process that is sampled under, and the part of its span whose noise levels the model knows.
    fn schedule<'p>(&self, model: &'p Model, process: Option<&'p dyn Process>) -> Result<(&'p dyn Process, Span)> {
        let (own, Some(other)) = (model.process(), process) else { return Ok((model.process(), model.process().span())) };
        let asked = self.process.as_deref().unwrap_or_default();
        let levels = |p: &dyn Process, span: Span| [span.start, span.end].map(|t| p.at(t).ratio());
        let (known, [low, high]) = (levels(own, own.span()), levels(other, other.span()));
        let Some(span) = common_span(own, other) else {
            return Err(misuse(format!(
                "--process {asked}: its noise levels sigma/alpha run from {low:.3e} to {high:.3e}, the model's from {:.3e} to {:.3e}: \
                 they share none; give the process other constants",
                known[0], known[1]
            )));
        };
        let start = levels(other, span)[1];
        // The prior of a run is N(0, sigma^2) without the data: fair from a level well above the data's own.
        if start < 0.99 * known[1] && start < 10.0 * model.meta().sigma_data {
            warn(&format!(
                "warning: --process {asked}: its noise ends at level {start:.3e}, the model's at {:.3e}: samples start from too little noise",
                known[1]
            ));
        }
        Ok((other, span))
    }

    /// The bound on clean data.
    fn bound(&self) -> Result<Option<Clip>> {
        if let Some(bound) = self.clip {
            return Clip::at(bound).map(Some).map_err(|e| misuse(format!("--clip {bound}: {e}")));
        }
        let Some(text) = &self.threshold else { return Ok(None) };
        let (quantile, max) = text.split_once(':').unwrap_or((text, "inf"));
        let number = |word: &str| {
            let expected = "expected P or P:MAX with numbers, for example 0.995";
            word.trim().parse::<f64>().map_err(|_| misuse(format!("--threshold {text}: {word:?} is no number; {expected}")))
        };
        Clip::dynamic(number(quantile)?, number(max)?).map(Some).map_err(|e| misuse(format!("--threshold {text}: {e}")))
    }
}

/// More steps than any solver has use for.
const MOST_STEPS: usize = 1_000_000;

/// A process by name with its options.
fn process_named(text: &str) -> Result<Box<dyn Process>> {
    let say = |e: &dyn std::fmt::Display| misuse(format!("--process {text}: {e}"));
    text.parse::<ProcessConfig>().map_err(|e| say(&e))?.build().map_err(|e| say(&e))
}

/// A grid by name with its options; behind `times=` and `levels=` a list or a file of one.
pub(crate) fn grid_named(text: &str) -> Result<GridKind> {
    let listed = text.split_once('=').filter(|(name, _)| ["times", "levels"].contains(name));
    let text = match listed {
        Some((name, path)) if Path::new(path).is_file() => {
            let numbers = std::fs::read_to_string(path).map_err(|e| misuse(format!("{path}: {e}")))?;
            let words = numbers.split(|c: char| c.is_whitespace() || ",;".contains(c)).filter(|w| !w.is_empty());
            format!("{name}={}", words.collect::<Vec<_>>().join(";"))
        }
        _ => text.to_owned(),
    };
    text.parse().map_err(|e: GridTextError| misuse(e.to_string()))
}

fn default_output(codec: &Codec, trajectory: bool) -> PathBuf {
    let picture = matches!(codec.shape(), Shape::Image { .. });
    PathBuf::from(match (picture, trajectory) {
        (true, true) => "samples.gif",
        (true, false) => "samples.png",
        (false, _) => "samples.npy",
    })
}

/// Refuses an ending that cannot hold these samples before any time is spent on them.
pub(super) fn check_output(path: &Path, codec: &Codec, trajectory: bool) -> Result<()> {
    let picture = matches!(codec.shape(), Shape::Image { .. });
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let fits = match ending.as_deref() {
        Some("npy") => true,
        Some("gif") => picture && trajectory,
        Some("npz" | "csv") => !trajectory,
        Some("png") | None => picture && !trajectory,
        Some(_) => false,
    };
    if fits {
        return Ok(());
    }
    let what = if picture { "pictures" } else { "vectors" };
    let expected = match (picture, trajectory) {
        (true, false) => ".png, .npy, .npz, .csv or a folder",
        (true, true) => ".gif or .npy with --trajectory",
        (false, false) => ".npy, .npz or .csv",
        (false, true) => ".npy with --trajectory",
    };
    let gif = ending.as_deref() == Some("gif") && !trajectory;
    let hint = if gif { "; a .gif shows the way from noise to data: add --trajectory" } else { "" };
    Err(misuse(format!("{}: cannot hold {what} here; expected {expected}{hint}", path.display())))
}

/// Refuses a place that cannot be written to before any time is spent on what would be written there.
pub(crate) fn can_be_written(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder that does not exist yet is made when it is needed; what has to be there is the nearest one that exists.
    let Some(exists) = parent.ancestors().find(|p| p.as_os_str().is_empty() || p.exists()) else { return Ok(()) };
    let exists = if exists.as_os_str().is_empty() { Path::new(".") } else { exists };
    let probe = exists.join(format!(".scorefield-{}.tmp", std::process::id()));
    std::fs::File::create(&probe)
        .and_then(|_| std::fs::remove_file(&probe))
        .map_err(|e| misuse(format!("{}: cannot be written: {}: {e}", path.display(), exists.display())))
}

/// How many pictures of a folder are not those that samples `first..end` are written to.
fn others_in(folder: &Path, first: u64, end: u64) -> Option<usize> {
    let number = |name: &str| name.strip_suffix(".png")?.parse::<u64>().ok();
    let names = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let others = names.filter(|n| n.ends_with(".png") && !number(n).is_some_and(|i| (first..end).contains(&i))).count();
    (others > 0).then_some(others)
}

/// Most samples that a GIF shows.
const SHOWN: usize = 100;

fn write_trajectory(path: &Path, frames: &[Vec<f32>], n: usize, codec: &Codec) -> Result<()> {
    let d = codec.shape().len();
    if path.extension().is_some_and(|e| e == "npy") {
        let mut natural = vec![0.0; d];
        let mut all = Vec::with_capacity(frames.len() * n * d);
        for state in frames.iter().flat_map(|f| f.chunks_exact(d)) {
            codec.decode_row(state, &mut natural);
            all.extend_from_slice(&natural);
        }
        let dims: Vec<usize> = [frames.len(), n].into_iter().chain(codec.shape().dims()).collect();
        write::array(path, &all, &dims)?;
        return Ok(());
    }
    let n = n.min(SHOWN);
    let columns = (n as f64).sqrt().ceil() as usize;
    let picture = |frame: &Vec<f32>| {
        let all: Option<Vec<Picture>> = frame.chunks_exact(d).take(n).map(|s| Picture::of_state(s, codec)).collect();
        all.map(|all| write::grid(&all, columns))
    };
    let Some(mut pictures) = frames.iter().map(picture).collect::<Option<Vec<_>>>() else {
        return Err(misuse(format!("{}: the model makes no pictures; use .npy", path.display())));
    };
    // The last frame stays a while.
    let last = pictures.last().cloned();
    pictures.extend(std::iter::repeat_n(last, 12).flatten());
    Ok(write::gif(path, &pictures, 80)?)
}
