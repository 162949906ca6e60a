//! Where files are, and how the tests write pickles of their own.

use scorefield_archive::{Archive, ArchiveError, Fault, Policy, open_with};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A small file of this crate.
pub(crate) fn small(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Every small file.
pub(crate) fn all_small() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(small("")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e != "py" && e != "json"));
    files.sort();
    assert!(files.len() >= 15, "{files:?}");
    files
}

/// A folder of the reference data.
pub(crate) fn shared(name: &str) -> PathBuf {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    std::env::var_os("SCOREFIELD_SHARED").map_or_else(beside, PathBuf::from).join(name)
}

/// Every file under a folder.
pub(crate) fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
    files.sort();
}

/// Opens bytes as a file.
pub(crate) fn read_with(bytes: &[u8], policy: &Policy) -> Result<Archive, ArchiveError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    open_with(file.path(), policy)
}

pub(crate) fn read(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    read_with(bytes, &Policy::default())
}

/// What is wrong with bytes.
#[track_caller]
pub(crate) fn fault(bytes: &[u8]) -> Fault {
    match read(bytes) {
        Ok(archive) => panic!("{archive:?} was read"),
        Err(e) => *e.fault,
    }
}

/// A pickle being written, instruction by instruction.
#[derive(Clone, Debug)]
pub(crate) struct Pickle(pub(crate) Vec<u8>);

impl Pickle {
    pub(crate) fn new() -> Self {
        Self(vec![0x80, 4])
    }

    pub(crate) fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }

    pub(crate) fn int(self, n: i32) -> Self {
        self.op(b"J").op(&n.to_le_bytes())
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.op(b"B").op(&(bytes.len() as u32).to_le_bytes()).op(bytes)
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    /// An array of NumPy with these strides' worth of bytes.
    pub(crate) fn numpy(self, code: &str, shape: &[i32], bytes: &[u8]) -> Self {
        let mut p = self.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray");
        p = p.op(b"K\0\x85").bytes(b"b").op(b"\x87R(K\x01(");
        for &n in shape {
            p = p.int(n);
        }
        p.op(b"t").global("numpy", "dtype").text(code).op(b"\x89\x88\x87R\x89").bytes(bytes).op(b"tb")
    }

    pub(crate) fn stop(self) -> Vec<u8> {
        self.op(b".").0
    }

    #[track_caller]
    pub(crate) fn read(self) -> Archive {
        read(&self.stop()).unwrap_or_else(|e| panic!("{e}"))
    }

    #[track_caller]
    pub(crate) fn fault(self) -> Fault {
        fault(&self.stop())
    }
}

/// A zip with members as they are.
pub(crate) fn zip(members: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        out.start_file(*name, options).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// The pickle of one tensor whose storage is a member of a zip.
pub(crate) fn zipped_tensor(numbers: i32, shape: &[i32], strides: &[i32], offset: i32) -> Pickle {
    let ints = |mut p: Pickle, ns: &[i32]| {
        p = p.op(b"(");
        for &n in ns {
            p = p.int(n);
        }
        p.op(b"t")
    };
    let p = Pickle::new().op(b"}").text("w").global("torch._utils", "_rebuild_tensor_v2").op(b"((").text("storage");
    let p = p.global("torch", "FloatStorage").text("0").text("cpu").int(numbers).op(b"tQ").int(offset);
    ints(ints(p, shape), strides).op(b"\x89N").op(b"tRs")
}
