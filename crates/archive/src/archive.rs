//! Opening a file of any of the containers.

use crate::bytes::Bytes;
use crate::heap::{Heap, Id};
use crate::{ArchiveError, Array, Fault, Node, Policy, container};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A header in JSON, then numbers.
    Safetensors,
    /// What PyTorch writes since 1.6: a zip of a pickle and of storages.
    TorchZip,
    /// What it wrote from 0.1.10 to 1.5: pickles, one after another, then storages.
    TorchLegacy,
    /// What it wrote before: a tar of pickles and storages.
    TorchTar,
    /// A pickle alone.
    Pickle,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "PyTorch zip",
            Self::TorchLegacy => "PyTorch legacy",
            Self::TorchTar => "PyTorch tar",
            Self::Pickle => "pickle",
        })
    }
}

/// An open file.
#[derive(Debug)]
pub struct Archive {
    pub(crate) container: Container,
    pub(crate) heap: Heap,
    pub(crate) root: Id,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Opens a file: reads its headers or pickles, not its numbers. The first bytes tell what it is, not the name.
///
/// # Errors
/// When it cannot be read, is of no known kind, contradicts itself, asks for names outside the list, or for more than the limits.
pub fn open(path: &Path) -> Result<Archive, ArchiveError> {
    open_with(path, &Policy::default())
}

/// Opens a file under a policy of one's own.
///
/// # Errors
/// As for [`open`].
pub fn open_with(path: &Path, policy: &Policy) -> Result<Archive, ArchiveError> {
    let bytes = Bytes::map(path).map_err(Fault::Io);
    bytes.and_then(|bytes| container::read(&bytes, path, policy)).map_err(|fault| ArchiveError::new(path, fault))
}

/// Opens the files that an index names (`model.safetensors.index.json`, `pytorch_model.bin.index.json`) as one: a flat dict.
///
/// # Errors
/// When the index cannot be read or names files elsewhere, when a shard cannot be opened, and when index and shards disagree.
pub fn open_sharded(index: &Path) -> Result<Archive, ArchiveError> {
    container::sharded::open(index, &Policy::default())
}

impl Archive {
    /// What kind of file it is.
    pub fn container(&self) -> Container {
        self.container
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.heap.file
    }

    /// The value that was saved; of safetensors, a flat dict of arrays.
    pub fn root(&self) -> Node<'_> {
        Node::new(self, self.root, String::new())
    }

    /// The texts that a safetensors file says of itself; empty for other containers.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Every array of the file by its dotted name: keys of dicts, numbers of lists, attributes of objects. Of PyTorch's modules, the
    /// names are those of their state dicts, and the buffers left out of these are there as well.
    ///
    /// # Errors
    /// When two arrays would have one name, one has a storage shorter than its shape, or the values do not end.
    pub fn arrays(&self) -> Result<BTreeMap<String, Array>, ArchiveError> {
        self.root().arrays()
    }
}
