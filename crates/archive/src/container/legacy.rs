//! What PyTorch wrote from 0.1.10 to 1.5, and still writes for a storage within a pickle.
//!
//! Pickles, one after another: a magic number, the protocol 1001, facts about the machine, the value, and the list of the keys of its
//! storages. Then, in the order of that list, each storage: a count of eight bytes and so many numbers, the lowest byte first whatever
//! the machine. A reference may name a part of a storage instead: (key of the part, offset, size) as its sixth part.

use super::{Reference, refers_to, size};
use crate::Fault;
use crate::bytes::Bytes;
use crate::error::shown;
use crate::heap::{Data, Heap, Id, Storage, Value};
use crate::pickle::{self, Alone, References};
use std::collections::HashMap;

/// 0x1950a86a20f9469cfc6c, the lowest byte first.
const MAGIC: [u8; 10] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

/// Whether a value is what the first pickle of a legacy file holds.
pub(crate) fn is_magic(value: &Value) -> bool {
    matches!(value, Value::Big(bytes) if **bytes == MAGIC)
}

/// A legacy file within another.
pub(crate) fn nested(heap: &mut Heap, bytes: &Bytes, nesting: u64) -> Result<Id, Fault> {
    let (first, end) = pickle::load(heap, &mut Alone, bytes, 0, nesting)?;
    if !is_magic(heap.get(first)) {
        return Err(Fault::malformed("a storage's bytes are no legacy file of torch.save"));
    }
    read(heap, bytes, end, nesting)
}

/// Reads a legacy file from the end of its magic number on.
pub(crate) fn read(heap: &mut Heap, bytes: &Bytes, at: u64, nesting: u64) -> Result<Id, Fault> {
    let (protocol, at) = pickle::load(heap, &mut Alone, bytes, at, nesting)?;
    match heap.get(protocol) {
        Value::Int(PROTOCOL) => {}
        other => return Err(Fault::malformed(format!("a legacy file of protocol {other:?}; expected {PROTOCOL}"))),
    }
    let (_, at) = pickle::load(heap, &mut Alone, bytes, at, nesting)?;
    let mut storages = Storages { known: HashMap::new(), views: HashMap::new() };
    let (root, at) = pickle::load(heap, &mut storages, bytes, at, nesting)?;
    let (keys, mut at) = pickle::load(heap, &mut Alone, bytes, at, nesting)?;

    let keys = heap.sequence(keys).ok_or_else(|| Fault::malformed("a legacy file without the list of its storages"))?.to_vec();
    heap.steps.spend(keys.len() as u64)?;
    for key in keys {
        let key = match heap.get(key) {
            Value::Text(key) => key.to_string(),
            Value::Int(key) => key.to_string(),
            _ => return Err(Fault::malformed("a legacy file's list of storages holds what is no key")),
        };
        let found = || format!("{} storages that the value mentions", storages.known.len());
        let known = storages.known.get(&key);
        let &id = known.ok_or_else(|| Fault::Missing { what: format!("storage {:?}", shown(&key)), found: found() })?;
        let storage = &mut heap.storages[id as usize];
        let what = || format!("storage {:?}", shown(&key));
        if !matches!(storage.data, Data::Awaited) {
            return Err(Fault::Duplicate { key, place: "a legacy file's list of storages".to_owned() });
        }
        let have = (bytes.len() as u64).saturating_sub(at);
        let short = |needs| Fault::Truncated { what: what(), at, needs, have };
        let count = bytes.part(at, 8).ok_or_else(|| short(8))?;
        let count = u64::from_le_bytes(*count.first_chunk().expect("eight bytes were taken"));
        if count.checked_mul(size(storage.dtype)) != Some(storage.bytes) {
            let expected = storage.bytes / size(storage.dtype);
            return Err(Fault::malformed(format!("{} has {count} numbers; the pickle expects {expected} in it", what())));
        }
        let needs = storage.bytes.saturating_add(8);
        storage.data = Data::Plain(bytes.part(at + 8, storage.bytes).ok_or_else(|| short(needs))?);
        at += needs;
    }
    let missing = storages.known.iter().find(|(_, id)| matches!(heap.storages[**id as usize].data, Data::Awaited));
    match missing {
        Some((key, _)) => {
            let what = format!("storage {:?}", shown(key));
            Err(Fault::Missing { what, found: "others in the legacy file's list of storages".to_owned() })
        }
        None => Ok(root),
    }
}

/// The storages that a value mentions; their numbers come after it.
struct Storages {
    known: HashMap<String, u32>,
    views: HashMap<String, u32>,
}

impl References for Storages {
    fn load(&mut self, heap: &mut Heap, reference: Id) -> Result<Id, Fault> {
        // A whole module comes with its class's source text, which is not looked at.
        if refers_to(heap, reference, "module") {
            let class = heap.sequence(reference).and_then(|parts| parts.get(1).copied());
            return class.ok_or_else(|| Fault::malformed("a reference to a module without its class"));
        }
        if !refers_to(heap, reference, "storage") {
            return Err(Fault::malformed("the pickle refers to what is neither storage nor module"));
        }
        let Reference { dtype, key, bytes, rest } = Reference::parse(heap, reference)?;
        let file = heap.file.clone();
        let root = match self.known.get(&key) {
            Some(&id) if heap.storages[id as usize].dtype == dtype => id,
            Some(_) => return Err(Fault::malformed(format!("storage {:?} is mentioned with two types", shown(&key)))),
            None => {
                heap.bytes.spend(key.len() as u64)?;
                let (key_text, data) = (key.as_str().into(), Data::Awaited);
                let id = heap.storage(Storage { file: file.clone(), key: key_text, dtype, bytes, big_endian: false, data })?;
                self.known.insert(key, id);
                id
            }
        };
        let view = rest.first().copied().filter(|&view| !matches!(heap.get(view), Value::None));
        let Some(view) = view else { return heap.push(Value::Storage(root)) };

        let wrong = || Fault::malformed("a reference to a part of a storage that is not (key, offset, size)");
        let &[key, offset, numbers] = heap.sequence(view).ok_or_else(wrong)? else { return Err(wrong()) };
        let key = crate::node::key_text(heap, key).ok_or_else(wrong)?;
        if let Some(&id) = self.views.get(&key) {
            return heap.push(Value::Storage(id));
        }
        let scaled = |id| heap.as_size(id).and_then(|n| n.checked_mul(size(dtype)));
        let (from, bytes) = scaled(offset).zip(scaled(numbers)).ok_or_else(wrong)?;
        heap.bytes.spend(key.len() as u64)?;
        let data = Data::View(root, from);
        let id = heap.storage(Storage { file, key: key.as_str().into(), dtype, bytes, big_endian: false, data })?;
        self.views.insert(key, id);
        heap.push(Value::Storage(id))
    }
}
