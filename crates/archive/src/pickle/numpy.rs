//! Arrays and numbers of NumPy: their bytes stand in the pickle.
//!
//! A type is `dtype(code)` with a state whose second entry is the order of bytes. A number is `scalar(type, bytes)`, an array
//! `_reconstruct(..)` with the state (version, shape, type, whether columns come first, bytes), from protocol 5 on
//! `_frombuffer(bytes, type, shape, order)`. Types that are no numbers (texts, dates, records, objects) stay objects.

use super::Machine;
use crate::bytes::Bytes;
use crate::globals::{Global, Meaning};
use crate::heap::{Data, Id, Storage, Tensor, Value};
use crate::{Dtype, Fault};
use std::sync::Arc;

impl Machine<'_> {
    pub(super) fn numpy_scalar(&mut self, global: Arc<Global>, args: Id, ids: &[Id]) -> Result<Id, Fault> {
        let &[dtype, bytes] = ids else { return Err(self.wrong("a number of NumPy without type and bytes")) };
        match (self.number_type(dtype), self.raw(bytes)?) {
            (Some(dtype), Some(bytes)) => {
                let tensor = self.array_of(bytes, dtype, [].into(), false)?;
                self.heap.push(tensor)
            }
            _ => self.object(global, args),
        }
    }

    pub(super) fn numpy_buffer(&mut self, global: Arc<Global>, args: Id, ids: &[Id]) -> Result<Id, Fault> {
        let &[bytes, dtype, shape, order] = ids else {
            return Err(self.wrong("an array of NumPy without bytes, type, shape, order"));
        };
        let columns_first = self.heap.as_text(order) == Some("F");
        match (self.number_type(dtype), self.raw(bytes)?) {
            (Some(dtype), Some(bytes)) => {
                let shape = self.sizes(shape)?;
                let tensor = self.array_of(bytes, dtype, shape, columns_first)?;
                self.heap.push(tensor)
            }
            _ => self.object(global, args),
        }
    }

    /// The state of an array that was made empty.
    pub(super) fn numpy_array(&mut self, target: Id, state: Id) -> Result<(), Fault> {
        let state = self.heap.sequence(state).and_then(|state| state.first_chunk::<5>().copied());
        let Some([_, shape, dtype, columns_first, bytes]) = state else {
            return Err(self.wrong("an array of NumPy without version, shape, type, order and bytes"));
        };
        let columns_first = matches!(self.heap.get(columns_first), Value::Bool(true) | Value::Int(1));
        if let (Some(dtype), Some(bytes)) = (self.number_type(dtype), self.raw(bytes)?) {
            let shape = self.sizes(shape)?;
            *self.heap.get_mut(target) = self.array_of(bytes, dtype, shape, columns_first)?;
        } else if let Value::Object(object) = self.heap.get_mut(target) {
            object.state = Some(bytes);
        }
        Ok(())
    }

    /// The type of an array's numbers and whether the highest byte comes first, if it is a type of numbers.
    fn number_type(&self, id: Id) -> Option<(Dtype, bool)> {
        let Value::Object(object) = self.heap.get(id) else { return None };
        if object.class.meaning != Meaning::NumpyDtype {
            return None;
        }
        let code = self.heap.as_text(*self.heap.sequence(object.args)?.first()?)?;
        let state = object.state.and_then(|state| self.heap.sequence(state)?.get(1).copied());
        let order = state.and_then(|id| self.heap.as_text(id)).unwrap_or("<");
        let (prefix, code) = match code.split_at_checked(1)? {
            (order @ ("<" | ">" | "|" | "="), code) => (Some(order), code),
            _ => (None, code),
        };
        Some((Dtype::of_numpy(code)?, order == ">" || prefix == Some(">")))
    }

    /// Bytes, which Python 2 may have written as a string that happens to be text.
    fn raw(&mut self, id: Id) -> Result<Option<Bytes>, Fault> {
        Ok(match self.heap.get(id) {
            Value::Bytes(bytes) => Some((**bytes).clone()),
            Value::Text(text) => {
                let bytes = text.as_bytes().to_vec();
                self.heap.bytes.spend(bytes.len() as u64)?;
                Some(bytes.into())
            }
            _ => None,
        })
    }

    fn array_of(
        &mut self,
        bytes: Bytes,
        (dtype, big_endian): (Dtype, bool),
        shape: Box<[u64]>,
        columns_first: bool,
    ) -> Result<Value, Fault> {
        let mut strides = vec![1; shape.len()];
        let mut step = 1_u64;
        let mut put = |axis: usize| {
            strides[axis] = step;
            step = step.checked_mul(shape[axis].max(1))?;
            Some(())
        };
        let axes = 0..shape.len();
        let countable = if columns_first { axes.into_iter().try_for_each(&mut put) } else { axes.rev().try_for_each(&mut put) };
        countable.ok_or_else(|| self.wrong("an array of NumPy with more numbers than can be counted"))?;
        let storage = Storage {
            file: self.heap.file.clone(),
            key: "of NumPy".into(),
            dtype: Some(dtype),
            bytes: bytes.len() as u64,
            big_endian,
            data: Data::Plain(bytes),
        };
        let storage = self.heap.storage(storage)?;
        Ok(Value::Tensor(Box::new(Tensor { storage, dtype, offset: 0, shape, strides: strides.into() })))
    }
}
