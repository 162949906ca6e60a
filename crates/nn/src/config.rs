//! Networks as data: what a recipe or a model file says, and why it may be refused.

use crate::{
    AdaGnUNet, AdaGnUNetConfig, ConvStack, ConvStackConfig, Hourglass, HourglassConfig, LayerNormUNet, LayerNormUNetConfig, Mlp,
    MlpConfig, MultiScale, MultiScaleConfig, Network, Perceptron, PerceptronConfig, PooledConfig, Rbf, RbfConfig, RefineNet,
    RefineNetConfig, RmsUNet, RmsUNetConfig, UNet, UNetConfig,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The configuration of a network. In TOML the key `kind` is `mlp`, `unet`, `hourglass`, `rms-unet`, `adagn-unet`, `refinenet`,
/// `conv-stack`, `layer-norm-unet`, `rbf`, `perceptron`, `multi-scale` or `pooled`; missing keys take their defaults and unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum NetworkConfig {
    /// For vectors.
    Mlp(MlpConfig),
    /// For pictures.
    UNet(UNetConfig),
    /// For pictures, of transformer layers.
    Hourglass(HourglassConfig),
    /// For pictures: Wang's (lucidrains).
    #[serde(rename = "rms-unet")]
    RmsUNet(RmsUNetConfig),
    /// For pictures: Crowson's first.
    #[serde(rename = "adagn-unet")]
    AdaGnUNet(AdaGnUNetConfig),
    /// For pictures: the networks of NCSN and NCSNv2.
    RefineNet(RefineNetConfig),
    /// For pictures: the stack of convolutions of Yichizz.
    #[serde(rename = "conv-stack")]
    ConvStack(ConvStackConfig),
    /// For pictures: the U-Net of PapersReimplementations.
    #[serde(rename = "layer-norm-unet")]
    LayerNormUNet(LayerNormUNetConfig),
    /// For vectors: the swiss roll's of Sohl-Dickstein et al. 2015.
    Rbf(RbfConfig),
    /// For vectors: the heartbeats' of Sohl-Dickstein et al. 2015.
    Perceptron(PerceptronConfig),
    /// For pictures: the one of Sohl-Dickstein et al. 2015.
    #[serde(rename = "multi-scale")]
    MultiScale(MultiScaleConfig),
    /// From pictures or vectors to a few numbers.
    Pooled(PooledConfig),
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
            Self::Hourglass(config) => Box::new(Hourglass::new(config, shape)?),
            Self::RmsUNet(config) => Box::new(RmsUNet::new(config, shape)?),
            Self::AdaGnUNet(config) => Box::new(AdaGnUNet::new(config, shape)?),
            Self::RefineNet(config) => Box::new(RefineNet::new(config, shape)?),
            Self::ConvStack(config) => Box::new(ConvStack::new(config, shape)?),
            Self::LayerNormUNet(config) => Box::new(LayerNormUNet::new(config, shape)?),
            Self::Rbf(config) => Box::new(Rbf::new(config, shape)?),
            Self::Perceptron(config) => Box::new(Perceptron::new(config, shape)?),
            Self::MultiScale(config) => Box::new(MultiScale::new(config, shape)?),
            Self::Pooled(config) => config.build(shape)?,
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
            Self::Hourglass(config) => config.classes,
            Self::RmsUNet(_) | Self::AdaGnUNet(_) => 0,
            Self::RefineNet(_) | Self::ConvStack(_) | Self::LayerNormUNet(_) => 0,
            Self::Rbf(_) | Self::Perceptron(_) | Self::MultiScale(_) => 0,
            Self::Pooled(config) => config.classes(),
        }
    }

    /// Whether the network can be told this number for a time: any, except where times are the indices of a table.
    pub fn takes_time(&self, time: f64) -> bool {
        match self {
            Self::RefineNet(config) => config.level(time).is_ok(),
            Self::LayerNormUNet(config) => config.row(time).is_ok(),
            _ => true,
        }
    }

    /// Whether the output has twice the numbers of a row, the second half for a learned variance.
    pub fn learned_variance(&self) -> bool {
        match self {
            Self::Mlp(config) => config.learned_variance,
            Self::UNet(config) => config.learned_variance,
            Self::Hourglass(config) => config.learned_variance,
            Self::RmsUNet(config) => config.learned_variance,
            Self::Rbf(config) => config.learned_variance,
            Self::Perceptron(config) => config.learned_variance,
            Self::MultiScale(config) => config.learned_variance,
            Self::RefineNet(_) | Self::ConvStack(_) | Self::LayerNormUNet(_) | Self::Pooled(_) => false,
            // Its variance is one number a picture, which its output leaves out.
            Self::AdaGnUNet(_) => false,
        }
    }

    /// The same network for another number of classes; those that know none stay as they are.
    #[must_use]
    pub fn with_classes(mut self, classes: usize) -> Self {
        match &mut self {
            Self::Mlp(config) => config.classes = classes,
            Self::UNet(config) => config.classes = classes,
            Self::Hourglass(config) => config.classes = classes,
            Self::RmsUNet(_) | Self::AdaGnUNet(_) | Self::RefineNet(_) | Self::ConvStack(_) | Self::LayerNormUNet(_) => {}
            Self::Rbf(_) | Self::Perceptron(_) | Self::MultiScale(_) => {}
            Self::Pooled(config) => config.set_classes(classes),
        }
        self
    }
}

