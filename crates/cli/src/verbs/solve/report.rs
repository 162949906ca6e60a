//! How good an answer is: against the truth, where that is known, and against the measurement.

use super::items::Item;
use super::setup::Setup;
use anyhow::{Context as _, Result};
use scorefield::data::{PictureKind, Value};
use scorefield::eval::{psnr, ssim};
use scorefield::solve::{Answer, Posterior, Problem};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// The figures of one measurement's answer; those that need the truth are none without.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub name: String,
    /// What tells its measurement from others.
    #[serde(default)]
    pub digest: String,
    /// PSNR of every sample in dB.
    pub psnr: Vec<f64>,
    /// SSIM of every sample.
    pub ssim: Vec<f64>,
    /// The same of the samples' mean.
    pub psnr_of_mean: Option<f64>,
    pub ssim_of_mean: Option<f64>,
    /// Root mean square error of every sample in natural units.
    pub rmse: Vec<f64>,
    /// Root mean square of `y - A(sample)` in natural units.
    pub consistency: Vec<f64>,
    /// The deviation of the measurement's noise in natural units.
    pub noise: f64,
    /// Mean root mean square distance between samples.
    pub distance: Option<f64>,
    /// Of particles the smallest effective number of every sample.
    pub effective: Vec<f64>,
}

/// The samples in natural units as they are written: whole grey levels unless the measurement has 16 bits.
pub(super) fn natural(setup: &Setup<'_>, problem: &Problem, item: &Item, states: &[f32]) -> Vec<f32> {
    let deep = item.kind == Some(PictureKind::Png { deep: true });
    let whole = setup.codec().value() == Value::Byte && !deep;
    let values = states.chunks_exact(problem.inputs()).flat_map(|state| problem.natural(state));
    values.map(|v| if whole { v.round() } else { v }).collect()
}

impl Report {
    pub(super) fn of(setup: &Setup<'_>, problem: &Problem, item: &Item, answer: &Answer) -> Self {
        let samples = natural(setup, problem, item, &answer.states);
        let d = problem.inputs();
        let posterior = Posterior::of(&samples, d, &[]);
        let off = |x: &[f32]| {
            let again = problem.measure(x);
            (item.y.iter().zip(&again).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / again.len() as f64).sqrt()
        };
        let mut report = Self {
            name: item.name.clone(),
            digest: item.digest(),
            consistency: if setup.edits() { Vec::new() } else { samples.chunks_exact(d).map(off).collect() },
            noise: item.sigma,
            distance: posterior.mean_distance(),
            effective: answer.effective.clone(),
            ..Self::default()
        };
        let Some(truth) = &item.truth else { return report };
        let error = |x: &[f32]| (x.iter().zip(truth).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / d as f64).sqrt();
        report.rmse = samples.chunks_exact(d).map(error).collect();
        if let (Some((low, high)), Some([c, h, w])) = (setup.codec().bounds(), shape_of(setup, problem)) {
            let peak = high - low;
            let ratio = |x: &[f32]| psnr(x, truth, peak).min(MOST_PSNR);
            report.psnr = samples.chunks_exact(d).map(ratio).collect();
            report.psnr_of_mean = Some(ratio(&posterior.mean));
            report.ssim = samples.chunks_exact(d).map(|x| ssim(x, truth, (c, h, w), peak)).collect();
            report.ssim_of_mean = Some(ssim(&posterior.mean, truth, (c, h, w), peak));
        }
        report
    }

