//! The loop over time, as an iterator.
//!
//! There is no other: progress bars, early stops, recordings and previews are adapters around it.

use crate::{Past, Solver, prior};
use scorefield_process::{Denoiser, Differentiable, Grid, Leg, Process, ProcessExt, StepVariance};
use scorefield_tensor::{Batch, DType, Device, Noise, Streams};
use std::sync::atomic::{AtomicU64, Ordering};

/// A denoiser that counts its calls.
#[derive(Debug)]
pub struct Counted<D> {
    inner: D,
    calls: AtomicU64,
}

impl<D: Denoiser> Counted<D> {
    /// Counts from zero.
    pub fn new(inner: D) -> Self {
        Self { inner, calls: AtomicU64::new(0) }
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl<D: Denoiser> Denoiser for Counted<D> {
    fn process(&self) -> &dyn Process {
        self.inner.process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.denoise(x, t)
    }

    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.denoise_each(x, times)
    }

    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.denoise_with_variance(x, t)
    }
}

/// A pullback counts as one call.
impl<D: Differentiable> Differentiable for Counted<D> {
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.pullback(x, t, cotangent)
    }

    fn pullback_each(&self, x: &Batch, times: &[f64], cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.pullback_each(x, times, cotangent)
    }
}

/// What becomes of the state after the last leg, where noise is left (`sigma(t_last) > 0`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// One more evaluation replaces it by `D(x, t_last)`.
    #[default]
    Denoise,
    /// It stays as it is.
    Leave,
}

/// A state on the way.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Place in the run: 0 is the state it starts from.
    pub index: usize,
    /// The time of the state; of the finishing evaluation: the time it was made at.
    pub t: f64,
    /// The states, `[n, d]`.
    pub x: Batch,
    /// The posterior mean that the step to this frame was made with, when the solver has one.
    pub clean: Option<Batch>,
}

/// A run of a solver over a grid: yields the starting state, the state after every leg and, with [`Finish::Denoise`], the
/// denoised end.
pub struct Trajectory<'a> {
    denoiser: Counted<&'a dyn Denoiser>,
    solver: &'a dyn Solver,
    noise: &'a mut dyn Noise,
    legs: Vec<Leg>,
    first: f64,
    last: f64,
    finish: Finish,
    past: Past,
    x: Batch,
    next: usize,
}

impl<'a> Trajectory<'a> {
    /// A run from the given state at the grid's first time.
    pub fn new(denoiser: &'a dyn Denoiser, solver: &'a dyn Solver, grid: &Grid, noise: &'a mut dyn Noise, x: Batch) -> Self {
        let (first, last) = (grid.times()[0], grid.times()[grid.times().len() - 1]);
        let (legs, past, finish) = (grid.legs().collect(), Past::new(), Finish::default());
        Self { denoiser: Counted::new(denoiser), solver, noise, legs, first, last, finish, past, x, next: 0 }
    }

    /// A run from the prior: `x = sigma(t_first) z`, one row for each sample of `streams`.
    pub fn from_prior(
        denoiser: &'a dyn Denoiser,
        solver: &'a dyn Solver,
        grid: &Grid,
        streams: &'a mut Streams,
        dim: usize,
        (device, dtype): (&Device, DType),
    ) -> Self {
        let x = prior(denoiser.process(), grid.times()[0], streams, dim, (device, dtype));
        Self::new(denoiser, solver, grid, streams, x)
    }

    /// The same run with another end.
    pub fn finish(self, finish: Finish) -> Self {
        Self { finish, ..self }
    }

    /// Calls of the denoiser so far.
    pub fn evaluations(&self) -> u64 {
        self.past.evaluations()
    }

    /// Runs to the end.
    pub fn last_frame(mut self) -> Frame {
        let mut frame = Frame { index: 0, t: self.first, x: self.x.clone(), clean: None };
        for next in self.by_ref() {
            frame = next;
        }
        frame
    }

    /// Runs to the end and keeps the states.
    pub fn run(self) -> Batch {
        self.last_frame().x
    }

    fn frames(&self) -> usize {
        let denoises = self.finish == Finish::Denoise && self.denoiser.process().at(self.last).sigma > 0.0;
        1 + self.legs.len() + usize::from(denoises)
    }
}

impl Iterator for Trajectory<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let index = self.next;
        if index >= self.frames() {
            return None;
        }
        self.next += 1;
        if index == 0 {
            return Some(Frame { index, t: self.first, x: self.x.clone(), clean: None });
        }

        let (t, clean) = if let Some(&leg) = self.legs.get(index - 1) {
            self.noise.begin(index as u32 - 1);
            self.x = self.solver.step(&self.denoiser, &self.x, leg, &mut self.past, self.noise);
            (leg.s, self.past.take_fresh())
        } else {
            self.x = self.denoiser.denoise(&self.x, self.last);
            (self.last, Some(self.x.clone()))
        };
        self.past.evaluations = self.denoiser.calls();
        Some(Frame { index, t, x: self.x.clone(), clean })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.frames().saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Trajectory<'_> {}
impl std::iter::FusedIterator for Trajectory<'_> {}
