//! Guidance by a classifier of noised data.
//!
//! Bayes' rule for the law of `x_t` under a class: `grad ln p_t(x | c) = grad ln p_t(x) + grad ln p(c | x_t = x)`. By Tweedie's formula
//! `D = (x + sigma^2 score) / alpha`, so that the class moves the clean data by `sigma^2 / alpha` times the classifier's gradient:
//!
//! `D_c = D + s sigma^2 / alpha grad ln p(c | x_t)`,
//!
//! exact for `s = 1` and the exact classifier (Song et al. 2021, section 5; Dhariwal and Nichol 2021, section 4, where `s` is the gradient
//! scale: the law is then `p(x) p(c | x)^s`).

use scorefield_process::{Denoiser, Differentiable, Process, ProcessExt, StepVariance, directional};
use scorefield_tensor::{Batch, Coefficient, Known};

/// What is known of a row's class at each noise level: all that guidance needs of a classifier.
pub trait NoisyClassifier: Send + Sync {
    /// `ln p(c_i | x_t = x_i)` in nats for the class that row `i` is to have, and its gradient with respect to `x_t`: `[n]` and `[n, d]`.
    ///
    /// # Panics
    /// Unless there is one time a row, and a class for every row.
    fn log_probability(&self, x: &Batch, times: &[f64]) -> (Vec<f64>, Batch);
}

impl<C: NoisyClassifier + ?Sized> NoisyClassifier for &C {
    fn log_probability(&self, x: &Batch, times: &[f64]) -> (Vec<f64>, Batch) {
        (**self).log_probability(x, times)
    }
}

/// `D + s sigma^2 / alpha grad ln p(c | x_t)`.
#[derive(Clone, Debug)]
pub struct Classified<D, C> {
    /// The model.
    pub inner: D,
    /// The classifier, of noise of the model's process.
    pub classifier: C,
    /// `s`: 1 is Bayes' rule, 0 the model alone, exactly and without asking the classifier.
    pub scale: f64,
}

impl<D: Denoiser, C: NoisyClassifier> Classified<D, C> {
    /// The clean data moved by the classifier.
    fn moved(&self, clean: Batch, x: &Batch, times: &[f64]) -> Batch {
        if self.scale == 0.0 {
            return clean;
        }
        let at = self.inner.process().at_each(times);
        let reach = (at.sigma.square() / at.alpha).map(|v| self.scale * v);
        clean + reach.scale(self.classifier.log_probability(x, times).1)
    }
}

/// `J^T v + s sigma^2 / alpha H v`, `H` the Hessian of `ln p(c | x_t)`: symmetric, its product a difference of gradients ([`directional`]).
impl<D: Differentiable, C: NoisyClassifier> Differentiable for Classified<D, C> {
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        if self.scale == 0.0 {
            return self.inner.pullback(x, t, cotangent);
        }
        let (at, times) = (self.inner.process().at(t), vec![t; x.dims()[0]]);
        let reach = self.scale * at.sigma.powi(2) / at.alpha;
        let gradient = |x: &Batch| self.classifier.log_probability(x, &times).1;
        let own = gradient(x);
        let mut seen = None;
        let (_, back) = self.inner.pullback(x, t, &mut |clean| {
            let clean = clean.clone() + own.clone() * reach;
            let v = cotangent(&clean);
            seen = Some((clean, v.clone()));
            v
        });
        let (clean, v) = seen.expect("a pullback calls its cotangent");
        (clean, back + directional(gradient, x, &own, &v, at.sigma) * reach)
    }
}

impl<D: Denoiser, C: NoisyClassifier> Denoiser for Classified<D, C> {
    fn process(&self) -> &dyn Process {
        self.inner.process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.moved(self.inner.denoise(x, t), x, &vec![t; x.dims()[0]])
    }

    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        self.moved(self.inner.denoise_each(x, times), x, times)
    }

    /// The mean is moved; the variance stays the model's own (Dhariwal and Nichol 2021, algorithm 1).
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let (clean, variance) = self.inner.denoise_with_variance(x, t);
        (self.moved(clean, x, &vec![t; x.dims()[0]]), variance)
    }
}
