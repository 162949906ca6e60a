//! `nll`: the log-likelihood of data under a model, a bound on it, and what it says of data from elsewhere.

mod bound;
mod states;

use crate::context::{Context, warn};
use crate::failure::{Ended, misuse};
use crate::progress::Progress;
use crate::verbs::sample::{can_be_written, load};
use anyhow::Result;
use clap::Args;
use scorefield::data::{self, Dataset, Shape, write};
use scorefield::density::{Density, Examples, Score, is_discrete, looks_discrete, standard_error};
use scorefield::eval::auroc;
use scorefield::model::{Model, Weights};
use scorefield::process::ProcessExt;
use scorefield::sample::density::{Flow, Probe};
use scorefield::{ClassChoice, require_posterior_mean};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Log-likelihood of data in nats and bits a dimension, with its standard error
#[derive(Args, Debug)]
pub(crate) struct Nll {
    /// A model file, a run folder, or another project's checkpoint
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The data
    #[arg(value_name = "DATA")]
    data: String,
    /// Examples looked at, evenly spread over the data
    #[arg(short, long = "number", value_name = "N", default_value_t = 128)]
    n: usize,
    /// Random probes of the trace for each example
    #[arg(long, value_name = "K", default_value_t = 2)]
    probes: usize,
    /// The exact trace: as many pullbacks as an example has numbers
    #[arg(long, conflicts_with = "probes")]
    exact: bool,
    /// Probes of normals and not of signs
    #[arg(long, conflicts_with = "exact")]
    gaussian: bool,
    /// Tolerance of the integrator, relative and absolute
    #[arg(long, value_name = "R", default_value_t = 1e-4)]
    rtol: f64,
    /// Dequantisation passes over 8-bit data; 0 leaves them as they are
    #[arg(long, value_name = "P", default_value_t = 1)]
    passes: u8,
    /// Examples integrated once more at a tenth of the tolerance; 0 is none
    #[arg(long, value_name = "N", default_value_t = 8)]
    check: usize,
    /// The variational lower bound, term by term, and not the flow
    #[arg(long)]
    bound: bool,
    /// Steps of the chain of the bound, those of the model where it has some; with --continuous, cells of its integral
    #[arg(long, value_name = "T", requires = "bound")]
    steps: Option<usize>,
    /// Of categories: steps of the chain that each example looks at, one from each of as many equal parts
    #[arg(long, value_name = "M", default_value_t = 50, requires = "bound")]
    visited: usize,
    /// Of categories: the ends of the chain as Sohl-Dickstein et al. 2015 count them (eq. 14)
    #[arg(long, requires = "bound", conflicts_with = "continuous")]
    paper: bool,
    /// The bound of infinitely many steps, by one random level in each cell
    #[arg(long, requires = "bound")]
    continuous: bool,
    /// Other data: how well likelihood, typicality and the norm of the score tell them from DATA
    #[arg(long, value_name = "OTHER", conflicts_with = "bound")]
    against: Option<String>,
    /// A class by name or number, or none; the data's labels if left out
    #[arg(long, value_name = "C")]
    class: Option<String>,
    /// The seed of probes, dequantisation and noise
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Examples computed at once; changes the memory used and nothing else
    #[arg(long, value_name = "B", default_value_t = 64)]
    batch: usize,
    /// A table with a row an example (.csv), or its log-likelihoods in nats (.npy)
    #[arg(short, long = "output", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Use the optimiser's own weights and not their average
    #[arg(long)]
    raw: bool,
}

/// Noise levels at which the norm of the score is taken, as fractions of the way between the model's ends in their logarithm.
const NORMS_AT: [f64; 3] = [0.2, 0.4, 0.6];

