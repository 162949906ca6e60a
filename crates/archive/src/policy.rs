//! What a file may ask for, and what it may cost.
//!
//! A pickle of a few bytes can describe a structure of any size, since what has been made once may be used again. Each quantity that
//! could grow is counted, and each count has a limit. The limits lie far above what a checkpoint of a large network needs (a network of
//! 2,000 tensors with the state of its optimiser makes some 200,000 values) and far below what a machine of today cannot bear.

use crate::Fault;
use std::fmt;

/// What is done with a pickle that names a class or function outside the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// The file is refused.
    #[default]
    Refuse,
    /// It becomes an object of which only the name, the arguments and the state are known: data, never run. For files that hold
    /// harmless objects beside the weights.
    Keep,
}

/// How a file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What is done with names outside the list.
    pub unknown: Unknown,
    /// What a file may cost.
    pub limits: Limits,
}

impl Policy {
    /// Names outside the list become data; see [`Unknown::Keep`].
    pub fn keeping_unknown() -> Self {
        Self { unknown: Unknown::Keep, ..Self::default() }
    }
}

/// What a file may cost to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Values in all.
    pub nodes: u64,
    /// Values that one pickle remembers for later use.
    pub memo: u64,
    /// Instructions of the pickles, and elements moved or copied by them.
    pub steps: u64,
    /// Bytes of texts that are copied, of pickles that are inflated, and of names made while walking.
    pub bytes: u64,
    /// Levels of containers that a walk goes down, and of files within files.
    pub depth: u64,
    /// Bytes of one compressed storage when it is inflated.
    pub inflated: u64,
    /// Numbers that an array makes out of fewer by repeating them (a stride of zero).
    pub repeated: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 1 << 21, memo: 1 << 21, steps: 1 << 24, bytes: 1 << 27, depth: 256, inflated: 1 << 29, repeated: 1 << 26 }
    }
}

/// Of what there is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// See [`Limits::nodes`].
    Nodes,
    /// See [`Limits::memo`].
    Memo,
    /// See [`Limits::steps`].
    Steps,
    /// See [`Limits::bytes`].
    Bytes,
    /// See [`Limits::depth`].
    Depth,
    /// See [`Limits::inflated`].
    Inflated,
    /// See [`Limits::repeated`].
    Repeated,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nodes => "values",
            Self::Memo => "remembered values",
            Self::Steps => "steps of its pickles",
            Self::Bytes => "bytes of text and inflated pickles",
            Self::Depth => "levels of containers in each other",
            Self::Inflated => "bytes in an inflated storage",
            Self::Repeated => "numbers made by repeating fewer",
        })
    }
}

/// What has been spent of one limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    spent: u64,
    limit: u64,
    what: Limit,
}

impl Count {
    pub(crate) fn new(what: Limit, limits: &Limits) -> Self {
        let limit = match what {
            Limit::Nodes => limits.nodes,
            Limit::Memo => limits.memo,
            Limit::Steps => limits.steps,
            Limit::Bytes => limits.bytes,
            Limit::Depth => limits.depth,
            Limit::Inflated => limits.inflated,
            Limit::Repeated => limits.repeated,
        };
        Self { spent: 0, limit, what }
    }

    /// Spends `n` more.
    pub(crate) fn spend(&mut self, n: u64) -> Result<(), Fault> {
        self.spent = self.spent.saturating_add(n);
        self.allows(self.spent)
    }

    /// Whether `n` in all would be allowed.
    pub(crate) fn allows(&self, n: u64) -> Result<(), Fault> {
        if n > self.limit { Err(Fault::Limit { what: self.what, limit: self.limit }) } else { Ok(()) }
    }
}
