//! How samples are steered: what a model is told of them, and the denoiser that makes.

mod checks;

use crate::tally::Tally;
use crate::{ClassChoice, Classes, GenerateError};
use scorefield_data::Codec;
use scorefield_model::{Classifier, ConditionMeta, Model, ModelDenoiser};
use scorefield_process::Differentiable;
use scorefield_sample::{Classified, Composed, Guided, NoisyClassifier};
use scorefield_tensor::Batch;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What a model is told of its samples, and how far it follows. [`Guidance::default`] is a random class each, and the model as it is.
#[derive(Clone, Default)]
pub struct Guidance<'a> {
    /// Classes.
    pub class: ClassChoice,
    /// The weight `w` of `G + w (D - G)` with `G` the model without its class (Ho and Salimans 2022) or [`Guidance::guide`]; none or 1 is the
    /// model itself.
    pub weight: Option<f64>,
    /// The noise levels `sigma / alpha` at which there is guidance (Kynkaanniemi et al. 2024); `None` is all.
    pub interval: Option<RangeInclusive<f64>>,
    /// The share of the way by which the deviation of guided clean data is pulled to that of the model's own (Lin et al. 2024); 0 is none.
    pub rescale: f64,
    /// A weaker model of the same data to be guided away from, under the same class (autoguidance, Karras et al. 2024a).
    pub guide: Option<&'a Model>,
    /// Classes joined (weights above 0) and negated (below), in place of a class and a weight ([`Composed`]).
    pub joined: Vec<(u32, f64)>,
    /// A classifier of noised data and the scale of its gradient: the class is then its business, and the model is told of none unless there
    /// is a weight, of which 1 is the model under the class ([`Classified`]).
    pub classifier: Option<(&'a Classifier, f64)>,
    /// What samples of a model that was trained with a condition are given with: encoded rows, of which sample `i` of [`Generate`](crate::Generate) has row
    /// `i` modulo their number, and question `i` of [`Solve`](crate::solve::Solve) row `i`, or the only one.
    pub condition: Option<Arc<[f32]>>,
    /// The weight `v` of `H + v (D - H)` with `D` all of the above but the classifier and `H` the model under the same class without its condition
    /// (Ho and Salimans 2022, of conditions); none or 1 is `D` itself. The interval and the rescaling are those of the other weight.
    pub condition_weight: Option<f64>,
}

/// The rows of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'r> {
    /// The seed that random classes are drawn from.
    pub seed: u64,
    /// The number of each row's sample, by which it has its class.
    pub samples: &'r [u64],
    /// The number by which it has its condition.
    pub conditions: &'r [u64],
}

/// A classifier that is asked for one class a row.
struct OfClasses<'a> {
    classifier: &'a Classifier,
    classes: Vec<u32>,
}

impl NoisyClassifier for OfClasses<'_> {
    #[track_caller]
    fn log_probability(&self, x: &Batch, times: &[f64]) -> (Vec<f64>, Batch) {
        self.classifier.gradient(x, times, &self.classes)
    }
}

/// Classes joined and negated, each with its weight: a text `CLASS=WEIGHT,...`, classes by name or number.
///
/// # Errors
/// When the model has no such class, a weight is no finite number, or a class stands there twice.
pub fn conditions(text: &str, codec: &Codec, classes: usize) -> Result<Vec<(u32, f64)>, GenerateError> {
    let wrong = |what: String| GenerateError::Conditions { found: text.to_owned(), what };
    let mut all: Vec<(u32, f64)> = Vec::new();
    for part in text.split(',') {
        let Some((name, weight)) = part.rsplit_once('=') else {
            return Err(wrong(format!("{part:?} has no weight")));
        };
        let ClassChoice::One(class) = ClassChoice::parse(name.trim(), codec, classes)? else {
            return Err(wrong(format!("{:?} is no single class", name.trim())));
        };
        let weight = weight.trim();
        let number: f64 = weight.parse().map_err(|_| wrong(format!("the weight {weight:?} is no number")))?;
        all.push((class, number));
    }
    Ok(all)
}

