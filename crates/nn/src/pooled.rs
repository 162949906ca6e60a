//! Networks from rows to a few numbers: what is made of any row is one vector.
//!
//! For pictures it is half a U-Net ([`crate::HalfUNet`]), for vectors a perceptron whose last layer has another width.

use crate::{HalfUNet, Mlp, MlpConfig, Network, NetworkError, UNetConfig};
use serde::{Deserialize, Serialize};

/// Configuration of a network from rows to a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PooledConfig {
    /// How many numbers.
    pub outputs: usize,
    /// The network up to them.
    pub trunk: TrunkConfig,
}

/// The network up to the few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TrunkConfig {
    /// The way down and the middle of a U-Net, the mean over pixels, and a linear map.
    UNet(UNetConfig),
    /// A perceptron with another last layer.
    Mlp(MlpConfig),
}

impl PooledConfig {
    /// The network for rows of a shape.
    ///
    /// # Errors
    /// When there are no numbers, or the trunk cannot take the shape.
    pub fn build(&self, shape: &[usize]) -> Result<Box<dyn Network>, NetworkError> {
        NetworkError::zero(&[("outputs", self.outputs)])?;
        Ok(match &self.trunk {
            TrunkConfig::UNet(config) => Box::new(HalfUNet::new(config, self.outputs, shape)?),
            TrunkConfig::Mlp(config) => Box::new(Mlp::pooled(config, self.outputs, shape)?),
        })
    }

    /// The classes that the trunk is told.
    pub(crate) fn classes(&self) -> usize {
        match &self.trunk {
            TrunkConfig::UNet(config) => config.classes,
            TrunkConfig::Mlp(config) => config.classes,
        }
    }

    /// The same for another number of classes that the trunk is told.
    pub(crate) fn set_classes(&mut self, classes: usize) {
        match &mut self.trunk {
            TrunkConfig::UNet(config) => config.classes = classes,
            TrunkConfig::Mlp(config) => config.classes = classes,
        }
    }
}
