//! What PyTorch wrote before 0.1.10: a tar with the members `storages`, `tensors` and `pickle`.
//!
//! `storages`: a pickled count; for each a pickled (key, place, type), a count of eight bytes and so many numbers; then a pickled list of
//! (key, key of the whole, offset, size) for storages that are parts of others. `tensors`: a pickled count; for each a pickled (key, key
//! of the storage, type), the number of axes in eight bytes of which four count, sizes, strides and the offset in eight bytes each.
//! `pickle`: the value, in which a tensor is a reference by its key. Keys are the addresses that things had in memory.

use super::{refers_to, size};
use crate::bytes::{Bytes, Metered};
use crate::error::shown;
use crate::globals::Meaning;
use crate::heap::{Data, Heap, Id, Storage, Tensor, Value};
use crate::pickle::{self, Alone, References};
use crate::{Dtype, Fault};
use std::collections::HashMap;

/// More axes than any tensor has.
const MOST_AXES: u32 = 64;

/// Reads the pickle of an archive.
pub(crate) fn read(heap: &mut Heap, bytes: &Bytes) -> Result<Id, Fault> {
    let members = members(bytes)?;
    let member = |name: &str| {
        let mut names: Vec<String> = members.keys().map(|n| format!("{:?}", shown(n))).collect();
        names.sort_unstable();
        names.truncate(5);
        let missing =
            || Fault::Missing { what: format!("the tar's member {name:?}"), found: format!("members {}", names.join(", ")) };
        members.get(name).ok_or_else(missing)
    };
    let mut known = HashMap::new();
    storages(heap, member("storages")?, &mut known)?;
    tensors(heap, member("tensors")?, &mut known)?;
    Ok(pickle::load(heap, &mut Keys(known), member("pickle")?, 0, 0)?.0)
}

fn members(bytes: &Bytes) -> Result<HashMap<String, Bytes>, Fault> {
    let broken = |e: std::io::Error| Fault::malformed(format!("the tar's directory cannot be read: {e}"));
    let mut archive = tar::Archive::new(Metered::new(bytes));
    let mut members = HashMap::new();
    for entry in archive.entries_with_seek().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        let (start, size) = (entry.raw_file_position(), entry.size());
        let data = bytes.part(start, size).ok_or_else(|| Fault::Truncated {
            what: format!("the tar's member {:?}", shown(&name)),
            at: start,
            needs: size,
            have: (bytes.len() as u64).saturating_sub(start),
        })?;
        if members.insert(name.clone(), data).is_some() {
            return Err(Fault::Duplicate { key: shown(&name), place: "the tar".to_owned() });
        }
    }
    Ok(members)
}

type Known = HashMap<i64, Id>;

/// A part of a member, read from the front.
struct Part<'a> {
    name: &'static str,
    bytes: &'a Bytes,
    at: u64,
}

impl Part<'_> {
    fn pickle(&mut self, heap: &mut Heap) -> Result<Id, Fault> {
        let (id, end) = pickle::load(heap, &mut Alone, self.bytes, self.at, 0)?;
        self.at = end;
        Ok(id)
    }

    fn take(&mut self, n: u64) -> Result<Bytes, Fault> {
        let have = (self.bytes.len() as u64).saturating_sub(self.at);
        let what = || format!("the tar's member {:?}", self.name);
        let part = self.bytes.part(self.at, n).ok_or_else(|| Fault::Truncated { what: what(), at: self.at, needs: n, have })?;
        self.at += n;
        Ok(part)
    }

    fn u64s(&mut self, n: u64) -> Result<Vec<u64>, Fault> {
        let bytes = self.take(8 * n)?;
        Ok(bytes.as_chunks().0.iter().map(|&b| u64::from_le_bytes(b)).collect())
    }

    /// A pickled tuple of three and the integer it begins with.
    fn head(&mut self, heap: &mut Heap) -> Result<(i64, [Id; 3]), Fault> {
        let id = self.pickle(heap)?;
        let parts = heap.sequence(id).and_then(|parts| <[Id; 3]>::try_from(parts).ok());
        let head = parts.and_then(|parts| Some((key(heap, parts[0])?, parts)));
        head.ok_or_else(|| Fault::malformed(format!("the tar's member {:?} has an entry that is not (key, .., ..)", self.name)))
    }
}

fn key(heap: &Heap, id: Id) -> Option<i64> {
    match heap.get(id) {
        Value::Int(key) => Some(*key),
        Value::Text(key) => key.parse().ok(),
        _ => None,
    }
}

fn count(heap: &Heap, id: Id, what: &str) -> Result<u64, Fault> {
    heap.as_size(id).ok_or_else(|| Fault::malformed(format!("the tar's member {what:?} does not begin with a count")))
}

fn add(known: &mut Known, key: i64, id: Id) -> Result<(), Fault> {
    let twice = || Fault::Duplicate { key: key.to_string(), place: "the keys of the tar's storages and tensors".to_owned() };
    if known.insert(key, id).is_some() { Err(twice()) } else { Ok(()) }
}

