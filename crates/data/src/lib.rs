//! Data: where examples come from, how they become states and back, and how samples are written.
//!
//! [`open`] reads folders of pictures, IDX and CIFAR binaries, NumPy arrays, tables of numbers, synthetic sets and the embedded digits.
//! It does not read parquet, nor tables that mix numbers and several columns of text.

mod array;
mod augment;
mod batches;
mod cache;
mod cifar;
mod codec;
mod dataset;
mod decode;
mod error;
mod heartbeat;
mod idx;
mod leaves;
mod names;
mod npy;
mod npz;
mod open;
mod pictures;
mod shape;
pub mod stats;
mod synthetic;
mod table;
pub mod write;

pub use augment::AugmentOptions;
pub use batches::{Batches, HostBatch};
pub use codec::{Codec, CodecOptions, Range};
pub use dataset::{Dataset, LoadReport};
pub use decode::{ChannelPolicy, Fit};
pub use error::DataError;
pub use names::LabelSource;
pub use open::{OpenOptions, Progress, open, open_with};
pub use shape::{Shape, Value};
