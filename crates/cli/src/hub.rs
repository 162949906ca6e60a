//! `hf:owner/name` in place of a path: fetched once from the model hub, with the feature `hub`.

use crate::context::Context;
use crate::failure::misuse;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The prefix of names on the hub.
const PREFIX: &str = "hf:";

/// Where a model lies: the path itself, or what the hub's name stands for, brought into the cache. An existing file is never taken for a
/// name.
pub(crate) fn local(context: &Context, path: &Path) -> Result<PathBuf> {
    match path.to_str() {
        Some(name) if name.starts_with(PREFIX) && !path.exists() => fetched(context, name),
        _ => Ok(path.to_owned()),
    }
}

#[cfg(feature = "hub")]
fn fetched(context: &Context, name: &str) -> Result<PathBuf> {
    use crate::progress::Progress;
    use scorefield::hub::{HubName, Options, fetch};
    let name: HubName = name.parse().map_err(|e| misuse(format!("{e}")))?;
    let options = Options::from_variables(|variable| std::env::var_os(variable))?;
    let mut progress = Progress::new(context, "fetching", None);
    let mut listen = |file: &str, done: u64, total: u64| progress.set(done, Some(total), file);
    Ok(fetch(&name, &options, &mut listen)?)
}

#[cfg(not(feature = "hub"))]
fn fetched(_: &Context, name: &str) -> Result<PathBuf> {
    Err(misuse(format!(
        "{name}: this build cannot fetch from a model hub; expected a file or folder, or a build with --features hub"
    )))
}
