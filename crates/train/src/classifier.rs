//! Training a classifier of noised data, `p(c | x_t)`: what guidance by classes needs beside a model (Dhariwal and Nichol 2021, section 4).
//!
//! The loss is the cross-entropy `-ln p(c | x_t)` in nats, at times drawn as the recipe's objective draws them, `x_t` under the recipe's
//! process; weights of noise levels do not count. What a recipe says of the network is the trunk of the classifier's. A recipe is one of a
//! classifier where its network is of the kind `pooled`.

use crate::event::{Event, Observer};
use crate::{ConfigError, Coupling, Loss, TrainConfig, TrainError, Trainer};
use scorefield_data::Dataset;
use scorefield_model::{Classifier, ClassifierSummary, LevelAccuracy};
use scorefield_nn::NetworkConfig;
use scorefield_process::ProcessExt;
use scorefield_tensor::{Batch, Noise, Purpose, Streams, batch, rows};

/// Noise levels at which a finished classifier is measured, evenly spread on a logarithmic scale over the span of its process.
const LEVELS: usize = 8;
/// Training examples that it is measured on, at most.
const EXAMPLES: usize = 1000;
/// Examples at once.
const AT_ONCE: usize = 128;
/// Noise of measurements is drawn for sample numbers that no training reaches.
const BEYOND_TRAINING: u64 = 1 << 47;

/// What a run on classes has besides its network.
#[derive(Clone, Debug)]
pub(crate) struct ClassifierRun {
    /// The loss of a classifier that knows only how frequent classes are: the entropy of the labels in nats.
    pub(crate) entropy: f64,
    /// What was measured at the end.
    pub(crate) summary: ClassifierSummary,
}

impl ClassifierRun {
    /// Of a recipe of a classifier, and of no other.
    ///
    /// # Errors
    /// When the data have fewer than two classes, or the network another number of them.
    pub(crate) fn of(config: &TrainConfig, data: &Dataset) -> Result<Option<Self>, TrainError> {
        let NetworkConfig::Pooled(network) = &config.network else { return Ok(None) };
        let classes = data.classes().len();
        if classes < 2 {
            return Err(TrainError::Unlabelled { name: data.name().to_owned(), found: classes });
        }
        if network.outputs != classes {
            return Err(TrainError::Outputs { network: network.outputs, data: classes });
        }
        let mut counts = vec![0.0; classes];
        (0..data.len()).filter_map(|i| data.label(i)).for_each(|label| counts[label as usize] += 1.0);
        let share = |c: &f64| c / data.len() as f64;
        let entropy = counts.iter().map(share).filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum();
        Ok(Some(Self { entropy, summary: ClassifierSummary::default() }))
    }
}

/// Refuses what a classifier has no use for.
pub(crate) fn validate(config: &TrainConfig) -> Result<(), ConfigError> {
    let o = &config.objective;
    let checks: [(&'static str, bool, String, &'static str); 8] = [
        ("states", config.states.is_none(), "a section".into(), "none: a classifier is trained on numbers"),
        ("consistency", config.consistency.is_none(), "a section".into(), "none beside a classifier"),
        ("rates", config.rates.is_none(), "a section".into(), "none beside a classifier"),
        ("objective.loss", o.loss == Loss::Denoising, format!("{:?}", o.loss), "none: a classifier's loss is the cross-entropy"),
        ("objective.uncertainty", o.uncertainty.is_none(), "a section".into(), "none beside a classifier"),
        (
            "objective.coupling",
            o.coupling == Coupling::Independent,
            format!("{:?}", o.coupling),
            "independent noise for a classifier",
        ),
        ("label_dropout", config.label_dropout == 0.0, config.label_dropout.to_string(), "0: a classifier is told no labels"),
        (
            "preview.every_seconds",
            config.preview.every_seconds == 0.0,
            config.preview.every_seconds.to_string(),
            "0: a classifier has no samples to show",
        ),
    ];
    if let Some((key, _, found, expected)) = checks.into_iter().find(|c| !c.1) {
        return Err(ConfigError { key, found, expected });
    }
    let told = config.network.classes();
    let error =
        || ConfigError { key: "network.trunk.classes", found: told.to_string(), expected: "0: a classifier is told no classes" };
    (told == 0).then_some(()).ok_or_else(error)
}

/// `-ln p(c | x_t)` of every row from the network's output, `[n, 1]`.
pub(crate) fn cross_entropy(output: Batch, labels: &[u32]) -> Batch {
    -scorefield_model::of_classes(scorefield_model::log_softmax(output), labels)
}

impl Trainer<'_> {
    /// Measures a finished classifier with its averaged weights, keeps it for the model file, and says it.
    pub(super) fn measure_classifier(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        if self.classifier.is_none() {
            return Ok(());
        }
        let classifier = Classifier::new(self.model()?);
        let span = self.process.span();
        let [low, high] = [span.start, span.end].map(|t| self.process.at(t).ratio().ln());
        let level = |k: usize| (low + (high - low) * k as f64 / (LEVELS - 1) as f64).exp();
        let accuracy: Vec<LevelAccuracy> = (0..LEVELS)
            .map(|k| LevelAccuracy {
                level: level(k),
                accuracy: self.accuracy_at(&classifier, self.process.time_of_ratio(level(k)), k),
            })
            .collect();
        let said: Vec<String> = accuracy.iter().map(|a| format!("{:.3} at {:.2e}", a.accuracy, a.level)).collect();
        observer.event(&Event::Note(format!(
            "share of noised training examples whose class is found, at noise levels sigma/alpha: {}",
            said.join(", ")
        )));
        if let Some(run) = &mut self.classifier {
            run.summary = ClassifierSummary { accuracy };
        }
        Ok(())
    }

    /// The share of examples, spread over the data, whose class is found at a time; `k` tells the noise of several times apart.
    fn accuracy_at(&self, classifier: &Classifier, t: f64, k: usize) -> f64 {
        let (d, n) = (self.codec.shape().len(), self.dataset.len().min(EXAMPLES));
        let places: Vec<usize> = (0..n).map(|i| i * self.dataset.len() / n).collect();
        let (mut natural, mut right) = (vec![0.0; d], 0usize);
        for places in places.chunks(AT_ONCE) {
            let mut states = vec![0.0; places.len() * d];
            for (&place, state) in places.iter().zip(states.chunks_mut(d)) {
                self.dataset.row(place, &mut natural);
                self.codec.encode_row(&natural, state);
            }
            let x0 = batch(states, places.len(), &self.device);
            let samples = places.iter().map(|&place| BEYOND_TRAINING + (place * LEVELS + k) as u64).collect();
            let eps = Streams::new(self.config.seed, samples, Purpose::Perturb).normal(&x0);
            let x_t = self.process.at(t).perturb(&x0, &eps);
            let found = rows(classifier.log_probabilities(&x_t, &vec![t; places.len()]));
            let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).map(|c| c as u32);
            right += found
                .chunks(classifier.classes())
                .zip(places)
                .filter(|(row, place)| best(row) == self.dataset.label(**place))
                .count();
        }
        right as f64 / n as f64
    }

    /// What a finished classifier was found to be worth.
    pub fn classifier(&self) -> Option<&ClassifierSummary> {
        self.classifier.as_ref().map(|run| &run.summary)
    }
}
