//! Safetensors: eight bytes with the length of the header, the header in JSON, then the numbers of all tensors without gaps, the
//! lowest byte first. The header gives each name its type, its shape and its place; `__metadata__` holds texts.

use crate::bytes::Bytes;
use crate::error::shown;
use crate::heap::{Data, Heap, Id, Storage, Tensor, Value};
use crate::{Dtype, Fault};
use safetensors::SafeTensors;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::marker::PhantomData;

/// More than any model has in one file.
const MOST_TENSORS: usize = 100_000;
/// A header of this length describes so many; a longer one means another kind of file.
const LONGEST_HEADER: u64 = 32 << 20;

/// Reads the header of a file: a flat dict.
pub(crate) fn read(heap: &mut Heap, bytes: &Bytes, texts: &mut BTreeMap<String, String>) -> Result<Id, Fault> {
    let size = bytes.len() as u64;
    let short = |needs, have| Fault::Truncated { what: "the header".to_owned(), at: 0, needs, have };
    let length = u64::from_le_bytes(*bytes.first_chunk().ok_or_else(|| short(8, size))?);
    if length > LONGEST_HEADER {
        return Err(Fault::malformed(format!(
            "the first eight bytes announce a header of {length} bytes; at most {LONGEST_HEADER} are read"
        )));
    }
    let header = bytes.part(8, length).ok_or_else(|| short(length, size - 8))?;
    // The library's own maps keep the last of two equal keys.
    let names =
        serde_json::from_slice::<Unique<IgnoredAny>>(&header).map_err(|e| Fault::malformed(format!("the header: {e}")))?;
    if names.0.len() > MOST_TENSORS {
        return Err(Fault::malformed(format!("the header names {} tensors; at most {MOST_TENSORS} are read", names.0.len())));
    }
    drop(names);
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| Fault::malformed(format!("the header: {e}")))?;
    texts.extend(metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())));

    let mut items = Vec::new();
    let tensors = metadata.tensors();
    for name in metadata.offset_keys() {
        let info = tensors[&name];
        let dtype =
            Dtype::of_safetensors(info.dtype).ok_or_else(|| Fault::unreadable(&shown(&name), format!("{:?}", info.dtype)))?;
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let data = bytes.part(8 + length + from, to - from).ok_or_else(|| Fault::Truncated {
            what: format!("tensor {:?}", shown(&name)),
            at: 8 + length + from,
            needs: to - from,
            have: (size - 8 - length).saturating_sub(from),
        })?;
        let shape: Box<[u64]> = info.shape.iter().map(|&n| n as u64).collect();
        let mut strides = vec![1; shape.len()];
        // The library has checked that the product can be counted, but for shapes with a zero.
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = u64::saturating_mul(strides[axis], shape[axis]);
        }
        let file = heap.file.clone();
        let storage =
            Storage { file, key: "".into(), dtype: Some(dtype), bytes: to - from, big_endian: false, data: Data::Plain(data) };
        let storage = heap.storage(storage)?;
        let tensor = Tensor { storage, dtype, offset: 0, shape, strides: strides.into() };
        let (key, value) = (heap.text(&name)?, heap.push(Value::Tensor(Box::new(tensor)))?);
        items.push((key, value));
    }
    heap.push(Value::Dict(items))
}

/// A JSON object in which no key occurs twice, in its order.
pub(super) struct Unique<V>(pub(super) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Unique<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                let mut keys = HashSet::new();
                match pairs.iter().find(|(key, _): &&(String, V)| !keys.insert(key.as_str())) {
                    Some((key, _)) => Err(A::Error::custom(format!("the name {:?} occurs twice", shown(key)))),
                    None => Ok(Unique(pairs)),
                }
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}
