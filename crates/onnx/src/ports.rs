//! Which input is which: told by element types and shapes, or by name.
//!
//! The sample is the one input of floating point numbers that a batch of states fits; the time is one number a row, or one for all; a
//! class is a whole one. What more than one input could be is asked for by name, and every input has to have a part: an input that
//! nobody feeds would be a network that nobody runs.

use crate::{Names, OnnxConfig, OnnxError};
use scorefield_process::TimeInput;
use std::fmt;
use std::path::Path;

/// The element type of an input or output, as the runtime sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Floating point numbers.
    Float,
    /// Whole numbers.
    Whole,
    /// Bytes, sequences and others.
    Other,
}

/// A length in a shape.
#[cfg_attr(not(feature = "runtime"), expect(dead_code, reason = "only the runtime reads shapes"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dim {
    /// This many.
    Fixed(usize),
    /// Any number, by this name.
    Free(String),
}

/// An input or output of a graph.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Port {
    /// Its name.
    pub(crate) name: String,
    /// Its element type, where the file says.
    pub(crate) kind: Option<Kind>,
    /// Its shape, where the file says.
    pub(crate) dims: Option<Vec<Dim>>,
}

/// The numbers of an input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    /// In floating point.
    Float(Vec<f32>),
    /// Whole.
    Whole(Vec<i32>),
}

/// An input by number with its shape and numbers.
pub(crate) type Given = (usize, Vec<usize>, Numbers);

/// An input of one number a row, or of one for all rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scalar {
    /// Which input.
    pub(crate) at: usize,
    /// Its type.
    pub(crate) kind: Kind,
    /// Its rank: 0, 1, or 2 with one column.
    rank: usize,
    /// Whether there is but one number for all rows.
    pub(crate) shared: bool,
}

impl Scalar {
    /// The shape for so many rows.
    pub(crate) fn shape(&self, rows: usize) -> Vec<usize> {
        let mut shape = vec![1; self.rank];
        if let (false, Some(first)) = (self.shared, shape.first_mut()) {
            *first = rows;
        }
        shape
    }
}

/// Which input is which.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Roles {
    pub(crate) sample: usize,
    pub(crate) time: Option<Scalar>,
    pub(crate) class: Option<Scalar>,
    pub(crate) output: usize,
    /// The rows of an evaluation, where they are not free.
    pub(crate) rows: Option<usize>,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Some(Kind::Float) => "floating point",
            Some(Kind::Whole) => "whole numbers",
            Some(Kind::Other) => "of another type",
            None => "of no type",
        };
        write!(f, "`{}` ({kind}", self.name)?;
        let Some(dims) = &self.dims else { return write!(f, ", no shape)") };
        let dims: Vec<_> = dims.iter().map(|d| if let Dim::Fixed(n) = d { n.to_string() } else { "any".into() }).collect();
        write!(f, " [{}])", dims.join(", "))
    }
}

/// All of them in a row, for errors.
fn list<'a>(ports: impl IntoIterator<Item = &'a Port>) -> String {
    let shown: Vec<_> = ports.into_iter().map(Port::to_string).collect();
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}

impl Port {
    fn float(&self) -> bool {
        matches!(self.kind, None | Some(Kind::Float))
    }

    /// Whether a batch of states of this shape fits, with `times` as many channels.
    fn fits(&self, shape: &[usize], times: usize) -> bool {
        let fits = |(i, dim): (usize, &Dim)| match dim {
            Dim::Fixed(n) => *n == if i == 0 { times * shape[0] } else { shape[i] },
            Dim::Free(_) => true,
        };
        let Some([_, row @ ..]) = self.dims.as_deref() else { return false };
        self.float() && row.len() == shape.len() && row.iter().enumerate().all(fits)
    }

    /// As an input of one number a row, or one for all of the rows of `sample`.
    fn scalar(&self, at: usize, sample: &Port) -> Option<Scalar> {
        let (dims, kind) = (self.dims.as_ref()?, self.kind.unwrap_or(Kind::Float));
        let batch = sample.dims.as_ref().and_then(|d| d.first());
        let one = |d: &Dim| !matches!(d, Dim::Fixed(n) if *n != 1);
        let a_row = |d: &Dim| matches!(d, Dim::Free(_)) || Some(d) == batch;
        let shared = match dims.as_slice() {
            [] => true,
            [n] if a_row(n) => false,
            [n, column] if a_row(n) && one(column) => false,
            [n] if one(n) => true,
            [n, column] if one(n) && one(column) => true,
            _ => return None,
        };
        (kind != Kind::Other).then_some(Scalar { at, kind, rank: dims.len(), shared })
    }
}

