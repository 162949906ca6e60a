//! Whole files: small ones of every container, hostile ones, and those that the reference projects wrote.

mod containers;
mod files;
mod golden;
mod hostile;
mod mapped;
mod mutated;
mod opcodes;
