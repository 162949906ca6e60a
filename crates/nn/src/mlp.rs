//! A multilayer perceptron for vectors.
//!
//! `h = L x`, then blocks `h <- h + W1 silu(W0 silu(h) + E e)` told of the time by the embedding `e`, then `y = V silu(h)`. `V` and
//! every `W1` start at zero, so that the network starts as zero and each block as the identity.

use crate::embedding::{Embedding, EmbeddingShape};
use crate::layer::{Layout, Linear, Pass, Place};
use crate::unet::config::is_zero;
use crate::{
    ClassEmbedding, Description, InitScheme, Input, Mode, Network, NetworkError, Params, Stage, TimeFeatures, difference_jvp, ops,
};
use scorefield_tensor::Batch;
use serde::{Deserialize, Serialize};

/// Configuration of [`Mlp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Residual blocks of two layers; without, blocks are `h <- silu(W0 h + E e)`.
    pub residual: bool,
    /// The features of the time.
    pub time: TimeFeatures,
    /// Base width of the features: their number for sinusoids, the number of frequencies for Fourier features.
    pub time_width: usize,
    /// Number of classes; zero for none.
    pub classes: usize,
    /// Where a class joins the embedding.
    pub class_embedding: ClassEmbedding,
    /// Numbers of a vector that every row is given with, beside its own in the first layer.
    #[serde(skip_serializing_if = "is_zero")]
    pub condition_width: usize,
    /// Rate of dropout inside residual blocks, in [0, 1).
    pub dropout: f64,
    /// Whether the output has twice the numbers, the second half for a learned variance (Nichol and Dhariwal 2021).
    pub learned_variance: bool,
    /// Whether the network is an energy: one number `E = v . silu(h)` a row, of which it gives `-dE/dx`, a conservative field
    /// (Salimans and Ho 2021; LeCun et al. 2006). Only without dropout and learned variance.
    pub energy: bool,
    /// How the weights are drawn.
    pub init: InitScheme,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            hidden: 256,
            depth: 4,
            residual: true,
            time: TimeFeatures::Fourier { scale: 1.0, frequency_first: true },
            time_width: 32,
            classes: 0,
            class_embedding: ClassEmbedding::Embedding,
            condition_width: 0,
            dropout: 0.0,
            learned_variance: false,
            energy: false,
            init: InitScheme::Ddpm,
        }
    }
}

/// The network of a [`MlpConfig`].
#[derive(Clone, Debug)]
pub struct Mlp {
    pub(crate) config: MlpConfig,
    description: Description,
    pub(crate) embedding: Embedding,
    pub(crate) first: Linear,
    /// The part of the first layer that sees the condition.
    pub(crate) condition: Option<Linear>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) last: Linear,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) linear0: Linear,
    pub(crate) embed: Linear,
    pub(crate) linear1: Option<Linear>,
}

impl Mlp {
    /// The network for vectors of length `shape[0]`.
    ///
    /// # Errors
    /// When the shape is not that of a vector or a number of the configuration is out of range.
    pub fn new(config: &MlpConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        let d = NetworkError::vector("mlp", shape)?;
        Self::of(config, d, if config.learned_variance { 2 * d } else { d })
    }

    /// The network from vectors of length `shape[0]` to `outputs` numbers.
    ///
    /// # Errors
    /// As [`Mlp::new`], and when the network is an energy or learns a variance.
    pub fn pooled(config: &MlpConfig, outputs: usize, shape: &[usize]) -> Result<Self, NetworkError> {
        if config.condition_width > 0 {
            return Err(NetworkError::value("trunk.condition_width", config.condition_width, "0"));
        }
        let other = [("trunk.energy", config.energy), ("trunk.learned_variance", config.learned_variance)];
        if let Some((key, _)) = other.into_iter().find(|(_, set)| *set) {
            return Err(NetworkError::value(key, true, "false: the output is a few numbers"));
        }
        Self::of(config, NetworkError::vector("mlp", shape)?, outputs)
    }

