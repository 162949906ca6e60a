//! Tensors of PyTorch: views into storages.

use super::Machine;
use crate::container::legacy;
use crate::heap::{Id, Tensor, Value};
use crate::{Dtype, Fault};

/// More axes than any tensor has.
const MOST_AXES: usize = 64;

impl Machine<'_> {
    /// `_rebuild_tensor(storage, offset, size, stride, ..)`; the type is the storage's if none is given.
    pub(super) fn tensor(&mut self, args: &[Id], dtype: Option<Dtype>) -> Result<Id, Fault> {
        let &[storage, offset, shape, strides, ref rest @ ..] = args else {
            return Err(self.wrong("a tensor without storage, offset, size and stride"));
        };
        let &Value::Storage(storage) = self.heap.get(storage) else { return Err(self.wrong("a tensor whose storage is none")) };
        let offset = self.heap.as_size(offset).ok_or_else(|| self.wrong("a tensor whose offset is no size"))?;
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        // What stands last may say that the numbers are to be conjugated or negated.
        let flagged = |&id: &Id| match self.heap.get(id) {
            Value::Dict(items) => items.iter().any(|(k, v)| {
                matches!(self.heap.as_text(*k), Some("neg" | "conj")) && matches!(self.heap.get(*v), Value::Bool(true))
            }),
            _ => false,
        };
        if rest.iter().skip(2).any(flagged) {
            return Err(self.wrong("a tensor that is negated or conjugated when it is read"));
        }
        let dtype = dtype.or(self.heap.storages[storage as usize].dtype).unwrap_or(Dtype::U8);
        self.heap.push(Value::Tensor(Box::new(Tensor { storage, dtype, offset, shape, strides })))
    }

    pub(super) fn sizes(&mut self, id: Id) -> Result<Box<[u64]>, Fault> {
        let ids = self.heap.sequence(id).filter(|ids| ids.len() <= MOST_AXES);
        let sizes = ids.and_then(|ids| ids.iter().map(|&id| self.heap.as_size(id)).collect::<Option<Box<[u64]>>>());
        let sizes = sizes.ok_or_else(|| self.wrong("a shape that is no tuple of sizes"))?;
        self.heap.bytes.spend(8 * sizes.len() as u64)?;
        Ok(sizes)
    }

    /// `_load_from_bytes(bytes)`: the bytes are a legacy file whose value is a storage.
    pub(super) fn nested_storage(&mut self, args: &[Id]) -> Result<Id, Fault> {
        let Some(Value::Bytes(bytes)) = args.first().map(|&id| self.heap.get(id)) else {
            return Err(self.wrong("a storage of what is no bytes"));
        };
        let bytes = (**bytes).clone();
        let id = legacy::nested(self.heap, &bytes, self.nesting + 1)?;
        match self.heap.get(id) {
            Value::Storage(_) => Ok(id),
            _ => Err(self.wrong("a storage's file that holds no storage")),
        }
    }
}
