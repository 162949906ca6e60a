//! Mean and variance at the end of a run without sampling error.
//!
//! Under Gaussian data the denoiser is affine, so a whole run of a solver without data-dependent step sizes is affine in its
//! start and in every noise it draws: `x_end = a x_start + b + sum_k c_k w_k`. [`moments`] reads all of `a`, `b`, `c_k` off a single
//! run on a batch of unit pulses, and with them mean and variance of the end exactly.

use crate::{Finish, Solver, Trajectory};
use scorefield_process::oracle::Gaussian;
use scorefield_process::{Grid, Process};
use scorefield_tensor::{Batch, Device, Noise, Tensor, TensorData, batch_f64, rows_f64};

/// Mean and variance of each entry at the end of a run, exactly, when the run starts from the law of the data's own `x_t` at
/// the grid's first time and the last state is left as it is. The denoiser and the solver must be affine.
pub fn moments<P: Process>(d: &Gaussian<P>, dim: usize, solver: &dyn Solver, grid: &Grid) -> Vec<(f64, f64)> {
    let run = |noise: &mut dyn Noise, x: Batch| rows_f64(Trajectory::new(d, solver, grid, noise, x).finish(Finish::Leave).run());
    let start = |rows: usize| {
        let mut x = vec![0.0; rows * dim];
        x[dim..2 * dim].fill(1.0);
        batch_f64(x, rows, &Device::default())
    };

    // A first run counts the draws; the second gives each draw a row of its own, in which it alone is one.
    let mut silent = Pulses { drawn: 0, silent: true };
    run(&mut silent, start(2));
    let out = run(&mut Pulses { drawn: 0, silent: false }, start(2 + silent.drawn));

    let at = |row: usize, i: usize| out[row * dim + i];
    (0..dim)
        .map(|i| {
            let (mean, variance) = d.marginal(i, grid.times()[0]);
            let (b, a) = (at(0, i), at(1, i) - at(0, i));
            let noise: f64 = (0..silent.drawn).map(|k| (at(2 + k, i) - b).powi(2)).sum();
            (a * mean + b, a * a * variance + noise)
        })
        .collect()
}

/// A noise source whose k-th draw is one in row `k + 2` and zero elsewhere; or zero everywhere.
struct Pulses {
    drawn: usize,
    silent: bool,
}

impl Noise for Pulses {
    fn normal(&mut self, like: &Batch) -> Batch {
        let [n, d] = like.dims();
        let mut w = vec![0.0; n * d];
        if !self.silent {
            w[(self.drawn + 2) * d..][..d].fill(1.0);
        }
        self.drawn += 1;
        Tensor::from_data(TensorData::new(w, [n, d]), (&like.device(), like.dtype()))
    }

    fn begin(&mut self, _: u32) {}
}

/// The largest error of the end's law over the entries: of the mean in standard deviations, plus of the variance, relatively.
pub fn law_error<P: Process>(d: &Gaussian<P>, dim: usize, solver: &dyn Solver, grid: &Grid) -> f64 {
    let last = grid.times()[grid.times().len() - 1];
    let errors = moments(d, dim, solver, grid).into_iter().enumerate().map(|(i, (mean, variance))| {
        let (exact_mean, exact_variance) = d.marginal(i, last);
        (mean - exact_mean).abs() / exact_variance.sqrt() + (variance / exact_variance - 1.0).abs()
    });
    errors.fold(0.0, f64::max)
}
