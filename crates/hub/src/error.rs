//! What can go wrong between a name and its files: the repository, the file, what was found, what to do.

use std::path::{Path, PathBuf};

/// A name whose files could not be had, and why.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {fault}")]
pub struct HubError {
    /// The name as it was asked for, `hf:owner/name@revision/file`.
    pub name: String,
    /// What is wrong.
    pub fault: Box<Fault>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The name is not one.
    #[error("{found}; expected hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:OWNER/NAME/FILE")]
    Name {
        /// What is wrong with it.
        found: String,
    },
    /// An option cannot be used.
    #[error("{option} is {found:?}; expected {expected}")]
    Option {
        /// Which, by the name of its environment variable.
        option: &'static str,
        /// Its value.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The cache lacks it, and no request may be made.
    #[error(
        "{missing} is not in the cache {}, and requests are switched off; fetch it once without HF_HUB_OFFLINE, or copy its folder \
         `{folder}` into the cache from a machine that has it",
        cache.display()
    )]
    Offline {
        /// What the cache lacks.
        missing: String,
        /// The cache.
        cache: PathBuf,
        /// The repository's folder in a cache.
        folder: String,
    },
    /// The hub cannot be reached.
    #[error(
        "{missing} is not in the cache {}, and {url} cannot be reached: {reason}; check the network (HTTPS_PROXY, HF_ENDPOINT), and call \
         again: what has arrived is kept",
        cache.display()
    )]
    Network {
        /// What was to be had.
        missing: String,
        /// The cache that lacks it.
        cache: PathBuf,
        /// The address.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// The repository or the revision does not exist.
    #[error("{url} answers {status}: there is no such repository or revision; check the spelling")]
    NoRepository {
        /// The address.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// The repository has no such file.
    #[error("the repository has no {missing}; it has {found}")]
    NoFile {
        /// What it lacks.
        missing: String,
        /// What it has.
        found: String,
    },
    /// The hub does not give it to us.
    #[error(
        "{url} answers {status}{said}: it is private, gated, or does not exist; accept its terms on {page} and set HF_TOKEN to a token that may read it"
    )]
    Denied {
        /// The address.
        url: String,
        /// The status of the answer.
        status: u16,
        /// The hub's own word, from ` (` to `)`, or nothing.
        said: String,
        /// Where a person sees the repository.
        page: String,
    },
    /// The server answered with an error of its own.
    #[error("{url} answers {status}; call again later: what has arrived is kept")]
    Status {
        /// The address.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// The answer is not what the protocol says.
    #[error("{url} answers {found}; expected {expected}; is it a hub (HF_ENDPOINT)?")]
    Answer {
        /// The address.
        url: String,
        /// What was found.
        found: String,
        /// What the protocol says.
        expected: String,
    },
    /// A file's name in a listing would lead out of its folder.
    #[error("the repository lists a file {file:?}: {found}; nothing was written, and such a repository is not to be trusted")]
    Path {
        /// The name.
        file: String,
        /// What is wrong with it.
        found: &'static str,
    },
    /// A file has another length than announced.
    #[error(
        "{file} from {url}: {found} bytes, where {expected} were announced; call again, and report it to the hub if it stays"
    )]
    Size {
        /// The file.
        file: String,
        /// Where from.
        url: String,
        /// What came.
        found: String,
        /// What was announced.
        expected: u64,
    },
    /// A file has other bytes than announced.
    #[error("{file} has the digest {found}, where {expected} was announced; what arrived was deleted, call again")]
    Digest {
        /// The file.
        file: String,
        /// Of what came.
        found: String,
        /// What was announced.
        expected: String,
    },
    /// More of something than [`crate::Limits`] allow.
    #[error("{what}: {found}, where at most {limit} are allowed; raise the limit if the repository is to be trusted")]
    Limit {
        /// Of what.
        what: String,
        /// How much is announced.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// A file of the repository makes no sense.
    #[error("{file}: {found}; expected {expected}")]
    Content {
        /// The file.
        file: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The disk is full.
    #[error(
        "no space left for {}; make room (or set HF_HOME to a larger disk) and call again: what has arrived is \
         kept",
        path.display()
    )]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// The system refused something in the cache.
    #[error("{}: {source}; check that the cache (HF_HOME) can be written", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Fault {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { path: path.to_owned() },
            _ => Self::Io { path: path.to_owned(), source },
        }
    }

    pub(crate) fn answer(url: &str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Answer { url: shown(url), found: found.into(), expected: expected.into() }
    }
}

/// The beginning of a text of unknown length and content, for a message.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let short: String = text.chars().take(MOST).collect();
    let dots = if short.len() < text.len() { ".." } else { "" };
    format!("{}{dots}", short.escape_debug())
}

/// Some names of a list, for a message.
pub(crate) fn some<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 12;
    let mut names = names.into_iter().map(shown);
    let first: Vec<String> = names.by_ref().take(MOST).collect();
    match (first.is_empty(), names.count()) {
        (true, _) => "nothing".to_owned(),
        (_, 0) => first.join(", "),
        (_, more) => format!("{} and {more} more", first.join(", ")),
    }
}
