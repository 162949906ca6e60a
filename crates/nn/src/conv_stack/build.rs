//! Putting the stack together.

use super::{ConvStack, ConvStackConfig};
use crate::layer::{ConvShape, Layout, Place};
use crate::layer_norm::LayerNorm;
use crate::{Description, Init, InitScheme, NetworkError, Stage};
use std::f64::consts::TAU;

/// Quotient of neighbouring frequencies before training; the authors' are these and one of zero, whose features say nothing.
const RATIO: f64 = 1.5;

impl ConvStack {
    /// The network for pictures of shape `[channels, height, width]`, of any size; its norms belong to that size.
    ///
    /// # Errors
    /// When the configuration contradicts itself or the shape is not that of a picture.
    pub fn new(config: &ConvStackConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        config.check()?;
        let shape @ [channels, height, width] = NetworkError::picture("conv-stack", shape)?;
        // The rule of weights and biases of the authors' framework; only the last layer starts at zero.
        let mut layout = Layout::new(InitScheme::Adm);
        let mut stages = Vec::new();
        let mut stage = |name: String, what: String, output: Vec<usize>| {
            stages.push(Stage { name, what, output, parameters: 0 });
        };

        let told = config.channels[0];
        stage("embed".into(), format!("time to {told} numbers"), vec![told]);
        let (frequencies, embed) = layout.within("embed", |l| {
            let n = config.frequencies;
            let init = Init::Geometric { from: TAU, to: TAU * RATIO.powf(n as f64) };
            let frequencies = l.add("frequencies", &[n], init, false);
            let widths: Vec<usize> =
                [2 * n].into_iter().chain(vec![config.time_width; config.time_depth]).chain([told]).collect();
            let linear = |(i, w): (usize, &[usize])| l.linear(&format!("linear{i}"), w[0], w[1], true, Place::Inner);
            (frequencies, widths.windows(2).enumerate().map(linear).collect())
        });

        let mut inputs = channels;
        let mut blocks = Vec::new();
        for (i, &outputs) in config.channels.iter().enumerate() {
            let (name, k) = (format!("block.{i}"), config.kernel);
            stage(name.clone(), format!("conv {k}x{k}, layer norm, gelu, {inputs} -> {outputs}"), vec![outputs, height, width]);
            blocks.push(layout.within(&name, |l| {
                let conv = l.conv("conv", ConvShape::same(k, inputs, outputs), Place::Inner);
                (conv, LayerNorm::new(l, "norm", [outputs, height, width]))
            }));
            inputs = outputs;
        }
        let k = config.last_kernel;
        stage("last".into(), format!("conv {k}x{k}, {inputs} -> {channels}"), shape.to_vec());
        let last = layout.conv("last", ConvShape::same(k, inputs, channels), Place::Last);

        let description = Description::new(layout.specs, stages, &shape, channels, 0);
        Ok(Self { config: config.clone(), description, frequencies, embed, blocks, last })
    }
}