impl Nll {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        context.listen()?;
        self.validate()?;
        let model = load(context, &self.model, if self.raw { Weights::Raw } else { Weights::Ema })?;
        let data = open_for(&model, &self.data)?;
        if model.states().is_some() {
            return self.states(context, &model, &data);
        }
        require_posterior_mean(&model, "nll")?;
        let discrete = is_discrete(&model.meta().codec, &data);
        if discrete && self.passes == 0 && !self.bound {
            warn(
                "warning: 8-bit data were not dequantised: they lie on a lattice, on which a density has no upper limit, and the figures \
                 below compare with none that were; leave --passes 0 out",
            );
        } else if !discrete && looks_discrete(&data) {
            warn(&format!(
                "warning: {}: whole numbers all, taken as real ones: data on a lattice have no density, add uniform noise of one level",
                self.data
            ));
        }
        let density = Density {
            model: &model,
            flow: Flow::with_tolerance(self.rtol),
            probes: (!self.exact).then_some(self.probes),
            law: if self.gaussian { Probe::Gaussian } else { Probe::Rademacher },
            passes: (discrete && self.passes > 0).then_some(self.passes),
            seed: self.seed,
            batch: self.batch,
            device: context.device.clone(),
        };
        let examples = examples_of(&model, &data, self.n, self.class.as_deref())?;
        if self.bound { self.bound(context, &density, &examples, discrete) } else { self.flow(context, &density, &examples) }
    }

    fn validate(&self) -> Result<()> {
        if [self.n, self.probes, self.batch, self.visited, self.steps.unwrap_or(1)].contains(&0) {
            return Err(misuse("-n, --probes, --batch, --visited and --steps: at least 1 each"));
        }
        if !(self.rtol > 0.0 && self.rtol < 1.0) {
            return Err(misuse(format!("--rtol {}: expected a number between 0 and 1", self.rtol)));
        }
        if let Some(output) = &self.output {
            if !output.extension().is_some_and(|e| e == "csv" || e == "npy") {
                return Err(misuse(format!("{}: expected .csv or .npy", output.display())));
            }
            can_be_written(output)?;
        }
        Ok(())
    }

    /// The scores of all examples; `None` when interrupted.
    fn scores(&self, context: &Context, density: &Density<'_>, examples: &Examples<'_>) -> Result<Option<Vec<Score>>> {
        let mut progress = Progress::new(context, "example", Some(examples.places.len() as u64));
        let scores = density.scores(examples, |done| {
            progress.set(done as u64, Some(examples.places.len() as u64), "");
            if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        progress.end();
        if scores.is_none() {
            context.say("interrupted: nothing was written");
        }
        Ok(scores)
    }

    fn flow(&self, context: &Context, density: &Density<'_>, examples: &Examples<'_>) -> Result<Ended> {
        let Some(scores) = self.scores(context, density, examples)? else { return Ok(Ended::Interrupted) };
        let d = density.model.dim() as f64;
        let bits = |nats: f64| -nats / (d * std::f64::consts::LN_2);
        let nats: Vec<f64> = scores.iter().map(|s| s.nats).collect();
        let (mean, over_data) = (mean(&nats), standard_error(&nats));
        // Of the mean over these very examples: their own errors add in squares.
        let squares: Option<f64> = scores.iter().map(|s| s.error.map(|e| e * e)).sum();
        let error = squares.map(|s| s.sqrt() / scores.len() as f64);
        let evaluations = scores.iter().map(|s| s.evaluations).sum::<u64>() as f64 / scores.len() as f64;
        let times = density.flow.times(density.model.process());
        let level = density.model.process().at(times.0).ratio();

        // The same at a tenth of the tolerance, with the same probes.
        let again = Examples {
            places: examples.places.iter().copied().take(self.check).collect(),
            classes: examples.classes.as_ref().map(|c| c[..self.check.min(c.len())].to_vec()),
            ..examples.clone()
        };
        let sharper = Density { flow: density.flow.sharper(), ..density.clone() };
        let change = if self.check == 0 {
            None
        } else {
            let Some(sharp) = self.scores(context, &sharper, &again)? else { return Ok(Ended::Interrupted) };
            let changes: Vec<f64> = sharp.iter().zip(&scores).map(|(a, b)| a.nats - b.nats).collect();
            Some((changes.iter().sum::<f64>() / changes.len() as f64, changes.iter().fold(0.0f64, |top, c| top.max(c.abs()))))
        };
        let outside = match &self.against {
            None => None,
            Some(other) => {
                let Some(found) = self.outside(context, density, examples, &scores, other)? else {
                    return Ok(Ended::Interrupted);
                };
                Some(found)
            }
        };
        if let Some(output) = &self.output {
            write_scores(output, &scores, examples, d)?;
        }

        let plus = |e: Option<f64>| e.map_or_else(|| "unknown (one draw)".to_owned(), |e| format!("{e:.4}"));
        let mut text = format!(
            "{} examples of {} numbers, data noise level {level:.3e}\n\
             log-likelihood  {mean:.4} nats an example\n\
             bits/dim        {:.5}\n\
             standard error  {} nats over probes and passes, {} over examples\n\
             evaluations     {evaluations:.1} an example, each {}\n",
            scores.len(),
            density.model.dim(),
            bits(mean),
            plus(error),
            plus(over_data),
            density.probes.map_or_else(|| format!("with {d} pullbacks"), |k| format!("with {k} pullbacks")),
        );
        if let Some((by, most)) = change {
            let _ = writeln!(
                text,
                "integration     a tenth of the tolerance changes {} examples by {by:+.2e} nats on average, at most {most:.2e}",
                again.places.len()
            );
        }
        if let Some((lines, _)) = &outside {
            text.push_str(lines);
        }
        let json = json!({
            "nats": mean, "bits_per_dim": bits(mean), "standard_error": error, "standard_error_bits": error.map(|e| -bits(e)),
            "standard_error_over_examples": over_data, "evaluations": evaluations, "examples": scores.len(),
            "probes": density.probes, "passes": density.passes, "noise_level": level, "rtol": self.rtol,
            "integration": change.map(|(mean, most)| json!({ "mean_change": mean, "largest_change": most, "examples": again.places.len() })),
            "against": outside.map(|(_, json)| json), "output": self.output,
        });
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }

    /// Scores of other data beside these, and the area under the curve of each kind of score; `None` when interrupted.
    fn outside(
        &self,
        context: &Context,
        density: &Density<'_>,
        examples: &Examples<'_>,
        scores: &[Score],
        other: &str,
    ) -> Result<Option<(String, Value)>> {
        let data = open_for(density.model, other)?;
        // Labels of other data say nothing here; both sets are scored alike, by what the model is told of the first.
        let class = if examples.classes.is_some() { Some(self.class.as_deref().unwrap_or("none")) } else { None };
        let others = examples_of(density.model, &data, self.n, class)?;
        let inside = if self.class.is_some() || examples.classes.is_none() {
            scores.to_vec()
        } else {
            let plain = examples_of(density.model, examples.data, self.n, class)?;
            let Some(plain) = self.scores(context, density, &plain)? else { return Ok(None) };
            plain
        };
        let plain = examples_of(density.model, examples.data, self.n, class)?;
        let Some(outside) = self.scores(context, density, &others)? else { return Ok(None) };
        let nll = |scores: &[Score]| scores.iter().map(|s| -s.nats).collect::<Vec<_>>();
        let (a, b) = (nll(&inside), nll(&outside));
        let mut kinds = vec![("likelihood".to_owned(), a.clone(), b.clone())];
        // |NLL - mean NLL of the first set|, the mean of a member of it taken over the others.
        let total: f64 = a.iter().sum();
        let typical = |v: &f64, own: bool| {
            let n = a.len() as f64;
            if own { (v - (total - v) / (n - 1.0)).abs() } else { (v - total / n).abs() }
        };
        kinds.push((
            "typicality".into(),
            a.iter().map(|v| typical(v, true)).collect(),
            b.iter().map(|v| typical(v, false)).collect(),
        ));
        let process = density.model.process();
        let (start, end) = density.flow.times(process);
        let (low, high) = (process.at(start).ratio().ln(), process.at(end).ratio().ln());
        let levels = NORMS_AT.map(|f| (low + f * (high - low)).exp());
        let (near, far) = (density.score_norms(&plain, &levels), density.score_norms(&others, &levels));
        for (k, level) in levels.iter().enumerate() {
            let of = |norms: &[f64]| norms.iter().skip(k).step_by(levels.len()).copied().collect::<Vec<_>>();
            kinds.push((format!("score-norm {level:.3}"), of(&near), of(&far)));
        }
        let mut text = format!("against {other} ({} examples): AUROC, 0.5 tells nothing\n", outside.len());
        let mut rows = Vec::new();
        for (name, a, b) in &kinds {
            let area = auroc(a, b)?;
            let _ = writeln!(
                text,
                "  {name:<18} {:.4} +/- {:.4}   mean {:.4} and {:.4}",
                area.area,
                area.standard_error,
                mean(a),
                mean(b)
            );
            rows.push(json!({ "name": name, "auroc": area.area, "standard_error": area.standard_error, "mean": mean(a), "mean_against": mean(b) }));
        }
        Ok(Some((text, json!({ "data": other, "examples": outside.len(), "scores": rows }))))
    }
}

fn mean(v: &[f64]) -> f64 {
    v.iter().sum::<f64>() / v.len() as f64
}

/// Opens data for a model and refuses what has another shape.
pub(in crate::verbs) fn open_for(model: &Model, spec: &str) -> Result<Dataset> {
    let shape = model.meta().codec.shape();
    let mut options = data::OpenOptions::default();
    if let (Shape::Image { channels, height, width }, true) = (shape, Path::new(spec).is_dir()) {
        options.size = Some([height, width]);
        options.channels = match channels {
            1 => data::ChannelPolicy::Grey,
            3 => data::ChannelPolicy::Rgb,
            4 => data::ChannelPolicy::Rgba,
            _ => data::ChannelPolicy::Auto,
        };
    }
    let codec = &model.meta().codec;
    let table = [".csv", ".tsv", ".csv.gz", ".tsv.gz"].iter().any(|e| spec.to_lowercase().ends_with(e));
    if table {
        options.categorical = codec.categorical();
    }
    let mut data = data::open(spec, &options)?;
    if data.value() == data::Value::Byte && codec.levels().iter().all(|l| *l == Some(2)) {
        // Pictures for a model of bits.
        options.binarise = Some(0.5);
        data = data::open(spec, &options)?;
        data.report().notes.iter().for_each(|note| warn(&format!("note: {spec}: {note}")));
    }
    if let (true, Some(condition)) = (data.shape() != shape, &model.meta().condition)
        && matches!(condition.source, data::ConditionSource::Columns(_))
    {
        // A table like that of the training: the columns that were given to the model are not among what it models.
        options.condition = Some(condition.source.clone());
        data = data::open(spec, &options)?;
    }
    if data.shape() != shape {
        return Err(misuse(format!(
            "{spec}: {}, but the model takes {shape}; expected data like those it was trained on",
            data.shape()
        )));
    }
    Ok(codec.align(&data)?)
}

/// At most `n` examples, evenly spread, with the class the model is told of each: the one asked for, else the label of the data
/// where the model has a class of that name, else none.
pub(in crate::verbs) fn examples_of<'a>(model: &Model, data: &'a Dataset, n: usize, class: Option<&str>) -> Result<Examples<'a>> {
    let take = data.len().min(n);
    let places: Vec<usize> = (0..take).map(|k| k * data.len() / take).collect();
    let (codec, classes) = (&model.meta().codec, model.network().classes());
    let known = |place: &usize| {
        let name = data.classes().get(data.label(*place)? as usize)?;
        codec.classes().iter().position(|c| c == name).map(|c| c as u32)
    };
    let told = match class {
        None => (classes > 0).then(|| places.iter().map(known).collect()),
        Some(text) => match ClassChoice::parse(text, codec, classes)? {
            ClassChoice::None => (classes > 0).then(|| vec![None; take]),
            ClassChoice::One(c) => Some(vec![Some(c); take]),
            _ => {
                return Err(misuse(format!("--class {text}: expected one class or none; without it the data's labels are used")));
            }
        },
    };
    Ok(Examples { data, places, classes: told })
}

