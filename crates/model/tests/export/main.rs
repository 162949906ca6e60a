//! Models as other projects' files: what is written is read, and what cannot be said is refused.

mod diffusers;
mod models;
mod refused;