    fn of(config: &MlpConfig, d: usize, output: usize) -> Result<Self, NetworkError> {
        NetworkError::zero(&[("hidden", config.hidden), ("depth", config.depth)])?;
        check_time(&config.time, "time_width", config.time_width)?;
        check_dropout(config.dropout)?;
        if config.energy && (config.dropout > 0.0 || config.learned_variance) {
            let expected = "an energy has one number a row and one gradient: set dropout = 0 and learned_variance = false";
            return Err(NetworkError::value("energy", true, expected));
        }

        let mut l = Layout::new(config.init);
        let width = config.hidden;
        let embedding = Embedding::new(
            &mut l,
            EmbeddingShape {
                time: config.time,
                base: config.time_width,
                width,
                classes: config.classes,
                class_embedding: config.class_embedding,
                augment: false,
            },
        );
        let first = l.linear("first", d, width, true, Place::Inner);
        let given = config.condition_width;
        let condition = (given > 0).then(|| l.linear("condition", given, width, false, Place::Inner));
        let block = |i: usize| {
            l.within(format!("block.{i}"), |l| Block {
                linear0: l.linear("linear0", width, width, true, Place::Inner),
                embed: l.linear("embed", width, width, true, Place::Inner),
                linear1: config.residual.then(|| l.linear("linear1", width, width, true, Place::Last)),
            })
        };
        let blocks: Vec<Block> = (0..config.depth).map(block).collect();
        // The bias of an energy has no gradient and would never be trained.
        let last = match config.energy {
            true => l.linear("last", width, 1, false, Place::Last),
            false => l.linear("last", width, output, true, Place::Last),
        };

        let stage =
            |name: String, what: &str, output: usize| Stage { name, what: what.into(), output: vec![output], parameters: 0 };
        let mut stages = vec![
            stage("embed".into(), "time and class to an embedding", width),
            stage("first".into(), &format!("linear {d} -> {width}"), width),
        ];
        let what = if config.residual { "residual block, two layers" } else { "linear, silu" };
        stages.extend((0..config.depth).map(|i| stage(format!("block.{i}"), what, width)));
        let what = match config.energy {
            true => format!("silu, linear {width} -> 1, minus its gradient"),
            false => format!("silu, linear {width} -> {output}"),
        };
        stages.push(stage("last".into(), &what, output));
        let description = Description::new(l.specs, stages, &[d], output, config.classes).with_condition(given);
        Ok(Self { config: config.clone(), description, embedding, first, condition, blocks, last })
    }

    /// The first layer on rows and conditions side by side, `W x + V c + b`.
    pub(crate) fn enter(&self, pass: &Pass<'_>, x: Batch, input: &Input) -> Batch {
        let n = x.dims()[0];
        let h = self.first.forward(pass, x);
        match (&self.condition, &input.condition) {
            (Some(linear), Some(given)) => h + linear.forward(pass, pass.constant(given.clone(), [n, linear.inputs])),
            _ => h,
        }
    }
}

impl Network for Mlp {
    fn description(&self) -> &Description {
        &self.description
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        self.description.vectors(&x, input);
        let pass = Pass::new(p, self.params(), mode);
        if self.config.energy {
            return self.descent(&pass, x, input);
        }

        let e = self.embedding.forward(&pass, input);
        let mut h = self.enter(&pass, x, input);
        for block in &self.blocks {
            let told = block.embed.forward_ready(&pass, e.clone());
            h = match &block.linear1 {
                Some(linear1) => {
                    let entered = block.linear0.forward_ready(&pass, ops::silu(h.clone()));
                    let inner = ops::silu_sum(entered, told);
                    linear1.forward_onto(&pass, pass.dropout(inner, self.config.dropout), h)
                }
                None => ops::silu_sum(block.linear0.forward_ready(&pass, h), told),
            };
        }
        self.last.forward(&pass, if self.config.residual { ops::silu(h) } else { h })
    }

    fn jvp(&self, p: &Params, x: Batch, tangents: &[Batch], input: &Input, mode: &Mode) -> (Batch, Vec<Batch>) {
        if self.exact_jvp() {
            self.forward_mode(&Pass::new(p, self.params(), mode), x, tangents, input)
        } else {
            difference_jvp(self, p, x, tangents, input, mode)
        }
    }

    fn exact_jvp(&self) -> bool {
        !self.config.energy
    }
}

/// Refuses features that cannot be formed.
pub(crate) fn check_time(time: &TimeFeatures, key: &'static str, base: usize) -> Result<(), NetworkError> {
    match *time {
        TimeFeatures::Sinusoidal { .. } if base < 2 || !base.is_multiple_of(2) => {
            Err(NetworkError::value(key, base, "sinusoidal features come in pairs: an even number, at least 2"))
        }
        TimeFeatures::Fourier { .. } if base == 0 => Err(NetworkError::value(key, base, "at least 1")),
        TimeFeatures::Sinusoidal { scale, .. } | TimeFeatures::Fourier { scale, .. } if !(scale.is_finite() && scale > 0.0) => {
            Err(NetworkError::value("time.scale", scale, "a positive number"))
        }
        _ => Ok(()),
    }
}

/// Refuses rates outside [0, 1).
pub(crate) fn check_dropout(rate: f64) -> Result<(), NetworkError> {
    if (0.0..1.0).contains(&rate) { Ok(()) } else { Err(NetworkError::value("dropout", rate, "a rate in [0, 1)")) }
}
