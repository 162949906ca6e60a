//! Guidance: a model pushed away from a weaker one.

mod classifier;
mod composed;
mod rescale;

pub use classifier::{Classified, NoisyClassifier};
pub use composed::Composed;

use rescale::Rescale;
use scorefield_process::{Denoiser, Differentiable, Process, ProcessExt, StepVariance};
use scorefield_tensor::{Batch, Coefficient, Column};
use std::ops::RangeInclusive;

/// `D = G + w (M - G)`, `M` the main model and `G` its guide.
///
/// With an unconditional guide it is classifier-free guidance (Ho and Salimans 2022, eq. 6 in their weight `w - 1`); with a
/// smaller or less trained one, autoguidance (Karras et al. 2024a). Weight 1 is the main model and weight 0 the guide, exactly and
/// without evaluating the other. Outside the interval of noise levels `sigma / alpha`, if there is one, the main model stands
/// alone (Kynkaanniemi et al. 2024). With `rescale` above 0 the deviation of `D` over a sample's entries is pulled to that of `M`
/// (Lin et al. 2024, section 3.4).
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
    /// `phi`: the share of the way from the guided deviation to the main model's; 0 leaves it.
    pub rescale: f64,
}

impl<M: Denoiser, G: Denoiser> Guided<M, G> {
    /// Guidance at every noise level.
    pub fn new(main: M, guide: G, weight: f64) -> Self {
        Self { main, guide, weight, interval: None, rescale: 0.0 }
    }

    /// Guidance within an interval of noise levels only.
    pub fn within(self, interval: RangeInclusive<f64>) -> Self {
        Self { interval: Some(interval), ..self }
    }

    /// Guidance whose deviation is pulled to the main model's by a share `phi` of the way.
    pub fn rescaled(self, phi: f64) -> Self {
        Self { rescale: phi, ..self }
    }

    /// The weight at a time: that of the main model alone outside the interval.
    fn weight_at(&self, t: f64) -> f64 {
        let level = self.main.process().at(t).ratio();
        if self.interval.as_ref().is_none_or(|i| i.contains(&level)) { self.weight } else { 1.0 }
    }

    /// The guided prediction at the deviation asked for.
    fn at_deviation(&self, main: &Batch, guided: Batch) -> Batch {
        if self.rescale == 0.0 { guided } else { Rescale::of(main, &guided, self.rescale).apply(guided) }
    }
}

/// `G + w (M - G)`.
fn guided(main: &Batch, guide: Batch, weight: f64) -> Batch {
    guide.clone() + (main.clone() - guide) * weight
}

impl<M: Denoiser, G: Denoiser> Denoiser for Guided<M, G> {
    fn process(&self) -> &dyn Process {
        self.main.process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let weight = self.weight_at(t);
        if weight == 1.0 {
            return self.main.denoise(x, t);
        }
        let guide = self.guide.denoise(x, t);
        if weight == 0.0 && self.rescale == 0.0 {
            return guide;
        }
        let main = self.main.denoise(x, t);
        let guided = guided(&main, guide, weight);
        self.at_deviation(&main, guided)
    }

    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        let weights: Vec<f64> = times.iter().map(|&t| self.weight_at(t)).collect();
        let main = self.main.denoise_each(x, times);
        if weights.iter().all(|w| *w == 1.0) {
            return main;
        }
        // Exactly the main model where its weight is one.
        let weight = Column(weights);
        let guided = weight.scale(main.clone()) + (-weight.clone() + 1.0).scale(self.guide.denoise_each(x, times));
        self.at_deviation(&main, guided)
    }

    /// The mean is guided; the variance stays the main model's own (Dhariwal and Nichol 2021, algorithm 1).
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let (main, variance) = self.main.denoise_with_variance(x, t);
        let weight = self.weight_at(t);
        if weight == 1.0 {
            return (main, variance);
        }
        let guided = guided(&main, self.guide.denoise(x, t), weight);
        (self.at_deviation(&main, guided), variance)
    }
}

/// `J^T = (1 - w) J_G^T + w J_M^T`, and with `rescale` the slopes of the two deviations besides.
impl<M: Differentiable, G: Differentiable> Differentiable for Guided<M, G> {
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let weight = self.weight_at(t);
        if weight == 1.0 {
            return self.main.pullback(x, t, cotangent);
        }
        // The cotangent is asked for once, where both outputs are known: inside the pullback of both.
        let mut rest = None;
        let (_, of_main) = self.main.pullback(x, t, &mut |main| {
            let mut whole = None;
            let (_, of_guide) = self.guide.pullback(x, t, &mut |guide| {
                let guided = guided(main, guide.clone(), weight);
                let clean = self.at_deviation(main, guided.clone());
                let v = cotangent(&clean);
                let (through, of_deviation) = match self.rescale {
                    0.0 => (v, None),
                    phi => {
                        let (through, aside) = Rescale::of(main, &guided, phi).back(main, &guided, v);
                        (through, Some(aside))
                    }
                };
                let own = through.clone() * weight;
                whole = Some((clean, of_deviation.map_or(own.clone(), |aside| own + aside)));
                through * (1.0 - weight)
            });
            let (clean, own) = whole.expect("a pullback calls its cotangent");
            rest = Some((clean, of_guide));
            own
        });
        let (clean, of_guide) = rest.expect("a pullback calls its cotangent");
        (clean, of_main + of_guide)
    }
}
