//! Many samples in batches, such that a sample depends on its number and the seed alone.

use crate::{Finish, Frame, Solver, Trajectory};
use scorefield_process::{Denoiser, Grid, Process, ProcessExt};
use scorefield_tensor::{Batch, DType, Device, Noise, Purpose, Streams, Tensor};
use std::ops::{ControlFlow, Range};

/// The law a run starts from: `sigma(t) z` with `z ~ N(0, I)` of [`Purpose::Prior`], one row for each sample of `streams`,
/// `[n, dim]`.
pub fn prior(
    process: &(impl Process + ?Sized),
    t: f64,
    streams: &Streams,
    dim: usize,
    (device, dtype): (&Device, DType),
) -> Batch {
    let like = Tensor::<2>::zeros([streams.samples().len(), dim], (device, dtype));
    streams.of(Purpose::Prior).normal(&like) * process.at(t).sigma
}

/// Which samples, and how they are cut into batches.
#[derive(Clone, Debug)]
pub struct Job {
    /// The seed.
    pub seed: u64,
    /// A factor on the spread of the law a run starts from: 1 is the prior, below it samples come nearer to the middle of the data.
    pub temperature: f64,
    /// The samples by number.
    pub samples: Range<u64>,
    /// Entries of a state.
    pub dim: usize,
    /// Samples computed at once; it changes the memory used and nothing else.
    pub batch: usize,
    /// The element type of the states.
    pub dtype: DType,
    /// Where they live.
    pub device: Device,
    /// What becomes of the last state.
    pub finish: Finish,
}

impl Job {
    /// `n` samples of a seed from sample 0 in single precision on the default device, 64 at a time.
    pub fn new(seed: u64, n: u64, dim: usize) -> Self {
        let (dtype, device, finish) = (DType::F32, Device::default(), Finish::default());
        Self { seed, temperature: 1.0, samples: 0..n, dim, batch: 64, dtype, device, finish }
    }

    /// The batches, as ranges of sample numbers.
    pub fn batches(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let (end, batch) = (self.samples.end, self.batch.max(1) as u64);
        (self.samples.start..end).step_by(batch as usize).map(move |first| first..end.min(first + batch))
    }
}

/// Draws the samples of a job: `[samples, dim]`.
///
/// `watch` sees every frame of every batch with the batch's sample numbers; when it breaks, that batch is left out and the
/// samples of the batches done so far are returned (`None` if there are none).
pub fn sample(
    denoiser: &dyn Denoiser,
    solver: &dyn Solver,
    grid: &Grid,
    job: &Job,
    watch: impl FnMut(&Range<u64>, &Frame) -> ControlFlow<()>,
) -> Option<Batch> {
    sample_with(|_| denoiser, solver, grid, job, watch)
}

/// [`sample`] with a denoiser for each batch: the way for conditions that differ from sample to sample.
pub fn sample_with<D: Denoiser>(
    denoiser: impl FnMut(&Range<u64>) -> D,
    solver: &dyn Solver,
    grid: &Grid,
    job: &Job,
    watch: impl FnMut(&Range<u64>, &Frame) -> ControlFlow<()>,
) -> Option<Batch> {
    sample_driven(denoiser, |streams| Box::new(streams), solver, grid, job, watch)
}

/// [`sample_with`] with a noise source of the caller's for each batch, made from the batch's streams: the way for samples that
/// follow a [`Path`](crate::Path).
pub fn sample_driven<D: Denoiser>(
    mut denoiser: impl FnMut(&Range<u64>) -> D,
    mut source: impl FnMut(Streams) -> Box<dyn Noise>,
    solver: &dyn Solver,
    grid: &Grid,
    job: &Job,
    mut watch: impl FnMut(&Range<u64>, &Frame) -> ControlFlow<()>,
) -> Option<Batch> {
    let mut done = Vec::new();
    'batches: for range in job.batches() {
        let denoiser = denoiser(&range);
        let streams = Streams::new(job.seed, range.clone().collect(), Purpose::Solver);
        let start = prior(denoiser.process(), grid.times()[0], &streams, job.dim, (&job.device, job.dtype)) * job.temperature;
        let mut noise = source(streams);
        let run = Trajectory::new(&denoiser, solver, grid, noise.as_mut(), start);
        let mut last = None;
        for frame in run.finish(job.finish) {
            if watch(&range, &frame).is_break() {
                break 'batches;
            }
            last = Some(frame.x);
        }
        done.extend(last);
    }
    (!done.is_empty()).then(|| Tensor::cat(done, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_process::oracle::Gaussian;
    use scorefield_process::{GridKind, ProcessConfig};
    use scorefield_tensor::rows_f64;

    /// The flow of a Gaussian is affine in where it starts, so the temperature moves a sample along a straight line, and at zero all
    /// are the image of the prior's middle.
    #[test]
    fn temperature_scales_the_prior() {
        for config in ProcessConfig::all() {
            let law = Gaussian::new(config.build().unwrap(), vec![0.4, -0.2], vec![0.3, 1.2]);
            let grid = GridKind::LogSnr.grid(law.process(), 8).unwrap();
            let solver = "ddim".parse::<crate::SolverKind>().unwrap().build();
            let draw = |temperature: f64| {
                let job = Job { temperature, dtype: DType::F64, ..Job::new(5, 3, 2) };
                rows_f64(sample(&law, &*solver, &grid, &job, |_, _| ControlFlow::Continue(())).unwrap())
            };
            let [cold, half, whole] = [0.0, 0.5, 1.0].map(draw);
            for i in 0..6 {
                assert!((half[i] - 0.5 * (cold[i] + whole[i])).abs() < 1e-12, "{}: {half:?}", config.name());
                assert!(
                    (cold[i] - cold[i % 2]).abs() < 1e-12 && (whole[i] - cold[i]).abs() > 1e-3,
                    "{}: {whole:?}",
                    config.name()
                );
            }
        }
    }
}
