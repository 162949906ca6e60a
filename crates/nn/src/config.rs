//! Networks as data: what a recipe or a model file says, and why it may be refused.

use crate::{Mlp, MlpConfig, Network, RefineNet, RefineNetConfig, UNet, UNetConfig};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The configuration of a network. In TOML the key `kind` is `mlp`, `unet` or `refinenet`; missing keys take their defaults and unknown
/// keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum NetworkConfig {
    /// For vectors.
    Mlp(MlpConfig),
    /// For pictures.
    UNet(UNetConfig),
    /// For pictures: the networks of NCSN and NCSNv2.
    RefineNet(RefineNetConfig),
}

impl NetworkConfig {
    /// The network for rows of a shape: `[d]`, or `[channels, height, width]`. Allocates no parameters.
    ///
    /// # Errors
    /// When the configuration contradicts itself or cannot take the shape; the message says what would do.
    pub fn build(&self, shape: &[usize]) -> Result<Box<dyn Network>, NetworkError> {
        Ok(match self {
            Self::Mlp(config) => Box::new(Mlp::new(config, shape)?),
            Self::UNet(config) => Box::new(UNet::new(config, shape)?),
            Self::RefineNet(config) => Box::new(RefineNet::new(config, shape)?),
        })
    }

    /// The number of trained parameters for rows of a shape.
    ///
    /// # Errors
    /// As [`NetworkConfig::build`].
    pub fn parameters(&self, shape: &[usize]) -> Result<usize, NetworkError> {
        Ok(self.build(shape)?.parameters())
    }

    /// The number of classes; zero for none.
    pub fn classes(&self) -> usize {
        match self {
            Self::Mlp(config) => config.classes,
            Self::UNet(config) => config.classes,
            Self::RefineNet(_) => 0,
        }
    }

    /// Whether the network can be told this number for a time: any, except where times are the indices of a table of noise levels.
    pub fn takes_time(&self, time: f64) -> bool {
        match self {
            Self::Mlp(_) | Self::UNet(_) => true,
            Self::RefineNet(config) => config.level(time).is_ok(),
        }
    }

    /// Whether the output has twice the numbers of a row, the second half for a learned variance.
    pub fn learned_variance(&self) -> bool {
        match self {
            Self::Mlp(config) => config.learned_variance,
            Self::UNet(config) => config.learned_variance,
            Self::RefineNet(_) => false,
        }
    }

    /// The same network for another number of classes. A RefineNet is told no class and stays as it is.
    #[must_use]
    pub fn with_classes(mut self, classes: usize) -> Self {
        match &mut self {
            Self::Mlp(config) => config.classes = classes,
            Self::UNet(config) => config.classes = classes,
            Self::RefineNet(_) => {}
        }
        self
    }
}

impl From<MlpConfig> for NetworkConfig {
    fn from(config: MlpConfig) -> Self {
        Self::Mlp(config)
    }
}

impl From<UNetConfig> for NetworkConfig {
    fn from(config: UNetConfig) -> Self {
        Self::UNet(config)
    }
}

impl From<RefineNetConfig> for NetworkConfig {
    fn from(config: RefineNetConfig) -> Self {
        Self::RefineNet(config)
    }
}

/// Why a configuration makes no network.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum NetworkError {
    /// The rows have a shape this kind of network does not take.
    #[error("the {network} network takes rows of shape {expected}, found {found:?}; {advice}")]
    Shape {
        /// Kind of network.
        network: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was given.
        found: Vec<usize>,
        /// What to do.
        advice: &'static str,
    },
    /// A key has a value that cannot be.
    #[error("network.{key} = {found} cannot be: {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A picture is too small for the number of levels.
    #[error(
        "pictures of {height} x {width} are too small for {levels} levels of resolution: each side must be at least {least}. The nearest \
         size that works is {} x {}; or give channel_mult at most {fit} entries", height.max(least), width.max(least)
    )]
    Size {
        /// Height found.
        height: usize,
        /// Width found.
        width: usize,
        /// Levels of the configuration.
        levels: usize,
        /// Least side.
        least: usize,
        /// Most levels for the size.
        fit: usize,
    },
    /// A picture whose sides the halvings of a network do not divide.
    #[error(
        "pictures of {height} x {width}: each side must be a multiple of {multiple}, because the network halves the size {} times without \
         padding. The nearest size that works is {} x {}", multiple.ilog2(), height.next_multiple_of(*multiple),
        width.next_multiple_of(*multiple)
    )]
    Multiple {
        /// Height found.
        height: usize,
        /// Width found.
        width: usize,
        /// What both must be a multiple of, a power of two.
        multiple: usize,
    },
}

impl NetworkError {
    pub(crate) fn value(key: &'static str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Value { key, found: found.to_string(), expected: expected.into() }
    }
}
