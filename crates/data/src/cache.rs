//! Decoded pictures in a file that is mapped into memory: built once, used by every later run whose folder and options are the same.
//!
//! Layout: a magic, the length of the description, its FNV-1a-128 hash, the description (JSON), zeros up to a multiple of 64, the bytes
//! of all rows. A file that is cut short, damaged in its description, or made from other pictures or options is built again. It is
//! written under another name and renamed, so two programs that build it at once do no harm: the later takes the place of the earlier.

use crate::dataset::Storage;
use crate::{DataError, Dataset, LoadReport, Shape, Value, write};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// The last digit is the version of the layout.
const MAGIC: &[u8; 8] = b"SFROWS\x00\x01";
const FIXED: u64 = 8 + 8 + 16;

/// FNV-1a with 128 bits (Fowler, Noll, Vo): for telling changed inputs apart, not for security.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(0x6C62_272E_07BB_0142_62B8_2175_6295_C58D)
    }

    /// Takes in a text or number of any length; its length is taken in too, so that neighbours cannot run into each other.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for b in bytes.iter().copied().chain((bytes.len() as u64).to_le_bytes()) {
            self.0 = (self.0 ^ u128::from(b)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B);
        }
    }

    pub(crate) fn hex(self) -> String {
        format!("{:032x}", self.0)
    }
}

/// Everything about a set but its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    /// The fingerprint of what it was made from.
    pub key: String,
    pub shape: Shape,
    pub rows: usize,
    pub labels: Option<Vec<u32>>,
    pub classes: Vec<String>,
    pub report: LoadReport,
}

impl Description {
    /// Bytes of all rows; none if they are too many to count, or the description contradicts itself.
    fn bytes(&self) -> Option<u64> {
        let length = self.shape.dims().iter().try_fold(self.rows, |a, &d| a.checked_mul(d)).filter(|&n| n > 0)?;
        let fits = |l: &Vec<u32>| l.len() == self.rows && l.iter().all(|&l| (l as usize) < self.classes.len());
        (self.rows <= u32::MAX as usize && self.labels.as_ref().is_none_or(fits)).then_some(length as u64)
    }

    /// The set of these rows.
    pub(crate) fn dataset(self, name: &str, storage: Storage) -> Dataset {
        let mut data = Dataset::new(name, self.shape, Value::Byte, storage, self.rows);
        data.labels = self.labels.map(Arc::new);
        data.classes = self.classes;
        data.report = self.report;
        data
    }
}

/// Where the rows begin.
fn start(json: u64) -> u64 {
    (FIXED + json).next_multiple_of(64)
}

