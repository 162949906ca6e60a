//! A view of one value and of what is under it, with the way that led there: messages name it.

use crate::error::shown;
use crate::globals::Meaning;
use crate::heap::{Heap, Id, Object, Value};
use crate::{Archive, ArchiveError, Array, Fault};
use std::collections::BTreeMap;
use std::fmt;

/// What a value is, for messages and matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Python's None.
    None,
    /// True or false.
    Bool,
    /// An integer.
    Int,
    /// A floating-point number.
    Float,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
    /// A list.
    List,
    /// A tuple.
    Tuple,
    /// A set.
    Set,
    /// A dict.
    Dict,
    /// A tensor, or an array or number of NumPy.
    Array,
    /// A storage without a tensor.
    Storage,
    /// The name of a class or function.
    Class,
    /// An object of a class.
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Float => "a float",
            Self::Text => "a text",
            Self::Bytes => "bytes",
            Self::List => "a list",
            Self::Tuple => "a tuple",
            Self::Set => "a set",
            Self::Dict => "a dict",
            Self::Array => "an array",
            Self::Storage => "a storage",
            Self::Class => "a class",
            Self::Object => "an object",
        })
    }
}

/// A value in a file.
#[derive(Clone)]
pub struct Node<'a> {
    archive: &'a Archive,
    id: Id,
    path: String,
}

impl<'a> Node<'a> {
    pub(crate) fn new(archive: &'a Archive, id: Id, path: String) -> Self {
        Self { archive, id, path }
    }

    fn heap(&self) -> &'a Heap {
        &self.archive.heap
    }

    fn value(&self) -> &'a Value {
        self.heap().get(self.id)
    }

    fn child(&self, key: &str, id: Id) -> Self {
        Self { archive: self.archive, id, path: join(&self.path, key) }
    }

    fn error(&self, fault: Fault) -> ArchiveError {
        ArchiveError::new(&self.heap().file, fault)
    }

    /// The keys that led here, with dots between them; empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.value() {
            Value::None => Kind::None,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) | Value::Big(_) => Kind::Int,
            Value::Float(_) => Kind::Float,
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::List(_) => Kind::List,
            Value::Tuple(_) => Kind::Tuple,
            Value::Set(_) => Kind::Set,
            Value::Dict(_) => Kind::Dict,
            Value::Global(_) => Kind::Class,
            Value::Object(_) => Kind::Object,
            Value::Storage(_) => Kind::Storage,
            Value::Tensor(_) => Kind::Array,
        }
    }

    /// What stands under a key of a dict, or in the state of an object. A number of a list is a key too.
    pub fn get(&self, key: &str) -> Option<Self> {
        if let Some(list) = self.heap().sequence(self.id) {
            return key.parse().ok().and_then(|i: usize| list.get(i)).map(|&id| self.child(key, id));
        }
        let is = |&(k, _): &(Id, Id)| match self.heap().get(k) {
            Value::Text(text) => **text == *key,
            Value::Int(n) => key.parse() == Ok(*n),
            _ => false,
        };
        items(self.heap(), self.id).find(is).map(|(_, id)| self.child(key, id))
    }

    /// Like [`Node::get`], for what has to be there.
    ///
    /// # Errors
    /// When it is not: with the keys that are.
    pub fn need(&self, key: &str) -> Result<Self, ArchiveError> {
        self.get(key).ok_or_else(|| {
            let mut keys: Vec<String> = self.entries().take(9).map(|(key, _)| format!("{:?}", shown(&key))).collect();
            let more = keys.len() > 8;
            keys.truncate(8);
            let found = match keys.is_empty() {
                true => format!("no keys: {} is {}", place(&self.path), self.kind()),
                false => keys.join(", ") + if more { " and more" } else { "" },
            };
            self.error(Fault::Missing { what: format!("{:?}", join(&self.path, key)), found })
        })
    }

    /// The keys and values of a dict, or of an object's state, in their order. Keys that are neither texts nor integers are left out.
    pub fn entries(&self) -> impl Iterator<Item = (String, Self)> + use<'a> {
        let node = self.clone();
        items(node.heap(), node.id).filter_map(move |(key, id)| {
            let key = key_text(node.heap(), key)?;
            let child = node.child(&key, id);
            Some((key, child))
        })
    }

    /// The elements of a list, a tuple or a set.
    pub fn list(&self) -> Option<Vec<Self>> {
        let ids = match self.value() {
            Value::List(ids) | Value::Set(ids) => ids,
            Value::Tuple(ids) => &**ids,
            _ => return None,
        };
        Some(ids.iter().enumerate().map(|(i, &id)| self.child(&i.to_string(), id)).collect())
    }

    /// How many elements or items it has; none if it has no such.
    pub fn count(&self) -> Option<usize> {
        match self.value() {
            Value::List(ids) | Value::Set(ids) => Some(ids.len()),
            Value::Tuple(ids) => Some(ids.len()),
            Value::Dict(_) | Value::Object(_) => Some(items(self.heap(), self.id).count()),
            _ => None,
        }
    }

    /// Whether it is None.
    pub fn is_none(&self) -> bool {
        matches!(self.value(), Value::None)
    }

    /// A truth value, also one in an array of one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value() {
            Value::Bool(b) => Some(*b),
            Value::Tensor(t) if t.dtype == crate::Dtype::Bool => self.single()?.i64().ok().map(|n| n[0] != 0),
            _ => None,
        }
    }

    /// An integer, also one in an array of one.
    pub fn as_i64(&self) -> Option<i64> {
        match self.value() {
            Value::Int(n) => Some(*n),
            Value::Tensor(_) => self.single()?.i64().ok().map(|n| n[0]),
            _ => None,
        }
    }

    /// A number, also one in an array of one.
    pub fn as_f64(&self) -> Option<f64> {
        match self.value() {
            Value::Float(x) => Some(*x),
            Value::Int(n) => Some(*n as f64),
            Value::Tensor(_) => self.single()?.f64().ok().map(|n| n[0]),
            _ => None,
        }
    }

    fn single(&self) -> Option<Array> {
        self.array().ok().filter(|array| array.len() == 1)
    }

    /// A text.
    pub fn as_str(&self) -> Option<&'a str> {
        self.heap().as_text(self.id)
    }

    /// Bytes.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.value() {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The name of a class, or of an object's class; of a persistent object, the name without a module, as its project keeps it.
    pub fn class(&self) -> Option<String> {
        let full = |g: &crate::globals::Global| format!("{}.{}", g.module, g.name);
        match self.value() {
            Value::Global(global) => Some(full(global)),
            Value::Object(object) => match persistent(self.heap(), object) {
                Some(dict) => self.heap().item(dict, "class_name").and_then(|id| self.heap().as_text(id)).map(str::to_owned),
                None => Some(full(&object.class)),
            },
            _ => None,
        }
    }

    /// What an object was made with.
    pub fn args(&self) -> Option<Self> {
        match self.value() {
            Value::Object(object) => Some(self.child("args", object.args)),
            _ => None,
        }
    }

    /// The array.
    ///
    /// # Errors
    /// When it is none, or its storage is shorter than its shape.
    pub fn array(&self) -> Result<Array, ArchiveError> {
        let array = match self.value() {
            Value::Tensor(tensor) => self.heap().array(tensor, &self.path),
            _ => Err(Fault::Kind { name: self.path.clone(), found: self.kind().to_string(), expected: "an array" }),
        };
        array.map_err(|fault| self.error(fault))
    }

    /// Every array under this value by its dotted name; see [`Archive::arrays`].
    ///
    /// # Errors
    /// When two arrays would have one name, one has a storage shorter than its shape, or the values do not end.
    pub fn arrays(&self) -> Result<BTreeMap<String, Array>, ArchiveError> {
        crate::walk::arrays(self.heap(), self.id, &self.path).map_err(|fault| self.error(fault))
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", place(&self.path), self.kind())
    }
}

