//! Data: where examples come from, how they become states and back, and how samples are written.
//!
//! This version reads folders of pictures, IDX files, the synthetic sets of the plane and the embedded digits. It does not yet read
//! CIFAR binaries, npy, csv or parquet, nor folders larger than memory: [`open`] says so.

mod augment;
mod batches;
mod codec;
mod dataset;
mod error;
mod idx;
mod open;
mod pictures;
mod shape;
pub mod stats;
mod synthetic;
pub mod write;

pub use augment::AugmentOptions;
pub use batches::{Batches, HostBatch};
pub use codec::{Codec, CodecOptions, Range};
pub use dataset::{Dataset, LoadReport};
pub use error::DataError;
pub use open::{OpenOptions, open};
pub use pictures::Fit;
pub use shape::{Shape, Value};
