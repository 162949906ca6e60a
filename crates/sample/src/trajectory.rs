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

/// Where a run over a grid stands: the start, one place after every leg, and an end if there is one. Yields the index and the time of each
/// place, and the leg that leads there, which the start and the end have none of.
#[derive(Debug)]
pub struct Walk {
    legs: Vec<Leg>,
    first: f64,
    last: f64,
    ends: bool,
    next: usize,
}

impl Walk {
    /// A walk over a grid; `ends` asks for a last place at the grid's last time.
    pub fn new(grid: &Grid, ends: bool) -> Self {
        let times = grid.times();
        Self { legs: grid.legs().collect(), first: times[0], last: times[times.len() - 1], ends, next: 0 }
    }

    fn places(&self) -> usize {
        1 + self.legs.len() + usize::from(self.ends)
    }

    fn left(&self) -> usize {
        self.places().saturating_sub(self.next)
    }
}

impl Iterator for Walk {
    type Item = (usize, f64, Option<Leg>);

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        if index >= self.places() {
            return None;
        }
        self.next += 1;
        let leg = index.checked_sub(1).and_then(|i| self.legs.get(i)).copied();
        let t = if index == 0 { self.first } else { leg.map_or(self.last, |l| l.s) };
        Some((index, t, leg))
    }
}

/// A run of a solver over a grid: yields the starting state, the state after every leg and, with [`Finish::Denoise`], the
/// denoised end.
pub struct Trajectory<'a> {
    denoiser: Counted<&'a dyn Denoiser>,
    solver: &'a dyn Solver,
    noise: &'a mut dyn Noise,
    walk: Walk,
    past: Past,
    x: Batch,
}

impl<'a> Trajectory<'a> {
    /// A run from the given state at the grid's first time.
    pub fn new(denoiser: &'a dyn Denoiser, solver: &'a dyn Solver, grid: &Grid, noise: &'a mut dyn Noise, x: Batch) -> Self {
        let run = Self { denoiser: Counted::new(denoiser), solver, noise, walk: Walk::new(grid, false), past: Past::new(), x };
        run.finish(Finish::default())
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
    pub fn finish(mut self, finish: Finish) -> Self {
        self.walk.ends = finish == Finish::Denoise && self.denoiser.process().at(self.walk.last).sigma > 0.0;
        self
    }

    /// Calls of the denoiser so far.
    pub fn evaluations(&self) -> u64 {
        self.past.evaluations()
    }

    /// Runs to the end.
    pub fn last_frame(mut self) -> Frame {
        let mut frame = Frame { index: 0, t: self.walk.first, x: self.x.clone(), clean: None };
        for next in self.by_ref() {
            frame = next;
        }
        frame
    }

    /// Runs to the end and keeps the states.
    pub fn run(self) -> Batch {
        self.last_frame().x
    }
}

impl Iterator for Trajectory<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let (index, t, leg) = self.walk.next()?;
        if index == 0 {
            return Some(Frame { index, t, x: self.x.clone(), clean: None });
        }
        let clean = if let Some(leg) = leg {
            self.noise.begin(index as u32 - 1);
            self.x = self.solver.step(&self.denoiser, &self.x, leg, &mut self.past, self.noise);
            self.past.take_fresh()
        } else {
            self.x = self.denoiser.denoise(&self.x, t);
            Some(self.x.clone())
        };
        self.past.evaluations = self.denoiser.calls();
        Some(Frame { index, t, x: self.x.clone(), clean })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.walk.left(), Some(self.walk.left()))
    }
}

impl ExactSizeIterator for Trajectory<'_> {}
impl std::iter::FusedIterator for Trajectory<'_> {}