fn storage_at(heap: &Heap, known: &Known, key: i64) -> Result<u32, Fault> {
    match known.get(&key).map(|&id| heap.get(id)) {
        Some(&Value::Storage(storage)) => Ok(storage),
        _ => Err(Fault::Missing { what: format!("storage {key}"), found: format!("{} others in the tar", known.len()) }),
    }
}

fn push(heap: &mut Heap, key: i64, dtype: Option<Dtype>, bytes: u64, data: Data) -> Result<Id, Fault> {
    let file = heap.file.clone();
    let storage = heap.storage(Storage { file, key: key.to_string().into(), dtype, bytes, big_endian: false, data })?;
    heap.push(Value::Storage(storage))
}

fn storages(heap: &mut Heap, member: &Bytes, known: &mut Known) -> Result<(), Fault> {
    let mut part = Part { name: "storages", bytes: member, at: 0 };
    let n = part.pickle(heap)?;
    for _ in 0..count(heap, n, part.name)? {
        let (key, [_, _, class]) = part.head(heap)?;
        let dtype = match heap.get(class) {
            Value::Global(class) if matches!(class.meaning, Meaning::Storage(_)) => class.meaning,
            _ => return Err(Fault::malformed(format!("the tar's storage {key} is of a type that is no storage"))),
        };
        let Meaning::Storage(dtype) = dtype else { unreachable!("matched above") };
        let numbers = part.u64s(1)?[0];
        let bytes = numbers.checked_mul(size(dtype));
        let bytes = bytes.ok_or_else(|| Fault::malformed(format!("the tar's storage {key} has {numbers} numbers")))?;
        let data = part.take(bytes)?;
        let id = push(heap, key, dtype, bytes, Data::Plain(data))?;
        add(known, key, id)?;
    }
    let views = part.pickle(heap)?;
    let wrong = || Fault::malformed("the tar's parts of storages are not (key, key of the whole, offset, size)");
    for view in heap.sequence(views).ok_or_else(wrong)?.to_vec() {
        heap.steps.spend(1)?;
        let &[own, whole, offset, numbers] = heap.sequence(view).ok_or_else(wrong)? else { return Err(wrong()) };
        let (own, whole) = key(heap, own).zip(key(heap, whole)).ok_or_else(wrong)?;
        let mut root = storage_at(heap, known, whole)?;
        let dtype = heap.storages[root as usize].dtype;
        let scaled = |id| heap.as_size(id).and_then(|n| n.checked_mul(size(dtype)));
        let (mut from, bytes) = scaled(offset).zip(scaled(numbers)).ok_or_else(wrong)?;
        // A part of a part is a part of the whole.
        if let Data::View(whole, start) = heap.storages[root as usize].data {
            (root, from) = (whole, from.checked_add(start).ok_or_else(wrong)?);
        }
        let id = push(heap, own, dtype, bytes, Data::View(root, from))?;
        add(known, own, id)?;
    }
    Ok(())
}

fn tensors(heap: &mut Heap, member: &Bytes, known: &mut Known) -> Result<(), Fault> {
    let mut part = Part { name: "tensors", bytes: member, at: 0 };
    let n = part.pickle(heap)?;
    for _ in 0..count(heap, n, part.name)? {
        let (own, [_, storage, _]) = part.head(heap)?;
        let storage = key(heap, storage).ok_or_else(|| Fault::malformed(format!("the tar's tensor {own} has no storage")))?;
        let storage = storage_at(heap, known, storage)?;
        // The upper half was written by mistake and means nothing.
        let axes = part.u64s(1)?[0] as u32;
        if axes > MOST_AXES {
            return Err(Fault::malformed(format!("the tar's tensor {own} has {axes} axes")));
        }
        let (shape, strides) = (part.u64s(axes.into())?.into(), part.u64s(axes.into())?.into());
        let offset = part.u64s(1)?[0];
        let dtype = heap.storages[storage as usize].dtype.unwrap_or(Dtype::U8);
        let id = heap.push(Value::Tensor(Box::new(Tensor { storage, dtype, offset, shape, strides })))?;
        add(known, own, id)?;
    }
    Ok(())
}

/// Tensors and storages by their keys.
struct Keys(Known);

impl References for Keys {
    fn load(&mut self, heap: &mut Heap, reference: Id) -> Result<Id, Fault> {
        // A module comes as (class, file, source text), of which only the class is looked at.
        if let Some([class, ..]) = heap.sequence(reference).filter(|_| !refers_to(heap, reference, "storage")) {
            return Ok(*class);
        }
        let key = key(heap, reference).ok_or_else(|| Fault::malformed("the pickle refers to what is no key"))?;
        let found = || format!("{} others in the tar", self.0.len());
        self.0.get(&key).copied().ok_or_else(|| Fault::Missing { what: format!("tensor {key}"), found: found() })
    }
}
