//! Counting what a model is asked: calls of its network, and the rows in them.
//!
//! Steps are no measure of work: a step of Heun's method asks twice, guidance doubles that, and adaptive solvers decide for
//! themselves. What is told to a person is counted here, at the network.

use scorefield_process::states::{StatesDenoiser, StatesProcess};
use scorefield_process::{Denoiser, Differentiable, Process, StepVariance};
use scorefield_sample::NoisyClassifier;
use scorefield_tensor::Batch;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Calls and rows so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    calls: AtomicU64,
    rows: AtomicU64,
    pullbacks: AtomicU64,
}

impl Tally {
    /// A denoiser whose calls are counted here.
    pub(crate) fn of<D>(&self, inner: D) -> Tallied<'_, D> {
        Tallied { inner, tally: self }
    }

    /// Calls since the last time this was asked.
    pub(crate) fn take_calls(&self) -> u64 {
        self.calls.swap(0, Relaxed)
    }

    /// Rows of all calls.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// Rows of the calls that went back as well: of these each counts among [`Tally::rows`] too.
    pub(crate) fn pullbacks(&self) -> u64 {
        self.pullbacks.load(Relaxed)
    }

    fn add(&self, x: &Batch) {
        self.calls.fetch_add(1, Relaxed);
        self.rows.fetch_add(x.dims()[0] as u64, Relaxed);
    }
}

/// A denoiser that reports to a [`Tally`].
#[derive(Debug)]
pub(crate) struct Tallied<'a, D> {
    inner: D,
    tally: &'a Tally,
}

impl<D: StatesDenoiser> StatesDenoiser for Tallied<'_, D> {
    fn process(&self) -> &StatesProcess {
        self.inner.process()
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.tally.add(x);
        self.inner.denoise(x, t)
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        self.tally.add(x);
        self.inner.denoise_each(x, times)
    }
}

impl<D: Denoiser> Denoiser for Tallied<'_, D> {
    fn process(&self) -> &dyn Process {
        self.inner.process()
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.tally.add(x);
        self.inner.denoise(x, t)
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        self.tally.add(x);
        self.inner.denoise_each(x, times)
    }

    #[track_caller]
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        self.tally.add(x);
        self.inner.denoise_with_variance(x, t)
    }
}

/// A gradient is a call that goes back as well.
impl<C: NoisyClassifier> NoisyClassifier for Tallied<'_, C> {
    #[track_caller]
    fn log_probability(&self, x: &Batch, times: &[f64]) -> (Vec<f64>, Batch) {
        self.tally.add(x);
        self.tally.pullbacks.fetch_add(x.dims()[0] as u64, Relaxed);
        self.inner.log_probability(x, times)
    }
}

/// A pullback is a call that goes back as well.
impl<D: Differentiable> Differentiable for Tallied<'_, D> {
    #[track_caller]
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        self.tally.add(x);
        self.tally.pullbacks.fetch_add(x.dims()[0] as u64, Relaxed);
        self.inner.pullback(x, t, cotangent)
    }

    #[track_caller]
    fn pullback_each(&self, x: &Batch, times: &[f64], cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        self.tally.add(x);
        self.tally.pullbacks.fetch_add(x.dims()[0] as u64, Relaxed);
        self.inner.pullback_each(x, times, cotangent)
    }
}
