//! What stands in the folder of an answer.
//!
//! `samples/` and `measured-again/` (pictures of the measurement's kind and depth, or arrays), `mean`, `spread`, a picture for each quantile,
//! `measurement`, `sheet.png`, all numbers in `arrays.npz`, `scores.csv`, `report.json`.

use super::items::Item;
use super::report::{HEAD, Report, natural, shape_of};
use super::setup::{Setup, seen_shape};
use crate::failure::misuse;
use anyhow::{Context as _, Result};
use scorefield::control::operator::{Stop, pseudo_inverse};
use scorefield::data::write::{self, Picture};
use scorefield::data::{PictureFile, PictureKind};
use scorefield::solve::{Answer, MOST_COMPARED, Posterior, Problem};
use serde_json::Value;
use std::path::Path;

/// The figures of an answer, whose presence says that the answer is whole.
pub(super) const REPORT: &str = "report.json";

/// What the answers of a folder depend on.
const SETTINGS: &str = "solve.json";

/// A spread of this share of the range is white.
const WHITE: f64 = 0.25;

/// Makes the folder of many answers, and refuses one of other settings; whether there may be answers in it already.
pub(super) fn prepare(output: &Path, single: bool, settings: &Value) -> Result<bool> {
    let file = output.join(SETTINGS);
    if file.is_file() {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let other: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if &other != settings && has_answers(output) {
            let differ = |key: &&String| other.get(key.as_str()) != settings.get(key.as_str());
            let keys: Vec<String> = settings.as_object().into_iter().flat_map(|o| o.keys()).filter(differ).cloned().collect();
            return Err(misuse(format!(
                "{}: holds answers under other settings ({} differ); take another folder with -o",
                output.display(),
                keys.join(", ")
            )));
        }
        if &other == settings {
            return Ok(true);
        }
        // Nothing came of the earlier call.
        json(&file, settings)?;
        return Ok(false);
    }
    let taken = output.is_file() || output.is_dir() && std::fs::read_dir(output)?.next().is_some();
    if taken {
        return Err(misuse(format!(
            "{}: is there already and holds other things; take another folder with -o",
            output.display()
        )));
    }
    if single {
        // An empty folder is in the way of the whole one that takes its name.
        if output.is_dir() {
            std::fs::remove_dir(output)?;
        }
        return Ok(false);
    }
    std::fs::create_dir_all(output)?;
    json(&file, settings)?;
    Ok(false)
}

/// Whether an answer stands in a folder or below it.
fn has_answers(output: &Path) -> bool {
    let below = || std::fs::read_dir(output).into_iter().flatten().flatten();
    output.join(REPORT).is_file() || below().any(|e| e.path().join(REPORT).is_file())
}

fn json(path: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    write::atomic(path, |out| out.write_all(text.as_bytes())).with_context(|| path.display().to_string())
}

/// The table of all answers.
pub(super) fn scores(output: &Path, reports: &[Report]) -> Result<()> {
    let path = output.join("scores.csv");
    let text: String = [HEAD.to_owned()].into_iter().chain(reports.iter().map(Report::lines)).collect();
    write::atomic(&path, |out| out.write_all(text.as_bytes())).with_context(|| path.display().to_string())
}

/// One answer, whole or not at all.
pub(super) fn answer(
    setup: &Setup<'_>,
    problem: &Problem,
    item: &Item,
    answer: &Answer,
    report: &Report,
    folder: &Path,
    settings: Option<&Value>,
) -> Result<()> {
    let samples = natural(setup, problem, item, &answer.states);
    let posterior = Posterior::of(&samples, problem.inputs(), &setup.shares);
    write::atomic_folder(folder, |inside| -> Result<()> {
        arrays(setup, problem, item, &samples, &posterior, &inside.join("arrays.npz"))?;
        if let Some(shape) = shape_of(setup, problem) {
            pictures(setup, problem, item, (&samples, shape), &posterior, inside)?;
        } else {
            write::samples(&inside.join("samples.csv"), &answer.states, samples.len() / problem.inputs(), setup.codec())?;
        }
        let path = inside.join("scores.csv");
        let text = format!("{HEAD}{}", report.lines());
        write::atomic(&path, |out| out.write_all(text.as_bytes()))?;
        if let Some(settings) = settings {
            json(&inside.join(SETTINGS), settings)?;
        }
        json(&inside.join(REPORT), &serde_json::to_value(report)?)
    })
}

