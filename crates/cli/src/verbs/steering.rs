//! What a model is told of its samples, and how far it follows: classes, conditions, weights, intervals, guides, classifiers.

mod condition;

use super::sample::load_any;
use crate::context::Context;
use crate::failure::misuse;
use anyhow::Result;
use clap::Args;
use scorefield::data::Codec;
use scorefield::model::{Classifier, Model, Weights};
use scorefield::{ClassChoice, Guidance};
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

/// The flags.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// A class by name or number, each (in turn), random or none; sample takes each, solve none, if left out
    #[arg(long, value_name = "C")]
    class: Option<String>,
    /// What samples are given with, for a model trained with data.condition: rows of FILE (an array, a table, a picture, a folder of
    /// pictures), all in turn or row I; none where training hid some (condition_dropout above 0)
    #[arg(long, value_name = "FILE[@I]")]
    condition: Option<String>,
    /// Weight of guidance, away from the model without its class or from --guide; 1 is none
    #[arg(long = "guidance", value_name = "W", allow_negative_numbers = true)]
    weight: Option<f64>,
    /// Weight of guidance by the condition, away from the model without it (trained with condition_dropout above 0); 1 is none
    #[arg(long = "condition-guidance", value_name = "V", allow_negative_numbers = true)]
    condition_weight: Option<f64>,
    /// Guide only at noise levels sigma/alpha from LOW to HIGH; elsewhere the model stands alone
    #[arg(long = "guidance-interval", value_name = "LOW,HIGH", allow_hyphen_values = true)]
    interval: Option<String>,
    /// Pull the deviation of guided clean data to the unguided one's by a share from 0 to 1: less contrast at large weights
    #[arg(long = "guidance-rescale", value_name = "PHI", allow_negative_numbers = true)]
    rescale: Option<f64>,
    /// Be guided away from a weaker model of the same data (autoguidance) and not from the model without its class
    #[arg(long, value_name = "MODEL", requires = "weight")]
    guide: Option<PathBuf>,
    /// Classes joined by weights above 0 and negated by weights below, for example 3=2,5=1.5,7=-1
    #[arg(
        long,
        value_name = "CLASS=WEIGHT,...",
        conflicts_with_all = ["class", "weight", "interval", "rescale", "guide"]
    )]
    conditions: Option<String>,
    /// Steer to the class by a noise-conditional classifier (train --classifier); the model is told the class only with --guidance
    #[arg(long, value_name = "FILE", conflicts_with = "conditions")]
    classifier: Option<PathBuf>,
    /// The factor on the classifier's gradient; 1 is Bayes' rule
    #[arg(long = "classifier-scale", value_name = "S", requires = "classifier", allow_negative_numbers = true)]
    classifier_scale: Option<f64>,
}

/// The flags, read: what [`Guidance`] refers to.
pub(crate) struct Steering {
    guide: Option<Model>,
    classifier: Option<Classifier>,
    class: ClassChoice,
    weight: Option<f64>,
    interval: Option<RangeInclusive<f64>>,
    rescale: f64,
    joined: Vec<(u32, f64)>,
    scale: f64,
    condition: Option<Arc<[f32]>>,
    condition_weight: Option<f64>,
}

impl Steering {
    /// What the library is asked for.
    pub(crate) fn guidance(&self) -> Guidance<'_> {
        Guidance {
            class: self.class,
            weight: self.weight,
            interval: self.interval.clone(),
            rescale: self.rescale,
            guide: self.guide.as_ref(),
            joined: self.joined.clone(),
            classifier: self.classifier.as_ref().map(|classifier| (classifier, self.scale)),
            condition: self.condition.clone(),
            condition_weight: self.condition_weight,
        }
    }

    /// The other model that samples are guided away from.
    pub(crate) fn guide(&self) -> Option<&Model> {
        self.guide.as_ref()
    }

    /// The classifier.
    pub(crate) fn classifier(&self) -> Option<&Classifier> {
        self.classifier.as_ref()
    }

    /// Encoded rows of the condition.
    pub(crate) fn condition(&self) -> Option<&[f32]> {
        self.condition.as_deref()
    }
}

