//! How samples are steered: weights, intervals, guides, and classes joined and negated.

use super::load_any;
use crate::context::Context;
use crate::failure::misuse;
use anyhow::Result;
use clap::Args;
use scorefield::model::{Classifier, Model, Weights};
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// The flags of guidance.
#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Weight of guidance, away from the model without its class or from --guide; 1 is none
    #[arg(long = "guidance", value_name = "W", allow_negative_numbers = true)]
    pub(super) weight: Option<f64>,
    /// Guide only at noise levels sigma/alpha from LOW to HIGH; elsewhere the model stands alone
    #[arg(long = "guidance-interval", value_name = "LOW,HIGH", requires = "weight", allow_hyphen_values = true)]
    interval: Option<String>,
    /// Pull the deviation of guided clean data to the unguided one's by a share from 0 to 1: less contrast at large weights
    #[arg(long = "guidance-rescale", value_name = "PHI", requires = "weight", allow_negative_numbers = true)]
    pub(super) rescale: Option<f64>,
    /// Be guided away from a weaker model of the same data (autoguidance) and not from the model without its class
    #[arg(long, value_name = "MODEL", requires = "weight")]
    guide: Option<PathBuf>,
    /// Classes joined by weights above 0 and negated by weights below, for example 3=2,5=1.5,7=-1
    #[arg(
        long,
        value_name = "CLASS=WEIGHT,...",
        conflicts_with_all = ["class", "weight", "interval", "rescale", "guide"]
    )]
    pub(super) conditions: Option<String>,
    /// Steer to the class by a noise-conditional classifier (train --classifier); the model is told the class only with --guidance
    #[arg(long, value_name = "FILE", conflicts_with = "conditions")]
    classifier: Option<PathBuf>,
    /// The factor on the classifier's gradient; 1 is Bayes' rule
    #[arg(long = "classifier-scale", value_name = "S", requires = "classifier", allow_negative_numbers = true)]
    classifier_scale: Option<f64>,
}

impl Flags {
    /// The model that samples are guided away from.
    pub(super) fn guide(&self, context: &Context, weights: Weights) -> Result<Option<Model>> {
        self.guide.as_ref().map(|path| load_any(context, path, weights)).transpose()
    }

    /// The classifier.
    pub(super) fn classifier(&self, context: &Context, weights: Weights) -> Result<Option<Classifier>> {
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
    pub(super) fn scale(&self) -> f64 {
        self.classifier_scale.unwrap_or(1.0)
    }

    /// The noise levels with guidance.
    pub(super) fn interval(&self) -> Result<Option<RangeInclusive<f64>>> {
        let Some(text) = &self.interval else { return Ok(None) };
        let wrong = || misuse(format!("--guidance-interval {text}: expected LOW,HIGH, two noise levels, for example 0.3,5"));
        let (low, high) = text.split_once(',').ok_or_else(wrong)?;
        let number = |word: &str| word.trim().parse::<f64>().map_err(|_| wrong());
        Ok(Some(number(low)?..=number(high)?))
    }

    /// Classes by number with their weights.
    pub(super) fn conditions(&self, model: &Model) -> Result<Vec<(u32, f64)>> {
        let Some(text) = &self.conditions else { return Ok(Vec::new()) };
        Ok(scorefield::conditions(text, &model.meta().codec, model.network().classes())?)
    }

    /// Each flag, and whether it was given.
    pub(super) fn given(&self) -> [(&'static str, bool); 6] {
        [
            ("--guidance", self.weight.is_some()),
            ("--guidance-interval", self.interval.is_some()),
            ("--guidance-rescale", self.rescale.is_some()),
            ("--guide", self.guide.is_some()),
            ("--conditions", self.conditions.is_some()),
            ("--classifier", self.classifier.is_some()),
        ]
    }

    /// What was asked for, to be told.
    pub(super) fn json(&self) -> Value {
        json!({
            "weight": self.weight, "interval": self.interval, "rescale": self.rescale, "guide": self.guide,
            "conditions": self.conditions, "classifier": self.classifier, "classifier_scale": self.classifier.as_ref().map(|_| self.scale()),
        })
    }
}
