//! What can be wrong with an ONNX file, or with what is said of it.

use std::path::{Path, PathBuf};

/// Why an ONNX file is no denoiser.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The program was built without the runtime.
    #[error("{}: built without ONNX; expected a program with the feature: build with --features onnx", path.display())]
    NotBuilt {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{}: {source}; check that the file exists and may be accessed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// The file is damaged, no ONNX model, or has an operator that the runtime lacks.
    #[error("{}: no ONNX model that can be run: {found}; expected {expected}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
        /// What should be, and what to do.
        expected: String,
    },
    /// What is said of the network cannot be.
    #[error("{}: what is said of the network is wrong: {found}; expected {expected}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What was said.
        found: String,
        /// What can be.
        expected: String,
    },
    /// An input or output is missing, of another shape or type, or one of several that would do.
    #[error("{}: {found}; expected {expected}", path.display())]
    Ports {
        /// The file.
        path: PathBuf,
        /// What the graph has.
        found: String,
        /// What it should have, and what to do.
        expected: String,
    },
    /// The network fails when it is evaluated.
    #[error("{}: evaluated on {rows} rows, the network fails: {found}; expected {expected}", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// How many rows it was given.
        rows: usize,
        /// What happened.
        found: String,
        /// What should have, and what to do.
        expected: String,
    },
    /// There is no such class.
    #[error("{}: class {found}; expected {expected}", path.display())]
    Class {
        /// The file.
        path: PathBuf,
        /// The class.
        found: String,
        /// What there is.
        expected: String,
    },
}

impl OnnxError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
