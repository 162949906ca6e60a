//! Processes on states against matrices, finite differences and enumerated laws.

mod kernels;
mod laws;

use scorefield_process::states::{ColumnKind, StatesProcess, Survival, Transition};

pub(crate) fn process(transition: Transition, survival: Survival, levels: &[usize]) -> StatesProcess {
    StatesProcess::new(levels.iter().map(|&k| ColumnKind::Category(k)).collect(), transition, survival, None).unwrap()
}
