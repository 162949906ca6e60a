//! Several conditions at once, each joined or negated.

use scorefield_process::{Denoiser, Differentiable, Process, StepVariance};
use scorefield_tensor::Batch;

/// `D = D_u + sum_i w_i (D_i - D_u)`, `D_u` the unconditional model and `D_i` the model under condition `i`.
///
/// It is the denoiser of `p_t(x) prod_i (p_t(x | c_i) / p_t(x))^(w_i)`: conditions with positive weights are joined, those with negative
/// weights negated (Liu et al. 2022, "Compositional visual generation with composable diffusion models", eq. 11 and 13). One condition of
/// weight `w` is classifier-free guidance of that weight. At noise levels above zero the product of noised laws is not the noised product,
/// except for normals of equal covariance: like all guidance it steers, and does not sample the product of the data's laws.
#[derive(Clone, Debug)]
pub struct Composed<B, C> {
    /// The unconditional model.
    pub base: B,
    /// The weight of each condition, and the model under it.
    pub conditions: Vec<(f64, C)>,
}

impl<B: Denoiser, C: Denoiser> Composed<B, C> {
    /// The sum, each condition's prediction from a function.
    fn sum(&self, base: Batch, of: impl Fn(&C) -> Batch) -> Batch {
        let add = |sum: Batch, (w, condition): &(f64, C)| sum + (of(condition) - base.clone()) * *w;
        self.conditions.iter().fold(base.clone(), add)
    }
}

impl<B: Denoiser, C: Denoiser> Denoiser for Composed<B, C> {
    fn process(&self) -> &dyn Process {
        self.base.process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.sum(self.base.denoise(x, t), |c| c.denoise(x, t))
    }

    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        self.sum(self.base.denoise_each(x, times), |c| c.denoise_each(x, times))
    }

    /// The mean is composed; the variance stays the unconditional model's own.
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let (base, variance) = self.base.denoise_with_variance(x, t);
        (self.sum(base, |c| c.denoise(x, t)), variance)
    }
}

/// `J^T = (1 - sum_i w_i) J_u^T + sum_i w_i J_i^T`; every model is evaluated once more than its pullback does, because the cotangent may
/// depend on the sum.
impl<B: Differentiable, C: Differentiable> Differentiable for Composed<B, C> {
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let clean = self.denoise(x, t);
        let v = cotangent(&clean);
        let rest = 1.0 - self.conditions.iter().map(|(w, _)| w).sum::<f64>();
        let of_base = self.base.pullback(x, t, &mut |_| v.clone()).1 * rest;
        let add = |sum: Batch, (w, c): &(f64, C)| sum + c.pullback(x, t, &mut |_| v.clone()).1 * *w;
        (clean, self.conditions.iter().fold(of_base, add))
    }
}
