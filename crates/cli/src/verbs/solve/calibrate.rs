//! `--calibrate DATA`: how often the truth lies within the intervals.

use super::items::simulated;
use super::report::{Report, Summary, natural};
use super::setup::Setup;
use super::{Answer, Solve};
use crate::canvas::{BLUE, Curve, GREY, straight};
use crate::context::Context;
use crate::failure::{Ended, misuse};
use crate::progress::Progress;
use crate::verbs::nll::open_for;
use crate::verbs::sample::can_be_written;
use anyhow::{Context as _, Result};
use scorefield::data::Value;
use scorefield::data::write::{atomic, atomic_folder};
use scorefield::solve::{Calibration, MOST_QUESTIONS};
use serde_json::json;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// A level, and the coverage there with its error: of all entries, and of those whose samples differ.
type Point = (f64, (f64, f64), (f64, f64));

/// The interval that is told first.
const NINETY: f64 = 0.9;

impl Solve {
    pub(super) fn calibrate(&self, context: &Context, setup: &Setup<'_>, spec: &str) -> Result<Ended> {
        let begun = Instant::now();
        if self.tile {
            return Err(misuse("--tile: examples of data are of the model's size"));
        }
        if let Some(output) = &self.output {
            if output.exists() {
                return Err(misuse(format!("{}: is there already; take another folder with -o", output.display())));
            }
            can_be_written(output)?;
        }
        let data = open_for(setup.model, spec)?;
        let problem = Arc::new(setup.problem(None, None)?);
        let take = self.examples.min(data.len());
        if data.len() as u64 > MOST_QUESTIONS {
            return Err(misuse(format!("{spec}: {} examples; at most {MOST_QUESTIONS}", data.len())));
        }
        let mut items = Vec::with_capacity(take);
        for k in 0..take {
            let place = k * data.len() / take;
            let mut natural = vec![0.0; problem.inputs()];
            data.row(place, &mut natural);
            items.push(simulated(setup, &problem, natural, place as u64, self.seed)?);
        }
        setup.check(&items)?;
        let samples = self.samples();
        let solve = setup.solve(&problem, samples)?;
        let questions: Vec<_> = items.iter().map(|i| i.question.clone()).collect();
        // Entries that the measurement fixes have no interval: known exactly, or to less than a level.
        let mut fixed = vec![false; problem.inputs()];
        let whole = setup.codec().value() == Value::Byte;
        if items.iter().all(|i| i.sigma == 0.0 || whole && i.sigma < 0.5) {
            problem.fixed().into_iter().flatten().for_each(|i| fixed[*i] = true);
        }
        if fixed.iter().all(|f| *f) {
            return Err(misuse("--calibrate: the mask fixes every entry, nothing is left to be unsure of"));
        }
        let mut calibration = Calibration::new(samples as usize);
        let mut reports = Vec::new();
        let total = take as u64 * samples;
        let mut progress = Progress::new(context, "sample", Some(total));
        let watch = |done: u64, share: f64| {
            progress.set(done, Some(total), &format!("{:.0} % of the batch", 100.0 * share));
            if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let answered = |place: usize, answer: Answer| {
            let item = &items[place];
            let drawn = natural(setup, &problem, item, &answer.states);
            let truth = item.truth.as_deref().unwrap_or_default();
            calibration.add(truth, &drawn, |i| !fixed[i]);
            reports.push(Report::of(setup, &problem, item, &answer));
            ControlFlow::Continue(())
        };
        let cost = solve.run(&questions, watch, answered)?;
        progress.end();
        let Some(cost) = cost else {
            context.say("interrupted: a coverage of some examples is none; nothing was written");
            return Ok(Ended::Interrupted);
        };
        let (all, varied) = (calibration.at(NINETY, false), calibration.at(NINETY, true));
        let curve: Vec<Point> = calibration
            .levels()
            .into_iter()
            .zip(calibration.curve())
            .zip(calibration.varied())
            .map(|((level, all), varied)| (level, all, varied))
            .collect();
        let mut table = String::from("interval,coverage,error,coverage where samples differ,error\n");
        let mut text = format!("{take} examples of {spec}, {samples} samples each: {} by {}\n", setup.task(), setup.rule_name());
        let _ = writeln!(text, "{:>9}  {:>18}  {:>26}", "interval", "the truth is in it", "entries whose samples differ");
        for (level, (c, e), (v, ve)) in &curve {
            let _ = writeln!(table, "{level:.6},{c:.6},{e:.6},{v:.6},{ve:.6}");
            let _ = writeln!(
                text,
                "{:>8.1}%  {:>9.1} +- {:.1} %  {:>17.1} +- {:.1} %",
                100.0 * level,
                100.0 * c,
                100.0 * e,
                100.0 * v,
                100.0 * ve
            );
        }
        let summary = Summary::of(&reports);
        text.push_str(&summary.text());
        if all.is_none() {
            let _ = writeln!(text, "{samples} samples reach no interval of 90 %: -n 19 does");
        }
        if let Some((c, e)) = all {
            let _ = writeln!(text, "90 % intervals hold {:.1} +- {:.1} % of the truth", 100.0 * c, 100.0 * e);
        }
        if let Some(output) = &self.output {
            let lines = |of: fn(&Point) -> f64| curve.iter().map(|p| (p.0, of(p))).collect::<Vec<_>>();
            let picture = straight(
                "how often the truth lies in an interval",
                "nominal",
                &[
                    Curve { name: "right", points: vec![(0.0, 0.0), (1.0, 1.0)], colour: GREY, width: 1 },
                    Curve { name: "samples differ", points: lines(|p| p.2.0), colour: [213, 94, 0], width: 2 },
                    Curve { name: "all", points: lines(|p| p.1.0), colour: BLUE, width: 2 },
                ],
            );
            atomic_folder(output, |inside| -> Result<()> {
                let path = inside.join("coverage.csv");
                atomic(&path, |out| out.write_all(table.as_bytes())).with_context(|| path.display().to_string())?;
                picture.save_png(&inside.join("coverage.png"))?;
                super::write::scores(inside, &reports)
            })?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let json = json!({
            "examples": take, "samples": samples, "task": setup.task(), "rule": setup.rule_name(), "solver": setup.solver_name(),
            "steps": setup.steps(), "seed": self.seed, "coverage_90": all.map(|c| c.0), "coverage_90_error": all.map(|c| c.1),
            "varied_90": varied.map(|c| c.0), "varied_90_error": varied.map(|c| c.1),
            "levels": calibration.levels(), "coverage": calibration.curve().iter().map(|c| c.0).collect::<Vec<_>>(),
            "varied": calibration.varied().iter().map(|c| c.0).collect::<Vec<_>>(),
            "psnr": summary.psnr, "ssim": summary.ssim, "psnr_of_mean": summary.psnr_of_mean, "ssim_of_mean": summary.ssim_of_mean,
            "rmse": summary.rmse, "consistency": summary.consistency, "noise": summary.noise, "distance": summary.distance,
            "effective": summary.effective, "evaluations": cost.evaluations as f64 / total as f64,
            "pullbacks": cost.pullbacks as f64 / total as f64, "seconds": seconds, "output": self.output,
        });
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}
