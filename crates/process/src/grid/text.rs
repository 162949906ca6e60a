//! Grids on a command line: `NAME[:key=value,...]`, `times=T;T;...`, `levels=R;R;...`.

use super::GridKind;
use crate::nearest;
use std::fmt;
use std::str::FromStr;

/// Why a text names no grid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridTextError {
    /// There is no grid of that name.
    #[error("there is no grid {found:?}; did you mean {nearest:?}? Grids are {known}")]
    Unknown {
        /// The name given.
        found: String,
        /// The known name nearest to it.
        nearest: &'static str,
        /// All names.
        known: String,
    },
    /// The grid has no such option.
    #[error("grid {grid} has no option {found:?}; {expected}")]
    Option {
        /// The grid.
        grid: &'static str,
        /// What was given.
        found: String,
        /// What it takes.
        expected: String,
    },
    /// An option cannot have that value.
    #[error("grid {grid}: {key} is {found:?}, expected {expected}")]
    Value {
        /// The grid.
        grid: &'static str,
        /// The option.
        key: &'static str,
        /// The value given.
        found: String,
        /// What would do.
        expected: &'static str,
    },
}

/// One option: its name, its value as text, and what it may be.
struct Field<'a> {
    key: &'static str,
    expected: &'static str,
    read: Box<dyn FnMut(&str) -> bool + 'a>,
}

fn number<'a>(key: &'static str, value: &'a mut f64) -> Field<'a> {
    let read = |text: &str| text.parse().ok().filter(|v: &f64| v.is_finite() && *v > 0.0).map(|v| *value = v).is_some();
    Field { key, expected: "a finite number above 0", read: Box::new(read) }
}

/// A list with semicolons between; false when one of it is none.
fn list<T: FromStr>(text: &str) -> Option<Vec<T>> {
    text.split(';').map(|v| v.trim().parse().ok()).collect()
}

impl GridKind {
    fn fields(&mut self) -> Vec<Field<'_>> {
        match self {
            Self::Karras { rho } | Self::Polyexponential { rho } => vec![number("rho", rho)],
            Self::Beta { alpha, beta } => vec![number("alpha", alpha), number("beta", beta)],
            Self::Leading { offset } => {
                let read = |text: &str| text.parse().map(|v| *offset = v).is_ok();
                vec![Field { key: "offset", expected: "a whole number from 0", read: Box::new(read) }]
            }
            Self::Sections { counts } => {
                let read = |text: &str| list(text).map(|v| *counts = v).is_some();
                vec![Field { key: "counts", expected: "whole numbers with semicolons between", read: Box::new(read) }]
            }
            _ => Vec::new(),
        }
    }

    /// Its options as they would be written.
    fn options(&self) -> String {
        let joined = |v: &[String]| v.join(";");
        match self {
            Self::Karras { rho } | Self::Polyexponential { rho } => format!("rho={rho}"),
            Self::Beta { alpha, beta } => format!("alpha={alpha},beta={beta}"),
            Self::Leading { offset } => format!("offset={offset}"),
            Self::Sections { counts } => format!("counts={}", joined(&counts.iter().map(usize::to_string).collect::<Vec<_>>())),
            _ => String::new(),
        }
    }
}

impl fmt::Display for GridKind {
    /// `NAME[:key=value,...]`, with the options where one differs from the usual; lists in full.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Times(v) | Self::Levels(v) = self {
            return write!(f, "{}={}", self.name(), v.iter().map(f64::to_string).collect::<Vec<_>>().join(";"));
        }
        let options = self.options();
        let usual = Self::all().contains(self) || *self == Self::Leading { offset: 0 };
        write!(f, "{}", self.name())?;
        if usual || options.is_empty() { Ok(()) } else { write!(f, ":{options}") }
    }
}

impl FromStr for GridKind {
    type Err = GridTextError;

    fn from_str(text: &str) -> Result<Self, GridTextError> {
        for (grid, make) in [("times", Self::Times as fn(Vec<f64>) -> Self), ("levels", Self::Levels)] {
            let Some(found) = text.trim().strip_prefix(grid).and_then(|rest| rest.trim_start().strip_prefix(['=', ':'])) else {
                continue;
            };
            let expected = "numbers with semicolons between, or a file of them";
            return list(found).map(make).ok_or(GridTextError::Value { grid, key: grid, found: found.to_string(), expected });
        }
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let name = if name.trim() == "exponential" { "log-snr" } else { name.trim() };
        let named = Self::named();
        let Some(mut kind) = named.iter().find(|k| k.name() == name).cloned() else {
            let known: Vec<&'static str> = named.iter().map(Self::name).collect();
            let nearest = nearest(name, known.iter().copied()).unwrap_or_default();
            return Err(GridTextError::Unknown { found: name.to_string(), nearest, known: known.join(", ") });
        };

        let grid = kind.name();
        if matches!(kind, Self::Times(_) | Self::Levels(_)) {
            let expected = format!("write {grid}=NUMBER;NUMBER;... or {grid}=FILE");
            return Err(GridTextError::Option { grid, found: options.to_string(), expected });
        }
        let mut given = false;
        for piece in options.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let mut fields = kind.fields();
            let expected = match fields.iter().map(|f| f.key).collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "it has none".to_string(),
                some => format!("write {grid}:KEY=VALUE with {some}"),
            };
            let option = || GridTextError::Option { grid, found: piece.to_string(), expected: expected.clone() };
            let (key, value) = piece.split_once('=').map(|(k, v)| (k.trim(), v.trim())).ok_or_else(option)?;
            let field = fields.iter_mut().find(|f| f.key == key).ok_or_else(option)?;
            if !(field.read)(value) {
                return Err(GridTextError::Value { grid, key: field.key, found: value.to_string(), expected: field.expected });
            }
            given = true;
        }
        if !given && matches!(kind, Self::Sections { .. }) {
            return Err(GridTextError::Option {
                grid,
                found: String::new(),
                expected: "write sections:counts=10;15;20".to_string(),
            });
        }
        Ok(kind)
    }
}

impl From<GridKind> for String {
    fn from(kind: GridKind) -> Self {
        kind.to_string()
    }
}

impl TryFrom<String> for GridKind {
    type Error = GridTextError;
    fn try_from(text: String) -> Result<Self, GridTextError> {
        text.parse()
    }
}