/// All numbers, in natural units.
fn arrays(setup: &Setup<'_>, problem: &Problem, item: &Item, samples: &[f32], posterior: &Posterior, path: &Path) -> Result<()> {
    let d = problem.inputs();
    let k = samples.len() / d;
    let compared = k.min(MOST_COMPARED);
    let shape: Vec<usize> = shape_of(setup, problem).map_or_else(|| vec![d], |s| s.to_vec());
    let of = |first: &[usize]| -> Vec<usize> { first.iter().chain(&shape).copied().collect() };
    let again: Vec<f32> = samples.chunks_exact(d).flat_map(|x| problem.measure(x)).map(|v| v as f32).collect();
    let y: Vec<f32> = item.y.iter().map(|v| *v as f32).collect();
    let quantiles: Vec<f32> = posterior.quantiles.concat();
    let shares: Vec<f32> = setup.shares.iter().map(|p| *p as f32).collect();
    let (all, one, some) = (of(&[k]), of(&[]), of(&[shares.len()]));
    let measured = [y.len()];
    let (many, pairs, levels) = ([k, problem.outputs()], [compared, compared], [shares.len()]);
    let mut list: Vec<(&str, &[f32], &[usize])> = vec![
        ("samples", samples, &all),
        ("mean", &posterior.mean, &one),
        ("deviation", &posterior.deviation, &one),
        ("quantiles", &quantiles, &some),
        ("levels", &shares, &levels),
        ("distances", &posterior.distances, &pairs),
        ("measurement", &y, &measured),
        ("measured_again", &again, &many),
    ];
    if let Some(truth) = &item.truth {
        list.push(("truth", truth, &one));
    }
    Ok(write::arrays(path, &list)?)
}

