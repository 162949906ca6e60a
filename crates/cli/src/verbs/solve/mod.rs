//! `solve`: what a measurement was made from, as samples with their spread.

mod calibrate;
mod items;
mod noise;
mod report;
mod setup;
mod write;

use crate::context::{Context, warn};
use crate::failure::{Ended, misuse};
use crate::progress::Progress;
use crate::verbs::sample::{can_be_written, load_any};
use crate::verbs::steering::Flags;
use anyhow::Result;
use clap::Args;
use items::Item;
use report::Report;
use scorefield::ClassChoice;
use scorefield::model::Weights;
use scorefield::solve::{Answer, Cost};
use serde_json::json;
use setup::Setup;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

/// Draw what a measurement was made from: inverse problems
///
/// MEASUREMENT is a picture, a folder of pictures, an array or a table; DATA@I and DATA@I..J are examples of a data set. What was done to it
/// is said by --task (info --tasks), how samples are drawn by --rule (info --rules). Numbers are in the data's own units: bytes of 0 to 255
/// for pictures. Each measurement is answered by N samples of the posterior, their mean, spread and quantiles, the samples measured again,
/// and a sheet of all; a second call goes on where the first was stopped.
#[derive(Args, Debug)]
pub(crate) struct Solve {
    /// A model file, a run folder, or another project's checkpoint
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// What was measured; where --task is given several times one for each, or an array of the numbers of all
    #[arg(value_name = "MEASUREMENT", required_unless_present = "calibrate", conflicts_with = "calibrate")]
    measurement: Vec<String>,
    /// What was done to it (info --tasks); several after each other with + between; given again, the same thing was measured in another way
    /// too; edit starts from a picture or a sketch under noise
    #[arg(long, value_name = "TASK[:key=value,...]", required = true)]
    task: Vec<String>,
    /// How samples are drawn (info --rules); mmps for linear measurements (by pullback in bf16), dps for others
    #[arg(long, value_name = "NAME[:key=value,...]")]
    rule: Option<String>,
    /// Samples of each measurement; 19 with --calibrate
    #[arg(short, long = "number", value_name = "K")]
    n: Option<u64>,
    /// What is known, for inpaint: left, right, top, bottom, around, random:SHARE, box:TOP,LEFT,HEIGHT,WIDTH (hidden), columns:NAME,NAME, or
    /// a picture or array of 0 and 1
    #[arg(long, value_name = "MASK")]
    mask: Option<String>,
    /// The kernel of deblur, a picture or an array [h, w]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The matrix of task matrix, [m, d]
    #[arg(long, value_name = "FILE")]
    matrix: Option<String>,
    /// Noise of the measurement: its deviation, poisson:PHOTONS (at white), or round (to 8 bits); round for pictures, else 0, if left out
    #[arg(long, value_name = "LAW", allow_hyphen_values = true)]
    noise: Option<String>,
    /// MEASUREMENT is the truth: measure it first, under the noise, and score the answers against it
    #[arg(long)]
    simulate: bool,
    /// The truth of each measurement, in the same order: scores the answers
    #[arg(long, value_name = "DATA", conflicts_with = "simulate")]
    truth: Option<String>,
    /// Measure how often the truth lies within the intervals, on examples of DATA
    #[arg(long, value_name = "DATA")]
    calibrate: Option<String>,
    /// Examples for --calibrate, evenly spread over the data
    #[arg(long, value_name = "N", default_value_t = 64)]
    examples: usize,
    /// The solver under the rule (info --solvers); the rule's if left out
    #[arg(long, value_name = "NAME[:key=value,...]")]
    solver: Option<String>,
    /// Times at which it stands; the rule's if left out
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Spacing of the times (info --grids)
    #[arg(long, value_name = "NAME[:key=value,...]")]
    grid: Option<String>,
    #[command(flatten)]
    steering: Flags,
    /// Quantiles that are written
    #[arg(long, value_name = "P,P,...", default_value = "0.05,0.5,0.95")]
    quantiles: String,
    /// Take pictures larger than the model's, covered with overlapping windows
    #[arg(long)]
    tile: bool,
    /// Pixels that neighbouring windows share; half of the model's shorter side if left out
    #[arg(long, value_name = "PIXELS", requires = "tile")]
    overlap: Option<usize>,
    /// The seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Rows that the network sees at once: changes memory and time, not the answers
    #[arg(long, value_name = "B", default_value_t = 64)]
    batch: usize,
    /// The folder; for --calibrate optional
    #[arg(short, long = "output", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Use the optimiser's own weights and not their average
    #[arg(long)]
    raw: bool,
}

/// Samples of a measurement where nobody says: of a calibration as many as give a 90 % interval from the smallest to the largest.
const SAMPLES: u64 = 16;
const SAMPLES_TO_CALIBRATE: u64 = 19;

