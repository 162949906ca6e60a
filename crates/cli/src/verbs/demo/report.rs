//! The demo's report: one JSON for scripts, one page for people.

use super::score::Scores;
use anyhow::{Context as _, Result};
use scorefield::data::write;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Everything a report says.
#[derive(Debug)]
pub(super) struct Report {
    pub quick: bool,
    pub seconds: f64,
    pub trained_seconds: f64,
    pub steps: u64,
    pub parameters: usize,
    pub training: usize,
    pub held_out: usize,
    pub samples: u64,
    pub scores: Scores,
    pub restore_sigma: f64,
    pub restore_psnr_noisy: f64,
    pub restore_psnr_mean: f64,
    pub pictures: Vec<String>,
}

impl Report {
    /// Writes `report.json` and `report.md`, and returns the JSON and what is said on stdout.
    pub(super) fn write(&self, out: &Path) -> Result<(Value, String)> {
        let s = &self.scores;
        let m = &s.memorisation;
        let recognised: Vec<Value> = s.recognised.iter().map(|r| json!({ "right": r.0, "of": r.1 })).collect();
        let json = json!({
            "quick": self.quick, "seconds": self.seconds, "training_seconds": self.trained_seconds, "steps": self.steps,
            "parameters": self.parameters, "samples": self.samples, "class_accuracy": s.class_accuracy,
            "real_accuracy": s.real_accuracy, "recognised": recognised, "energy_distance": s.energy_distance,
            "energy_distance_real": s.energy_distance_real, "energy_distance_standard_error": s.energy_distance_error,
            "nearest_distance": m.samples, "nearest_distance_held_out": m.held_out, "copies": m.copies,
            "copies_held_out": m.held_out_copies, "restore_sigma": self.restore_sigma, "restore_psnr_noisy": self.restore_psnr_noisy,
            "restore_psnr_mean": self.restore_psnr_mean, "pictures": self.pictures, "model": "model.safetensors",
        });
        save(&out.join("report.json"), &format!("{}\n", serde_json::to_string_pretty(&json)?))?;
        let page = self.page();
        save(&out.join("report.md"), &page)?;
        Ok((json, format!("{}\nPictures and report in {}", self.summary(), out.display())))
    }

    fn summary(&self) -> String {
        let s = &self.scores;
        let quick = if self.quick { "QUICK RUN, not the demo's real figures. " } else { "" };
        format!(
            "{quick}{} steps and {} samples in {:.0} s.\n\
             Recognised as the class asked for: {:.1} % of samples; of held-out digits {:.1} % are recognised.\n\
             Energy distance to held-out digits: {:.4}; between two sets of real digits {:.4} (ratio {:.2}).\n\
             Median distance to the nearest digit learned from: {:.2}; for held-out digits {:.2}. Copies: {:.1} %; {:.1} %.\n\
             Restored from noise of level {:.2}: {:.1} dB before, {:.1} dB by the mean of the samples.",
            self.steps,
            self.samples,
            self.seconds,
            100.0 * s.class_accuracy,
            100.0 * s.real_accuracy,
            s.energy_distance,
            s.energy_distance_real,
            s.energy_distance / s.energy_distance_real,
            s.memorisation.samples,
            s.memorisation.held_out,
            100.0 * s.memorisation.copies,
            100.0 * s.memorisation.held_out_copies,
            self.restore_sigma,
            self.restore_psnr_noisy,
            self.restore_psnr_mean,
        )
    }

    fn page(&self) -> String {
        let title = if self.quick { "scorefield demo (quick run)" } else { "scorefield demo" };
        let mut page = format!("# {title}\n\n{}\n\n", self.summary());
        let _ = writeln!(
            page,
            "A network of {} parameters learned from {} of the 1,797 digits; {} were held out. A sample counts as recognised when \
             three nearest training digits vote for the class it was asked for. Energy distances are V-statistics between equally \
             many rows in model units, standard error {:.4}.\n",
            self.parameters, self.training, self.held_out, self.scores.energy_distance_error
        );
        page.push_str("| class | recognised | of |\n|---|---|---|\n");
        for (class, (right, of)) in self.scores.recognised.iter().enumerate() {
            let _ = writeln!(page, "| {class} | {right} | {of} |");
        }
        page.push('\n');
        for name in &self.pictures {
            let _ = writeln!(page, "![{name}]({name})\n");
        }
        page
    }
}

fn save(path: &Path, text: &str) -> Result<()> {
    write::atomic(path, |out| out.write_all(text.as_bytes())).with_context(|| path.display().to_string())
}
