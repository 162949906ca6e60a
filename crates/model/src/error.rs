//! What can be wrong with a model file.

use std::path::PathBuf;

/// Why a model could not be read, built or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file system refused.
    #[error("{}: {source}; check that the file exists and may be accessed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// The disk refused a new file.
    #[error(
        "{}: {source} while it was written; expected room and permission for a new file: make some and try again, \
         what stood there before is untouched", path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The disk's answer.
        source: std::io::Error,
    },
    /// Weights that are no numbers are not written over good ones.
    #[error(
        "{}: not written, tensor `{name}` is {found} at entry {at}; expected finite numbers: \
         go back to the last good model, with a lower learning rate", path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The entry.
        at: usize,
        /// The number.
        found: f32,
    },
    /// The file is not a safetensors file, or is cut short.
    #[error("{}: not a complete safetensors file ({found}); expected a model, or another project's checkpoint: copy or train it again", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        found: String,
    },
    /// A safetensors file of another project.
    #[error(
        "{}: a safetensors file without scorefield's description ({found}); expected the metadata key `scorefield`", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        found: String,
    },
    /// The description cannot be understood.
    #[error("{}: the description in the file is wrong: {found}; expected format {expected}: open it with the version that wrote it, or train it again", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
        /// The format this version reads.
        expected: u32,
    },
    /// A tensor is missing, has another shape or type, or holds no numbers.
    #[error("{}: tensor `{name}` is {found}, expected {expected}; the file does not fit its own description: copy or train it again", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// The folder holds no model.
    #[error("{}: a folder without `model.safetensors`; expected a run folder with a saved model, a model file, or a folder that diffusers wrote", path.display())]
    NoModel {
        /// The folder.
        path: PathBuf,
    },
    /// A classifier where a model of data is needed.
    #[error(
        "{}: a noise-conditional classifier of {classes} classes; expected a model of data: give the classifier as --classifier beside one",
        path.display()
    )]
    IsClassifier {
        /// The file.
        path: PathBuf,
        /// How many classes it tells apart.
        classes: usize,
    },
    /// A model of data where a classifier is needed.
    #[error(
        "{}: a model of {shape}; expected a noise-conditional classifier of them: train one by train DATA --classifier", path.display()
    )]
    NoClassifier {
        /// The file.
        path: PathBuf,
        /// What it is a model of.
        shape: String,
    },
    /// The model has no raw weights.
    #[error("{}: the file keeps the averaged weights only; expected raw weights too: leave out --raw or --weights raw", path.display())]
    NoRaw {
        /// The file.
        path: PathBuf,
    },
    /// Another project's checkpoint cannot be understood.
    #[error(transparent)]
    Import(#[from] crate::import::ImportError),
    /// The network cannot be built.
    #[error("the network of the model cannot be built: {0}")]
    Network(#[from] scorefield_nn::NetworkError),
    /// The process cannot be built.
    #[error(transparent)]
    Process(#[from] scorefield_process::ProcessError),
    /// The process on categories cannot be built.
    #[error(transparent)]
    States(#[from] scorefield_process::states::StatesError),
}

impl ModelError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
