//! A look at the samples while a run goes on: the same seed every time, so that pictures can be compared.

use crate::TrainError;
use crate::config::PreviewConfig;
use scorefield_data::{Codec, Shape, write};
use scorefield_model::Model;
use scorefield_process::states::StatesConfig;
use scorefield_process::{Grid, GridKind};
use scorefield_sample::states::{AncestralStates, sample_states};
use scorefield_sample::{Job, NamedError, SolverKind, sample_with};
use scorefield_tensor::rows;
use std::ops::ControlFlow;
use std::path::Path;

/// The ending of a preview: a picture for pictures, an array for vectors.
pub(crate) fn ending(codec: &Codec) -> &'static str {
    match codec.shape() {
        Shape::Image { .. } => "png",
        Shape::Vector { .. } => "npy",
    }
}

/// Samples by Heun's method on a Karras grid (a consistency model in two steps, categories by the chain backwards), every class in turn, and writes them.
/// `conditions` are those of as many samples, for a model that is given with them.
pub(crate) fn write(model: &Model, config: &PreviewConfig, seed: u64, conditions: &[f32], path: &Path) -> Result<(), TrainError> {
    let io = |source| TrainError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let classes = model.network().classes() as u64;
    let labels =
        |range: &std::ops::Range<u64>| (classes > 0).then(|| range.clone().map(|i| Some((i % classes) as u32)).collect());
    if model.states().is_some() {
        let denoiser = |range: &std::ops::Range<u64>| model.states_denoiser(labels(range)).expect("it has states");
        let grid = Grid::new(StatesConfig::times(config.steps.max(1))).expect("times that fall");
        let job = Job::new(seed, config.n as u64, model.dim());
        let go = |_: &_, _: &_| ControlFlow::Continue(());
        let Some(x) = sample_states(denoiser, |_| None, &AncestralStates::default(), &grid, &job, go) else { return Ok(()) };
        return Ok(write::samples(path, &rows(x), config.n, &model.meta().codec)?);
    }
    let width = conditions.len() / config.n.max(1);
    let given = |range: &std::ops::Range<u64>| conditions[range.start as usize * width..range.end as usize * width].to_vec();
    let denoiser = |range: &std::ops::Range<u64>| model.denoiser_given(labels(range), (width > 0).then(|| given(range)));
    let posterior = model.meta().prediction.is_posterior_mean();
    let (solver, steps) = if posterior { ("heun", config.steps.max(1)) } else { ("consistency", 2) };
    let state = |found: String| TrainError::State { path: path.to_owned(), found };
    let solver: SolverKind = solver.parse().map_err(|e: NamedError| state(e.to_string()))?;
    let spacing = GridKind::Karras { rho: 7.0 };
    let grid = solver.grid(&spacing, model.process(), model.process().span(), steps).map_err(|e| state(e.to_string()))?;
    let solver = solver.build();
    let job = Job::new(seed, config.n as u64, model.dim());
    let Some(x) = sample_with(denoiser, &*solver, &grid, &job, |_, _| ControlFlow::Continue(())) else { return Ok(()) };
    write::samples(path, &rows(x), config.n, &model.meta().codec)?;
    Ok(())
}
