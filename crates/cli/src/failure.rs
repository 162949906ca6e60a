//! How a command ends: its exit status and what is said of a failure.

use scorefield::data::DataError;
use scorefield::model::export::ExportError;
use scorefield::nn::NetworkError;
use scorefield::process::states::StatesError;
use scorefield::sample::NamedError;
use scorefield::solve::SolveError;
use scorefield::train::{ConfigError, TrainError};
use scorefield::{GenerateError, RecipeError};
use std::fmt;
use std::process::ExitCode;

/// How a verb ended when nothing went wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Done: status 0.
    Done,
    /// Done, and the answer is no (a check that failed): status 1.
    Bad,
    /// Interrupted after saving: status 130.
    Interrupted,
}

/// Something was asked for that cannot be: status 2.
#[derive(Debug)]
pub(crate) struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// A failure by misuse with a message.
pub(crate) fn misuse(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Misuse(message.into()))
}

/// Says what went wrong and gives the status: 2 for misuse, 1 for everything else.
#[expect(clippy::print_stderr, reason = "messages belong on stderr")]
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let mut said = Vec::<String>::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // A transparent error repeats its cause.
        if !said.iter().any(|s| s.contains(&text)) {
            said.push(text);
        }
    }
    eprintln!("error: {}", said.join(": "));
    ExitCode::from(if is_misuse(error) { 2 } else { 1 })
}

fn is_misuse(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Misuse>()
            || cause.is::<GenerateError>()
            || cause.is::<NamedError>()
            || cause.downcast_ref::<SolveError>().is_some_and(|e| !matches!(e, SolveError::NotFinite { .. }))
            || cause.is::<ConfigError>()
            || cause.is::<StatesError>()
            || matches!(cause.downcast_ref(), Some(TrainError::States(_)))
            || cause.is::<NetworkError>()
            || matches!(cause.downcast_ref(), Some(RecipeError::Unknown { .. } | RecipeError::Wrong { .. }))
            // Transparent ones do not show their cause in the chain.
            || matches!(
                cause.downcast_ref(),
                Some(TrainError::Config(_) | TrainError::Network(_) | TrainError::Process(_) | TrainError::Classes { .. })
            )
            || matches!(cause.downcast_ref(), Some(DataError::Missing { .. }))
            || matches!(cause.downcast_ref(), Some(ExportError::Exists { .. } | ExportError::Cannot { .. }))
    })
}
