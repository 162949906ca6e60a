//! Other projects' checkpoints as models: their outputs, to rounding; what is refused, and how.
//!
//! `SCOREFIELD_SHARED` names the folder that holds `fixtures/` and `data/`, else `../shared` beside the workspace.

mod committed;
mod fixtures;
mod hostile;
mod outputs;
mod pretrained;
