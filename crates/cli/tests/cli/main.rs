//! The command line from outside: what it writes, what it says, how it ends.

mod common;
mod conditions;
mod density;
mod errors;
mod export;
mod given;
mod hub;
mod import;
mod options;
mod plots;
mod samples;
mod signals;
mod solve;
mod solve_refusals;
mod states;
