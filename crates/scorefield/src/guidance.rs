//! How samples are steered: what a request for guidance needs, and the denoiser it makes.

use crate::tally::Tally;
use crate::{ClassChoice, Classes, Generate, GenerateError, require_posterior_mean};
use scorefield_data::Codec;
use scorefield_model::{Classifier, ConditionMeta, Model, ModelDenoiser, ModelMeta};
use scorefield_process::{Denoiser, ProcessExt};
use scorefield_sample::{Classified, Composed, Guided, NoisyClassifier};
use scorefield_tensor::Batch;
use std::ops::Range;

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

impl Generate<'_> {
    /// Refuses guidance that the model cannot give; the weight, if it changes anything.
    pub(crate) fn checked_guidance(&self) -> Result<Option<f64>, GenerateError> {
        let (model, classes) = (self.model, self.model.network().classes());
        if let Some((classifier, scale)) = self.classifier {
            self.check_classifier(classifier, scale)?;
        }
        if !self.conditions.is_empty() {
            self.check_conditions()?;
            return Ok(None);
        }
        let Some(w) = self.guidance else { return self.refuse_without_weight() };
        if !w.is_finite() {
            return Err(GenerateError::Weight { weight: w.to_string() });
        }
        self.check_interval()?;
        let phi = self.guidance_rescale;
        if !(0.0..=1.0).contains(&phi) {
            return Err(GenerateError::Rescale {
                found: phi.to_string(),
                why: "expected a share from 0 (none) to 1 (all of it)",
            });
        }
        if phi > 0.0 && model.dim() < 2 {
            return Err(GenerateError::Rescale { found: phi.to_string(), why: "an example of one number has no deviation" });
        }
        if let Some(guide) = self.guide {
            check_guide(model, guide)?;
            return Ok(Some(w).filter(|w| *w != 1.0));
        }
        let weight = Some(w).filter(|w| *w != 1.0);
        if weight.is_some() {
            let no = |why| Err(GenerateError::NoGuidance { weight: w.to_string(), why });
            if classes == 0 {
                return no("was trained without classes");
            }
            if self.class == ClassChoice::None {
                return no("was asked for no class");
            }
            if model.meta().training.label_dropout == 0.0 {
                return no("never saw examples without their label (label_dropout 0)");
            }
        }
        Ok(weight)
    }

    /// How many classes samples can be asked for: the classifier's, if there is one.
    pub(crate) fn classes(&self) -> usize {
        self.classifier.map_or_else(|| self.model.network().classes(), |(classifier, _)| classifier.classes())
    }

    fn check_classifier(&self, classifier: &Classifier, scale: f64) -> Result<(), GenerateError> {
        if !scale.is_finite() {
            return Err(GenerateError::ClassifierScale { found: scale.to_string() });
        }
        require_posterior_mean(self.model, "guidance by a classifier")?;
        let (of_model, of_classifier) = (self.model.meta(), classifier.meta());
        if let Some((what, found, expected)) = other_states(of_classifier, of_model) {
            return Err(GenerateError::Classifier { what, classifier: found, model: expected });
        }
        let names = |meta: &ModelMeta, n: usize| match meta.codec.classes() {
            [] => (0..n).map(|i| i.to_string()).collect::<Vec<_>>(),
            names => names.to_vec(),
        };
        let classes = self.model.network().classes();
        let (found, expected) = (names(of_classifier, classifier.classes()), names(of_model, classes));
        if classes > 0 && found != expected {
            let (classifier, model) = (found.join(", "), expected.join(", "));
            return Err(GenerateError::Classifier { what: "classes", classifier, model });
        }
        let no = |why| Err(GenerateError::NoClassifierGuidance { why });
        if !self.conditions.is_empty() {
            return no("conditions are joined without one");
        }
        if self.class == ClassChoice::None {
            return no("no class was asked for; name one, or ask for each or random");
        }
        if self.guidance.is_none() && classes > 0 && of_model.training.label_dropout == 0.0 {
            return no(
                "the model never saw examples without their label (label_dropout 0), and knows no law that the classifier could narrow; \
                 give --guidance 1 to narrow that of the class itself",
            );
        }
        Ok(())
    }

    /// A model, or a guide of it, as a denoiser of a range of samples with their conditions.
    pub(crate) fn told<'m>(&self, model: &'m Model, classes: Classes, range: &Range<u64>) -> ModelDenoiser<'m> {
        let rows = |meta: &ConditionMeta| {
            let (rows, m) = (self.condition.as_deref().unwrap_or_default(), meta.codec.shape().len());
            let count = (rows.len() / m) as u64;
            range.clone().flat_map(|i| rows[(i % count) as usize * m..][..m].to_vec()).collect()
        };
        model.denoiser_given(classes, model.meta().condition.as_ref().map(rows))
    }

    /// A condition is given where there is to be one, in its shape, and nowhere else.
    pub(crate) fn check_condition(&self) -> Result<(), GenerateError> {
        let say = |what: String| Err(GenerateError::Condition { what });
        match (&self.model.meta().condition, &self.condition) {
            (None, None) => Ok(()),
            (None, Some(_)) => say("one was given, but the model was trained without; leave it out".into()),
            (Some(meta), None) => {
                let shape = meta.codec.shape();
                say(format!(
                    "the model is given {shape} with every example ({}), and none was given; expected --condition FILE[@I]",
                    meta.source
                ))
            }
            (Some(meta), Some(rows)) => {
                let m = meta.codec.shape().len();
                if rows.is_empty() || !rows.len().is_multiple_of(m) {
                    return say(format!("{} numbers; expected rows of {m} ({})", rows.len(), meta.codec.shape()));
                }
                match rows.iter().find(|v| !v.is_finite()) {
                    None => Ok(()),
                    Some(found) => say(format!("{found} in it; expected finite numbers")),
                }
            }
        }
    }

    /// What only changes guidance is nothing without it.
    fn refuse_without_weight(&self) -> Result<Option<f64>, GenerateError> {
        let alone = [
            ("an interval", self.guidance_interval.is_some()),
            ("a rescaling", self.guidance_rescale != 0.0),
            ("a guide", self.guide.is_some()),
        ];
        match alone.into_iter().find(|(_, given)| *given) {
            None => Ok(None),
            Some((what, _)) => Err(GenerateError::Unweighted { what }),
        }
    }

    fn check_interval(&self) -> Result<(), GenerateError> {
        let Some(interval) = &self.guidance_interval else { return Ok(()) };
        let (low, high) = (*interval.start(), *interval.end());
        let wrong = |why: String| Err(GenerateError::Interval { low: low.to_string(), high: high.to_string(), why });
        if !(low >= 0.0 && low <= high) {
            return wrong("expected two noise levels sigma/alpha, the lower first".into());
        }
        let (process, span) = (self.model.process(), self.model.process().span());
        let [first, last] = [span.start, span.end].map(|t| process.at(t).ratio());
        if high < first || low > last {
            return wrong(format!(
                "the model's noise levels sigma/alpha run from {first:.3e} to {last:.3e}: guidance would never act"
            ));
        }
        Ok(())
    }

    fn check_conditions(&self) -> Result<(), GenerateError> {
        let said = || self.conditions.iter().map(|(c, w)| format!("{c}={w}")).collect::<Vec<_>>().join(",");
        let wrong = |what: String| Err(GenerateError::Conditions { found: said(), what });
        if self.guidance.is_some() || self.class != ClassChoice::None {
            return wrong("weights are given with every class: leave the guidance and the class out".into());
        }
        self.refuse_without_weight()?;
        let classes = self.model.network().classes();
        if self.model.meta().training.label_dropout == 0.0 {
            return wrong("the model never saw examples without their label (label_dropout 0)".into());
        }
        for (i, (class, weight)) in self.conditions.iter().enumerate() {
            if *class as usize >= classes {
                return wrong(format!("class {class} of a model with {classes} classes"));
            }
            if !weight.is_finite() {
                return wrong(format!("class {class} has the weight {weight}: expected a finite number, negative to negate"));
            }
            if self.conditions[..i].iter().any(|(c, _)| c == class) {
                return wrong(format!("class {class} stands there twice: give it the sum of its weights"));
            }
        }
        Ok(())
    }

    /// The model under its class, guided as asked; `weight` is what [`Generate::checked_guidance`] returned.
    pub(crate) fn guided<'t>(&'t self, range: &Range<u64>, weight: Option<f64>, tally: &'t Tally) -> Box<dyn Denoiser + 't> {
        let n = (range.end - range.start) as usize;
        let all = |class: Option<u32>| tally.of(self.told(self.model, Some(vec![class; n]), range));
        if !self.conditions.is_empty() {
            let conditions = self.conditions.iter().map(|&(class, w)| (w, all(Some(class)))).collect();
            return Box::new(Composed { base: all(None), conditions });
        }
        if let Some((classifier, scale)) = self.classifier {
            let asked = self.class.among(classifier.classes(), self.seed, range);
            let classes = asked.into_iter().flatten().flatten().collect();
            let inner: Box<dyn Denoiser> = match self.guidance {
                // All of the class is the classifier's.
                None => {
                    let none = (self.model.network().classes() > 0).then(|| vec![None; n]);
                    Box::new(tally.of(self.told(self.model, none, range)))
                }
                Some(_) => self.by_weight(range, weight, tally),
            };
            return Box::new(Classified { inner, classifier: tally.of(OfClasses { classifier, classes }), scale });
        }
        self.by_weight(range, weight, tally)
    }

    /// The model under its class, and guidance away from another.
    fn by_weight<'t>(&'t self, range: &Range<u64>, weight: Option<f64>, tally: &'t Tally) -> Box<dyn Denoiser + 't> {
        let n = (range.end - range.start) as usize;
        let main = tally.of(self.told(self.model, self.class.of(self.model, self.seed, range), range));
        let Some(w) = weight else { return Box::new(main) };
        let guide = match self.guide {
            Some(guide) => tally.of(self.told(guide, self.class.of(guide, self.seed, range), range)),
            None => tally.of(self.told(self.model, Some(vec![None; n]), range)),
        };
        Box::new(Guided {
            interval: self.guidance_interval.clone(),
            ..Guided::new(main, guide, w).rescaled(self.guidance_rescale)
        })
    }
}

