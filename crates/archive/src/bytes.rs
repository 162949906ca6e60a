//! A stretch of a mapped file or of memory: shared by whoever points into it, and never copied. What others read of it is counted.

use memmap2::Mmap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

#[derive(Clone)]
enum Owner {
    Map(Arc<Mmap>),
    Memory(Arc<Vec<u8>>),
}

/// Bytes that somebody else owns.
#[derive(Clone)]
pub(crate) struct Bytes {
    owner: Owner,
    range: Range<usize>,
}

impl Bytes {
    /// A whole file, mapped into memory: its pages are read when they are looked at.
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        // A pipe or a device would block or never end.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file"));
        }
        let file = File::open(path)?;
        // SAFETY: the map is read only, and this program writes no file in place: what it writes appears under its name by a rename, as
        // another file. Another program that shortens the file while it is mapped breaks this, as it would for any mapped file.
        let map = unsafe { Mmap::map(&file) }?;
        let range = 0..map.len();
        Ok(Self { owner: Owner::Map(Arc::new(map)), range })
    }

    /// These bytes without their first `from`, at most `length` of them; none if that is not all there.
    pub(crate) fn part(&self, from: u64, length: u64) -> Option<Self> {
        let (from, length) = (usize::try_from(from).ok()?, usize::try_from(length).ok()?);
        let end = from.checked_add(length).filter(|&end| end <= self.len())?;
        let start = self.range.start;
        Some(Self { owner: self.owner.clone(), range: start + from..start + end })
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(memory: Vec<u8>) -> Self {
        let range = 0..memory.len();
        Self { owner: Owner::Memory(Arc::new(memory)), range }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.owner {
            Owner::Map(map) => &map[self.range.clone()],
            Owner::Memory(memory) => &memory[self.range.clone()],
        }
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// What a library reads to find its way in a file, with a bound: a directory may be announced anywhere, any number of times, and as
/// long as the file.
pub(crate) struct Metered<'a> {
    bytes: Cursor<&'a [u8]>,
    left: u64,
}

/// Enough for the directory of an archive with two hundred thousand members.
const DIRECTORY: u64 = 1 << 25;
/// What a call costs besides the bytes it reads.
const CALL: u64 = 32;

impl<'a> Metered<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Cursor::new(bytes), left: DIRECTORY }
    }

    fn spend(&mut self, n: usize) -> io::Result<()> {
        let left = self.left.checked_sub(CALL + n as u64);
        self.left =
            left.ok_or_else(|| io::Error::other(format!("more than {DIRECTORY} bytes to read in search of the members")))?;
        Ok(())
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read(into)?;
        self.spend(n)?;
        Ok(n)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.spend(0)?;
        self.bytes.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stay_inside() {
        let all = Bytes::from(vec![0, 1, 2, 3, 4, 5]);
        let part = all.part(1, 4).unwrap();
        assert_eq!(&*part, [1, 2, 3, 4]);
        assert_eq!(&*part.part(3, 1).unwrap(), [4]);
        assert!(part.part(4, 0).unwrap().is_empty());
        for (from, length) in [(0, 5), (5, 0), (4, 1), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            assert!(part.part(from, length).is_none(), "{from} {length}");
        }
    }
}
