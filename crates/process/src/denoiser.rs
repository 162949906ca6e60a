//! A denoiser is one function; score, noise and velocity are views of it.

use crate::{Process, ProcessExt, StepVariance, directional};
use scorefield_tensor::Batch;

/// The posterior mean `E[x_0 | x_t = x]` under a process: all a sampler needs to know of a model.
pub trait Denoiser: Send + Sync {
    /// The process whose times `denoise` understands.
    fn process(&self) -> &dyn Process;

    /// `E[x_0 | x_t = x]` for every row of `x`, `[n, d]` to `[n, d]`.
    fn denoise(&self, x: &Batch, t: f64) -> Batch;

    /// `E[x_0 | x_t = x]` with a time of its own for every row: what solvers with a step size a sample need.
    ///
    /// Provided by one call of [`Denoiser::denoise`] for each different time; networks take all rows at once.
    ///
    /// # Panics
    /// Unless there is one time a row.
    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        let n = x.dims()[0];
        assert_eq!(times.len(), n, "{} times for {n} rows", times.len());
        if times.iter().all(|t| *t == times[0]) {
            return if n == 0 { x.clone() } else { self.denoise(x, times[0]) };
        }
        let row = |i: usize| self.denoise(&x.clone().narrow(0, i, 1), times[i]);
        Batch::cat((0..n).map(row).collect(), 0)
    }

    /// [`Denoiser::denoise`] and, where the model has learned it, the variance of the reverse step, entry by entry.
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        (self.denoise(x, t), None)
    }
}

/// A denoiser whose Jacobian can be multiplied from the left: what likelihoods and posterior rules need.
pub trait Differentiable: Denoiser {
    /// `D(x, t)` and, row by row, `J^T v` with `J = dD/dx` and `v = cotangent(D)`, both `[n, d]`.
    ///
    /// The cotangent may depend on `D` (a residual) or not (a probe vector). It is called once.
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch);

    /// [`Differentiable::pullback`] with a time of its own for every row: what integrators with a step size a sample need.
    ///
    /// Provided row by row, with one more evaluation of `D`; networks take all rows at once.
    ///
    /// # Panics
    /// Unless there is one time a row.
    #[track_caller]
    fn pullback_each(&self, x: &Batch, times: &[f64], cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let n = x.dims()[0];
        assert_eq!(times.len(), n, "{} times for {n} rows", times.len());
        if n > 0 && times.iter().all(|t| *t == times[0]) {
            return self.pullback(x, times[0], cotangent);
        }
        let clean = self.denoise_each(x, times);
        if n == 0 {
            return (clean.clone(), clean);
        }
        let v = cotangent(&clean);
        let row = |i: usize| self.pullback(&x.clone().narrow(0, i, 1), times[i], &mut |_| v.clone().narrow(0, i, 1)).1;
        (clean, Batch::cat((0..n).map(row).collect(), 0))
    }
}

/// What every denoiser can do.
pub trait DenoiserExt: Denoiser {
    /// The score `grad_x ln p_t(x)`.
    fn score(&self, x: &Batch, t: f64) -> Batch {
        self.process().at(t).score(x, &self.denoise(x, t))
    }

    /// The expected noise `E[eps | x_t = x] = -sigma score`.
    fn noise(&self, x: &Batch, t: f64) -> Batch {
        self.process().at(t).noise(x, &self.denoise(x, t))
    }

    /// `J v` with `J = dD/dx`, row by row, by a difference ([`directional`]): an evaluation of `D` and no more, where `clean` is `D(x, t)` already. The
    /// Jacobian of an exact denoiser is symmetric, `alpha / sigma^2` times the covariance of `x_0` given `x_t`; that of a network nearly so.
    fn pushforward(&self, x: &Batch, t: f64, clean: &Batch, v: &Batch) -> Batch {
        directional(|x| self.denoise(x, t), x, clean, v, self.process().at(t).sigma)
    }

    /// The velocity of the probability flow, `dx/dt = f x - g^2 score / 2` (Song et al. 2021, eq. 13), in its form without
    /// division by alpha: `alpha' E[x_0 | x] + sigma' E[eps | x]`.
    fn velocity(&self, x: &Batch, t: f64) -> Batch {
        let m = self.process().at(t);
        let x0 = self.denoise(x, t);
        m.velocity(&x0, &m.noise(x, &x0))
    }
}

impl<D: Denoiser + ?Sized> DenoiserExt for D {}

macro_rules! through_pointer {
    ($($pointer:ty),*) => {$(
        impl<D: Denoiser + ?Sized> Denoiser for $pointer {
            fn process(&self) -> &dyn Process {
                (**self).process()
            }
            fn denoise(&self, x: &Batch, t: f64) -> Batch {
                (**self).denoise(x, t)
            }
            fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
                (**self).denoise_each(x, times)
            }
            fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
                (**self).denoise_with_variance(x, t)
            }
        }
        impl<D: Differentiable + ?Sized> Differentiable for $pointer {
            fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
                (**self).pullback(x, t, cotangent)
            }
            fn pullback_each(&self, x: &Batch, times: &[f64], cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
                (**self).pullback_each(x, times, cotangent)
            }
        }
    )*};
}
through_pointer!(&D, Box<D>, std::sync::Arc<D>);
