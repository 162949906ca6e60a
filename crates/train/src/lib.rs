//! Training: objectives, the optimiser's step, averages of the weights, the run folder and the loop.

mod average;
pub mod config;
mod consistency;
mod doctor;
mod error;
mod event;
mod log;
mod objective;
mod preview;
mod run;
mod save;
mod step;
mod tensorboard;
mod trainer;

pub use config::{ConfigError, Decay, EmaConfig, ExampleConfig, Length, OptimConfig, PreviewConfig, TrainConfig};
pub use consistency::ConsistencyConfig;
pub use doctor::Doctor;
pub use error::TrainError;
pub use event::{Event, Observer, Silent, StepReport};
pub use objective::{Objective, TimeLaw, Weight};
pub use run::{Position, RunFolder};
pub use step::Step;
pub use tensorboard::EventFile;
pub use trainer::{Ended, Outcome, Trainer};
