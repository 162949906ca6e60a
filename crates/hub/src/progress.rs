//! What a transfer tells while it runs: the file, the bytes that are here, the bytes there will be.

/// Listens to a transfer. A closure over `(file, done, total)` is one, `()` listens to nothing.
///
/// For each file that has to be brought, the first call has the bytes that an earlier transfer left, the last one `done == total`.
/// Files that are in the cache already are not mentioned. `done` steps back only where a server cannot go on in the middle of a file.
pub trait Progress {
    /// `done` bytes of the `total` of `file`, by its name in the repository, are on disk.
    fn at(&mut self, file: &str, done: u64, total: u64);
}

impl<F: FnMut(&str, u64, u64)> Progress for F {
    fn at(&mut self, file: &str, done: u64, total: u64) {
        self(file, done, total);
    }
}

impl Progress for () {
    fn at(&mut self, _file: &str, _done: u64, _total: u64) {}
}