/// Writes a cache; `fill` writes exactly the rows of the description. A file that is no cache is not overwritten.
pub(crate) fn build(
    path: &Path,
    description: &Description,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DataError> {
    let mut old = Vec::new();
    let read = File::open(path).and_then(|f| f.take(6).read_to_end(&mut old));
    if read.is_ok() && !old.is_empty() && !MAGIC.starts_with(&old) {
        return Err(DataError::Output {
            path: path.into(),
            found: "a file that is no cache of decoded pictures".into(),
            expected: "a name that is free, or that of an older cache: name another by --set data.cache=PATH".into(),
        });
    }
    let written = write::atomic(path, |out| {
        let json = serde_json::to_vec(description).map_err(io::Error::other)?;
        let mut hash = Fingerprint::new();
        hash.add(&json);
        out.write_all(MAGIC)?;
        out.write_all(&(json.len() as u64).to_le_bytes())?;
        out.write_all(&hash.0.to_le_bytes())?;
        out.write_all(&json)?;
        let zeros = start(json.len() as u64) - FIXED - json.len() as u64;
        out.write_all(&vec![0; zeros as usize])?;
        fill(out)
    });
    written.map_err(|e| DataError::Output {
        path: path.into(),
        found: format!("the cache of decoded pictures cannot be written ({e})"),
        expected: format!(
            "a place with {} MiB to spare: name one by --set data.cache=PATH",
            description.bytes().unwrap_or_default() / (1 << 20) + 1
        ),
    })
}

/// Opens a cache that was made from what `key` stands for; none if there is no such file, or one that has to be built again.
pub(crate) fn open(path: &Path, key: &str, name: &str) -> Option<Dataset> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok().filter(|m| m.is_file())?.len();
    let mut fixed = [0; FIXED as usize];
    file.read_exact(&mut fixed).ok()?;
    let json = u64::from_le_bytes(*fixed.get(8..)?.first_chunk()?);
    if &fixed[..8] != MAGIC || json > length {
        return None;
    }
    let mut text = Vec::new();
    (&mut file).take(json).read_to_end(&mut text).ok()?;
    let mut hash = Fingerprint::new();
    hash.add(&text);
    if text.len() as u64 != json || fixed[16..] != hash.0.to_le_bytes() {
        return None;
    }
    let description: Description = serde_json::from_slice(&text).ok()?;
    let start = start(json);
    if description.key != key || Some(length) != description.bytes()?.checked_add(start) {
        return None;
    }
    // SAFETY: the map is read only, and nothing in this program writes to, shortens or lengthens a file of this name: a cache is
    // written under another name and renamed, so that a newer one is another file. A different program that shortens it while it is
    // mapped breaks this, as it would for any mapped file; the cache's documentation says to leave it alone.
    let map = unsafe { Mmap::map(&file) }.ok()?;
    // The length may have changed since it was asked for.
    (map.len() as u64 == length).then(|| description.dataset(name, Storage::Mapped { map: Arc::new(map), start: start as usize }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn description() -> Description {
        let shape = Shape::Image { channels: 1, height: 2, width: 2 };
        let report = LoadReport { found: 3, used: 2, skipped: vec![("a".into(), "b".into())], notes: vec!["c".into()] };
        let classes = vec!["x".into(), "y".into()];
        Description { key: "k".into(), shape, rows: 2, labels: Some(vec![1, 0]), classes, report }
    }

    fn built(path: &Path) {
        build(path, &description(), |out| out.write_all(&[1, 2, 3, 4, 5, 6, 7, 8])).unwrap();
    }

    #[test]
    fn what_was_built_opens_for_its_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        assert!(open(&path, "k", "set").is_none());
        built(&path);
        assert!(open(&path, "other", "set").is_none());
        let data = open(&path, "k", "set").unwrap();
        let mut row = [0.0; 4];
        data.row(1, &mut row);
        assert_eq!((row, data.label(0), data.report()), ([5.0, 6.0, 7.0, 8.0], Some(1), &description().report));
        // A newer file of that name leaves the older map as it was.
        built(&path);
        data.row(0, &mut row);
        assert_eq!(row, [1.0, 2.0, 3.0, 4.0]);
        // What is no cache is left alone.
        let other = folder.path().join("other");
        std::fs::write(&other, "a letter").unwrap();
        let error = build(&other, &description(), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("no cache") && std::fs::read(&other).unwrap() == b"a letter", "{error}");
        // Rows that are too few make no cache.
        build(&path, &description(), |out| out.write_all(&[1])).unwrap();
        assert!(open(&path, "k", "set").is_none());
    }

    #[test]
    fn neighbours_do_not_run_into_each_other() {
        let of = |parts: &[&str]| {
            let mut f = Fingerprint::new();
            parts.iter().for_each(|p| f.add(p.as_bytes()));
            f.hex()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
        assert_eq!(of(&["a", "b"]).len(), 32);
    }

    proptest! {
        /// A damaged description is noticed; nothing panics.
        #[test]
        fn damaged_caches_are_built_again(at in 0usize..400, bit in 0u8..8, cut in 0usize..1000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("cache");
            built(&path);
            let mut bytes = std::fs::read(&path).unwrap();
            let (length, json) = (bytes.len(), u64::from_le_bytes(*bytes[8..].first_chunk().unwrap()) as usize);
            let at = at % length;
            bytes[at] ^= 1 << bit;
            bytes.truncate(cut);
            std::fs::write(&path, &bytes).unwrap();
            let whole = cut >= length && at >= FIXED as usize + json;
            prop_assert_eq!(open(&path, "k", "set").is_some(), whole);
        }
    }
}
