//! The run of a classifier that a recipe of a model stands for.

use super::{RecipeError, found};
use scorefield_nn::{MlpConfig, NetworkConfig, PooledConfig, ProgressiveOutput, TrunkConfig, UNetConfig};
use scorefield_train::{Coupling, Loss, TrainConfig};

/// The same data, process, times and optimiser; the network's way down and middle, told no class; the cross-entropy, and no previews.
pub(super) fn of(place: &str, train: TrainConfig, classes: usize) -> Result<TrainConfig, RecipeError> {
    let trunk = match train.network {
        NetworkConfig::Pooled(_) => return Ok(train),
        NetworkConfig::UNet(config) => TrunkConfig::UNet(UNetConfig {
            classes: 0,
            learned_variance: false,
            augment: false,
            // Paths of the way up, which there is not.
            progressive_output: ProgressiveOutput::None,
            ..config
        }),
        NetworkConfig::Mlp(config) => {
            TrunkConfig::Mlp(MlpConfig { classes: 0, learned_variance: false, energy: false, ..config })
        }
        other => {
            let table = toml::Table::try_from(&other).unwrap_or_default();
            let kind = table.get("kind").and_then(|k| k.as_str()).unwrap_or_default();
            return Err(found(
                place,
                format!("its network is a {kind}; a classifier is half a unet or an mlp: --set network.kind=unet"),
            ));
        }
    };
    let mut train = TrainConfig { network: PooledConfig { outputs: classes, trunk }.into(), label_dropout: 0.0, ..train };
    train.preview.every_seconds = 0.0;
    (train.objective.loss, train.objective.coupling, train.objective.uncertainty) =
        (Loss::Denoising, Coupling::Independent, None);
    Ok(train)
}
