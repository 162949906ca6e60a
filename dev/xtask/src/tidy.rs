//! The layering and the invariants of ARCHITECTURE.md, kept by reading the tree.
//!
//! Each rule is a function of (path, text), or of the packages cargo lists, so that its test can plant a violation without
//! touching a file. Exceptions are tables with a reason in each line; an exception that nothing needs any more is itself a
//! violation.

mod layers;
mod rules;
mod source;
mod words;

use anyhow::{Context, Result};
use std::fmt;
use std::path::Path;

/// A rule that a file breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The file, relative to the root, with forward slashes.
    pub path: String,
    /// The line, from 1; 0 is the file as a whole.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What was found and what to do.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.what)
    }
}

/// Every violation in the tree under `root`.
pub(crate) fn violations(root: &Path) -> Result<Vec<Violation>> {
    let mut files = Vec::new();
    collect(root, root, &mut files)?;
    files.sort();
    let mut found = layers::violations(&layers::packages(root)?);
    for (path, text) in &files {
        found.extend(rules::violations(path, text));
        found.extend(words::violations(path, text, &|link| root.join(link).exists()));
    }
    found.extend(rules::unneeded_exceptions(&files));
    Ok(found)
}

/// Folders that are not the project's text: results of builds and runs, other people's data.
const SKIPPED: [&str; 4] = [".git", "target", "runs", "shared"];

/// Every text file under `folder` with its path relative to `root`.
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() || SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let bytes = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            if let Ok(text) = String::from_utf8(bytes) {
                let relative = path.strip_prefix(root).context("a file lies outside the root")?;
                files.push((relative.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    /// The tree as it stands.
    #[test]
    fn the_house_is_tidy() {
        let found = super::violations(&crate::root().unwrap()).unwrap();
        let list: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(list.is_empty(), "{} violations:\n{}", list.len(), list.join("\n"));
    }
}
