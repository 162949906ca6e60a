//! A denoiser is one function; score, noise and velocity are views of it.

use crate::{Process, ProcessExt};
use scorefield_tensor::Batch;

/// The posterior mean `E[x_0 | x_t = x]` under a process: all a sampler needs to know of a model.
pub trait Denoiser: Send + Sync {
    /// The process whose times `denoise` understands.
    fn process(&self) -> &dyn Process;

    /// `E[x_0 | x_t = x]` for every row of `x`, `[n, d]` to `[n, d]`.
    fn denoise(&self, x: &Batch, t: f64) -> Batch;
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
        }
    )*};
}
through_pointer!(&D, Box<D>, std::sync::Arc<D>);
