//! The stack machine of pickles, protocols 0 to 5, without the power to run anything.
//!
//! A pickle is a sequence of one-byte instructions with operands. They push values on a stack, mark places in it, gather what stands
//! above a mark into a container, and remember values by number (the memo). Where Python would look up a name and call it, the machine
//! takes the name's meaning from its own list ([`crate::globals`]) and carries that out (`calls`). What files add to pickles, the
//! references to tensors stored elsewhere, is a [`References`].
//!
//! Every instruction is a step, and so is every element that is moved or copied: time and memory are in proportion to what
//! [`crate::Limits`] allow, whatever the pickle says.

mod calls;
mod input;
mod numpy;
mod ops;
mod tensors;
mod text;

use crate::bytes::Bytes;
use crate::globals::{Global, known};
use crate::heap::{Heap, Id, Value};
use crate::policy::Count;
use crate::{Fault, Limit, Unknown};
use input::Input;
use std::collections::HashMap;
use std::sync::Arc;

/// What the persistent references of a pickle stand for.
pub(crate) trait References {
    /// The value behind a reference.
    fn load(&mut self, heap: &mut Heap, reference: Id) -> Result<Id, Fault>;
}

/// No references: a pickle that stands alone.
pub(crate) struct Alone;

impl References for Alone {
    fn load(&mut self, _: &mut Heap, _: Id) -> Result<Id, Fault> {
        let found = "it refers to a storage outside itself, and this is a pickle alone";
        Err(Fault::malformed(format!("{found}; expected a file of torch.save with its storages")))
    }
}

/// Reads the pickle that begins at a place of `bytes`, a file within `nesting` others: its value, and where it ends.
pub(crate) fn load(
    heap: &mut Heap,
    references: &mut dyn References,
    bytes: &Bytes,
    at: u64,
    nesting: u64,
) -> Result<(Id, u64), Fault> {
    Count::new(Limit::Depth, &heap.policy.limits).allows(nesting)?;
    let memo_count = Count::new(Limit::Memo, &heap.policy.limits);
    let input = Input::new(bytes, at)?;
    let mut machine =
        Machine { heap, references, input, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), memo_count, nesting };
    let root = machine.run()?;
    Ok((root, machine.input.position()))
}

struct Machine<'a> {
    heap: &'a mut Heap,
    references: &'a mut dyn References,
    input: Input<'a>,
    stack: Vec<Id>,
    /// The heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    memo_count: Count,
    nesting: u64,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, Fault> {
        loop {
            self.heap.steps.spend(1)?;
            if let Some(root) = self.step()? {
                return Ok(root);
            }
        }
    }

    /// A fault of this instruction.
    fn wrong(&self, found: impl Into<String>) -> Fault {
        Fault::Pickle { at: self.input.instruction(), found: found.into() }
    }

    fn push(&mut self, value: Value) -> Result<(), Fault> {
        let id = self.heap.push(value)?;
        self.stack.push(id);
        Ok(())
    }

    fn push_text(&mut self, text: &str) -> Result<(), Fault> {
        let id = self.heap.text(text)?;
        self.stack.push(id);
        Ok(())
    }

    /// Takes the topmost value, which must stand above the last mark.
    fn pop(&mut self) -> Result<Id, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.wrong("an instruction takes a value from an empty stack"));
        }
        Ok(self.stack.pop().expect("the stack is higher than its floor"))
    }

    /// The topmost value, left where it is.
    fn top(&mut self) -> Result<Id, Fault> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(id)
    }

    /// Takes all values above the last mark, and the mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| self.wrong("an instruction looks for a mark, and there is none"))?;
        let values = self.stack.split_off(mark);
        self.heap.steps.spend(values.len() as u64)?;
        Ok(values)
    }

    fn pop_pairs(&mut self) -> Result<Vec<(Id, Id)>, Fault> {
        let values = self.pop_mark()?;
        let (pairs, rest) = values.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.wrong(format!("{} keys and values, which do not pair up", values.len())));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    fn remember(&mut self, number: u32) -> Result<(), Fault> {
        let id = self.top()?;
        if self.memo.insert(number, id).is_none() {
            self.memo_count.spend(1)?;
        }
        Ok(())
    }

    fn recall(&mut self, number: u32) -> Result<(), Fault> {
        let id = self.memo.get(&number).copied();
        let id = id.ok_or_else(|| self.wrong(format!("it recalls value {number}, which it never remembered")))?;
        self.stack.push(id);
        Ok(())
    }

    /// A class or function by name.
    fn global(&mut self, module: &str, name: &str) -> Result<Arc<Global>, Fault> {
        let meaning = match (known(module, name), self.heap.policy.unknown) {
            (Some(meaning), _) => meaning,
            (None, Unknown::Keep) => crate::globals::Meaning::Foreign,
            (None, Unknown::Refuse) => {
                let (module, name) = (crate::error::shown(module), crate::error::shown(name));
                return Err(Fault::Refused { module, name });
            }
        };
        self.heap.bytes.spend((module.len() + name.len()) as u64)?;
        Ok(Arc::new(Global { module: module.into(), name: name.into(), meaning }))
    }
}
