//! Which Brownian path a run follows: the clock of a [`Brownian`] source.
//!
//! The path is tied to a way of spacing, not to a grid: its clock reads the share of the way at which a time stands in that
//! spacing, so that equal steps of it are equal parts of the path, and runs of 50 and of 500 steps of one seed follow the same. The
//! clock [`GridKind::Uniform`] is affine in the process's time, where Euler-Maruyama lives; [`GridKind::LogSnr`] is that of the
//! exponential integrators. Any clock gives Brownian increments in law, exactly; how near the coarse run is to the fine one
//! is the strong order of the solver, at most 1 when the clock is not its own.

use scorefield_process::{Grid, GridError, GridKind, Process};
use scorefield_tensor::brownian::{Brownian, BrownianError, Clock};
use scorefield_tensor::{Noise, Purpose, Streams};
use std::fmt;
use std::sync::Arc;

/// The clock and the cells of the paths of a run.
#[derive(Clone)]
pub struct Path {
    clock: Clock,
    cells: u32,
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Path").field("cells", &self.cells).finish_non_exhaustive()
    }
}

/// Why there is no such path.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PathError {
    /// The cells are not a power of two, or too large for the grid.
    #[error(transparent)]
    Brownian(#[from] BrownianError),
    /// The spacing cannot be cut into so many cells.
    #[error("{cells} cells: {source}")]
    Grid {
        /// How many.
        cells: u32,
        /// Why.
        source: GridError,
    },
}

/// Shares of a cell nearer to its end than this are the end: times of two grids that should coincide differ by rounding.
const SNAP: f64 = 1e-7;

impl Path {
    /// Paths over the process's span on the clock of a spacing, in so many cells (usually [`Brownian::CELLS`]).
    ///
    /// # Errors
    /// When `cells` is no power of two in range, or the spacing cannot be cut so finely.
    pub fn new(process: &(impl Process + ?Sized), spacing: &GridKind, cells: u32) -> Result<Self, PathError> {
        // The source's own check comes first: the cells may be far too many to lay out.
        let start: Clock = Arc::new(|t| t);
        Brownian::new(Streams::new(0, Vec::new(), Purpose::Path), start, cells)?;
        let grid = spacing.grid(process, cells as usize + 1).map_err(|source| PathError::Grid { cells, source })?;
        let times = grid.times().to_vec();
        let clock = move |t: f64| {
            let last = times.len() - 1;
            let i = times.partition_point(|at| *at >= t).clamp(1, last) - 1;
            let share = ((times[i] - t) / (times[i] - times[i + 1])).clamp(0.0, 1.0);
            let share = if (share - share.round()).abs() < SNAP { share.round() } else { share };
            (i as f64 + share) / last as f64
        };
        Ok(Self { clock: Arc::new(clock), cells })
    }

    /// Whether the increments over a grid are exactly Brownian: it has no two times inside one cell. A solver that asks for noise
    /// inside its legs (`dpmpp-sde`) needs legs of at least two cells besides.
    ///
    /// # Errors
    /// With two times that share a cell.
    pub fn fits(&self, grid: &Grid) -> Result<(), PathError> {
        let source = Brownian::new(Streams::new(0, Vec::new(), Purpose::Path), self.clock.clone(), self.cells)?;
        Ok(source.fits(grid.times())?)
    }

    /// The paths of the samples of `streams`.
    pub fn noise(&self, streams: Streams) -> Box<dyn Noise> {
        Box::new(Brownian::new(streams, self.clock.clone(), self.cells).expect("the cells were checked in the constructor"))
    }
}