impl Guidance<'_> {
    /// How many classes samples can be asked for: the classifier's, if there is one.
    pub(crate) fn classes(&self, model: &Model) -> usize {
        self.classifier.map_or_else(|| model.network().classes(), |(classifier, _)| classifier.classes())
    }

    /// How many conditions there are.
    pub(crate) fn conditions(&self, model: &Model) -> Option<u64> {
        let (meta, rows) = (model.meta().condition.as_ref()?, self.condition.as_ref()?);
        Some((rows.len() / meta.codec.shape().len()) as u64)
    }

    /// A model as a denoiser of so many samples whose condition is hidden.
    fn hidden<'m>(model: &'m Model, classes: Classes, n: usize) -> ModelDenoiser<'m> {
        model.denoiser_given(classes, model.meta().condition.as_ref().map(|meta| meta.hidden().repeat(n)))
    }

    /// A model, or a guide of it, as a denoiser of a range of samples with their conditions.
    fn told<'m>(&self, model: &'m Model, classes: Classes, numbers: &[u64]) -> ModelDenoiser<'m> {
        let rows = |meta: &ConditionMeta| {
            let (rows, m) = (self.condition.as_deref().unwrap_or_default(), meta.codec.shape().len());
            let count = (rows.len() / m) as u64;
            numbers.iter().flat_map(|i| rows[(*i % count) as usize * m..][..m].to_vec()).collect()
        };
        model.denoiser_given(classes, model.meta().condition.as_ref().map(rows))
    }

    /// The model under its class alone.
    pub(crate) fn plain<'m>(&self, model: &'m Model, of: Rows<'_>) -> ModelDenoiser<'m> {
        self.told(model, self.class.among(model.network().classes(), of.seed, of.samples), of.conditions)
    }

    /// Guidance away from `guide`, at the levels and with the rescaling that are asked for.
    fn guided<'t>(
        &self,
        model: impl Differentiable + 't,
        guide: impl Differentiable + 't,
        weight: f64,
    ) -> Box<dyn Differentiable + 't> {
        Box::new(Guided { interval: self.interval.clone(), ..Guided::new(model, guide, weight).rescaled(self.rescale) })
    }

    /// The model under its class, guided as asked; `weight` is what [`Guidance::checked`] returned.
    pub(crate) fn denoiser<'t>(
        &'t self,
        model: &'t Model,
        of: Rows<'_>,
        weight: Option<f64>,
        tally: &'t Tally,
    ) -> Box<dyn Differentiable + 't> {
        let n = of.samples.len();
        let told = |classes: Classes| tally.of(self.told(model, classes, of.conditions));
        let all = |class: Option<u32>| told(Some(vec![class; n]));
        // With a classifier all of the class is its own, unless there is a weight; joined classes bring theirs.
        let classes: Classes = match (self.classifier, self.weight, &self.joined[..]) {
            (Some(_), None, _) | (.., [_, ..]) => (model.network().classes() > 0).then(|| vec![None; n]),
            _ => self.class.among(model.network().classes(), of.seed, of.samples),
        };
        let inner: Box<dyn Differentiable> = if self.joined.is_empty() {
            match weight {
                None => Box::new(told(classes.clone())),
                Some(w) => {
                    let guide = self.guide.map_or_else(|| all(None), |guide| tally.of(self.plain(guide, of)));
                    self.guided(told(classes.clone()), guide, w)
                }
            }
        } else {
            let conditions = self.joined.iter().map(|&(class, w)| (w, all(Some(class)))).collect();
            Box::new(Composed { base: all(None), conditions })
        };
        let inner = match self.condition_weight.filter(|v| *v != 1.0) {
            None => inner,
            Some(v) => self.guided(inner, tally.of(Self::hidden(model, classes, n)), v),
        };
        let Some((classifier, scale)) = self.classifier else { return inner };
        let asked = self.class.among(classifier.classes(), of.seed, of.samples);
        let classes = asked.into_iter().flatten().flatten().collect();
        Box::new(Classified { inner, classifier: tally.of(OfClasses { classifier, classes }), scale })
    }
}
