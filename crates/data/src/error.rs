//! What can be wrong with data: every error says where, what was found, what was expected and what to do.

use std::path::{Path, PathBuf};

/// Why data could not be read or used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file system refused.
    #[error("{}: {source}; check the name and that it may be read", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("{}: {source}; what stood under that name is untouched: check the folder, its permissions and the free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
    /// Nothing of that name.
    #[error("{spec}: no such file, folder or data set; expected {expected}")]
    Missing {
        /// What was asked for.
        spec: String,
        /// What there is.
        expected: String,
    },
    /// A file does not hold what it should.
    #[error("{}: {found}; expected {expected}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
        /// What should be, and what to do.
        expected: String,
    },
    /// A number that is none.
    #[error("{}: row {row}, column {column} is {found}; expected finite numbers: remove or fill such rows first", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// The number.
        found: f32,
    },
    /// Pictures of several sizes and no rule for them.
    #[error("{}: pictures of {found}; expected one size: choose one by --set data.size=[height,width] (and data.fit=crop, stretch or pad)", path.display())]
    Sizes {
        /// The folder.
        path: PathBuf,
        /// The sizes that occur.
        found: String,
    },
    /// Too many broken pictures.
    #[error(
        "{}: {broken} of {total} pictures cannot be read (first: {first}); expected at most 1 %: remove or repair them", path.display()
    )]
    Broken {
        /// The folder.
        path: PathBuf,
        /// How many are broken.
        broken: usize,
        /// Of how many.
        total: usize,
        /// The first few, with reasons.
        first: String,
    },
    /// A channel that never changes cannot be spread over a range.
    #[error("channel `{channel}` is {value} everywhere; expected data that vary: leave the channel out, or choose another range")]
    Constant {
        /// The channel.
        channel: String,
        /// Its value.
        value: f64,
    },
    /// A channel of one category.
    #[error(
        "channel `{channel}` has the one category `{name}`; expected two at least: leave the channel out, or cut pictures of two values into \
         bits by --set data.binarise=0.5"
    )]
    OneCategory {
        /// The channel.
        channel: String,
        /// Its category.
        name: String,
    },
    /// A category that a codec does not know.
    #[error("{}: row {row}, {column} is `{found}`; expected one of {known}: the model knows no other", path.display())]
    Unseen {
        /// The file, or the name of the data.
        path: PathBuf,
        /// The row, from 0.
        row: usize,
        /// The column, and in pictures the pixel.
        column: String,
        /// The category or number found.
        found: String,
        /// The categories that the codec has, the first of them where they are many.
        known: String,
    },
    /// A codec that was read from a file makes no sense.
    #[error("the data codec in the file is not usable: {found}; expected positive finite scales, one a channel")]
    Codec {
        /// What it says.
        found: String,
    },
    /// An output of a kind that cannot hold these data.
    #[error("{}: {found}; expected {expected}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
        /// What would do.
        expected: String,
    },
}

impl DataError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), found: found.into(), expected: expected.into() }
    }
}
