//! Named arrays in other projects' files.
//!
//! Trained networks are published as safetensors or as what PyTorch's `save` wrote: a zip since 1.6, a sequence of pickles from 0.1.10 to
//! 1.5, a tar before. Some are plain pickles. [`open`] knows them by their first bytes and gives one view of all: a tree of [`Node`]s
//! whose leaves are numbers, texts and [`Array`]s.
//!
//! A pickle is a program for a stack machine, and its instructions may name any function of any installed module. Here **nothing is
//! executed**: the machine knows a list of names (PyTorch's rebuilding functions, NumPy's arrays, containers of the standard library) and
//! what they mean; a pickle that asks for another is refused with an error that says what it asked for ([`Policy`]).
//!
//! Files are mapped into memory. Opening reads headers and pickles; the numbers of an array are touched when they are asked for. A file
//! is trusted in nothing: every length, offset and count is checked against what is there, and what a file may cost is bounded by
//! [`Limits`]. Checksums of zips are not compared: that would read all of a file to use some of it.
//!
//! ```no_run
//! # fn main() -> Result<(), scorefield_archive::ArchiveError> {
//! let file = scorefield_archive::open("checkpoint_1.pth".as_ref())?;
//! let weights = file.root().need("model")?.arrays()?;
//! let step = file.root().need("step")?.as_i64();
//! for (name, array) in &weights {
//!     let numbers: Vec<f32> = array.f32()?;
//!     assert_eq!(numbers.len(), array.shape().iter().product::<usize>(), "{name} at step {step:?}");
//! }
//! # Ok(())
//! # }
//! ```

mod archive;
mod array;
mod bytes;
mod container;
mod dtype;
mod error;
mod globals;
mod heap;
mod node;
mod pickle;
mod policy;
mod walk;

pub use archive::{Archive, Container, open, open_sharded, open_with};
pub use array::Array;
pub use dtype::Dtype;
pub use error::{ArchiveError, Fault};
pub use node::{Kind, Node};
pub use policy::{Limit, Limits, Policy, Unknown};
