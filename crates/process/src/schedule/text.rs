//! Processes on a command line: `NAME[:key=value,...]`, a nested process's keys behind a point (`process.offset=0.01`), lists
//! with semicolons.

use super::ProcessConfig;
use crate::nearest;
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// Why a text names no process.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProcessTextError {
    /// There is no process of that name.
    #[error("there is no process {found:?}; did you mean {nearest:?}? The known ones are {known}")]
    Unknown {
        /// The name given.
        found: String,
        /// The known name nearest to it.
        nearest: &'static str,
        /// All names.
        known: String,
    },
    /// A piece of the options is not `key=value`.
    #[error("process {process}: {found:?} is no option; write {process}:key=value,key=value")]
    NotAPair {
        /// The process.
        process: String,
        /// The piece.
        found: String,
    },
    /// The options are not the process's.
    #[error("process {process}: {why}")]
    Options {
        /// The process.
        process: String,
        /// What is wrong with them.
        why: String,
    },
}

/// The names of all processes.
fn names() -> Vec<&'static str> {
    ProcessConfig::named().iter().map(ProcessConfig::name).collect()
}

fn known(name: &str) -> Result<(), ProcessTextError> {
    let names = names();
    if names.contains(&name) {
        return Ok(());
    }
    let nearest = nearest(name, names.iter().copied()).unwrap_or_default();
    Err(ProcessTextError::Unknown { found: name.to_string(), nearest, known: names.join(", ") })
}

/// A number, a switch, a list of numbers, or a word.
fn value(text: &str) -> Value {
    if text.contains(';') {
        return Value::Array(text.split(';').map(str::trim).filter(|v| !v.is_empty()).map(value).collect());
    }
    if let Ok(v) = text.parse::<bool>() {
        return v.into();
    }
    if let Ok(v) = text.parse::<u64>() {
        return v.into();
    }
    // Infinities and not-a-numbers are no JSON: they stay words, and are refused as such.
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or_else(|| Value::from(text), Value::Number)
}

impl FromStr for ProcessConfig {
    type Err = ProcessTextError;

    fn from_str(text: &str) -> Result<Self, ProcessTextError> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim();
        known(name)?;
        let process = || name.to_string();
        let mut map = Map::from_iter([("name".to_string(), Value::from(name))]);
        for piece in options.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let Some((key, text)) = piece.split_once('=').map(|(k, v)| (k.trim(), v.trim())) else {
                return Err(ProcessTextError::NotAPair { process: process(), found: piece.to_string() });
            };
            let mut place = &mut map;
            let mut parts = key.split('.').collect::<Vec<_>>();
            let last = parts.pop().unwrap_or_default();
            for part in parts {
                let inner = place.entry(part).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(inner) = inner else {
                    return Err(ProcessTextError::NotAPair { process: process(), found: piece.to_string() });
                };
                place = inner;
            }
            if last == "process" {
                known(text)?;
                let inner = place.entry(last).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(inner) = inner {
                    inner.insert("name".to_string(), Value::from(text));
                }
            } else if last == "betas" && !text.contains(';') {
                place.insert(last.to_string(), Value::Array(vec![value(text)]));
            } else {
                place.insert(last.to_string(), value(text));
            }
        }
        serde_json::from_value(Value::Object(map))
            .map_err(|e| ProcessTextError::Options { process: process(), why: e.to_string() })
    }
}

/// The options as `key=value`, nested ones behind a point.
fn flat(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        let place = format!("{prefix}{key}");
        match value {
            Value::Object(inner) => {
                out.push((place.clone(), inner["name"].as_str().unwrap_or_default().to_string()));
                flat(&format!("{place}."), value, out);
            }
            Value::Array(list) => out.push((place, list.iter().map(Value::to_string).collect::<Vec<_>>().join(";"))),
            _ if key == "name" => {}
            other => out.push((place, other.to_string())),
        }
    }
}

impl ProcessConfig {
    /// Its options by name with their present values, a nested process's behind a point.
    pub fn options(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        flat("", &serde_json::to_value(self).unwrap_or_default(), &mut out);
        out
    }
}

impl fmt::Display for ProcessConfig {
    /// `NAME[:key=value,...]` with the options that differ from the usual.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = self.name().parse::<Self>().map(|c| c.options()).unwrap_or_default();
        let differing: Vec<String> =
            self.options().iter().filter(|o| !usual.contains(o)).map(|(k, v)| format!("{k}={v}")).collect();
        let colon = if differing.is_empty() { "" } else { ":" };
        write!(f, "{}{colon}{}", self.name(), differing.join(","))
    }
}
