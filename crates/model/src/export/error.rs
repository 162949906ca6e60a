//! Why a model was not written for another project.

use crate::ModelError;
use std::path::PathBuf;

/// Why a model was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Something is there already.
    #[error("{}: there already; expected a new name: nothing is written over", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The other project has no way to say what the model is.
    #[error("{layout} cannot express this model: {}", reasons.join("; "))]
    Cannot {
        /// The project.
        layout: &'static str,
        /// Each a thing found and what would do.
        reasons: Vec<String>,
    },
    /// The disk refused.
    #[error("{}: {source} while it was written; expected room and permission for a new folder: nothing was left behind", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// The disk's answer.
        source: std::io::Error,
    },
    /// The weights could not be written.
    #[error(transparent)]
    Weights(#[from] ModelError),
}

/// Collects what cannot be said, so that all of it is told at once.
#[derive(Debug, Default)]
pub(super) struct Reasons(Vec<String>);

impl Reasons {
    pub(super) fn unless(&mut self, fine: bool, why: impl FnOnce() -> String) {
        if !fine {
            self.0.push(why());
        }
    }

    pub(super) fn add(&mut self, why: impl Into<String>) {
        self.0.push(why.into());
    }

    /// # Errors
    /// When there is any.
    pub(super) fn finish(self, layout: &'static str) -> Result<(), ExportError> {
        if self.0.is_empty() { Ok(()) } else { Err(ExportError::Cannot { layout, reasons: self.0 }) }
    }
}
