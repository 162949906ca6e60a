//! What can be wrong with a file: the file, the fault, what was found, and what was expected.

use crate::{Dtype, Limit};
use std::path::{Path, PathBuf};

/// A file that cannot be read, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct ArchiveError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Box<Fault>,
}

impl ArchiveError {
    pub(crate) fn new(path: &Path, fault: Fault) -> Self {
        Self { path: path.to_owned(), fault: Box::new(fault) }
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The system refused.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The first bytes are those of no container that is known.
    #[error("{found}; expected safetensors, a file of torch.save (zip, legacy or tar), or a pickle")]
    Container {
        /// What the file begins with.
        found: String,
    },
    /// A part ends before it should.
    #[error("{what} is cut short: {needs} bytes needed at position {at}, {have} left")]
    Truncated {
        /// The part.
        what: String,
        /// Where, in bytes from the beginning of that part.
        at: u64,
        /// How many bytes it announces.
        needs: u64,
        /// How many there are.
        have: u64,
    },
    /// The pickle names a class or function outside the list of those known. Nothing was executed.
    #[error("the pickle asks for `{module}.{name}`, which is not among the names that may occur; nothing was executed")]
    Refused {
        /// The module, as the file spells it.
        module: String,
        /// The name, as the file spells it.
        name: String,
    },
    /// The file wants more of something than [`crate::Limits`] allow.
    #[error("more than {limit} {what}; raise the limit in the policy if the file is to be trusted")]
    Limit {
        /// Of what.
        what: Limit,
        /// How much is allowed.
        limit: u64,
    },
    /// The pickle's instructions make no sense.
    #[error("the pickle makes no sense at byte {at}: {found}")]
    Pickle {
        /// Where, in bytes from the beginning of the pickle.
        at: u64,
        /// What was found there.
        found: String,
    },
    /// A container's own tables contradict themselves or the file.
    #[error("{0}")]
    Malformed(String),
    /// An array asks for numbers that its storage does not hold.
    #[error("tensor {name:?}: {found}, where {expected}")]
    Tensor {
        /// The array's place in the file.
        name: String,
        /// What the storage holds.
        found: String,
        /// What the array asks for.
        expected: String,
    },
    /// An array's numbers are of another type than asked for.
    #[error("tensor {name:?} is {found}; {expected}")]
    Dtype {
        /// The array's place in the file.
        name: String,
        /// Its type.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// Something is not of the kind that was asked for.
    #[error("{name:?} is {found}; expected {expected}")]
    Kind {
        /// Its place in the file.
        name: String,
        /// What it is.
        found: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// Something is not there.
    #[error("{what} is missing; there are {found}")]
    Missing {
        /// What.
        what: String,
        /// What is there instead.
        found: String,
    },
    /// A name occurs twice where it may occur once.
    #[error("{key:?} occurs twice in {place}")]
    Duplicate {
        /// The name.
        key: String,
        /// Where.
        place: String,
    },
}

impl Fault {
    /// A type that numbers cannot be read from.
    pub(crate) fn unreadable(name: &str, found: impl Into<String>) -> Self {
        let known = Dtype::ALL.map(Dtype::name).join(", ");
        Self::Dtype { name: name.to_owned(), found: found.into(), expected: format!("these can be read: {known}") }
    }

    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}

/// The beginning of a text of unknown length and content, for a message.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut end = MOST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let dots = if end < text.len() { ".." } else { "" };
    format!("{}{dots}", text[..end].escape_debug())
}