impl NetworkConfig {
    /// The shape of the condition that every row is given with, `[d]` or `[channels, height, width]`, of rows of a shape; empty for none.
    pub fn condition(&self, shape: &[usize]) -> Vec<usize> {
        let (channels, width) = match self {
            Self::Mlp(config) => (0, config.condition_width),
            Self::UNet(config) => (config.condition_channels, config.condition_width),
            _ => (0, 0),
        };
        match (channels, width) {
            (0, 0) => Vec::new(),
            (0, width) => vec![width],
            (channels, _) => [channels].into_iter().chain(shape.iter().skip(1).copied()).collect(),
        }
    }

    /// The same network for rows that are given with a condition of a shape, `[d]` or `[channels, height, width]`; empty for none.
    ///
    /// # Errors
    /// When this kind of network takes none of such a shape.
    pub fn with_condition(mut self, condition: &[usize]) -> Result<Self, NetworkError> {
        let kinds = "a unet, which takes vectors and pictures of its own size, or an mlp, which takes vectors";
        match (&mut self, condition) {
            (Self::UNet(config), &[]) => (config.condition_channels, config.condition_width) = (0, 0),
            (Self::UNet(config), &[width]) => (config.condition_channels, config.condition_width) = (0, width),
            (Self::UNet(config), &[channels, ..]) => (config.condition_channels, config.condition_width) = (channels, 0),
            (Self::Mlp(config), &[]) => config.condition_width = 0,
            (Self::Mlp(config), &[width]) => config.condition_width = width,
            (_, []) => {}
            (other, _) => {
                let network = other.kind();
                return Err(NetworkError::Condition { network, found: condition.to_vec(), expected: kinds });
            }
        }
        Ok(self)
    }

    /// The key `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mlp(_) => "mlp",
            Self::UNet(_) => "unet",
            Self::Hourglass(_) => "hourglass",
            Self::RmsUNet(_) => "rms-unet",
            Self::AdaGnUNet(_) => "adagn-unet",
            Self::RefineNet(_) => "refinenet",
            Self::ConvStack(_) => "conv-stack",
            Self::LayerNormUNet(_) => "layer-norm-unet",
            Self::Rbf(_) => "rbf",
            Self::Perceptron(_) => "perceptron",
            Self::MultiScale(_) => "multi-scale",
            Self::Pooled(_) => "pooled",
        }
    }
}

macro_rules! from {
    ($($config:ident => $kind:ident),*) => {$(
        impl From<$config> for NetworkConfig {
            fn from(config: $config) -> Self {
                Self::$kind(config)
            }
        }
    )*};
}
from!(
    MlpConfig => Mlp, UNetConfig => UNet, HourglassConfig => Hourglass, RmsUNetConfig => RmsUNet, AdaGnUNetConfig => AdaGnUNet,
    RefineNetConfig => RefineNet, ConvStackConfig => ConvStack, LayerNormUNetConfig => LayerNormUNet, RbfConfig => Rbf,
    PerceptronConfig => Perceptron, MultiScaleConfig => MultiScale, PooledConfig => Pooled
);

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
    /// A condition that this kind of network cannot be given.
    #[error("the {network} network takes no condition of shape {found:?}; expected {expected}")]
    Condition {
        /// Kind of network.
        network: &'static str,
        /// The condition's shape.
        found: Vec<usize>,
        /// What takes one.
        expected: &'static str,
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
    /// The levels of a network do not divide a picture.
    #[error(
        "pictures of {height} x {width} do not fit a {network} network of {levels} levels: each side must be a multiple of {multiple}, \
         and at least {least}. The nearest larger size is {} x {}; or {advice}",
        height.next_multiple_of(*multiple).max(*least), width.next_multiple_of(*multiple).max(*least)
    )]
    Multiple {
        /// Kind of network.
        network: &'static str,
        /// Height found.
        height: usize,
        /// Width found.
        width: usize,
        /// Levels of the configuration.
        levels: usize,
        /// What divides each side.
        multiple: usize,
        /// Least side.
        least: usize,
        /// What else to do.
        advice: &'static str,
    },
}

impl NetworkError {
    pub(crate) fn value(key: &'static str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Value { key, found: found.to_string(), expected: expected.into() }
    }

    /// The first of some counts that is zero.
    pub(crate) fn zero(counts: &[(&'static str, usize)]) -> Result<(), Self> {
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((key, _)) => Err(Self::value(key, 0, "at least 1")),
            None => Ok(()),
        }
    }

    /// The length of rows that are vectors.
    pub(crate) fn vector(network: &'static str, shape: &[usize]) -> Result<usize, Self> {
        match *shape {
            [d] if d > 0 => Ok(d),
            _ => {
                let advice = "use a unet for pictures, or flatten the rows";
                Err(Self::Shape { network, expected: "[d]", found: shape.to_vec(), advice })
            }
        }
    }

    /// Channels, height and width of rows that are pictures.
    pub(crate) fn picture(network: &'static str, shape: &[usize]) -> Result<[usize; 3], Self> {
        match *shape {
            [channels, height, width] if ![channels, height, width].contains(&0) => Ok([channels, height, width]),
            _ => {
                let (expected, advice) = ("[channels, height, width]", "use an mlp for vectors");
                Err(Self::Shape { network, expected, found: shape.to_vec(), advice })
            }
        }
    }
}
