//! The measurements: files, folders, examples by number.

use super::setup::{Setup, digest, rows_of, seen_shape};
use super::{Solve, noise};
use crate::failure::misuse;
use crate::verbs::nll::open_for;
use anyhow::Result;
use scorefield::control::Seen;
use scorefield::data::{Dataset, PictureFile, PictureKind, Shape, picture_files};
use scorefield::solve::{MOST_QUESTIONS, Problem, Question};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// One measurement.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// What its answer is called.
    pub name: String,
    /// What was measured, in natural units.
    pub y: Vec<f64>,
    /// The deviation of its noise in natural units, as the rule takes it.
    pub sigma: f64,
    /// What it was made from, where that is known.
    pub truth: Option<Vec<f32>>,
    /// The kind of file it came from.
    pub kind: Option<PictureKind>,
    /// How it is measured.
    pub problem: Arc<Problem>,
    /// The same in the model's units.
    pub question: Question,
}

/// What was read, before it is a measurement or what one is made of.
struct Read {
    name: String,
    /// Its number: the place in the folder or in the data.
    number: u64,
    values: Vec<f32>,
    /// Channels, height and width, of a picture.
    shape: Option<[usize; 3]>,
    kind: Option<PictureKind>,
}

impl Item {
    /// What tells this measurement, its truth and its number from others.
    pub(super) fn digest(&self) -> String {
        let truth = self.truth.iter().flatten().map(|v| u64::from(v.to_bits()));
        digest(self.y.iter().map(|v| v.to_bits()).chain(truth).chain([self.question.number, self.sigma.to_bits()]))
    }
}

impl Solve {
    /// The measurements, and whether there is one by itself.
    pub(super) fn items(&self, setup: &Setup<'_>) -> Result<(Vec<Item>, bool)> {
        let specs = &self.measurement;
        let whole = self.simulate || setup.edits();
        if specs.len() > 1 && (whole || specs.len() != setup.beside()) {
            let (n, tasks) = (specs.len(), setup.beside());
            let hint = if whole { "one is measured" } else { "one for each --task" };
            return Err(misuse(format!("MEASUREMENT: {n} are given, {tasks} --task; {hint} (many: a folder, or DATA@I..J)")));
        }
        let truths = self.truth.as_deref().map(|t| read(setup, None, t, true)).transpose()?;
        // A file for each of the measurements beside each other, or one of all numbers.
        let parts: Vec<Option<usize>> = if specs.len() > 1 { (0..specs.len()).map(Some).collect() } else { vec![None] };
        let sources: Vec<Vec<Read>> =
            specs.iter().zip(&parts).map(|(spec, of)| read(setup, *of, spec, whole)).collect::<Result<_>>()?;
        let (spec, count) = (&specs[0], sources[0].len());
        if let Some((other, found)) = specs.iter().zip(&sources).map(|(s, r)| (s, r.len())).find(|(_, n)| *n != count) {
            return Err(misuse(format!(
                "{other}: {found} measurements, but {spec}: {count}; they are of the same things in the same order"
            )));
        }
        if let Some(far) = sources[0].iter().find(|r| r.number >= MOST_QUESTIONS) {
            return Err(misuse(format!("{spec}: measurement {}; expected numbers below {MOST_QUESTIONS}", far.number)));
        }
        if let Some(truths) = &truths
            && truths.len() != count
        {
            let truth = self.truth.as_deref().unwrap_or_default();
            return Err(misuse(format!("--truth {truth}: {} examples for {count} measurements", truths.len())));
        }
        let single = count == 1 && !Path::new(spec).is_dir();
        let mut problems = Problems::default();
        let mut items = Vec::with_capacity(count);
        for place in 0..count {
            let one: Vec<(Option<usize>, &Read)> = parts.iter().copied().zip(sources.iter().map(|s| &s[place])).collect();
            let size = size(setup, &one, whole)?;
            let problem = problems.of(setup, None, size)?;
            let truth = match &truths {
                Some(truths) => Some(as_state(setup, &truths[place], &problem)?),
                None => None,
            };
            items.push(item(setup, &one, truth, &problem, &mut problems, (self.seed, self.simulate))?);
        }
        names_apart(&mut items);
        Ok((items, single))
    }
}

/// Problems that were made already, by the measurement they are of and the size of the whole.
#[derive(Default)]
struct Problems(Vec<(Option<usize>, Arc<Problem>)>);

impl Problems {
    fn of(&mut self, setup: &Setup<'_>, of: Option<usize>, whole: Option<[usize; 2]>) -> Result<Arc<Problem>> {
        if let Some((_, problem)) = self.0.iter().find(|(which, p)| *which == of && p.whole() == whole) {
            return Ok(problem.clone());
        }
        let problem = Arc::new(setup.problem(of, whole)?);
        self.0.push((of, problem.clone()));
        Ok(problem)
    }
}