fn write_scores(path: &Path, scores: &[Score], examples: &Examples<'_>, d: f64) -> Result<()> {
    let column = |f: &dyn Fn(&Score) -> f64| scores.iter().map(f).collect::<Vec<f64>>();
    let columns = [
        column(&|s| s.nats),
        column(&|s| -s.nats / d / std::f64::consts::LN_2),
        column(&|s| s.error.unwrap_or(f64::NAN)),
        column(&|s| s.evaluations as f64),
    ];
    let names = ["example", "nats", "bits_per_dim", "standard_error", "evaluations"];
    write_columns(path, &names, examples, &columns.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// A table, or its first column as an array.
fn write_columns(path: &Path, names: &[&str], examples: &Examples<'_>, columns: &[&[f64]]) -> Result<()> {
    if path.extension().is_some_and(|e| e == "npy") {
        let values: Vec<f32> = columns[0].iter().map(|v| *v as f32).collect();
        return Ok(write::array(path, &values, &[values.len()])?);
    }
    let mut text = names.join(",") + "\n";
    for (i, place) in examples.places.iter().enumerate() {
        let numbers: Vec<String> = columns.iter().map(|c| if c[i].is_nan() { String::new() } else { c[i].to_string() }).collect();
        let _ = writeln!(text, "{place},{}", numbers.join(","));
    }
    write::atomic(path, |out| out.write_all(text.as_bytes())).map_err(|e| misuse(format!("{}: {e}", path.display())))
}
