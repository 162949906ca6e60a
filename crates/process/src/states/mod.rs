//! Processes on states whose columns are numbers, categories, or both.
//!
//! A category in `K` levels is noised by a continuous-time Markov chain with the generator `beta(t) R`: jumps that forget. All its laws
//! follow from one formula, the *survival* `keep(t) = exp(-int_0^t beta)`, the probability that nothing was forgotten by time `t` in
//! [0, 1], and one matrix, `Q(t|s) = exp(R ln(keep_s / keep_t))`, which is `keep I + (1 - keep) 1 pi^T` wherever a jump forgets all at
//! once (Sohl-Dickstein et al. 2015 for bits, Hoogeboom et al. 2021 towards the uniform law, Austin et al. 2021 towards a mask). A chain of
//! `T` steps is this process looked at times `i / T`: its `beta_i` is `1 - keep(t_i) / keep(t_(i-1))`.
//!
//! Columns of numbers run beside on a Gaussian [`Process`](crate::Process) at the same fraction of its span. A row of a state is *wide*:
//! a number is one entry, a category is one-hot over its levels and, where there is one, its mask. So `E[x_0 | x_t]`, all that a sampler
//! needs, is the posterior mean of numbers and the posterior probabilities of levels in one row of the same length, and a
//! [`StatesDenoiser`] is one function, as a [`Denoiser`](crate::Denoiser) is.

mod bound;
mod columns;
mod config;
mod kernel;
mod law;
mod process;
mod survival;

pub use columns::{ColumnKind, Columns, Group};
pub use config::{StatesConfig, StatesError};
pub use kernel::{Kernel, Transition};
pub use law::{Law, invert};
pub use process::{StatesAt, StatesProcess};
pub use survival::Survival;

use scorefield_tensor::Batch;

/// `E[x_0 | x_t = x]` of states with categories: probabilities of levels, means of numbers.
pub trait StatesDenoiser: Send + Sync {
    /// The process whose times `denoise` understands.
    fn process(&self) -> &StatesProcess;

    /// `E[x_0 | x_t = x]` for every wide row of `x` at a time in [0, 1], `[n, width]` to `[n, width]`: for each category numbers from 0
    /// on that sum to one, zero for a mask.
    fn denoise(&self, x: &Batch, t: f64) -> Batch;

    /// The same with a time of its own for every row. Provided by one call for each run of rows at one time; networks take
    /// all rows at once.
    ///
    /// # Panics
    /// Unless there is one time a row.
    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        let n = x.dims()[0];
        assert_eq!(times.len(), n, "{} times for {n} rows", times.len());
        let mut first = 0;
        let runs = times.chunk_by(|a, b| a == b).map(|run| {
            let rows = x.clone().narrow(0, first, run.len());
            first += run.len();
            self.denoise(&rows, run[0])
        });
        let mut parts: Vec<Batch> = runs.collect();
        match parts.len() {
            0 => x.clone(),
            1 => parts.remove(0),
            _ => Batch::cat(parts, 0),
        }
    }
}

macro_rules! through_pointer {
    ($($pointer:ty),*) => {$(
        impl<D: StatesDenoiser + ?Sized> StatesDenoiser for $pointer {
            fn process(&self) -> &StatesProcess {
                (**self).process()
            }
            fn denoise(&self, x: &Batch, t: f64) -> Batch {
                (**self).denoise(x, t)
            }
            fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
                (**self).denoise_each(x, times)
            }
        }
    )*};
}
through_pointer!(&D, Box<D>, std::sync::Arc<D>);