/// An example of a data set whose measurement is simulated.
pub(super) fn simulated(setup: &Setup<'_>, problem: &Arc<Problem>, natural: Vec<f32>, number: u64, seed: u64) -> Result<Item> {
    let read = Read { name: format!("{number:06}"), number, values: natural, shape: None, kind: None };
    item(setup, &[(None, &read)], None, problem, &mut Problems::default(), (seed, true))
}

/// One measurement of what was read, beside each other, of the whole or each of its own task.
fn item(
    setup: &Setup<'_>,
    one: &[(Option<usize>, &Read)],
    truth: Option<Vec<f32>>,
    problem: &Arc<Problem>,
    problems: &mut Problems,
    (seed, simulate): (u64, bool),
) -> Result<Item> {
    let first = one[0].1;
    let (name, number, problem) = (first.name.clone(), first.number, problem.clone());
    let kind = one.iter().find_map(|(_, read)| read.kind);
    if setup.edits() {
        let natural = as_state(setup, first, &problem)?;
        let question = Question { number, y: problem.state(&natural), sigma: 0.0 };
        let y = natural.iter().map(|v| f64::from(*v)).collect();
        return Ok(Item { name, y, sigma: 0.0, truth: None, kind, problem, question });
    }
    let (y, truth) = if simulate {
        let natural = as_state(setup, first, &problem)?;
        (noise::drawn(&setup.law, &problem.measure(&natural), seed, number), Some(natural))
    } else {
        let mut y = Vec::with_capacity(problem.outputs());
        for (of, read) in one {
            let own = problems.of(setup, *of, problem.whole())?;
            let part = as_measurement(setup, *of, read, &own)?;
            if setup.keeps_bounds() {
                own.within(&read.name, &part, noise::largest(&setup.law, &part))?;
            }
            y.extend(part);
        }
        (y, truth)
    };
    let sigma = noise::deviation(&setup.law, &y);
    let question = problem.question(number, &y, sigma).map_err(|e| misuse(format!("{name}: {e}")))?;
    Ok(Item { name, y, sigma, truth, kind, problem, question })
}

/// What a name stands for: pictures each as it is, or examples of a data set; `whole` ones are of the model's shape.
fn read(setup: &Setup<'_>, of: Option<usize>, spec: &str, whole: bool) -> Result<Vec<Read>> {
    let path = Path::new(spec);
    let pictures = matches!(setup.codec().shape(), Shape::Image { .. });
    // A folder without one picture is that of a data set in other files.
    let of_pictures = path.is_dir() && picture_files(path).is_ok();
    if pictures && (of_pictures || PictureFile::is_one(path)) {
        let file = |(place, (name, path)): (usize, (String, std::path::PathBuf))| -> Result<Read> {
            let picture = PictureFile::read(&path)?;
            let name = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).replace('/', "_");
            let shape = Some([picture.channels, picture.height, picture.width]);
            Ok(Read { name, number: place as u64, values: picture.values, shape, kind: Some(picture.kind) })
        };
        return picture_files(path)?.into_iter().enumerate().map(file).collect();
    }
    let (name, places) = match spec.rsplit_once('@') {
        Some((name, places)) if !path.exists() => (name, Some(places)),
        _ => (spec, None),
    };
    let seen = if setup.tiles() { None } else { Some(setup.problem(of, None)?.seen()) };
    // Of a part of the model's own shape the whole is given, as a data set has it.
    let own = |seen: Seen| matches!(seen, Seen::Part(shape) if shape.entries() == setup.codec().shape().len());
    if whole || seen.is_some_and(own) && !name.ends_with(".npy") {
        let data = open_for(setup.model, name)?;
        return chosen(&data, spec, places);
    }
    let (values, d) = rows_of(name)?;
    // One measurement may be an array of any shape; many are rows.
    let expected = seen.map(|seen| match seen {
        Seen::Picture(shape) | Seen::Part(shape) => shape.entries(),
        Seen::Numbers(m) => m,
    });
    let d = if expected == Some(values.len()) { values.len() } else { d };
    let count = values.len() / d.max(1);
    let range = range_of(spec, places, count)?;
    let one = |i: usize| Read {
        name: format!("{i:06}"),
        number: i as u64,
        values: values[i * d..(i + 1) * d].to_vec(),
        shape: None,
        kind: None,
    };
    Ok(range.map(one).collect())
}

/// Examples of a data set by number: `I`, `I..J`, or all.
fn chosen(data: &Dataset, spec: &str, places: Option<&str>) -> Result<Vec<Read>> {
    let range = range_of(spec, places, data.len())?;
    let row = |i: usize| {
        let mut values = vec![0.0; data.shape().len()];
        data.row(i, &mut values);
        Read { name: format!("{i:06}"), number: i as u64, values, shape: None, kind: None }
    };
    Ok(range.map(row).collect())
}

fn range_of(spec: &str, places: Option<&str>, count: usize) -> Result<std::ops::Range<usize>> {
    let Some(places) = places else { return Ok(0..count) };
    let found = match places.split_once("..") {
        Some((from, to)) => from.parse().ok().zip(to.parse().ok()).map(|(from, to)| from..to),
        None => places.parse::<usize>().ok().map(|i| i..i.saturating_add(1)),
    };
    let found = found.ok_or_else(|| misuse(format!("{spec}: expected DATA@I or DATA@I..J")))?;
    if found.is_empty() || found.end > count {
        return Err(misuse(format!("{spec}: there are {count} examples, numbered from 0")));
    }
    Ok(found)
}