impl Solve {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        context.listen()?;
        if self.calibrate.is_some() && self.n == Some(1) {
            return Err(misuse("-n 1: one sample has no interval; --calibrate needs two or more"));
        }
        if self.batch == 0 || self.n == Some(0) || self.examples == 0 {
            return Err(misuse("-n, --batch and --examples: at least 1 each"));
        }
        let weights = if self.raw { Weights::Raw } else { Weights::Ema };
        let model = load_any(context, &self.model, weights)?;
        if model.states().is_some() {
            return Err(misuse(
                "solve: the data of the model are categories; what is known of them goes to sample --given DATA@I --mask MASK",
            ));
        }
        let steering = self.steering.read(context, weights, &model, ClassChoice::None)?;
        let setup = Setup::new(self, &model, &steering, context.device.clone())?;
        match &self.calibrate {
            Some(data) => self.calibrate(context, &setup, data),
            None => self.answer(context, &setup),
        }
    }

    fn samples(&self) -> u64 {
        self.n.unwrap_or(if self.calibrate.is_some() { SAMPLES_TO_CALIBRATE } else { SAMPLES })
    }

    /// The measurements one after the other.
    fn answer(&self, context: &Context, setup: &Setup<'_>) -> Result<Ended> {
        let begun = Instant::now();
        let output = self.output.clone().unwrap_or_else(|| PathBuf::from("solved"));
        let (items, single) = self.items(setup)?;
        setup.check(&items)?;
        can_be_written(&output)?;
        let settings = setup.settings();
        let folder = |item: &Item| if single { output.clone() } else { output.join(&item.name) };
        let already = write::prepare(&output, single, &settings)?;
        let is_done = |item: &&Item| already && folder(item).join(write::REPORT).is_file();
        let (there, left): (Vec<&Item>, Vec<&Item>) = items.iter().partition(is_done);
        let mut reports = Vec::new();
        for item in &there {
            let path = folder(item).join(write::REPORT);
            let report = Report::read(&path)?;
            if report.digest != item.digest() {
                return Err(misuse(format!(
                    "{}: answers another measurement, truth or number than {} is now; take another folder with -o",
                    path.display(),
                    item.name
                )));
            }
            reports.push(report);
        }
        if !there.is_empty() {
            context.say(&format!("{} of {} measurements are answered already", there.len(), items.len()));
        }
        let samples = self.samples();
        let total = left.len() as u64 * samples;
        let mut progress = Progress::new(context, "sample", Some(total));
        let (mut before, mut cost) = (0, Cost::default());
        for (problem, group) in setup.by_problem(&left) {
            let solve = setup.solve(problem, samples)?;
            let questions = group.iter().map(|i| Ok(i.question.clone())).collect::<Result<Vec<_>>>()?;
            let mut failed = None;
            let mut done_here = 0;
            let watch = |done: u64, share: f64| {
                progress.set(before + done, Some(total), &format!("{:.0} % of the batch", 100.0 * share));
                if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let answered = |place: usize, answer: Answer| {
                let item = group[place];
                let report = Report::of(setup, problem, item, &answer);
                match write::answer(setup, problem, item, &answer, &report, &folder(item), single.then_some(&settings)) {
                    Ok(()) => reports.push(report),
                    Err(e) => failed = Some(e),
                }
                done_here += samples;
                if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let ran = solve.run(&questions, watch, answered)?;
            if let Some(error) = failed {
                return Err(error);
            }
            let Some(spent) = ran else {
                progress.end();
                context.say(&format!(
                    "interrupted: {} of {} measurements are answered; the same command goes on",
                    reports.len(),
                    items.len()
                ));
                return Ok(Ended::Interrupted);
            };
            before += done_here;
            cost.evaluations += spent.evaluations;
            cost.pullbacks += spent.pullbacks;
        }
        progress.end();
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        if !single {
            write::scores(&output, &reports)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let per = |n: u64| if total == 0 { 0.0 } else { n as f64 / total as f64 };
        let whole = report::Summary::of(&reports);
        let json = json!({
            "output": output, "measurements": items.len(), "samples": samples, "task": setup.task(), "rule": setup.rule_name(),
            "solver": setup.solver_name(), "steps": setup.steps(), "seed": self.seed,
            "psnr": whole.psnr, "ssim": whole.ssim, "psnr_of_mean": whole.psnr_of_mean, "ssim_of_mean": whole.ssim_of_mean,
            "rmse": whole.rmse, "consistency": whole.consistency, "noise": whole.noise, "distance": whole.distance,
            "effective": whole.effective, "evaluations": per(cost.evaluations), "pullbacks": per(cost.pullbacks), "seconds": seconds,
            "seconds_per_sample": if total == 0 { 0.0 } else { seconds / total as f64 },
        });
        let mut text = format!(
            "{}: {} x {samples} samples of {} by {} ({} steps of {}), {:.1} evaluations each ({:.1} with a gradient), {seconds:.1} s\n",
            output.display(),
            items.len(),
            setup.task(),
            setup.rule_name(),
            setup.steps(),
            setup.solver_name(),
            per(cost.evaluations),
            per(cost.pullbacks),
        );
        text.push_str(&whole.text());
        let little = 0.01 * setup.codec().scale(0);
        if whole.noise.is_some_and(|noise| whole.consistency.is_some_and(|c| c > 2.0 * noise + little)) {
            warn(
                "warning: samples measured again lie farther from the measurement than its noise: more steps, or another --rule, may help",
            );
        }
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}
