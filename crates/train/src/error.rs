//! What can stop a run.

use crate::config::ConfigError;
use std::path::PathBuf;

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The file system refused.
    #[error("{}: {source}; what was saved before is untouched: free space or permissions, then go on with --resume", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// Another process trains here.
    #[error("{}: the run folder is in use by another process; expected a folder of its own: wait for it, or choose another --out", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds a run already.
    #[error("{}: holds a run already, at step {step}; go on with it by --resume, or choose another --out", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
        /// Where that run stands.
        step: u64,
    },
    /// The folder holds something else that a run would replace.
    #[error("{}: holds `{found}`, but no run; expected a new or empty folder: move the file, or choose another --out", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The file.
        found: String,
    },
    /// The folder holds no run.
    #[error("{}: no saved run in it; expected state/state.safetensors: start one without --resume", path.display())]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// The saved state cannot be understood.
    #[error("{}: {found}; expected the state of this run, written by this version: resume it with its own recipe", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// The data are not those of the run.
    #[error(
        "the data have fingerprint {found}, the run was trained on {expected}; a resumed run needs the same data, or start a new run"
    )]
    OtherData {
        /// Of the data given.
        found: String,
        /// Of the run's.
        expected: String,
    },
    /// Too many steps in a row had a loss that is not finite.
    #[error(
        "the loss is not finite any more at step {step} ({count} steps in a row were skipped); expected numbers; \
         the last good model, of step {saved}, is kept: a lower optim.lr, a longer optim.warmup or a smaller optim.clip may help"
    )]
    Diverged {
        /// How many.
        count: u32,
        /// The last of them.
        step: u64,
        /// The step of the model on disk.
        saved: u64,
    },
    /// Labels where the network takes none, or the other way round.
    #[error("the network takes {network} classes, the data have {data}; set network.classes to {data}")]
    Classes {
        /// Of the network.
        network: usize,
        /// Of the data.
        data: usize,
    },
    /// A classifier of data that have no classes to tell apart.
    #[error(
        "{name}: data with {found} classes; a classifier tells at least two apart: expected labels, for example a folder with a sub-folder \
         for each class"
    )]
    Unlabelled {
        /// The data.
        name: String,
        /// How many classes they have.
        found: usize,
    },
    /// A classifier of another number of classes than the data have.
    #[error("the network tells {network} classes apart, the data have {data}; set network.outputs to {data}")]
    Outputs {
        /// Of the network.
        network: usize,
        /// Of the data.
        data: usize,
    },
    /// Examples that are given with something that the network does not take, or the other way round.
    #[error(
        "the network takes a condition of shape {network:?}, the data have one of {data:?} (data.condition); leave the keys network.condition_* \
         out, and they are those of the data"
    )]
    Condition {
        /// Of the network; empty for none.
        network: Vec<usize>,
        /// Of the data.
        data: Vec<usize>,
    },
    /// The teacher of a distillation is not one for this run.
    #[error("{}: the {what} of this teacher is {found}; expected {expected}: name another teacher, or change the recipe to match", path.display())]
    Teacher {
        /// Its file.
        path: PathBuf,
        /// What does not match.
        what: &'static str,
        /// The teacher's.
        found: String,
        /// What would do.
        expected: String,
    },
    /// A number in the recipe makes no run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model could not be built, read or written.
    #[error(transparent)]
    Model(#[from] scorefield_model::ModelError),
    /// The network could not be built.
    #[error(transparent)]
    Network(#[from] scorefield_nn::NetworkError),
    /// The process could not be built.
    #[error(transparent)]
    Process(#[from] scorefield_process::ProcessError),
    /// The process on categories cannot be built.
    #[error(transparent)]
    States(#[from] scorefield_process::states::StatesError),
    /// The data could not be used.
    #[error(transparent)]
    Data(#[from] scorefield_data::DataError),
}
