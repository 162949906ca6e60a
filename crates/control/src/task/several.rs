//! Several tasks: after each other, and beside each other.

use super::{Parts, Seen, Task, TaskError};
use crate::operator::{Composed, Operator, Shape, Stacked};
use scorefield_sample::NamedError;
use std::fmt;
use std::str::FromStr;

/// Tasks after each other, the first measuring the state: `colourise+super-resolution` is a grey picture made smaller.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain(pub Vec<Task>);

/// Measurements of the same state beside each other: `super-resolution & colourise` is a small picture in colour and a large grey one, and
/// what they give stands in this order.
///
/// ```
/// use scorefield_control::Tasks;
/// let tasks: Tasks = "super-resolution:factor=2 & colourise+deblur".parse().unwrap();
/// assert_eq!(tasks.0.len(), 2);
/// assert_eq!(tasks.to_string().parse::<Tasks>().unwrap(), tasks);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tasks(pub Vec<Chain>);

impl FromStr for Chain {
    type Err = NamedError;

    fn from_str(text: &str) -> Result<Self, NamedError> {
        // A plus within a number (1e+2) joins nothing.
        let joins = |i: &usize| text[i + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == ' ');
        let places: Vec<usize> = text.match_indices('+').map(|(i, _)| i).filter(joins).collect();
        let starts = [0].into_iter().chain(places.iter().map(|i| i + 1));
        let ends = places.iter().copied().chain([text.len()]);
        starts.zip(ends).map(|(a, b)| text[a..b].trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Tasks {
    type Err = NamedError;

    fn from_str(text: &str) -> Result<Self, NamedError> {
        text.split('&').map(|chain| chain.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(Task::to_string).collect::<Vec<_>>().join("+"))
    }
}

impl fmt::Display for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(Chain::to_string).collect::<Vec<_>>().join(" & "))
    }
}

impl From<Task> for Tasks {
    fn from(task: Task) -> Self {
        Self::from(Chain(vec![task]))
    }
}

impl From<Chain> for Tasks {
    fn from(chain: Chain) -> Self {
        Self(vec![chain])
    }
}

impl Tasks {
    /// Every task, in order.
    pub fn each(&self) -> impl Iterator<Item = &Task> {
        self.0.iter().flat_map(|chain| &chain.0)
    }

    /// Those of the parts that one of the tasks takes.
    #[must_use]
    pub fn taken(&self, parts: &Parts) -> Parts {
        let of = |takes: fn(&Task) -> bool| self.each().any(takes);
        Parts {
            mask: parts.mask.clone().filter(|_| of(|t| *t == Task::Inpaint)),
            kernel: parts.kernel.clone().filter(|_| of(|t| matches!(t, Task::Deblur { .. }))),
            matrix: parts.matrix.clone().filter(|_| of(|t| *t == Task::Matrix)),
            bounds: parts.bounds,
        }
    }

    /// The operator on natural states of a shape, and what it gives: of several measurements beside each other the numbers of all.
    ///
    /// # Errors
    /// When the shape cannot be so measured, a part is missing or of no use, or a task follows one that gives no picture.
    pub fn operator(&self, shape: Shape, parts: &Parts) -> Result<(Box<dyn Operator>, Seen), TaskError> {
        let taken = self.taken(parts);
        let unused = [
            ("a mask", parts.mask.is_some() && taken.mask.is_none()),
            ("a kernel", parts.kernel.is_some() && taken.kernel.is_none()),
            ("a matrix", parts.matrix.is_some() && taken.matrix.is_none()),
        ];
        if let Some((what, _)) = unused.into_iter().find(|(_, unused)| *unused) {
            return Err(TaskError::Unused { what, tasks: self.to_string() });
        }
        if let [chain] = &self.0[..] {
            return chain.measured(shape, parts);
        }
        let each = self.0.iter().map(|chain| Ok(chain.measured(shape, parts)?.0)).collect::<Result<_, TaskError>>()?;
        let stacked = Stacked::new(each).map_err(|error| TaskError::Operator { task: "(several)", error })?;
        let m = stacked.outputs();
        Ok((Box::new(stacked), Seen::Numbers(m)))
    }

    /// The shape that the mask of task inpaint has: that of what the tasks before it give of states of a shape; the states' own where there is no
    /// such task.
    ///
    /// # Errors
    /// As [`Tasks::operator`] of the tasks before it.
    pub fn masked(&self, shape: Shape, parts: &Parts) -> Result<Shape, TaskError> {
        self.0.iter().find_map(|chain| chain.masked(shape, parts).transpose()).unwrap_or(Ok(shape))
    }
}

impl Chain {
    /// The shape of what the tasks before the mask give; none without a mask.
    fn masked(&self, shape: Shape, parts: &Parts) -> Result<Option<Shape>, TaskError> {
        match self.0.iter().position(|t| *t == Task::Inpaint) {
            None => Ok(None),
            Some(0) => Ok(Some(shape)),
            Some(before) => match Self(self.0[..before].to_vec()).measured(shape, parts)?.1 {
                Seen::Picture(shape) | Seen::Part(shape) => Ok(Some(shape)),
                Seen::Numbers(_) => Err(TaskError::After { first: self.0[before - 1].name(), second: Task::Inpaint.name() }),
            },
        }
    }

    /// The operator of the tasks, each on what the one before it gives.
    fn measured(&self, shape: Shape, parts: &Parts) -> Result<(Box<dyn Operator>, Seen), TaskError> {
        let Some((first, rest)) = self.0.split_first() else {
            return Err(TaskError::Missing { task: "(none)", what: "at least one is needed" });
        };
        let (mut whole, mut seen) = first.one(shape, parts)?;
        let mut before = first;
        for task in rest {
            let Seen::Picture(shape) = seen else {
                return Err(TaskError::After { first: before.name(), second: task.name() });
            };
            let (next, looks) = task.one(shape, parts)?;
            whole = Box::new(Composed::new(next, whole).map_err(|error| TaskError::Operator { task: task.name(), error })?);
            (seen, before) = (looks, task);
        }
        Ok((whole, seen))
    }
}