/// The height and width of the whole where it is tiled: what was read, as many times larger as its task made it smaller.
fn size(setup: &Setup<'_>, one: &[(Option<usize>, &Read)], whole: bool) -> Result<Option<[usize; 2]>> {
    if !setup.tiles() {
        return Ok(None);
    }
    let mut known: Option<(&str, [usize; 2])> = None;
    for (of, read) in one {
        let name = &read.name;
        let Some([_, height, width]) = read.shape else {
            return Err(misuse(format!("--tile: {name} is no picture file; other data are of the model's size")));
        };
        let factor = if whole { 1 } else { setup.factor(*of) };
        let size = [height * factor, width * factor];
        match known {
            Some((other, [h, w])) if [h, w] != size => {
                return Err(misuse(format!(
                    "{name}: of a picture of {} x {} pixels, but {other}: of {w} x {h}",
                    size[1], size[0]
                )));
            }
            _ => known = Some((name, size)),
        }
    }
    Ok(known.map(|(_, size)| size))
}

/// What was read as natural values of a state.
fn as_state(setup: &Setup<'_>, read: &Read, problem: &Problem) -> Result<Vec<f32>> {
    let expected = match (setup.codec().shape(), problem.whole()) {
        (Shape::Image { channels, .. }, Some([height, width])) => Some([channels, height, width]),
        (Shape::Image { channels, height, width }, None) => Some([channels, height, width]),
        _ => None,
    };
    fitted(setup, read, expected, problem.inputs(), "the model makes")
}

/// What was read as the numbers of a measurement.
fn as_measurement(setup: &Setup<'_>, of: Option<usize>, read: &Read, problem: &Problem) -> Result<Vec<f64>> {
    let seen = problem.seen();
    let expected = match seen {
        Seen::Picture(shape) | Seen::Part(shape) => shape.entries(),
        Seen::Numbers(m) => m,
    };
    if let (Seen::Numbers(m), Some(_)) = (seen, read.shape) {
        return Err(misuse(format!(
            "{}: a picture, but {} gives {m} numbers: {}an array (.npy), or --simulate if this is what was measured",
            read.name,
            setup.task_of(of),
            if of.is_none() && setup.beside() > 1 { "a file for each --task, " } else { "" }
        )));
    }
    let values = fitted(setup, read, seen_shape(seen), expected, &format!("{} gives", setup.task_of(of)))?;
    // Of a part that is known the whole is given.
    if let Some(kept) = problem.kept() {
        return Ok(kept.iter().map(|i| f64::from(values[*i])).collect());
    }
    Ok(values.into_iter().map(f64::from).collect())
}

fn fitted(setup: &Setup<'_>, read: &Read, shape: Option<[usize; 3]>, expected: usize, who: &str) -> Result<Vec<f32>> {
    let name = &read.name;
    let (Some(found), Some(shape)) = (read.shape, shape) else {
        if read.values.len() != expected {
            let found = read.values.len();
            return Err(misuse(format!(
                "{name}: {found} numbers, but {who} {expected} of an example of {}",
                setup.codec().shape()
            )));
        }
        return Ok(read.values.clone());
    };
    if found[1..] != shape[1..] {
        let larger = found[1] >= shape[1] && found[2] >= shape[2];
        let hint = match (larger, setup.tiles()) {
            (true, false) => "; --tile takes larger ones",
            _ => "",
        };
        return Err(misuse(format!(
            "{name}: a picture of {} x {} pixels, but {who} {} x {}{hint}",
            found[2], found[1], shape[2], shape[1]
        )));
    }
    let kind = read.kind.unwrap_or(PictureKind::Png { deep: false });
    let picture = PictureFile { channels: found[0], height: found[1], width: found[2], values: read.values.clone(), kind };
    let fits = picture.with_channels(shape[0]).ok_or_else(|| {
        misuse(format!(
            "{name}: a picture of {} channels, which cannot be {} without a loss of colour or transparency",
            found[0], shape[0]
        ))
    })?;
    // White is the highest value of the data, whatever that is.
    let (low, high) = setup.codec().bounds().unwrap_or((0.0, 255.0));
    Ok(fits.values.iter().map(|v| (low + f64::from(*v) / 255.0 * (high - low)) as f32).collect())
}

/// Two files of one name but their endings are told apart by a number.
fn names_apart(items: &mut [Item]) {
    // Some file systems do not tell capitals apart, and two names are taken.
    let mut taken: HashSet<String> = ["scores.csv", "solve.json"].map(String::from).into();
    for item in items {
        let name = item.name.clone();
        let mut count = 1;
        while !taken.insert(item.name.to_lowercase()) {
            count += 1;
            item.name = format!("{name}-{count}");
        }
    }
}
