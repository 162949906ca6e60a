//! A model in several files with an index: JSON whose `weight_map` gives each tensor's name the file that holds it, beside the index.

use super::safetensors::Unique;
use crate::bytes::Bytes;
use crate::error::shown;
use crate::heap::{Heap, Value};
use crate::{Archive, ArchiveError, Container, Fault, Policy};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// An index of this length names a hundred thousand tensors.
const LONGEST_INDEX: usize = 32 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: Unique<String>,
}

/// Opens an index and the files it names.
pub(crate) fn open(path: &Path, policy: &Policy) -> Result<Archive, ArchiveError> {
    let error = |fault| ArchiveError::new(path, fault);
    let files = index(path).map_err(error)?;
    let mut heap = Heap::new(path, policy);
    let (mut items, mut metadata, mut container) = (Vec::new(), BTreeMap::new(), Container::Safetensors);
    for (file, names) in files {
        let shard_path = path.with_file_name(&file);
        let shard = crate::open_with(&shard_path, policy)?;
        let mut arrays = shard.arrays()?;
        for name in names {
            let missing = |found: usize| Fault::Missing {
                what: format!("tensor {:?}, which the index places here,", shown(&name)),
                found: format!("{found} others"),
            };
            let array = arrays.remove(&name).ok_or_else(|| ArchiveError::new(&shard_path, missing(arrays.len())))?;
            let id = array.push(&mut heap).map_err(error)?;
            let key = heap.text(&name).map_err(error)?;
            items.push((key, id));
        }
        if let Some(name) = arrays.keys().next() {
            let more = format!("tensor {:?} is in it, and the index does not place it here", shown(name));
            return Err(ArchiveError::new(&shard_path, Fault::malformed(more)));
        }
        metadata.extend(shard.metadata().clone());
        container = shard.container();
    }
    let root = heap.push(Value::Dict(items)).map_err(error)?;
    Ok(Archive { container, heap, root, metadata })
}

/// The files of an index in alphabetical order, with the names in each.
fn index(path: &Path) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let bytes = Bytes::map(path)?;
    if bytes.len() > LONGEST_INDEX {
        return Err(Fault::malformed(format!("an index of {} bytes; at most {LONGEST_INDEX} are read", bytes.len())));
    }
    let broken = |e: serde_json::Error| Fault::malformed(format!("no index of shards: {e}"));
    let index: Index = serde_json::from_slice(&bytes).map_err(broken)?;
    let mut files = BTreeMap::<String, Vec<String>>::new();
    for (name, file) in index.weight_map.0 {
        // A name and nothing else: an index is not to lead elsewhere.
        if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', ':', '\0']) {
            return Err(Fault::malformed(format!("the index names the file {:?}; expected one beside it", shown(&file))));
        }
        files.entry(file).or_default().push(name);
    }
    for names in files.values_mut() {
        names.sort_unstable();
    }
    if files.is_empty() {
        return Err(Fault::malformed("the index names no files"));
    }
    Ok(files)
}
