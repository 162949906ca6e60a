//! The run folder: what is in it, and how it stays whole whatever happens.
//!
//! `recipe.toml` (as resolved), `metrics.jsonl`, TensorBoard events, `samples/`, `model.safetensors` (latest good) and
//! `state/state.safetensors`: weights, moments, averages and position in one file, replaced in one rename, so that no mixture of two
//! moments can ever be read. `state/lock` is held by the process that trains.

use crate::TrainError;
use crate::average::OptimState;
use crate::memory::Memory;
use scorefield_model::{TensorFile, write_tensors};
use scorefield_nn::{ParamSpec, Params};
use scorefield_tensor::Device;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Batches tried: the place in data and noise.
    pub step: u64,
    /// Steps the optimiser took: fewer when steps were skipped.
    pub updates: u64,
    /// Steps of the whole run, once known.
    pub total: Option<u64>,
    /// Examples seen.
    pub examples: u64,
    /// Seconds trained, over all sessions.
    pub seconds: f64,
    /// A moving mean of the loss.
    pub loss: f64,
    /// A fingerprint of the data.
    pub data: String,
}

/// A run folder, locked by this process.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Opens (and makes, if need be) a run folder and locks it.
    ///
    /// # Errors
    /// When it cannot be made, or another process trains in it.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| TrainError::Io { path, source }
        };
        let state = path.join("state");
        std::fs::create_dir_all(&state).map_err(io(&state))?;
        let lock_path = state.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {
                let run = Self { path: path.to_owned(), _lock: lock };
                run.sweep()?;
                Ok(run)
            }
            Err(TryLockError::WouldBlock) => Err(TrainError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(TrainError::Io { path: lock_path, source }),
        }
    }

    /// Removes what a killed process left half-written beside its files: `.NAME.PID.tmp`, which nobody else can be writing while
    /// the lock is held.
    fn sweep(&self) -> Result<(), TrainError> {
        for folder in [self.path.clone(), self.path.join("state"), self.samples()] {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if is_half_written(&name) {
                    std::fs::remove_file(entry.path()).map_err(|source| TrainError::Io { path: entry.path(), source })?;
                }
            }
        }
        Ok(())
    }

    /// Refuses a folder where a new run would replace files of someone else: it has such files, and no run was ever begun in it.
    pub(crate) fn refuse_other_files(path: &Path) -> Result<(), TrainError> {
        let begun = path.join("state").join("lock").exists();
        let found = ["recipe.toml", "metrics.jsonl", "model.safetensors"].into_iter().find(|f| path.join(f).exists());
        match found {
            Some(found) if !begun => Err(TrainError::Occupied { path: path.to_owned(), found: found.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Takes back what [`RunFolder::open`] made of a folder in which nothing was begun, and the `whole` folder if it made that too. What
    /// holds anything else stays.
    pub(crate) fn unmake(path: &Path, whole: bool) {
        // Under the lock, so that a run that another process has just begun there is left alone.
        let Ok(held) = Self::open(path) else { return };
        let _ = std::fs::remove_file(path.join("state").join("lock"));
        let _ = std::fs::remove_dir(path.join("state"));
        if whole {
            let _ = std::fs::remove_dir(path);
        }
        drop(held);
    }

    /// The step of the saved state, without its numbers.
    pub(crate) fn saved_step(&self) -> Result<u64, TrainError> {
        Ok(self.read_position(&TensorFile::open(&self.state())?)?.step)
    }

    fn read_position(&self, file: &TensorFile) -> Result<Position, TrainError> {
        serde_json::from_str(file.text()?).map_err(|e| TrainError::State { path: self.state(), found: e.to_string() })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `model.safetensors`.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// `samples/`.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    /// `recipe.toml`.
    pub fn recipe(&self) -> PathBuf {
        self.path.join("recipe.toml")
    }

    /// `metrics.jsonl`.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// `state/state.safetensors`.
    pub fn state(&self) -> PathBuf {
        self.path.join("state").join("state.safetensors")
    }

    /// Whether there is a run to go on with.
    pub fn has_state(&self) -> bool {
        self.state().is_file()
    }

    /// Replaces a small text file.
    ///
    /// # Errors
    /// When the disk refuses; the old file then stays.
    pub fn write_text(&self, path: &Path, text: &str) -> Result<(), TrainError> {
        let io = |source| TrainError::Io { path: path.to_owned(), source };
        scorefield_data::write::atomic(path, |out| out.write_all(text.as_bytes())).map_err(io)
    }

    pub(crate) fn save_state(
        &self,
        position: &Position,
        specs: &[ParamSpec],
        weights: &[Vec<f32>],
        state: &OptimState,
        memory: &Memory,
    ) -> Result<(), TrainError> {
        let text = serde_json::to_string(position).expect("plain data");
        let sets = [("raw", weights), ("first", &state.first), ("second", &state.second)];
        let averages = [("ema0", &state.ema[0]), ("ema1", &state.ema[1])];
        let all = sets.into_iter().chain(averages.map(|(k, v)| (k, v.as_slice())));
        let tensors = all
            .flat_map(|(set, values)| {
                specs.iter().zip(values).map(move |(s, v)| (format!("{set}.{}", s.name), s.shape.clone(), v.as_slice()))
            })
            .chain(memory.tensors());
        let tensors: Vec<_> = tensors.collect();
        Ok(write_tensors(&self.state(), &tensors, &text)?)
    }

    pub(crate) fn load_state(
        &self,
        specs: &[ParamSpec],
        memory: &mut Memory,
        device: &Device,
    ) -> Result<(Position, Params, OptimState), TrainError> {
        let path = self.state();
        let mut file = TensorFile::open(&path)?;
        let position = self.read_position(&file)?;
        let (found, needed) = (file.entries().len(), 5 * specs.len() + memory.tensors().len());
        if found > needed {
            let found = format!("holds {found} tensors, the network and objective of the recipe need {needed}");
            return Err(TrainError::State { path, found });
        }
        let mut read = |set: &str| -> Result<Vec<Vec<f32>>, TrainError> {
            specs.iter().map(|s| Ok(file.floats(&format!("{set}.{}", s.name), &s.shape)?)).collect()
        };
        let raw = read("raw")?;
        let state = OptimState { first: read("first")?, second: read("second")?, ema: [read("ema0")?, read("ema1")?] };
        memory.restore(&mut |name, shape| Ok(file.floats(name, shape)?))?;
        let params = Params::from_host(specs, raw, device).map_err(|e| TrainError::State { path, found: e.to_string() })?;
        Ok((position, params, state))
    }

    /// Cuts `metrics.jsonl` back to the lines up to `step`: what was written after the last save belongs to steps that are taken again.
    ///
    /// # Errors
    /// When the file cannot be read or replaced.
    pub fn rewind_metrics(&self, step: u64) -> Result<(), TrainError> {
        #[derive(Deserialize)]
        struct Line {
            step: u64,
        }
        let path = self.metrics();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(TrainError::Io { path, source }),
        };
        // A last line cut short by a crash is no JSON and goes as well.
        let keeps = |line: &&[u8]| serde_json::from_slice::<Line>(line).is_ok_and(|l| l.step <= step);
        let kept: Vec<&[u8]> = bytes.split(|&b| b == b'\n').filter(keeps).collect();
        let mut text = String::from_utf8_lossy(&kept.join(&b'\n')).into_owned();
        if !text.is_empty() {
            text.push('\n');
        }
        self.write_text(&path, &text)
    }
}

/// Whether a name is that of a file beside another, `.NAME.PID.tmp`.
fn is_half_written(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|n| n.strip_suffix(".tmp"));
    inner.and_then(|n| n.rsplit_once('.')).is_some_and(|(_, pid)| pid.parse::<u32>().is_ok())
}