/// Refuses a guide that speaks of other states or other times than the model.
fn check_guide(model: &Model, guide: &Model) -> Result<(), GenerateError> {
    require_posterior_mean(model, "guidance by another model")?;
    require_posterior_mean(guide, "a guide")?;
    let differs = |what, guide: String, model: String| Err(GenerateError::Guide { what, guide, model });
    if let Some((what, found, expected)) = other_states(guide.meta(), model.meta()) {
        return differs(what, found, expected);
    }
    if guide.meta().condition.is_some() && guide.meta().condition != model.meta().condition {
        let said =
            |meta: &ModelMeta| meta.condition.as_ref().map_or("none".into(), |c| format!("{} ({})", c.source, c.codec.shape()));
        return differs("condition", said(guide.meta()), said(model.meta()));
    }
    match (model.network().classes(), guide.network().classes()) {
        // A guide without classes is an unconditional one.
        (_, 0) => Ok(()),
        (classes, others) if classes == others => Ok(()),
        (classes, others) => differs("number of classes", others.to_string(), classes.to_string()),
    }
}

/// What of the states and times of two models differs, and how each has it.
fn other_states(first: &ModelMeta, second: &ModelMeta) -> Option<(&'static str, String, String)> {
    let (shape, other) = (first.codec.shape(), second.codec.shape());
    if shape != other {
        return Some(("shape", shape.to_string(), other.to_string()));
    }
    if first.process != second.process {
        return Some(("process", first.process.to_string(), second.process.to_string()));
    }
    other_units(&first.codec, &second.codec).map(|(a, b)| ("encoding of the natural numbers 0 and 1", a, b))
}

/// What two codecs of one shape make of 0 and 1 in the first channel where they differ.
fn other_units(first: &Codec, second: &Codec) -> Option<(String, String)> {
    let d = first.shape().len();
    let units = |codec: &Codec| {
        [0.0, 1.0].map(|v| {
            let mut state = vec![0.0; d];
            codec.encode_row(&vec![v; d], &mut state);
            state
        })
    };
    let (a, b) = (units(first), units(second));
    let same = |i: usize| (0..2).all(|k| (a[k][i] - b[k][i]).abs() <= 1e-5 * a[k][i].abs().max(1.0));
    let i = (0..d).find(|&i| !same(i))?;
    let said = |of: &[Vec<f32>; 2]| format!("{} and {}", of[0][i], of[1][i]);
    Some((said(&a), said(&b)))
}