    /// Reads what an earlier call wrote.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| {
            format!("{}: no report of this program: take another folder, or remove the one it is in", path.display())
        })
    }

    /// Lines of a table: a sample each, and their mean.
    pub(super) fn lines(&self) -> String {
        let mut out = String::new();
        let at = |of: &[f64], i: usize| of.get(i).map_or(String::new(), |v| format!("{v:.6}"));
        let name =
            if self.name.contains([',', '"']) { format!("\"{}\"", self.name.replace('"', "\"\"")) } else { self.name.clone() };
        let count = [self.consistency.len(), self.rmse.len(), self.effective.len()].into_iter().max().unwrap_or_default();
        for i in 0..count {
            let columns = [&self.psnr, &self.ssim, &self.rmse, &self.consistency].map(|of| at(of, i));
            let _ = writeln!(out, "{name},{i},{},{:.6},{}", columns.join(","), self.noise, at(&self.effective, i));
        }
        let mean = |of: &[f64]| mean(of.iter().copied()).map_or(String::new(), |v| format!("{v:.6}"));
        let columns = [&self.psnr, &self.ssim, &self.rmse, &self.consistency].map(|of| mean(of));
        let _ = writeln!(out, "{name},mean over samples,{},{:.6},{}", columns.join(","), self.noise, mean(&self.effective));
        if let (Some(psnr), Some(ssim)) = (self.psnr_of_mean, self.ssim_of_mean) {
            let _ = writeln!(out, "{name},posterior mean,{psnr:.6},{ssim:.6},,,{:.6},", self.noise);
        }
        out
    }
}

/// PSNR is not told above this: of equal pictures it is infinite, and one of them would be the mean of all.
const MOST_PSNR: f64 = 100.0;

/// The head of the table that [`Report::lines`] are of.
pub(super) const HEAD: &str = "name,sample,psnr,ssim,rmse,consistency,noise,effective\n";

/// Channels, height and width of what is solved for, if it is a picture.
pub(super) fn shape_of(setup: &Setup<'_>, problem: &Problem) -> Option<[usize; 3]> {
    let scorefield::data::Shape::Image { channels, height, width } = setup.codec().shape() else { return None };
    let [height, width] = problem.whole().unwrap_or([height, width]);
    Some([channels, height, width])
}

fn mean(of: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0u64);
    for v in of.filter(|v| v.is_finite()) {
        (sum, n) = (sum + v, n + 1);
    }
    (n > 0).then(|| sum / n as f64)
}

/// Means over all measurements and samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    pub psnr: Option<f64>,
    pub ssim: Option<f64>,
    pub psnr_of_mean: Option<f64>,
    pub ssim_of_mean: Option<f64>,
    pub rmse: Option<f64>,
    pub consistency: Option<f64>,
    pub noise: Option<f64>,
    pub distance: Option<f64>,
    pub effective: Option<f64>,
}

impl Summary {
    pub(super) fn of(reports: &[Report]) -> Self {
        let all = |of: fn(&Report) -> &[f64]| mean(reports.iter().flat_map(|r| of(r).iter().copied()));
        let one = |of: fn(&Report) -> Option<f64>| mean(reports.iter().filter_map(of));
        Self {
            psnr: all(|r| &r.psnr),
            ssim: all(|r| &r.ssim),
            psnr_of_mean: one(|r| r.psnr_of_mean),
            ssim_of_mean: one(|r| r.ssim_of_mean),
            rmse: all(|r| &r.rmse),
            consistency: all(|r| &r.consistency),
            noise: one(|r| Some(r.noise)),
            distance: one(|r| r.distance),
            effective: all(|r| &r.effective),
        }
    }

    /// Lines for a person.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        if let (Some(psnr), Some(ssim)) = (self.psnr, self.ssim) {
            let _ = write!(out, "samples against the truth: PSNR {psnr:.2} dB, SSIM {ssim:.4}");
            if let (Some(psnr), Some(ssim)) = (self.psnr_of_mean, self.ssim_of_mean) {
                let _ = write!(out, "; their mean: {psnr:.2} dB, {ssim:.4}");
            }
            out.push('\n');
        } else if let Some(rmse) = self.rmse {
            let _ = writeln!(out, "samples against the truth: root mean square error {rmse:.4}");
        }
        if let (Some(consistency), Some(noise)) = (self.consistency, self.noise) {
            let _ = writeln!(out, "samples measured again against the measurement: {consistency:.3} (noise {noise:.3})");
        }
        if let Some(distance) = self.distance {
            let _ = writeln!(out, "two samples of one measurement differ by {distance:.3} (root mean square)");
        }
        if let Some(effective) = self.effective {
            let _ = writeln!(out, "effective particles, the smallest on the way: {effective:.1}");
        }
        out
    }
}