/// Gives every input its part.
pub(crate) fn roles(path: &Path, config: &OnnxConfig, inputs: &[Port], outputs: &[Port]) -> Result<Roles, OnnxError> {
    let (names, shape) = (&config.names, config.shape.as_slice());
    let wrong = |found: String, expected: String| OnnxError::Ports { path: path.to_owned(), found, expected };
    let named = |name: &str, ports: &[Port], what: &str| {
        let at = ports.iter().position(|p| p.name == name);
        at.ok_or_else(|| {
            wrong(format!("no {what} `{name}` among {}", list(ports)), format!("the name of an {what} of the graph"))
        })
    };
    let states = format!("[rows{}]", shape.iter().map(|d| format!(", {d}")).collect::<String>());
    /// The one that fits, or who all do.
    fn single(fitting: &[usize]) -> Option<usize> {
        if let [one] = fitting { Some(*one) } else { None }
    }

    // The noised state.
    let fitting: Vec<_> = (0..inputs.len()).filter(|&i| !is_named(names, &inputs[i]) && inputs[i].fits(shape, 1)).collect();
    let sample = match &names.sample {
        Some(name) => named(name, inputs, "input")?,
        None => single(&fitting).ok_or_else(|| {
            let several = list(fitting.iter().map(|&i| &inputs[i]));
            let all = list(inputs);
            let found =
                if fitting.is_empty() { format!("the inputs are {all}") } else { format!("{several} could be the sample") };
            wrong(
                found,
                format!("one input of floating point numbers {states}: give its name (names.sample), or the right shape"),
            )
        })?,
    };
    if !inputs[sample].fits(shape, 1) {
        return Err(wrong(format!("the input {}", inputs[sample]), format!("floating point numbers {states} for the sample")));
    }
    let scalar = |i: usize| inputs[i].scalar(i, &inputs[sample]);

    // The class: whole numbers.
    let free = |i: &usize| *i != sample && !is_named(names, &inputs[*i]);
    let whole: Vec<_> = (0..inputs.len()).filter(free).filter(|&i| scalar(i).is_some_and(|s| s.kind == Kind::Whole)).collect();
    let floats: Vec<_> = (0..inputs.len()).filter(free).filter(|&i| scalar(i).is_some_and(|s| s.kind == Kind::Float)).collect();
    let class = match (&names.class, config.classes) {
        (Some(name), Some(_)) => Some(named(name, inputs, "input")?),
        (Some(name), None) => {
            return Err(wrong(
                format!("the input `{name}` is said to be the class, of no classes"),
                "their number (classes)".into(),
            ));
        }
        (None, None) => None,
        // A time of whole numbers could be either, unless it has a name or the time is in floating point.
        (None, Some(_)) => {
            Some(single(&whole).filter(|_| names.time.is_some() || !floats.is_empty() || untold(config)).ok_or_else(|| {
                wrong(
                    format!("the class is none, or not the only one, of the inputs {}", list(inputs)),
                    "one input of one whole number a row besides the time: give its name (names.class), or leave out the classes"
                        .into(),
                )
            })?)
        }
    };
    let class = class
        .map(|i| {
            let fits = scalar(i).filter(|s| s.kind == Kind::Whole && i != sample);
            fits.ok_or_else(|| wrong(format!("the input {}", inputs[i]), "one whole number a row for the class".into()))
        })
        .transpose()?;

    // The time: the other one.
    let left: Vec<_> = whole.iter().chain(&floats).copied().filter(|&i| class.is_none_or(|c| c.at != i)).collect();
    let time = match &names.time {
        Some(name) => Some(named(name, inputs, "input")?),
        None if left.is_empty() && untold(config) => None,
        None => Some(single(&left).ok_or_else(|| {
            let (several, all) = (list(left.iter().map(|&i| &inputs[i])), list(inputs));
            let found = if left.is_empty() { format!("the inputs are {all}") } else { format!("{several} could be the time") };
            let expected = "one input of one number a row for the time, besides the sample";
            wrong(
                found,
                format!(
                    "{expected}: give its name (names.time), the number of classes if one is the class, or time_input untold"
                ),
            )
        })?),
    };
    let time = time
        .map(|i| {
            let fits = scalar(i).filter(|s| i != sample && class.is_none_or(|c| c.at != s.at));
            fits.ok_or_else(|| {
                wrong(format!("the input {}", inputs[i]), "one number a row for the time, an input of its own".into())
            })
        })
        .transpose()?;

    let has_part = |i: usize| i == sample || [time, class].iter().flatten().any(|s| s.at == i);
    if let Some(idle) = (0..inputs.len()).find(|&i| !has_part(i)) {
        let expected = "a sample, a time and at most a class: export the network without other inputs".into();
        return Err(wrong(format!("the input {} is none of them", inputs[idle]), expected));
    }

    // The output: a state, or a state and its variance.
    let output = match &names.output {
        Some(name) => named(name, outputs, "output")?,
        None if outputs.len() == 1 => 0,
        None => {
            let fitting: Vec<_> =
                (0..outputs.len()).filter(|&i| outputs[i].fits(shape, 1) || outputs[i].fits(shape, 2)).collect();
            let expected = format!("one output of floating point numbers {states}: give its name (names.output)");
            single(&fitting).ok_or_else(|| wrong(format!("the outputs are {}", list(outputs)), expected))?
        }
    };

    let fixed = match inputs[sample].dims.as_ref().and_then(|d| d.first()) {
        Some(Dim::Fixed(n)) => Some(*n),
        _ => None,
    };
    if let (Some(fixed), Some(said)) = (fixed, config.rows)
        && fixed != said
    {
        return Err(wrong(
            format!("the sample {} of {fixed} rows", inputs[sample]),
            format!("{said} rows, as was said: leave out rows"),
        ));
    }
    if fixed == Some(0) {
        return Err(wrong(format!("the sample {} has no rows", inputs[sample]), "one at least".into()));
    }
    Ok(Roles { sample, time, class, output, rows: fixed.or(config.rows) })
}

/// Whether the caller has given this input a part.
fn is_named(names: &Names, port: &Port) -> bool {
    [&names.sample, &names.time, &names.class].into_iter().flatten().any(|name| *name == port.name)
}

fn untold(config: &OnnxConfig) -> bool {
    config.time_input == TimeInput::Untold
}
