//! What a run tells its caller. The library never prints.

use std::path::PathBuf;

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run begins or goes on.
    Start {
        /// The step it starts from.
        step: u64,
        /// Trainable numbers in the network.
        parameters: u64,
        /// Examples.
        examples: usize,
    },
    /// A step of the optimiser is done.
    Step(StepReport),
    /// The doctor or the trainer has something to say.
    Note(String),
    /// Something went wrong and was dealt with.
    Warning(String),
    /// A sample grid was written.
    Preview(PathBuf),
    /// The run was saved.
    Saved {
        /// At which step.
        step: u64,
    },
}

/// The figures of one step.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Steps done.
    pub step: u64,
    /// Steps of the run, when known.
    pub total: Option<u64>,
    /// Weighted loss of the step.
    pub loss: f64,
    /// The same for a predictor that knows only mean and spread of the data.
    pub trivial: f64,
    /// Learning rate.
    pub lr: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Examples a second, a moving mean.
    pub examples_per_second: f64,
    /// Seconds trained so far, over all sessions.
    pub seconds: f64,
    /// Seconds left, when known.
    pub seconds_left: Option<f64>,
}

/// Whoever wants to know.
pub trait Observer {
    /// Called for every event, in order.
    fn event(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Observer for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

/// An observer that listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}
}
