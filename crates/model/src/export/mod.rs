//! Our models as other projects' files.
//!
//! The inverse of [`crate::import`]: names and arrangements of tensors are those that reading uses, written there once. A model is
//! written only if the other project's program computes the same function of it, to rounding, under the same process; whatever it cannot
//! express is refused, all reasons at once. Nothing is approximated: a network of continuous time is no network of a table.

mod diffusers;
mod diffusers_network;
mod diffusers_scheduler;
mod error;
mod pieces;

pub use diffusers::{Exported, diffusers};
pub use error::ExportError;
