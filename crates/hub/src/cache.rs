//! The cache that all programs of the hub share: one folder a repository, bytes under their digests, names as links to them.
//!
//! ```text
//! models--OWNER--NAME/blobs/DIGEST               the bytes
//! models--OWNER--NAME/blobs/DIGEST.incomplete    those that have arrived of them
//! models--OWNER--NAME/refs/REVISION              the commit that a branch or tag was at when it was looked up
//! models--OWNER--NAME/snapshots/COMMIT/FILE      a link to its blob
//! .locks/models--OWNER--NAME/DIGEST.lock         held by whoever writes that blob
//! .locks/models--OWNER--NAME/names.lock          held while a reference or a link is written
//! ```

use crate::{Fault, HubName};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Folders within folders that a snapshot may have.
const DEEP: usize = 16;

/// The lock under which references and links are written; no digest is called so.
const NAMES: &str = "names";

/// One repository in a cache.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    locks: PathBuf,
}

impl Repository {
    pub(crate) fn new(cache: &Path, name: &HubName) -> Self {
        let folder = Self::folder(name);
        Self { root: cache.join(&folder), locks: cache.join(".locks").join(folder) }
    }

    /// The name of its folder.
    pub(crate) fn folder(name: &HubName) -> String {
        format!("models--{}", name.repository().replace('/', "--"))
    }

    /// The commit that a revision was at when it was looked up, or is.
    pub(crate) fn commit(&self, revision: &str) -> Result<Option<String>, Fault> {
        if is_commit(revision) {
            return Ok(Some(revision.to_owned()));
        }
        let path = self.root.join("refs").join(revision);
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(100).read_to_string(&mut text)) {
            // A reference that makes no sense is looked up anew.
            Ok(_) => Ok(Some(text.trim().to_owned()).filter(|commit| is_commit(commit))),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidData) => Ok(None),
            Err(e) => Err(Fault::io(&path, e)),
        }
    }

    /// Writes down which commit a revision is at.
    pub(crate) fn remember(&self, revision: &str, commit: &str) -> Result<(), Fault> {
        let path = self.root.join("refs").join(revision);
        make_parent(&path)?;
        let _lock = self.lock(NAMES)?;
        let beside = beside(&path);
        File::create(&beside)
            .and_then(|mut file| file.write_all(commit.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(|e| Fault::io(&path, e))
    }

    /// The folder with a commit's files under their names.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// Where a file of a commit is, if it is there.
    pub(crate) fn file(&self, commit: &str, file: &str) -> Option<PathBuf> {
        Some(self.snapshot(commit).join(file)).filter(|path| path.is_file())
    }

    /// Names of the files of a commit that are there.
    pub(crate) fn listing(&self, commit: &str, most: usize) -> Result<BTreeSet<String>, Fault> {
        let mut found = BTreeSet::new();
        let mut folders = vec![(self.snapshot(commit), String::new(), 0)];
        while let Some((folder, prefix, depth)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Fault::io(&folder, e)),
            };
            for entry in entries {
                let entry = entry.map_err(|e| Fault::io(&folder, e))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let kind = entry.file_type().map_err(|e| Fault::io(&entry.path(), e))?;
                if kind.is_dir() && depth < DEEP {
                    folders.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
                } else if entry.path().is_file() && found.len() < most {
                    found.insert(format!("{prefix}{name}"));
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn blob(&self, tag: &str) -> PathBuf {
        self.root.join("blobs").join(tag)
    }

    pub(crate) fn incomplete(&self, tag: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{tag}.incomplete"))
    }

    /// Waits until nobody else writes under this name; the lock ends with the file that is given.
    pub(crate) fn lock(&self, tag: &str) -> Result<File, Fault> {
        let path = self.locks.join(format!("{tag}.lock"));
        make_parent(&path)?;
        let file = File::options().create(true).append(true).open(&path).map_err(|e| Fault::io(&path, e))?;
        file.lock().map_err(|e| Fault::io(&path, e))?;
        Ok(file)
    }

    /// Gives a blob its name in a commit.
    pub(crate) fn link(&self, commit: &str, file: &str, tag: &str) -> Result<PathBuf, Fault> {
        let path = self.snapshot(commit).join(file);
        make_parent(&path)?;
        let _lock = self.lock(NAMES)?;
        let beside = beside(&path);
        let _ = fs::remove_file(&beside);
        // snapshots/COMMIT/a/b: one step up for each slash, and two out of COMMIT and `snapshots`.
        let up = "../".repeat(file.matches('/').count() + 2);
        link(&self.blob(tag), Path::new(&format!("{up}blobs/{tag}")), &beside)
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(|e| Fault::io(&path, e))?;
        Ok(path)
    }
}

/// A link that stays true when the cache is moved.
#[cfg(unix)]
fn link(_blob: &Path, relative: &Path, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(relative, at)
}

/// Links by path need a privilege on some systems: a second name of the same bytes, else a copy.
#[cfg(not(unix))]
fn link(blob: &Path, _relative: &Path, at: &Path) -> std::io::Result<()> {
    fs::hard_link(blob, at).or_else(|_| fs::copy(blob, at).map(|_| ()))
}

/// A full commit: forty hexadecimal digits.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

pub(crate) fn make_parent(path: &Path) -> Result<(), Fault> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(|e| Fault::io(parent, e)))
}

/// A name for what will be renamed to `path`: of this process, and of the thread that holds the lock of names.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".scorefield-{}.tmp", std::process::id()))
}
