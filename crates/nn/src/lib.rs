//! Layers and networks as functions of a flat list of parameters; knows nothing of what they are for.
//!
//! A network is a description: it owns no numbers. [`Network::params`] lists what it needs ([`ParamSpec`]: a stable dotted name, a
//! shape, a rule to draw it), and [`Network::forward`] is a function of a [`Params`], each parameter being one flat tensor. The
//! optimiser, the moving average, clipping, files, imports and counting then work on lists and never see a layer.
//!
//! What goes in besides the rows is one number a row ([`Input::time`], any embedding of a noise level), a class or none, and the nine
//! numbers of an augmentation or none. [`Mlp`] takes vectors, [`UNet`] pictures of any channel count and size, [`Hourglass`] pictures
//! that are made of patches; [`RmsUNet`], [`AdaGnUNet`], [`RefineNet`], [`ConvStack`] and [`LayerNormUNet`] are the networks that files of
//! other projects hold.
//!
//! ```
//! use scorefield_nn::{Input, Mode, Params, preset};
//! use scorefield_tensor::{batch, rows};
//! let preset = preset("mlp-2d").unwrap();
//! let network = preset.config.build(&preset.shape).unwrap();
//! let device = Default::default();
//! let params = Params::init(network.params(), 0, &device);
//! let x = batch(vec![0.5, -1.0, 2.0, 0.0], 2, &device);
//! let y = network.forward(&params, x, &Input::at(vec![0.1, 0.9]), &Mode::Eval);
//! assert_eq!(rows(y), [0.0; 4]); // the last layer starts at zero
//! ```

mod activation;
mod adagn_unet;
mod block;
mod bumps;
mod config;
mod conv_stack;
mod derivative;
mod embedding;
mod hourglass;
mod input;
mod layer;
mod layer_norm;
mod layer_norm_unet;
mod mlp;
mod multi_scale;
mod network;
mod ops;
mod packing;
mod params;
mod perceptron;
mod picture;
mod pooled;
mod preset;
mod rbf;
mod refinenet;
mod rms_unet;
mod transposed;
mod unet;

pub use activation::Activation;
pub use adagn_unet::{AdaGnUNet, AdaGnUNetConfig};
pub use bumps::BumpsConfig;
pub use config::{NetworkConfig, NetworkError};
pub use conv_stack::{ConvStack, ConvStackConfig};
pub use embedding::{ClassEmbedding, SinCos, TimeFeatures};
pub use hourglass::{Hourglass, HourglassAttention, HourglassConfig, HourglassLevel};
pub use input::{Input, Mode};
pub use layer::InitScheme;
pub use layer_norm_unet::{LayerNormUNet, LayerNormUNetConfig};
pub use mlp::{Mlp, MlpConfig};
pub use multi_scale::{MultiScale, MultiScaleConfig};
pub use network::{Description, Network, Stage, difference_jvp};
pub use packing::QkvPacking;
pub use params::{Call, Calls, Init, ParamSpec, Params, ParamsError};
pub use perceptron::{Perceptron, PerceptronConfig};
pub use pooled::{PooledConfig, TrunkConfig};
pub use preset::{Preset, preset, presets};
pub use rbf::{Rbf, RbfConfig};
pub use refinenet::{RefineNet, RefineNetConfig};
pub use rms_unet::{RmsTimeFeatures, RmsUNet, RmsUNetConfig};
pub use scorefield_kernels::{Padding, Precision};
pub use unet::{
    AttentionPlacement, DownPadding, HalfUNet, ProgressiveInput, ProgressiveOutput, ResampleFilter, Resampling, UNet, UNetConfig,
};
