//! A network made into a denoiser, and the file it lives in.
//!
//! A [`Model`] is everything needed to sample: weights, network, process, prediction and data codec. Its file is one
//! safetensors file that other tools open too; nothing in it is ever executed.

mod classifier;
mod denoiser;
mod error;
pub mod export;
mod file;
pub mod import;
mod meta;
mod model;
mod states;

pub use classifier::{Classifier, log_softmax, of_classes};
pub use denoiser::ModelDenoiser;
pub use error::ModelError;
pub use file::{Inspection, TensorEntry, TensorFile, write_tensors};
pub use meta::{
    ClassifierSummary, ConditionMeta, DataSummary, FORMAT, LearnedVariance, LevelAccuracy, ModelMeta, NetworkInput,
    SamplingDefaults, TrainingSummary, told,
};
pub use model::{Model, Weights, model_path};
pub use states::{StatesAdapter, StatesModel, kinds};
