//! How rules multiply by the Jacobian of a denoiser.

use scorefield_process::{DenoiserExt, Differentiable};
use scorefield_sample::choice;
use scorefield_tensor::Batch;

choice! {
    /// How a product with `J = dD/dx` is made. `J` is symmetric for exact denoisers, so that `J v` and `J^T v` are the same. Of a network they
    /// are not: the gradient that rules mean is `J^T v`. Rules that make one product a step take it; those that make several make them by
    /// differences, at three fifths of the cost (measured: docs/inverse-problems.md).
    Jacobian {
        Pullback = "pullback": "`J^T v` back through the network: exact, more than twice the cost of an evaluation.",
        Difference = "difference": "`J v` by a difference of two evaluations, of which one is there already: the cost of an evaluation, and about \
                     a hundredth of error in single precision. Not for networks in less.",
    }
}

impl Jacobian {
    /// `D(x)` and its product with what `of` makes of it.
    pub(crate) fn first(self, d: &dyn Differentiable, x: &Batch, t: f64, of: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        match self {
            Self::Difference => {
                let clean = d.denoise(x, t);
                let v = of(&clean);
                let product = d.pushforward(x, t, &clean, &v);
                (clean, product)
            }
            Self::Pullback => d.pullback(x, t, of),
        }
    }

    /// The product with one more direction, `clean` being `D(x)`.
    pub(super) fn next(self, d: &dyn Differentiable, x: &Batch, t: f64, clean: &Batch, v: Batch) -> Batch {
        match self {
            Self::Difference => d.pushforward(x, t, clean, &v),
            Self::Pullback => d.pullback(x, t, &mut |_| v.clone()).1,
        }
    }
}
