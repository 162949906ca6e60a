//! What can be wrong with another project's checkpoint.

use super::Layout;
use scorefield_archive::ArchiveError;
use std::path::PathBuf;

/// Why a checkpoint could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file itself is broken, or asks for what is not allowed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file beside the weights could not be read.
    #[error("{}: {source}; expected {expected}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
        /// What it should hold.
        expected: &'static str,
    },
    /// Something in it is not what this layout has, or is not supported.
    #[error("{}: {found}; expected {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What was expected, or what to do.
        expected: String,
    },
    /// No layout has these names.
    #[error("{}: no layout that is known ({found}; nearest is {nearest}); expected a model, or a checkpoint of {}", path.display(), Layout::names())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// The layout that shares most names, and what it misses.
        nearest: String,
    },
    /// Tensors are missing, left over, or have another shape.
    #[error("{}: not the weights of its {layout} network: {}", path.display(), differences(missing, unexpected, wrong))]
    Keys {
        /// The file.
        path: PathBuf,
        /// The layout.
        layout: Layout,
        /// Names that the network needs.
        missing: Vec<String>,
        /// Names it has no use for.
        unexpected: Vec<String>,
        /// Names, the shape found and the shape expected.
        wrong: Vec<String>,
    },
    /// The file does not say what is needed to run it.
    #[error(
        "{}: {layout} does not say {}; give {} with `scorefield import --set key=value` (or in a config.json beside the file)",
        path.display(), list(about), list(keys)
    )]
    Needs {
        /// The file.
        path: PathBuf,
        /// The layout.
        layout: Layout,
        /// What is missing, in words.
        about: Vec<String>,
        /// The keys that say it.
        keys: Vec<String>,
    },
    /// A key that the layout does not have was given.
    #[error("--set {key}: {layout} has no such key; {known}")]
    NoKey {
        /// The key.
        key: String,
        /// The layout.
        layout: Layout,
        /// What there is.
        known: String,
    },
    /// The wanted set of weights is not in the file.
    #[error("{}: holds {has} weights only; leave out --raw, --weights raw or --weights ema", path.display())]
    NoSet {
        /// The file.
        path: PathBuf,
        /// What it holds.
        has: &'static str,
    },
}

/// A fault before the file's name is known.
#[derive(Debug)]
pub(crate) enum Fault {
    Archive(ArchiveError),
    Content { found: String, expected: String },
    Needs { about: Vec<String>, keys: Vec<String> },
    Io { path: PathBuf, source: std::io::Error, expected: &'static str },
}

impl Fault {
    pub(crate) fn new(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Content { found: found.into(), expected: expected.into() }
    }

    pub(crate) fn at(self, path: &std::path::Path, layout: Layout) -> ImportError {
        let path = path.to_owned();
        match self {
            Self::Archive(error) => ImportError::Archive(error),
            Self::Content { found, expected } => ImportError::Content { path, found, expected },
            Self::Needs { about, keys } => ImportError::Needs { path, layout, about, keys },
            Self::Io { path, source, expected } => ImportError::Io { path, source, expected },
        }
    }
}

impl From<ArchiveError> for Fault {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

/// A few of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut text = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}

fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn differences(missing: &[String], unexpected: &[String], wrong: &[String]) -> String {
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("{} missing: {}", missing.len(), some(missing)));
    }
    if !unexpected.is_empty() {
        parts.push(format!("{} unexpected: {}", unexpected.len(), some(unexpected)));
    }
    if !wrong.is_empty() {
        parts.push(format!("{} of another shape: {}", wrong.len(), some(wrong)));
    }
    parts.join("; ")
}