fn place(path: &str) -> String {
    if path.is_empty() { "the root".to_owned() } else { format!("{:?}", shown(path)) }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A key as it stands in a dotted name.
pub(crate) fn key_text(heap: &Heap, key: Id) -> Option<String> {
    match heap.get(key) {
        Value::Text(text) => Some(text.to_string()),
        Value::Int(n) => Some(n.to_string()),
        _ => None,
    }
}

/// The dict that describes a persistent object.
fn persistent(heap: &Heap, object: &Object) -> Option<Id> {
    let arg = || heap.sequence(object.args)?.first().copied();
    (object.class.meaning == Meaning::Persistent).then(arg).flatten()
}

/// The items of a dict, or those of an object and of its state.
pub(crate) fn items(heap: &Heap, id: Id) -> impl Iterator<Item = (Id, Id)> + use<'_> {
    let dict = |id: Id| match heap.get(id) {
        Value::Dict(items) => Some(items.as_slice()),
        _ => None,
    };
    let parts: [Option<&[(Id, Id)]>; 3] = match heap.get(id) {
        Value::Dict(items) => [Some(items), None, None],
        Value::Object(object) => {
            let state = match persistent(heap, object) {
                Some(described) => heap.item(described, "state"),
                None => object.state,
            };
            // An object with slots has a pair: its attributes, and those in slots.
            match state.map(|state| (state, heap.get(state))) {
                Some((_, Value::Tuple(pair))) if pair.len() == 2 => [Some(&object.items), dict(pair[0]), dict(pair[1])],
                Some((state, _)) => [Some(&object.items), dict(state), None],
                None => [Some(&object.items), None, None],
            }
        }
        _ => [None, None, None],
    };
    parts.into_iter().flatten().flatten().copied()
}