/// The pictures, and the sheet of all.
fn pictures(
    setup: &Setup<'_>,
    problem: &Problem,
    item: &Item,
    (samples, shape): (&[f32], [usize; 3]),
    posterior: &Posterior,
    inside: &Path,
) -> Result<()> {
    let (d, kind) = (problem.inputs(), item.kind.unwrap_or(PictureKind::Png { deep: false }));
    let [channels, height, width] = shape;
    let bounds = setup.codec().bounds().unwrap_or((0.0, 255.0));
    let bytes = |values: &[f32]| -> Vec<f32> {
        values.iter().map(|v| ((f64::from(*v) - bounds.0) / (bounds.1 - bounds.0) * 255.0) as f32).collect()
    };
    let savable = (1..=4).contains(&channels);
    let save = |values: &[f32], [channels, height, width]: [usize; 3], path: &Path| -> Result<()> {
        let kind = if matches!(channels, 2 | 4) && kind == PictureKind::Jpeg { PictureKind::Png { deep: false } } else { kind };
        let picture = PictureFile { channels, height, width, values: bytes(values), kind };
        Ok(picture.save(&path.with_extension(kind.ending()))?)
    };
    // The spread of all channels together, as grey.
    let plane = height * width;
    let spread: Vec<f32> = (0..plane)
        .map(|p| {
            let square: f64 = (0..channels).map(|c| f64::from(posterior.deviation[c * plane + p]).powi(2)).sum();
            ((square / channels as f64).sqrt() / (WHITE * (bounds.1 - bounds.0)) * (bounds.1 - bounds.0) + bounds.0) as f32
        })
        .collect();
    save(&spread, [1, height, width], &inside.join("spread"))?;
    if savable {
        std::fs::create_dir(inside.join("samples"))?;
        for (i, x) in samples.chunks_exact(d).enumerate() {
            save(x, shape, &inside.join(format!("samples/{i:04}")))?;
        }
        save(&posterior.mean, shape, &inside.join("mean"))?;
        for (share, quantile) in setup.shares.iter().zip(&posterior.quantiles) {
            // The dot of 0.05 must not be taken for that of an ending.
            save(quantile, shape, &inside.join(format!("quantile-{}", format!("{share}").replace('.', "_"))))?;
        }
    }
    let seen = seen_shape(problem.seen()).filter(|s| !setup.edits() && (1..=4).contains(&s[0]));
    let again = |x: &[f32]| -> Vec<f32> { shown(problem, &problem.measure(x)) };
    let measured = if setup.edits() { item.y.iter().map(|v| *v as f32).collect() } else { shown(problem, &item.y) };
    let look = |values: &[f32], shape: [usize; 3]| picture(&bytes(values), shape);
    let mut sheet = Vec::new();
    sheet.extend(item.truth.as_deref().map(|t| look(t, shape)));
    if let Some(seen) = seen {
        save(&measured, seen, &inside.join("measurement"))?;
        std::fs::create_dir(inside.join("measured-again"))?;
        for (i, x) in samples.chunks_exact(d).enumerate() {
            save(&again(x), seen, &inside.join(format!("measured-again/{i:04}")))?;
        }
        let small = look(&measured, seen);
        let k = (height / seen[1].max(1)).max(1);
        sheet.push(if seen[1] * k == height && seen[2] * k == width { small.enlarged(k) } else { look(&posterior.mean, shape) });
    } else if setup.edits() {
        sheet.push(look(&measured, shape));
    } else if let Ok(back) =
        pseudo_inverse(problem.operator(item.question.sigma), &item.question.y, Stop { tolerance: 1e-4, limit: 50 })
    {
        // The shortest state that gives what was measured.
        let state: Vec<f32> = back.x.iter().map(|v| *v as f32).collect();
        sheet.push(look(&problem.natural(&state), shape));
    }
    sheet.push(look(&posterior.mean, shape));
    sheet.push(picture(&bytes(&spread), [1, height, width]));
    sheet.extend(posterior.quantiles.iter().map(|q| look(q, shape)));
    sheet.extend(samples.chunks_exact(d).take(64).map(|x| look(x, shape)));
    let columns = if sheet.len() <= 10 { sheet.len() } else { 10 };
    write::grid(&sheet, columns).save_png(&inside.join("sheet.png"))?;
    Ok(())
}

/// A measurement as it is shown: the known part of a picture with the rest in black.
fn shown(problem: &Problem, y: &[f64]) -> Vec<f32> {
    let (Some(kept), Some([c, h, w])) = (problem.kept(), seen_shape(problem.seen())) else {
        return y.iter().map(|v| *v as f32).collect();
    };
    let mut out = vec![0.0; c * h * w];
    kept.iter().zip(y).for_each(|(place, v)| out[*place] = *v as f32);
    out
}

/// Bytes of a picture; grey and alpha as RGBA, channels that are no colours by their mean.
fn picture(values: &[f32], [channels, height, width]: [usize; 3]) -> Picture {
    let plane = height * width;
    if channels == 2 {
        let grey = &values[..plane];
        return picture(&[grey, grey, grey, &values[plane..]].concat(), [4, height, width]);
    }
    let shown = if matches!(channels, 1 | 3 | 4) { channels } else { 1 };
    let byte = |v: f32| v.clamp(0.0, 255.0).round() as u8;
    let mean = |p: usize| (0..channels).map(|c| values[c * plane + p]).sum::<f32>() / channels as f32;
    let bytes = (0..plane).flat_map(|p| (0..shown).map(move |c| (p, c)));
    let bytes = bytes.map(|(p, c)| byte(if shown == channels { values[c * plane + p] } else { mean(p) })).collect();
    Picture { width, height, channels: shown, bytes }
}
