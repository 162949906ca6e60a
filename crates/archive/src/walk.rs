//! All arrays under a value, by dotted names, as PyTorch's state dicts name them.
//!
//! A dict gives its keys, a list its numbers from 0, an object the keys of its state. A module of PyTorch keeps its tensors apart: its
//! `_parameters` and `_buffers` are named as if they were its attributes, and so are the modules in `_modules`; its other attributes
//! are no part of its weights. What is no array is passed over.
//!
//! Values may be shared, so that few of them make a tree of exponential size, or contain themselves. The walk therefore keeps its own
//! stack, and counts levels, values and the bytes of names.

use crate::heap::{Heap, Id, Value};
use crate::node::{items, join, key_text};
use crate::policy::Count;
use crate::{Array, Fault, Limit};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The arrays under a value; names begin there, and messages at `place`.
pub(crate) fn arrays(heap: &Heap, root: Id, place: &str) -> Result<BTreeMap<String, Array>, Fault> {
    let limits = &heap.policy.limits;
    let (mut nodes, mut bytes) = (Count::new(Limit::Nodes, limits), Count::new(Limit::Bytes, limits));
    let depth = Count::new(Limit::Depth, limits);
    let mut found = BTreeMap::new();
    let mut stack = vec![(root, String::new(), 0)];
    while let Some((id, name, level)) = stack.pop() {
        depth.allows(level)?;
        if let Value::Tensor(tensor) = heap.get(id) {
            let array = heap.array(tensor, &join(place, &name))?;
            match found.entry(name) {
                Entry::Vacant(slot) => drop(slot.insert(array)),
                Entry::Occupied(slot) => {
                    let place = "the dotted names of its arrays".to_owned();
                    return Err(Fault::Duplicate { key: slot.key().clone(), place });
                }
            }
            continue;
        }
        let mut under = |key: &str, child: Id| {
            nodes.spend(1)?;
            if !matches!(heap.get(child), Value::Tensor(_) | Value::Object(_) | Value::Dict(_) | Value::List(_) | Value::Tuple(_))
            {
                return Ok(());
            }
            let name = join(&name, key);
            bytes.spend(name.len() as u64)?;
            stack.push((child, name, level + 1));
            Ok::<(), Fault>(())
        };
        for part in module(heap, id).map_or_else(|| vec![id], Vec::from) {
            match heap.get(part) {
                Value::List(ids) => ids.iter().enumerate().try_for_each(|(i, &child)| under(&i.to_string(), child))?,
                Value::Tuple(ids) => ids.iter().enumerate().try_for_each(|(i, &child)| under(&i.to_string(), child))?,
                Value::Dict(_) | Value::Object(_) => {
                    for (key, child) in items(heap, part) {
                        key_text(heap, key).map_or(Ok(()), |key| under(&key, child))?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// The parameters, buffers and modules of a module of PyTorch, if it is one.
fn module(heap: &Heap, id: Id) -> Option<[Id; 3]> {
    if !matches!(heap.get(id), Value::Object(_)) {
        return None;
    }
    let part = |name: &str| items(heap, id).find(|(key, _)| heap.as_text(*key) == Some(name)).map(|(_, id)| id);
    Some([part("_parameters")?, part("_buffers")?, part("_modules")?])
}
