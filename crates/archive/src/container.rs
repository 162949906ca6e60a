//! The containers, and how to tell them apart by their first bytes.
//!
//! A zip begins with `PK`, a tar has `ustar` at byte 257, a pickle of protocol 2 or later begins with 0x80 and the protocol. Safetensors
//! begins with the length of its header, a JSON object: byte 8 is a brace, and the length's upper half is zero.

pub(crate) mod legacy;
pub(crate) mod safetensors;
pub(crate) mod sharded;
pub(crate) mod tar;
pub(crate) mod zip;

use crate::bytes::Bytes;
use crate::globals::Meaning;
use crate::heap::{Heap, Id, Value};
use crate::pickle::{self, Alone};
use crate::{Archive, Container, Dtype, Fault, Policy};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads headers and pickles of a file.
pub(crate) fn read(bytes: &Bytes, path: &Path, policy: &Policy) -> Result<Archive, Fault> {
    let mut heap = Heap::new(path, policy);
    let mut metadata = BTreeMap::new();
    let unknown = |found: String| Err(Fault::Container { found });
    let (container, root) = match **bytes {
        [] => return unknown("the file is empty".to_owned()),
        [_, _, _, _, 0, 0, 0, 0, b'{', ..] => (Container::Safetensors, safetensors::read(&mut heap, bytes, &mut metadata)?),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => (Container::TorchZip, zip::read(&mut heap, bytes)?),
        _ if bytes.get(257..262) == Some(b"ustar") => (Container::TorchTar, tar::read(&mut heap, bytes)?),
        [0x80, 0..=5, ..] => {
            let (first, end) = pickle::load(&mut heap, &mut Alone, bytes, 0, 0)?;
            match legacy::is_magic(heap.get(first)) {
                true => (Container::TorchLegacy, legacy::read(&mut heap, bytes, end, 0)?),
                false => (Container::Pickle, first),
            }
        }
        [_, _, _, _, _, _, _, _, b'{', ..] => (Container::Safetensors, safetensors::read(&mut heap, bytes, &mut metadata)?),
        [b'{', ..] => return unknown("the file is JSON; an index of shards is opened as such".to_owned()),
        // Protocols 0 and 1 have no mark of their own; what is saved begins with a container or a name.
        [b'(' | b']' | b'}' | b')' | b'c', ..] => (Container::Pickle, pickle::load(&mut heap, &mut Alone, bytes, 0, 0)?.0),
        _ => {
            let first: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
            return unknown(format!("the file begins with the bytes {}", first.join(" ")));
        }
    };
    heap.refuse_duplicates()?;
    Ok(Archive { container, heap, root, metadata })
}

/// A reference to a storage as pickles of zips and legacy files have it: ('storage', type, key, place, numbers, ..).
struct Reference {
    dtype: Option<Dtype>,
    key: String,
    bytes: u64,
    /// The reference without its first five parts.
    rest: Vec<Id>,
}

impl Reference {
    fn parse(heap: &Heap, id: Id) -> Result<Self, Fault> {
        let wrong = |what: &str| Fault::malformed(format!("a reference to a storage {what}"));
        let Some(&[_, class, key, _, numbers, ref rest @ ..]) = heap.sequence(id) else {
            return Err(wrong("that is not ('storage', type, key, place, size)"));
        };
        let Value::Global(class) = heap.get(class) else { return Err(wrong("whose type is no class")) };
        let Meaning::Storage(dtype) = class.meaning else {
            return Err(wrong(&format!("of type {}.{}, which is no storage", class.module, class.name)));
        };
        let key = match heap.get(key) {
            Value::Text(key) => key.to_string(),
            Value::Int(key) => key.to_string(),
            _ => return Err(wrong("whose key is no text")),
        };
        let numbers = heap.as_size(numbers).ok_or_else(|| wrong("whose size is none"))?;
        let bytes =
            numbers.checked_mul(size(dtype)).ok_or_else(|| wrong(&format!("of {numbers} numbers, more than can be counted")))?;
        Ok(Self { dtype, key, bytes, rest: rest.to_vec() })
    }
}

/// Bytes of a number in a storage of this type.
fn size(dtype: Option<Dtype>) -> u64 {
    dtype.map_or(1, Dtype::size) as u64
}

/// Whether a reference is to something of this name.
fn refers_to(heap: &Heap, reference: Id, what: &str) -> bool {
    let first = heap.sequence(reference).and_then(|parts| parts.first().copied());
    first.is_some_and(|id| heap.as_text(id) == Some(what))
}
