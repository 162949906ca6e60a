//! What a file does not say and a person does: `key=value` on the command line, or a JSON file beside the weights.
//!
//! Keys are those of the project that wrote the file (its flags, the entries of its configuration), so that what is known of a
//! checkpoint can be handed on as it is. Nested objects of JSON are read through: `model.nf` is `nf` where no other section has it.

use super::error::Fault;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Values by key.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// From the command line: each must be a key that the layout knows.
    said: BTreeMap<String, Value>,
    /// From files beside the weights or in them: what is not known is not minded.
    beside: BTreeMap<String, Value>,
    asked: RefCell<BTreeSet<String>>,
}

impl Given {
    /// From pairs `key=value`; a value is JSON, a list of numbers with commas, or a text.
    ///
    /// # Errors
    /// Gives back a pair without `=`.
    pub fn parse<S: AsRef<str>>(pairs: &[S]) -> Result<Self, String> {
        let mut given = Self::default();
        for pair in pairs {
            let (key, value) = pair.as_ref().split_once('=').ok_or_else(|| pair.as_ref().to_owned())?;
            given.said.insert(key.trim().to_owned(), value_of(value.trim()));
        }
        Ok(given)
    }

    /// Whether anything was said on the command line.
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Adds what a JSON document says, under what was said before.
    pub(crate) fn add(&mut self, document: &Value) {
        fn walk(map: &mut BTreeMap<String, Value>, value: &Value, depth: usize) {
            for (key, value) in value.as_object().into_iter().flatten() {
                if value.is_object() && depth < 8 {
                    walk(map, value, depth + 1);
                }
                map.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        walk(&mut self.beside, document, 0);
    }

    /// Reads the first of some JSON files that stands in a folder.
    pub(crate) fn add_beside(&mut self, folder: &Path, names: &[&str]) -> Result<(), Fault> {
        match names.iter().map(|n| folder.join(n)).find(|p| p.is_file()) {
            Some(path) => {
                self.add(&json(&path)?);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.said.get(key).or_else(|| self.beside.get(key)).filter(|v| !v.is_null())
    }

    /// Whether a key has a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Keys that the layout has and that decide nothing here may be said.
    pub(crate) fn allow(&self, keys: &[&str]) {
        self.asked.borrow_mut().extend(keys.iter().map(|k| (*k).to_owned()));
    }

    /// The first key from the command line that nobody asked for.
    pub(crate) fn unknown(&self) -> Option<String> {
        let asked = self.asked.borrow();
        self.said.keys().find(|k| !asked.contains(*k)).cloned()
    }

    /// The keys that were asked for.
    pub(crate) fn known(&self) -> Vec<String> {
        self.asked.borrow().iter().cloned().collect()
    }

    fn typed<T>(&self, key: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, Fault> {
        match self.value(key) {
            None => Ok(None),
            Some(v) => {
                read(v).map(Some).ok_or_else(|| Fault::new(format!("{key} = {}", short(v)), format!("{expected} for {key}")))
            }
        }
    }

    pub(crate) fn count(&self, key: &str) -> Result<Option<usize>, Fault> {
        const MOST: u64 = 1 << 20;
        self.typed(key, "a whole number below 2^20", |v| {
            v.as_u64()
                .or_else(|| v.as_f64().filter(|x| x.fract() == 0.0 && *x >= 0.0).map(|x| x as u64))
                .filter(|n| *n < MOST)
                .map(|n| n as usize)
        })
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, Fault> {
        self.typed(key, "a finite number", |v| v.as_f64().filter(|x| x.is_finite()))
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, Fault> {
        self.typed(key, "true or false", |v| match v {
            Value::Bool(b) => Some(*b),
            Value::String(s) => match s.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Some(true),
                "false" | "0" | "no" => Some(false),
                _ => None,
            },
            Value::Number(n) => match n.as_u64() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
            _ => None,
        })
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        self.typed(key, "a text", |v| v.as_str().map(str::to_owned))
    }

    /// A list of numbers; a text with commas, or one number, is one too.
    pub(crate) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, Fault> {
        self.typed(key, "numbers of usual size with commas between them", |v| {
            let numbers: Option<Vec<f64>> = match v {
                Value::Array(items) => items.iter().map(Value::as_f64).collect(),
                Value::Number(n) => n.as_f64().map(|x| vec![x]),
                Value::String(s) if s.is_empty() => Some(Vec::new()),
                Value::String(s) => s.split(',').map(|part| part.trim().parse().ok()).collect(),
                _ => None,
            };
            numbers.filter(|list| list.len() <= 1 << 17 && list.iter().all(|x| x.abs() <= f64::from(1 << 20)))
        })
    }

    /// A list of truth values.
    pub(crate) fn flags(&self, key: &str) -> Result<Option<Vec<bool>>, Fault> {
        self.typed(key, "a list of true and false", |v| v.as_array()?.iter().map(Value::as_bool).collect())
    }

    /// A list of objects.
    pub(crate) fn objects(&self, key: &str) -> Result<Option<Vec<serde_json::Map<String, Value>>>, Fault> {
        self.typed(key, "a list of objects", |v| v.as_array()?.iter().map(|o| o.as_object().cloned()).collect())
    }

    /// Height and width: one number for both, `HxW`, or two numbers.
    pub(crate) fn size(&self, key: &str) -> Result<Option<[usize; 2]>, Fault> {
        self.typed(key, "a side, or HEIGHTxWIDTH", |v| {
            let side = |x: f64| (x.fract() == 0.0 && (1.0..65_536.0).contains(&x)).then_some(x as usize);
            let sides: Vec<f64> = match v {
                Value::Number(n) => vec![n.as_f64()?],
                Value::Array(items) => items.iter().map(Value::as_f64).collect::<Option<_>>()?,
                Value::String(s) => s.split(['x', ',']).map(|p| p.trim().parse().ok()).collect::<Option<_>>()?,
                _ => return None,
            };
            match sides[..] {
                [one] => Some([side(one)?; 2]),
                [height, width] => Some([side(height)?, side(width)?]),
                _ => None,
            }
        })
    }
}

/// Collects what is missing, so that all of it is asked for at once.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    about: Vec<String>,
    keys: Vec<String>,
}

impl Needs {
    /// The value, or a stand-in and a note that it is missing.
    pub(crate) fn take<T: Default>(&mut self, value: Option<T>, key: &str, about: &str) -> T {
        value.unwrap_or_else(|| {
            self.keys.push(key.to_owned());
            self.about.push(about.to_owned());
            T::default()
        })
    }

    /// # Errors
    /// When anything is missing.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        if self.keys.is_empty() { Ok(()) } else { Err(Fault::Needs { about: self.about, keys: self.keys }) }
    }
}

fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { text.chars().take(60).chain("...".chars()).collect() } else { text }
}

/// Configurations are small: a larger file is another thing.
const LARGEST: u64 = 4 << 20;

/// A JSON document.
pub(crate) fn json(path: &Path) -> Result<Value, Fault> {
    let expected = "a configuration in JSON";
    let io = |source| Fault::Io { path: path.to_owned(), source, expected };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > LARGEST {
        return Err(Fault::new(format!("{} has {size} bytes", path.display()), format!("{expected} of at most {LARGEST}")));
    }
    let text = std::fs::read(path).map_err(io)?;
    serde_json::from_slice(&text).map_err(|e| Fault::new(format!("{}: {e}", path.display()), expected))
}
