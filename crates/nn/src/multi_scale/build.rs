//! Putting the multi-scale network together.

use super::{MultiScale, MultiScaleConfig};
use crate::layer::{ConvShape, Layout, Place};
use crate::{Description, NetworkError, Stage};

impl MultiScale {
    /// The network for pictures of shape `[channels, height, width]`, whose sides are multiples of `2^(scales - 1)`. Without a perceptron
    /// of the whole picture the parameters are the same for every size.
    ///
    /// # Errors
    /// When the configuration contradicts itself or cannot take the shape.
    pub fn new(config: &MultiScaleConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        config.check()?;
        let shape @ [channels, height, width] = NetworkError::picture("multi-scale", shape)?;
        let multiple = config.multiple();
        if !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
            let (network, levels, advice) = ("multi-scale", config.scales, "give fewer scales");
            return Err(NetworkError::Multiple { network, height, width, levels, multiple, least: multiple, advice });
        }

        let mut layout = Layout::new(config.init);
        let mut stages = Vec::new();
        let mut stage = |name: &str, what: String, output: Vec<usize>| {
            stages.push(Stage { name: name.into(), what, output, parameters: 0 });
        };

        let (mut inputs, k) = (channels, config.kernel);
        let mut layers = Vec::new();
        for i in 0..config.layers {
            let outputs = config.channels;
            let scale = |s: usize| {
                let name = format!("layer.{i}.{s}");
                let what = format!("conv {k}x{k} of 1/{} the size, {inputs} -> {outputs}", 1 << s);
                stage(&name, what, vec![outputs, height >> s, width >> s]);
                // The scales are added: one bias is enough.
                let shape = ConvShape { bias: s == 0, ..ConvShape::same(k, inputs, outputs) };
                layout.conv(&name, shape, Place::Inner)
            };
            layers.push((0..config.scales).map(scale).collect());
            inputs = outputs;
        }

        let (pixels, mut dense) = (height * width, Vec::new());
        let mut from = channels * pixels;
        for i in 0..config.dense_layers {
            let last = i + 1 == config.dense_layers;
            let to = if last { config.dense_outputs * pixels } else { config.dense_width };
            let output = if last { vec![config.dense_outputs, height, width] } else { vec![to] };
            let name = format!("dense.{i}");
            stage(&name, format!("linear {from} -> {to}, tanh"), output);
            dense.push(layout.linear(&name, from, to, true, Place::Inner));
            from = to;
        }
        inputs = match (layers.is_empty(), dense.is_empty()) {
            (true, _) => config.dense_outputs,
            (false, true) => inputs,
            (false, false) => inputs + config.dense_outputs,
        };

        let mut pixel = Vec::new();
        for i in 0..config.pixel_layers {
            let (name, outputs) = (format!("pixel.{i}"), config.pixel_width);
            stage(&name, format!("conv 1x1, tanh, {inputs} -> {outputs}"), vec![outputs, height, width]);
            pixel.push(layout.conv(&name, ConvShape::one(inputs, outputs), Place::Inner));
            inputs = outputs;
        }
        let (count, outputs) = (config.bumps.count, if config.learned_variance { 2 * channels } else { channels });
        let what = format!("conv 1x1, {inputs} -> {count} x {outputs}, read out by time");
        stage("last", what, vec![outputs, height, width]);
        let last = layout.conv("last", ConvShape::one(inputs, count * outputs), Place::Last);

        let description = Description::new(layout.specs, stages, &shape, outputs, 0);
        Ok(Self { config: config.clone(), description, layers, dense, pixel, last })
    }
}
