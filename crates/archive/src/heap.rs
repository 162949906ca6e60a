//! The values of a file, in one vector that refers to itself by numbers.
//!
//! A pickle may use a value many times and may even put a container into itself. With numbers in place of pointers both are harmless: a
//! value is dropped with the vector, without following anything, and whoever walks the structure counts its own steps.

use crate::bytes::Bytes;
use crate::error::shown;
use crate::globals::Global;
use crate::policy::Count;
use crate::{Array, Dtype, Fault, Limit, Policy};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// The place of a value.
pub(crate) type Id = u32;

/// A value.
#[derive(Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: two's complement, the lowest byte first.
    Big(Box<[u8]>),
    Float(f64),
    Text(Box<str>),
    Bytes(Box<Bytes>),
    List(Vec<Id>),
    Tuple(Box<[Id]>),
    Set(Vec<Id>),
    /// In order of insertion.
    Dict(Vec<(Id, Id)>),
    Global(Arc<Global>),
    Object(Box<Object>),
    /// A number in [`Heap::storages`].
    Storage(u32),
    Tensor(Box<Tensor>),
}

/// Something made by a class: what it was made with, and what was put into it.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) class: Arc<Global>,
    pub(crate) args: Id,
    pub(crate) state: Option<Id>,
    pub(crate) items: Vec<(Id, Id)>,
    pub(crate) elements: Vec<Id>,
}

/// A view into a storage, as the file describes it; checked when somebody asks for it.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) storage: u32,
    pub(crate) dtype: Dtype,
    /// The first number's place, in numbers.
    pub(crate) offset: u64,
    pub(crate) shape: Box<[u64]>,
    /// In numbers.
    pub(crate) strides: Box<[u64]>,
}

/// The bytes of one or more tensors.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) file: Arc<Path>,
    /// The key under which the file knows it.
    pub(crate) key: Box<str>,
    /// None is a storage of bytes that has no type.
    pub(crate) dtype: Option<Dtype>,
    /// How long it says it is.
    pub(crate) bytes: u64,
    pub(crate) big_endian: bool,
    pub(crate) data: Data,
}

/// Where the bytes of a storage are.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// Announced, and to come later in the file.
    Awaited,
    /// As they are.
    Plain(Bytes),
    /// Deflated, with the length of what comes out.
    Deflated(Bytes, u64),
    /// A part of another storage, from this byte on.
    View(u32, u64),
}

/// Everything that was read from a file.
#[derive(Debug)]
pub(crate) struct Heap {
    pub(crate) values: Vec<Value>,
    pub(crate) storages: Vec<Storage>,
    pub(crate) file: Arc<Path>,
    pub(crate) policy: Policy,
    pub(crate) steps: Count,
    pub(crate) bytes: Count,
    nodes: Count,
}

impl Heap {
    pub(crate) fn new(file: &Path, policy: &Policy) -> Self {
        let count = |what| Count::new(what, &policy.limits);
        Self {
            values: Vec::new(),
            storages: Vec::new(),
            file: file.into(),
            steps: count(Limit::Steps),
            bytes: count(Limit::Bytes),
            nodes: count(Limit::Nodes),
            policy: policy.clone(),
        }
    }

    pub(crate) fn push(&mut self, value: Value) -> Result<Id, Fault> {
        self.nodes.spend(1)?;
        let too_many = Fault::Limit { what: Limit::Nodes, limit: Id::MAX.into() };
        let id = Id::try_from(self.values.len()).map_err(|_| too_many)?;
        self.values.push(value);
        Ok(id)
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<Id, Fault> {
        self.bytes.spend(text.len() as u64)?;
        self.push(Value::Text(text.into()))
    }

    pub(crate) fn storage(&mut self, storage: Storage) -> Result<u32, Fault> {
        self.nodes.spend(1)?;
        self.storages.push(storage);
        Ok((self.storages.len() - 1) as u32)
    }

    pub(crate) fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> &mut Value {
        &mut self.values[id as usize]
    }

    pub(crate) fn as_text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer that is no negative number.
    pub(crate) fn as_size(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Value::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The elements of a tuple or a list.
    pub(crate) fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(ids) => Some(ids),
            Value::List(ids) => Some(ids),
            _ => None,
        }
    }

    /// What stands under a text in a dict.
    pub(crate) fn item(&self, dict: Id, key: &str) -> Option<Id> {
        match self.get(dict) {
            Value::Dict(items) => items.iter().find(|(k, _)| self.as_text(*k) == Some(key)).map(|&(_, v)| v),
            _ => None,
        }
    }

    /// A tensor as an array under this name, its extent checked against its storage.
    pub(crate) fn array(&self, tensor: &Tensor, name: &str) -> Result<Array, Fault> {
        let mut storage = &self.storages[tensor.storage as usize];
        let (mut start, length) = (0, storage.bytes);
        if let Data::View(root, from) = storage.data {
            storage = &self.storages[root as usize];
            start = from;
        }
        if matches!(storage.data, Data::Awaited | Data::View(..)) {
            return Err(Fault::Tensor {
                name: name.to_owned(),
                found: format!("its storage {:?} has no bytes in this file", shown(&storage.key)),
                expected: "every storage is there".to_owned(),
            });
        }
        let repeated = Count::new(Limit::Repeated, &self.policy.limits);
        Array::new(&storage.file, name, tensor, storage, start, length, repeated)
    }

    /// Refuses keys that occur twice in a dict: whoever wrote the file meant one of the two.
    pub(crate) fn refuse_duplicates(&self) -> Result<(), Fault> {
        for value in &self.values {
            let items = match value {
                Value::Dict(items) => items,
                Value::Object(object) => &object.items,
                _ => continue,
            };
            let (mut texts, mut numbers) = (HashSet::new(), HashSet::new());
            for &(key, _) in items {
                let (new, key) = match self.get(key) {
                    Value::Text(text) => (texts.insert(&**text), shown(text)),
                    Value::Int(n) => (numbers.insert(*n), n.to_string()),
                    _ => continue,
                };
                if !new {
                    return Err(Fault::Duplicate { key, place: format!("a dict of {} items", items.len()) });
                }
            }
        }
        Ok(())
    }
}
