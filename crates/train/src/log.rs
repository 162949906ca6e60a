//! `metrics.jsonl` and TensorBoard events of a run.

use crate::TrainError;
use crate::event::StepReport;
use crate::run::RunFolder;
use crate::tensorboard::EventFile;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes the figures of a run as it goes.
#[derive(Debug)]
pub(crate) struct Log {
    metrics: File,
    /// Whole lines on their way: a reader never sees half of one.
    lines: Vec<u8>,
    path: PathBuf,
    events: EventFile,
}

impl Log {
    pub(crate) fn open(run: &RunFolder) -> Result<Self, TrainError> {
        let path = run.metrics();
        let io = |source| TrainError::Io { path: path.clone(), source };
        let metrics = OpenOptions::new().create(true).append(true).open(&path).map_err(io)?;
        let events = EventFile::create(&run.path().join("events")).map_err(io)?;
        Ok(Self { metrics, lines: Vec::new(), path, events })
    }

    /// Every step goes to `metrics.jsonl`; TensorBoard gets every tenth.
    pub(crate) fn step(&mut self, r: &StepReport) -> Result<(), TrainError> {
        let line = json!({
            "step": r.step, "loss": r.loss, "trivial": r.trivial, "lr": r.lr, "grad_norm": r.grad_norm,
            "examples_per_second": r.examples_per_second, "seconds": r.seconds,
        });
        self.lines.extend(line.to_string().bytes().chain([b'\n']));
        if self.lines.len() > 1 << 13 {
            self.write_lines()?;
        }
        if r.step % 10 == 1 {
            let curves = [
                ("train/loss", r.loss),
                ("train/loss_over_trivial", r.loss / r.trivial),
                ("train/lr", r.lr),
                ("train/grad_norm", r.grad_norm),
                ("train/examples_per_second", r.examples_per_second),
            ];
            for (tag, value) in curves {
                self.events.scalar(tag, r.step, value).map_err(|e| self.io(e))?;
            }
        }
        Ok(())
    }

    /// A sample grid, if it is a PNG.
    pub(crate) fn picture(&mut self, step: u64, path: &Path) -> Result<(), TrainError> {
        let Ok(png) = std::fs::read(path) else { return Ok(()) };
        // Width and height stand in the first chunk of every PNG.
        let field = |at: usize| png.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        if let (true, Some(width), Some(height)) = (png.starts_with(b"\x89PNG"), field(16), field(20)) {
            self.events.picture("samples", step, (width, height), &png).map_err(|e| self.io(e))?;
        }
        self.flush()
    }

    pub(crate) fn flush(&mut self) -> Result<(), TrainError> {
        self.write_lines()?;
        self.events.flush().map_err(|e| self.io(e))
    }

    fn write_lines(&mut self) -> Result<(), TrainError> {
        let written = self.metrics.write_all(&self.lines);
        self.lines.clear();
        written.map_err(|source| TrainError::Io { path: self.path.clone(), source })
    }

    fn io(&self, source: std::io::Error) -> TrainError {
        TrainError::Io { path: self.events.path().to_owned(), source }
    }
}
