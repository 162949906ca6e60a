//! What a request for guidance needs of the model.

use super::Guidance;
use crate::{ClassChoice, GenerateError, require_posterior_mean};
use scorefield_data::Codec;
use scorefield_model::{Classifier, Model, ModelMeta};
use scorefield_process::ProcessExt;

impl Guidance<'_> {
    /// Refuses guidance that the model cannot give; the weight, if it changes anything.
    pub(crate) fn checked(&self, model: &Model) -> Result<Option<f64>, GenerateError> {
        self.check_condition(model)?;
        self.check_condition_weight(model)?;
        let classes = model.network().classes();
        if let Some((classifier, scale)) = self.classifier {
            self.check_classifier(model, classifier, scale)?;
        }
        if !self.joined.is_empty() {
            self.check_joined(model)?;
            return Ok(None);
        }
        let Some(w) = self.weight else { return self.refuse_without_weight() };
        if !w.is_finite() {
            return Err(GenerateError::Weight { weight: w.to_string() });
        }
        self.check_level(model)?;
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

    fn check_classifier(&self, model: &Model, classifier: &Classifier, scale: f64) -> Result<(), GenerateError> {
        if !scale.is_finite() {
            return Err(GenerateError::ClassifierScale { found: scale.to_string() });
        }
        require_posterior_mean(model, "guidance by a classifier")?;
        let (of_model, of_classifier) = (model.meta(), classifier.meta());
        if let Some((what, found, expected)) = other_states(of_classifier, of_model) {
            return Err(GenerateError::Classifier { what, classifier: found, model: expected });
        }
        let names = |meta: &ModelMeta, n: usize| match meta.codec.classes() {
            [] => (0..n).map(|i| i.to_string()).collect::<Vec<_>>(),
            names => names.to_vec(),
        };
        let classes = model.network().classes();
        let (found, expected) = (names(of_classifier, classifier.classes()), names(of_model, classes));
        if classes > 0 && found != expected {
            let (classifier, model) = (found.join(", "), expected.join(", "));
            return Err(GenerateError::Classifier { what: "classes", classifier, model });
        }
        let no = |why| Err(GenerateError::NoClassifierGuidance { why });
        if !self.joined.is_empty() {
            return no("conditions are joined without one");
        }
        if self.class == ClassChoice::None {
            return no("no class was asked for; name one, or ask for each or random");
        }
        if self.weight.is_none() && classes > 0 && of_model.training.label_dropout == 0.0 {
            return no(
                "the model never saw examples without their label (label_dropout 0), and knows no law that the classifier could narrow; \
                 give --guidance 1 to narrow that of the class itself",
            );
        }
        Ok(())
    }

    /// A condition is given where there is to be one, in its shape, and nowhere else.
    fn check_condition(&self, model: &Model) -> Result<(), GenerateError> {
        let say = |what: String| Err(GenerateError::Condition { what });
        match (&model.meta().condition, &self.condition) {
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

    /// The weight of a condition needs a model that saw examples without theirs.
    fn check_condition_weight(&self, model: &Model) -> Result<(), GenerateError> {
        let Some(v) = self.condition_weight else { return Ok(()) };
        if !v.is_finite() {
            return Err(GenerateError::Weight { weight: v.to_string() });
        }
        let no = |why| Err(GenerateError::NoGuidance { weight: v.to_string(), why });
        if model.meta().condition.is_none() {
            return no("was trained without a condition");
        }
        if v != 1.0 && model.meta().training.condition_dropout == 0.0 {
            return no("never saw examples without their condition (condition_dropout 0)");
        }
        self.check_level(model)
    }

    /// What only changes guidance is nothing without it.
    fn refuse_without_weight(&self) -> Result<Option<f64>, GenerateError> {
        if self.condition_weight.is_some() && self.guide.is_none() {
            return Ok(None);
        }
        let alone =
            [("an interval", self.interval.is_some()), ("a rescaling", self.rescale != 0.0), ("a guide", self.guide.is_some())];
        match alone.into_iter().find(|(_, given)| *given) {
            None => Ok(None),
            Some((what, _)) => Err(GenerateError::Unweighted { what }),
        }
    }

    /// The levels and the rescaling of guidance.
    fn check_level(&self, model: &Model) -> Result<(), GenerateError> {
        self.check_interval(model)?;
        let phi = self.rescale;
        let wrong = |why| Err(GenerateError::Rescale { found: phi.to_string(), why });
        if !(0.0..=1.0).contains(&phi) {
            return wrong("expected a share from 0 (none) to 1 (all of it)");
        }
        if phi > 0.0 && model.dim() < 2 {
            return wrong("an example of one number has no deviation");
        }
        Ok(())
    }

    fn check_interval(&self, model: &Model) -> Result<(), GenerateError> {
        let Some(interval) = &self.interval else { return Ok(()) };
        let (low, high) = (*interval.start(), *interval.end());
        let wrong = |why: String| Err(GenerateError::Interval { low: low.to_string(), high: high.to_string(), why });
        if !(low >= 0.0 && low <= high) {
            return wrong("expected two noise levels sigma/alpha, the lower first".into());
        }
        let (process, span) = (model.process(), model.process().span());
        let [first, last] = [span.start, span.end].map(|t| process.at(t).ratio());
        if high < first || low > last {
            return wrong(format!(
                "the model's noise levels sigma/alpha run from {first:.3e} to {last:.3e}: guidance would never act"
            ));
        }
        Ok(())
    }

    fn check_joined(&self, model: &Model) -> Result<(), GenerateError> {
        let said = || self.joined.iter().map(|(c, w)| format!("{c}={w}")).collect::<Vec<_>>().join(",");
        let wrong = |what: String| Err(GenerateError::Conditions { found: said(), what });
        if self.weight.is_some() || self.class != ClassChoice::None {
            return wrong("weights are given with every class: leave the guidance and the class out".into());
        }
        self.refuse_without_weight()?;
        let classes = model.network().classes();
        if model.meta().training.label_dropout == 0.0 {
            return wrong("the model never saw examples without their label (label_dropout 0)".into());
        }
        for (i, (class, weight)) in self.joined.iter().enumerate() {
            if *class as usize >= classes {
                return wrong(format!("class {class} of a model with {classes} classes"));
            }
            if !weight.is_finite() {
                return wrong(format!("class {class} has the weight {weight}: expected a finite number, negative to negate"));
            }
            if self.joined[..i].iter().any(|(c, _)| c == class) {
                return wrong(format!("class {class} stands there twice: give it the sum of its weights"));
            }
        }
        Ok(())
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