impl Flags {
    /// Reads what the flags name; `usual` is the class where none is asked for.
    pub(crate) fn read(&self, context: &Context, weights: Weights, model: &Model, usual: ClassChoice) -> Result<Steering> {
        let classifier = self.classifier(context, weights)?;
        // The classifier's classes are those of its own data; the model may have none.
        let (codec, classes) = match &classifier {
            Some(classifier) => (&classifier.meta().codec, classifier.classes()),
            None => (&model.meta().codec, model.network().classes()),
        };
        let class = self.class(codec, classes, if self.conditions.is_some() { ClassChoice::None } else { usual })?;
        Ok(Steering {
            guide: self.guide.as_ref().map(|path| load_any(context, path, weights)).transpose()?,
            classifier,
            class,
            weight: self.weight,
            interval: self.interval()?,
            rescale: self.rescale.unwrap_or(0.0),
            joined: self.joined(model)?,
            scale: self.scale(),
            condition: self.condition(model)?.map(Arc::from),
            condition_weight: self.condition_weight,
        })
    }

    /// The class among those of a codec, or the usual choice.
    pub(crate) fn class(&self, codec: &Codec, classes: usize, usual: ClassChoice) -> Result<ClassChoice> {
        Ok(self.class.as_ref().map(|text| ClassChoice::parse(text, codec, classes)).transpose()?.unwrap_or(usual))
    }

    /// The classifier.
    fn classifier(&self, context: &Context, weights: Weights) -> Result<Option<Classifier>> {
        let Some(path) = &self.classifier else { return Ok(None) };
        if !path.exists() {
            return Err(misuse(format!(
                "--classifier {}: no such file or folder; expected what train --classifier wrote",
                path.display()
            )));
        }
        Ok(Some(Classifier::load(path, weights, &context.device)?.in_precision(context.precision)))
    }

    /// The factor on its gradient.
    fn scale(&self) -> f64 {
        self.classifier_scale.unwrap_or(1.0)
    }

    /// The noise levels with guidance.
    fn interval(&self) -> Result<Option<RangeInclusive<f64>>> {
        let Some(text) = &self.interval else { return Ok(None) };
        let wrong = || misuse(format!("--guidance-interval {text}: expected LOW,HIGH, two noise levels, for example 0.3,5"));
        let (low, high) = text.split_once(',').ok_or_else(wrong)?;
        let number = |word: &str| word.trim().parse::<f64>().map_err(|_| wrong());
        Ok(Some(number(low)?..=number(high)?))
    }

    /// Classes by number with their weights.
    fn joined(&self, model: &Model) -> Result<Vec<(u32, f64)>> {
        let Some(text) = &self.conditions else { return Ok(Vec::new()) };
        Ok(scorefield::conditions(text, &model.meta().codec, model.network().classes())?)
    }

    /// Each flag, and whether it was given.
    pub(crate) fn given(&self) -> [(&'static str, bool); 8] {
        [
            ("--condition", self.condition.is_some()),
            ("--guidance", self.weight.is_some()),
            ("--condition-guidance", self.condition_weight.is_some()),
            ("--guidance-interval", self.interval.is_some()),
            ("--guidance-rescale", self.rescale.is_some()),
            ("--guide", self.guide.is_some()),
            ("--conditions", self.conditions.is_some()),
            ("--classifier", self.classifier.is_some()),
        ]
    }

    /// What samples are given with, as it was named.
    pub(crate) fn condition_asked(&self) -> Option<&str> {
        self.condition.as_deref()
    }

    /// What was asked for, to be told.
    pub(crate) fn json(&self) -> Value {
        json!({
            "weight": self.weight, "condition_weight": self.condition_weight, "interval": self.interval, "rescale": self.rescale, "guide": self.guide,
            "class": self.class, "conditions": self.conditions, "classifier": self.classifier, "classifier_scale": self.classifier.as_ref().map(|_| self.scale()),
        })
    }
}
