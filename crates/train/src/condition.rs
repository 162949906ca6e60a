//! Training with what examples are given with: the data say what it is, the network takes its shape.

use crate::{ConfigError, TrainConfig, TrainError, Trainer};
use scorefield_data::{Codec, CodecOptions, Dataset};
use scorefield_model::ConditionMeta;
use scorefield_nn::NetworkConfig;

/// The codec of what examples are given with.
///
/// # Errors
/// When the network takes a condition of another shape, or the run is of a kind that takes none.
pub(crate) fn codec(config: &TrainConfig, data: &Dataset) -> Result<Option<Codec>, TrainError> {
    let shape = data.shape().dims();
    let taken = config.network.condition(&shape);
    let given = data.condition().map(|c| c.shape().dims()).unwrap_or_default();
    if taken != given {
        return Err(TrainError::Condition { network: taken, data: given });
    }
    let Some(condition) = data.condition() else {
        if config.condition_dropout > 0.0 {
            let (found, expected) =
                (config.condition_dropout.to_string(), "0: examples are given with nothing that could be hidden");
            return Err(ConfigError { key: "condition_dropout", found, expected }.into());
        }
        return Ok(None);
    };
    let kinds: [(&'static str, bool); 4] = [
        ("states", config.states.is_none()),
        ("consistency", config.consistency.is_none()),
        ("examples.augment", config.examples.augment.is_none()),
        ("network.kind", !matches!(config.network, NetworkConfig::Pooled(_))),
    ];
    if let Some((key, _)) = kinds.into_iter().find(|k| !k.1) {
        let expected =
            "no data.condition beside it: examples that are given with something train models of numbers, not augmented";
        return Err(ConfigError { key, found: "given".into(), expected }.into());
    }
    Ok(Some(Codec::fit(condition, &CodecOptions::default())?))
}

impl Trainer<'_> {
    /// What the model file says of it.
    pub(crate) fn condition_meta(&self) -> Option<ConditionMeta> {
        let source = self.dataset.condition_source()?.clone();
        self.condition.clone().map(|codec| ConditionMeta { source, codec })
    }

    /// What examples spread over the data are given with, encoded, for so many samples; empty where they are given with nothing.
    pub(crate) fn conditions(&self, n: usize) -> Vec<f32> {
        let Some(codec) = &self.condition else { return Vec::new() };
        let m = codec.shape().len();
        let (mut natural, mut all) = (vec![0.0; m], vec![0.0; n * m]);
        for (k, row) in all.chunks_mut(m).enumerate() {
            self.dataset.condition_row(k * self.dataset.len() / n, &mut natural);
            codec.encode_row(&natural, row);
        }
        all
    }
}
