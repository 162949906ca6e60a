//! Data: where examples come from, how they become states and back, and how samples are written.
//!
//! [`open`] reads folders of pictures, IDX and CIFAR binaries, NumPy arrays, tables of numbers and text, synthetic sets and the embedded
//! digits. It does not read parquet.
//!
//! A channel holds numbers or categories: [`Dataset::categories`] has their names, natural values and states count them from 0.

mod align;
mod array;
mod augment;
mod batches;
mod cache;
mod categories;
mod cifar;
mod codec;
mod condition;
mod dataset;
mod decode;
mod error;
mod heartbeat;
mod idx;
pub mod joint;
mod leaves;
mod names;
mod npy;
mod npz;
mod open;
mod picture_file;
mod pictures;
pub mod pulse;
mod reading;
pub mod roll;
mod shape;
pub mod stats;
mod synthetic;
mod table;
pub mod write;

pub use augment::AugmentOptions;
pub use batches::{Batches, HostBatch};
pub use categories::Categorical;
pub use codec::{Codec, CodecOptions, Range};
pub use condition::ConditionSource;
pub use dataset::{Dataset, LoadReport};
pub use decode::{ChannelPolicy, Fit};
pub use error::DataError;
pub use names::LabelSource;
pub use open::{OpenOptions, Progress, open, open_with};
pub use picture_file::{PictureFile, PictureKind, picture_files};
pub use shape::{Shape, Value};
