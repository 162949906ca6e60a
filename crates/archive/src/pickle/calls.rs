//! What a name on the list makes of its arguments, and what BUILD puts into what was made.

use super::Machine;
use crate::Fault;
use crate::globals::{Global, Meaning};
use crate::heap::{Id, Object, Value};
use std::sync::Arc;

impl Machine<'_> {
    /// `class(*args)`, pushed.
    pub(super) fn call(&mut self, class: Id, args: Id) -> Result<(), Fault> {
        let id = self.made(class, args, true)?;
        self.stack.push(id);
        Ok(())
    }

    /// `class(*args)`. `indirect` says whether the class may be one that calls another.
    fn made(&mut self, class: Id, args: Id, indirect: bool) -> Result<Id, Fault> {
        let Value::Global(global) = self.heap.get(class) else {
            return Err(self.wrong("it calls what is no class or function"));
        };
        let global = global.clone();
        let Value::Tuple(ids) = self.heap.get(args) else {
            return Err(self.wrong("it calls with what is no tuple of arguments"));
        };
        let ids = ids.clone();
        self.heap.steps.spend(ids.len() as u64)?;
        match global.meaning {
            Meaning::Dict(before) => {
                let items = match ids.get(before) {
                    Some(&from) => self.pairs(from)?,
                    None => Vec::new(),
                };
                self.heap.push(Value::Dict(items))
            }
            Meaning::List => {
                let elements = self.elements(ids.first().copied())?;
                self.heap.push(Value::List(elements))
            }
            Meaning::Tuple => {
                let elements = self.elements(ids.first().copied())?;
                self.heap.push(Value::Tuple(elements.into()))
            }
            Meaning::Set => {
                let elements = self.elements(ids.first().copied())?;
                self.heap.push(Value::Set(elements))
            }
            Meaning::Bytes => self.encoded(&ids),
            Meaning::Path => {
                let parts: Option<Vec<&str>> = ids.iter().map(|&id| self.heap.as_text(id)).collect();
                let parts = parts.ok_or_else(|| self.wrong("a path whose parts are no texts"))?;
                let path = parts.join("/");
                let path = path.strip_prefix('/').filter(|p| p.starts_with('/')).unwrap_or(&path).to_owned();
                self.heap.text(&path)
            }
            Meaning::Plain | Meaning::Persistent | Meaning::Foreign | Meaning::NumpyDtype | Meaning::NumpyArray => {
                self.object(global, args)
            }
            Meaning::Reconstructor => self.reconstructed(&ids),
            Meaning::Indirect if indirect => {
                // Function, type, its arguments, state: attributes of a tensor, which are no numbers.
                let [function, _, args, ..] = *ids else { return Err(self.wrong("a tensor's type without its arguments")) };
                self.made(function, args, false)
            }
            Meaning::Tensor => self.tensor(&ids, None),
            Meaning::TensorOfType => {
                let dtype = ids.get(6).map(|&id| self.heap.get(id));
                let Some(Value::Global(dtype)) = dtype else { return Err(self.wrong("a tensor without a type")) };
                let Meaning::Number(dtype) = dtype.meaning else {
                    return Err(Fault::unreadable("", format!("of type {}", dtype.name)));
                };
                self.tensor(&ids, Some(dtype))
            }
            Meaning::Parameter => match ids.first().map(|&id| (id, self.heap.get(id))) {
                Some((id, Value::Tensor(_))) => Ok(id),
                _ => Err(self.wrong("a parameter of what is no tensor")),
            },
            Meaning::NestedStorage => self.nested_storage(&ids),
            Meaning::NumpyScalar => self.numpy_scalar(global, args, &ids),
            Meaning::NumpyBuffer => self.numpy_buffer(global, args, &ids),
            Meaning::Type | Meaning::Number(_) | Meaning::Storage(_) | Meaning::Indirect => {
                Err(self.wrong(format!("it calls {}.{}, which may only be mentioned", global.module, global.name)))
            }
        }
    }

    pub(super) fn object(&mut self, class: Arc<Global>, args: Id) -> Result<Id, Fault> {
        let object = Object { class, args, state: None, items: Vec::new(), elements: Vec::new() };
        self.heap.push(Value::Object(Box::new(object)))
    }

    /// The elements of a list, a tuple, a set or a dict; of nothing, none.
    fn elements(&mut self, from: Option<Id>) -> Result<Vec<Id>, Fault> {
        let Some(from) = from else { return Ok(Vec::new()) };
        let elements: Vec<Id> = match self.heap.get(from) {
            Value::List(ids) | Value::Set(ids) => ids.clone(),
            Value::Tuple(ids) => ids.to_vec(),
            Value::Dict(items) => items.iter().map(|&(key, _)| key).collect(),
            _ => return Err(self.wrong("a container is made of what is none")),
        };
        self.heap.steps.spend(elements.len() as u64)?;
        Ok(elements)
    }

    /// The items of a dict, or of a sequence of pairs.
    fn pairs(&mut self, from: Id) -> Result<Vec<(Id, Id)>, Fault> {
        let items = match self.heap.get(from) {
            Value::Dict(items) => items.clone(),
            Value::List(ids) => ids.iter().map(|&pair| self.pair(pair)).collect::<Result<_, _>>()?,
            Value::Tuple(ids) => ids.iter().map(|&pair| self.pair(pair)).collect::<Result<_, _>>()?,
            _ => return Err(self.wrong("a dict is made of what is none")),
        };
        self.heap.steps.spend(items.len() as u64)?;
        Ok(items)
    }

    fn pair(&self, pair: Id) -> Result<(Id, Id), Fault> {
        match self.heap.sequence(pair) {
            Some(&[key, value]) => Ok((key, value)),
            _ => Err(self.wrong("a dict is made of what are no pairs")),
        }
    }

    /// `encode(text, "latin1")`, `bytes(..)` and `bytearray(..)`.
    fn encoded(&mut self, args: &[Id]) -> Result<Id, Fault> {
        let bytes = match args.first().map(|&id| self.heap.get(id)) {
            None => Vec::new().into(),
            Some(Value::Bytes(bytes)) => (**bytes).clone(),
            Some(Value::Text(text)) => {
                let encoding = args.get(1).and_then(|&id| self.heap.as_text(id)).unwrap_or("utf-8");
                if !["latin1", "latin-1", "iso-8859-1"].contains(&encoding) {
                    return Err(self.wrong("bytes of a text in another encoding than latin-1"));
                }
                let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
                let bytes = bytes.map_err(|_| self.wrong("a text that is not latin-1"))?;
                self.heap.bytes.spend(bytes.len() as u64)?;
                bytes.into()
            }
            Some(_) => return Err(self.wrong("bytes of what is neither bytes nor text")),
        };
        self.heap.push(Value::Bytes(Box::new(bytes)))
    }

    /// `_reconstructor(class, base, state)`: how objects were made before protocol 2.
    fn reconstructed(&mut self, args: &[Id]) -> Result<Id, Fault> {
        let &[class, base, state] = args else { return Err(self.wrong("an object without class, base and state")) };
        let (Value::Global(class), Value::Global(base)) = (self.heap.get(class), self.heap.get(base)) else {
            return Err(self.wrong("an object whose class is none"));
        };
        let (class, base) = (class.clone(), base.clone());
        match (class.meaning, base.meaning) {
            (Meaning::Dict(_), Meaning::Dict(_)) => {
                let items = self.pairs(state)?;
                self.heap.push(Value::Dict(items))
            }
            (Meaning::Plain | Meaning::Foreign, _) => {
                let args = self.heap.push(Value::Tuple([].into()))?;
                self.object(class, args)
            }
            _ => Err(self.wrong(format!("it makes {}.{} without calling it", class.module, class.name))),
        }
    }

    /// Puts a state into what was made. Attributes of dicts and sets (`_metadata` of a state dict) are not kept.
    pub(super) fn build(&mut self, target: Id, state: Id) -> Result<(), Fault> {
        match self.heap.get(target) {
            Value::Dict(_) | Value::List(_) | Value::Set(_) => Ok(()),
            Value::Object(object) if object.class.meaning == Meaning::NumpyArray => self.numpy_array(target, state),
            Value::Object(object) if object.state.is_none() => {
                if let Value::Object(object) = self.heap.get_mut(target) {
                    object.state = Some(state);
                }
                Ok(())
            }
            Value::Object(_) => Err(self.wrong("an object is given a state twice")),
            _ => Err(self.wrong("it gives a state to what takes none")),
        }
    }
}
