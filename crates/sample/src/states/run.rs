//! Runs of a sampler of states, and many samples in batches.

use super::particles::{self, Particles};
use super::{Factor, Multiplied, StatesSolver};
use crate::trajectory::Walk;
use crate::{Frame, Job};
use scorefield_process::Grid;
use scorefield_process::states::StatesDenoiser;
use scorefield_tensor::{Batch, Noise, Purpose, Streams, Tensor};
use std::ops::{ControlFlow, Range};

/// A run over a grid of times in [0, 1]: yields the starting state, the state after every leg and, where there are numbers or the grid ends
/// above 0, the end: categories drawn from `E[x_0 | x]`, numbers replaced by it. States are wide rows.
pub struct StatesTrajectory<'a> {
    denoiser: &'a dyn StatesDenoiser,
    solver: &'a dyn StatesSolver,
    noise: &'a mut Streams,
    walk: Walk,
    x: Batch,
}

impl<'a> StatesTrajectory<'a> {
    /// A run from the given wide rows at the grid's first time.
    pub fn new(
        denoiser: &'a dyn StatesDenoiser,
        solver: &'a dyn StatesSolver,
        grid: &Grid,
        noise: &'a mut Streams,
        x: Batch,
    ) -> Self {
        let ends = takes_off(denoiser, grid);
        Self { denoiser, solver, noise, walk: Walk::new(grid, ends), x }
    }

    /// The last step: what is left of noise is taken off.
    fn end(&mut self, t: f64) -> Batch {
        let (process, clean) = (self.denoiser.process(), self.denoiser.denoise(&self.x, t));
        let law = scorefield_process::states::Law { wide: clean, deviation: 0.0 };
        law.draw(process.columns(), self.noise)
    }
}

impl Iterator for StatesTrajectory<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let (index, t, leg) = self.walk.next()?;
        if index > 0 {
            self.noise.begin(index as u32 - 1);
            self.x = match leg {
                Some(leg) => self.solver.step(self.denoiser, &self.x, leg, self.noise),
                None => self.end(t),
            };
        }
        Some(Frame { index, t, x: self.x.clone(), clean: None })
    }
}

/// Draws the samples of a job as rows of columns, `[samples, columns]`; `job.dim` is not used. `denoiser` makes the model of a batch, `factor`
/// what else is known of its samples; with a solver of several particles a batch has so many rows for each of its samples. `watch` sees every
/// frame; when it breaks, that batch is left out.
pub fn sample_states<D: StatesDenoiser>(
    mut denoiser: impl FnMut(&Range<u64>) -> D,
    mut factor: impl FnMut(&Range<u64>) -> Option<Factor>,
    solver: &dyn StatesSolver,
    grid: &Grid,
    job: &Job,
    mut watch: impl FnMut(&Range<u64>, &Frame) -> ControlFlow<()>,
) -> Option<Batch> {
    let mut done = Vec::new();
    'batches: for range in job.batches() {
        let denoiser = denoiser(&range);
        let (process, n) = (denoiser.process(), (range.end - range.start) as usize);
        let factor = factor(&range);
        let particles = if factor.is_some() { solver.particles() } else { 1 };
        let mut streams = particles::streams(job.seed, range.clone(), particles);
        let prior = process.prior(n * particles, (&job.device, job.dtype));
        let mut start = prior.draw(process.columns(), &mut streams.of(Purpose::Prior));
        let mut grid = grid.clone();
        if let Some(factor) = factor.as_ref().filter(|_| process.columns().masked()) {
            start = factor.copies(particles).start(process, &start);
            // What is not masked cannot be at a time when nothing is left.
            grid = below_one(&grid);
        }
        let multiplied;
        let run: Box<dyn Iterator<Item = Frame>> = match factor {
            Some(factor) if particles > 1 => {
                let ends = takes_off(&denoiser, &grid);
                Box::new(Particles::new(&denoiser, &factor, particles, &grid, &mut streams, start, ends))
            }
            Some(factor) => {
                multiplied = Multiplied { inner: &denoiser, factor };
                Box::new(StatesTrajectory::new(&multiplied, solver, &grid, &mut streams, start))
            }
            None => Box::new(StatesTrajectory::new(&denoiser, solver, &grid, &mut streams, start)),
        };
        let mut last = None;
        for frame in run {
            if watch(&range, &frame).is_break() {
                break 'batches;
            }
            last = Some(frame.x);
        }
        done.extend(last.map(|x| process.columns().collapse(&x)));
    }
    (!done.is_empty()).then(|| Tensor::cat(done, 0))
}

/// Whether a run ends with one more look: where there are numbers or the grid ends above 0.
fn takes_off(denoiser: &dyn StatesDenoiser, grid: &Grid) -> bool {
    let last = grid.times()[grid.times().len() - 1];
    last > 0.0 || denoiser.process().columns().groups().iter().any(|g| !g.is_category())
}

/// The same grid from the last time on at which anything is left.
fn below_one(grid: &Grid) -> Grid {
    let mut times = grid.times().to_vec();
    times[0] = times[0].min(1.0 - 1e-6);
    if times.len() > 1 { Grid::new(times).unwrap_or_else(|_| grid.clone()) } else { grid.clone() }
}
