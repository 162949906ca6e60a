//! A perceptron whose last layer alone knows the time: the network of the heartbeats of Sohl-Dickstein et al. 2015 (appendix D.1.2).
//!
//! `h <- act(W h + b)` for every hidden layer, then `y(t) = sum_j g_j(t) (V_j h + b_j)` with the bumps of [`crate::BumpsConfig`]. The
//! paper has a last layer of its own for every step of its chain; bumps share it between neighbouring times and serve every time. `V`
//! and its biases start at zero, so that the network starts as zero.

use crate::activation::Activation;
use crate::bumps::{BumpsConfig, read};
use crate::layer::{Layout, Linear, Pass, Place};
use crate::{Description, InitScheme, Input, Mode, Network, NetworkError, Params, Stage};
use scorefield_tensor::Batch;
use serde::{Deserialize, Serialize};

/// Configuration of [`Perceptron`]. The defaults are those of the paper: three layers of fifty sigmoids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PerceptronConfig {
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Number of hidden layers.
    pub depth: usize,
    /// What follows each.
    pub activation: Activation,
    /// The functions of time that the last layer gives the coefficients of.
    pub bumps: BumpsConfig,
    /// Whether the output has twice the numbers, the second half for a learned variance.
    pub learned_variance: bool,
    /// How the weights are drawn.
    pub init: InitScheme,
}

impl Default for PerceptronConfig {
    fn default() -> Self {
        Self {
            hidden: 50,
            depth: 3,
            activation: Activation::Sigmoid,
            bumps: BumpsConfig::default(),
            learned_variance: false,
            init: InitScheme::Ddpm,
        }
    }
}

/// The network of a [`PerceptronConfig`].
#[derive(Clone, Debug)]
pub struct Perceptron {
    config: PerceptronConfig,
    description: Description,
    hidden: Vec<Linear>,
    last: Linear,
}

impl Perceptron {
    /// The network for vectors of length `shape[0]`.
    ///
    /// # Errors
    /// When the shape is not that of a vector or a number of the configuration is out of range.
    pub fn new(config: &PerceptronConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        let d = NetworkError::vector("perceptron", shape)?;
        NetworkError::zero(&[("hidden", config.hidden), ("depth", config.depth)])?;
        config.bumps.check()?;

        let mut layout = Layout::new(config.init);
        let mut stages = Vec::new();
        let (width, count) = (config.hidden, config.bumps.count);
        let layer = |i: usize| {
            let (name, inputs) = (format!("hidden.{i}"), if i == 0 { d } else { width });
            let what = format!("linear {inputs} -> {width}, {}", config.activation.name());
            stages.push(Stage { name: name.clone(), what, output: vec![width], parameters: 0 });
            layout.linear(&name, inputs, width, true, Place::Inner)
        };
        let hidden = (0..config.depth).map(layer).collect();
        let outputs = if config.learned_variance { 2 * d } else { d };
        let what = format!("linear {width} -> {count} x {outputs}, read out by time");
        stages.push(Stage { name: "last".into(), what, output: vec![outputs], parameters: 0 });
        let last = layout.linear("last", width, count * outputs, true, Place::Last);

        let description = Description::new(layout.specs, stages, shape, outputs, 0);
        Ok(Self { config: config.clone(), description, hidden, last })
    }

    /// The output and `J v` for each direction.
    fn carry(&self, pass: &Pass<'_>, x: Batch, tangents: &[Batch], input: &Input) -> (Batch, Vec<Batch>) {
        let (mut h, mut dh) = (x, tangents.to_vec());
        for (i, linear) in self.hidden.iter().enumerate() {
            // The input is no hidden layer.
            let z = if i == 0 { linear.forward(pass, h) } else { linear.forward_ready(pass, h) };
            if !dh.is_empty() {
                let slope = self.config.activation.slope(z.clone());
                dh = dh.into_iter().map(|d| linear.tangent(pass, d) * slope.clone()).collect();
            }
            h = self.config.activation.apply(z);
        }
        let g = self.config.bumps.told(pass, input);
        let products = dh.into_iter().map(|d| read(&g, self.last.tangent(pass, d))).collect();
        (read(&g, self.last.forward(pass, h)), products)
    }
}

impl Network for Perceptron {
    fn description(&self) -> &Description {
        &self.description
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        self.jvp(p, x, &[], input, mode).0
    }

    #[track_caller]
    fn jvp(&self, p: &Params, x: Batch, tangents: &[Batch], input: &Input, mode: &Mode) -> (Batch, Vec<Batch>) {
        self.description.vectors(&x, input);
        self.carry(&Pass::new(p, self.params(), mode), x, tangents, input)
    }

    fn exact_jvp(&self) -> bool {
        true
    }
}
