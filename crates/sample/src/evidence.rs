//! A model of numbers multiplied by a normal: what is known of the entries of a sample besides the model.
//!
//! Sohl-Dickstein et al. 2015, section 2.5: `p(x_0) r(x_0) / Z` by multiplying every reverse step. Here the factor acts through `E[x_0 | x_t]`,
//! so that every solver takes it: with `p(x_0 | x_t)` as a normal around the model's `D` of variance `v_t = c sigma^2 / (c alpha^2 + sigma^2)`,
//! that of data of variance `c`, and `r` a normal around `y` of deviation `tau`,
//!
//! `D_r = D + v_t / (v_t + tau^2) (y - D)`.
//!
//! `tau = 0` is an entry that is known (inpainting): a stochastic solver then carries it along the bridge to its value, so that the model
//! always sees it at the noise of the time. `tau > 0` is a noisy copy (denoising); `tau` infinite says nothing. The product is exact for
//! data whose entries are independent normals of variance `c`. Otherwise entries learn of each other's evidence through `x_t` alone, which is an
//! approximation at every number of steps; [`Repeated`] steps bring the law nearer.

use crate::{Order, Past, Solver};
use scorefield_process::{Denoiser, Leg, Process, ProcessExt, StepVariance};
use scorefield_tensor::{Batch, Noise};

/// `p(x_0 | x_t) N(x_0; y, tau^2) / Z` for a denoiser's `p`, entry by entry.
#[derive(Clone, Debug)]
pub struct Evidence<D> {
    /// The model.
    pub inner: D,
    /// What the entries were measured to be, finite, `[n, d]` or `[1, d]`.
    pub value: Batch,
    /// The deviation of each measurement: 0 for certain, infinite for an entry of which nothing is known; the shape of `value`.
    pub deviation: Batch,
    /// The variance `c` of data.
    pub variance: f64,
}

impl<D: Denoiser> Denoiser for Evidence<D> {
    fn process(&self) -> &dyn Process {
        self.inner.process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.product(self.inner.denoise(x, t), t)
    }

    /// The learned variance stays the model's own: right for what is not known, too much for the steps of known entries, which end at their
    /// values all the same.
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let (clean, variance) = self.inner.denoise_with_variance(x, t);
        (self.product(clean, t), variance)
    }
}

impl<D: Denoiser> Evidence<D> {
    /// The model's `D` and the measurement, each by its precision.
    fn product(&self, clean: Batch, t: f64) -> Batch {
        let at = self.process().at(t);
        let v = self.variance * at.sigma.powi(2) / (self.variance * at.alpha.powi(2) + at.sigma.powi(2));
        let gain = (self.deviation.clone() * self.deviation.clone() + v).recip() * v;
        (self.value.clone() - clean.clone()) * gain + clean
    }
}

/// A solver each of whose steps is made several times, the state being noised again in between (Lugmayr et al. 2022, RePaint, section 4.2):
/// what the step decided too early can be decided again, knowing what is known of the other entries.
#[derive(Debug)]
pub struct Repeated {
    /// The solver; it forgets what it has seen before each repeat.
    pub inner: Box<dyn Solver>,
    /// How often each step is made, 1 or more.
    pub times: usize,
}

impl Solver for Repeated {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    /// Noise of a size that does not vanish with the step is added and taken off: the law is that of the solver, paths are not.
    fn order(&self) -> Order {
        match self.inner.order() {
            Order::None => Order::None,
            _ if self.times == 1 => self.inner.order(),
            order => order.number().map_or(Order::None, |k| Order::Weak(k as u32)),
        }
    }

    fn evaluations_per_step(&self) -> usize {
        self.times * self.inner.evaluations_per_step()
    }

    fn needs_variance(&self) -> bool {
        self.inner.needs_variance()
    }

    fn samples_path_ends(&self) -> bool {
        self.inner.samples_path_ends()
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
        // The kernel of x_t given x_s.
        let decay = at_t.alpha / at_s.alpha;
        let spread = ((at_t.sigma - decay * at_s.sigma) * (at_t.sigma + decay * at_s.sigma)).max(0.0).sqrt();
        let mut next = self.inner.step(d, x, leg, past, noise);
        for _ in 1..self.times {
            past.forget();
            let again = next * decay + noise.normal(x) * spread;
            next = self.inner.step(d, &again, leg, past, noise);
        }
        next
    }
}
