//! Guidance: a model pushed away from a weaker one.

use scorefield_process::{Denoiser, Differentiable, Process, ProcessExt, StepVariance};
use scorefield_tensor::{Batch, Coefficient, Column};
use std::ops::RangeInclusive;

/// `D = G + w (M - G)`, `M` the main model and `G` its guide.
///
/// With an unconditional guide it is classifier-free guidance (Ho and Salimans 2022, eq. 6 in their weight `w - 1`); with a
/// smaller or less trained one, autoguidance (Karras et al. 2024a). Weight 1 is the main model and weight 0 the guide, exactly and
/// without evaluating the other. Outside the interval of noise levels `sigma / alpha`, if there is one, the main model stands
/// alone (Kynkaanniemi et al. 2024).
#[derive(Clone, Debug)]
pub struct Guided<M, G> {
    /// The model.
    pub main: M,
    /// What it is pushed away from.
    pub guide: G,
    /// How far: 1 is the main model.
    pub weight: f64,
    /// The noise levels `sigma / alpha` with guidance; `None` is all.
    pub interval: Option<RangeInclusive<f64>>,
}

impl<M: Denoiser, G: Denoiser> Guided<M, G> {
    /// Guidance at every noise level.
    pub fn new(main: M, guide: G, weight: f64) -> Self {
        Self { main, guide, weight, interval: None }
    }

    /// Guidance within an interval of noise levels only.
    pub fn within(self, interval: RangeInclusive<f64>) -> Self {
        Self { interval: Some(interval), ..self }
    }

    /// Whether there is guidance at a time.
    fn reaches(&self, t: f64) -> bool {
        let level = self.main.process().at(t).ratio();
        self.interval.as_ref().is_none_or(|i| i.contains(&level))
    }
}

impl<M: Denoiser, G: Denoiser> Denoiser for Guided<M, G> {
    fn process(&self) -> &dyn Process {
        self.main.process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        if !self.reaches(t) || self.weight == 1.0 {
            return self.main.denoise(x, t);
        }
        let guide = self.guide.denoise(x, t);
        if self.weight == 0.0 {
            return guide;
        }
        guide.clone() + (self.main.denoise(x, t) - guide) * self.weight
    }

    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        let weights: Vec<f64> = times.iter().map(|&t| if self.reaches(t) { self.weight } else { 1.0 }).collect();
        let main = self.main.denoise_each(x, times);
        if weights.iter().all(|w| *w == 1.0) {
            return main;
        }
        // Exactly the main model where its weight is one.
        let weight = Column(weights);
        weight.scale(main) + (-weight.clone() + 1.0).scale(self.guide.denoise_each(x, times))
    }

    /// The mean is guided; the variance stays the main model's own (Dhariwal and Nichol 2021, algorithm 1).
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let (main, variance) = self.main.denoise_with_variance(x, t);
        if !self.reaches(t) || self.weight == 1.0 {
            return (main, variance);
        }
        let guide = self.guide.denoise(x, t);
        (guide.clone() + (main - guide) * self.weight, variance)
    }
}

/// `J^T = (1 - w) J_G^T + w J_M^T`.
impl<M: Differentiable, G: Differentiable> Differentiable for Guided<M, G> {
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let weight = if self.reaches(t) { self.weight } else { 1.0 };
        if weight == 1.0 {
            return self.main.pullback(x, t, cotangent);
        }
        // The cotangent is asked for once, where both outputs are known: inside the pullback of both.
        let mut rest = None;
        let (_, of_main) = self.main.pullback(x, t, &mut |main| {
            let mut whole = None;
            let (_, of_guide) = self.guide.pullback(x, t, &mut |guide| {
                let clean = guide.clone() + (main.clone() - guide.clone()) * weight;
                let v = cotangent(&clean);
                whole = Some((clean, v.clone()));
                v * (1.0 - weight)
            });
            let (clean, v) = whole.expect("a pullback calls its cotangent");
            rest = Some((clean, of_guide));
            v * weight
        });
        let (clean, of_guide) = rest.expect("a pullback calls its cotangent");
        (clean, of_main + of_guide)
    }
}
