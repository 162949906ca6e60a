//! Putting the network together: the one place where widths and sizes are followed from layer to layer.

use super::{Block, LayerNormUNet, LayerNormUNetConfig, Level};
use crate::layer::{Conv, ConvShape, Layout, Place};
use crate::layer_norm::LayerNorm;
use crate::ops::Padding;
use crate::transposed::TransposedConv;
use crate::{Description, Init, InitScheme, NetworkError, Stage};

/// Ratio of the longest to the shortest wave of a fresh table of times (Vaswani et al. 2017).
const THETA: f64 = 10_000.0;

impl LayerNormUNet {
    /// The network for pictures of shape `[channels, height, width]`, each side `2^(levels - 1)` times an odd number of at least 3: the
    /// way out of the deepest level takes a pixel of each side and halves the rest.
    ///
    /// # Errors
    /// When the configuration contradicts itself, the shape is not that of a picture, or a side is no such number.
    pub fn new(config: &LayerNormUNetConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        config.check()?;
        let shape @ [_, height, width] = NetworkError::picture("layer-norm-unet", shape)?;
        let unit = 1usize << (config.levels() - 1);
        if [height, width].iter().any(|side| !side.is_multiple_of(unit) || side / unit < 3 || (side / unit).is_multiple_of(2)) {
            return Err(NetworkError::Shape {
                network: "layer-norm-unet",
                expected: "[channels, height, width] with sides of 2^(levels - 1) times an odd number of at least 3",
                found: shape.to_vec(),
                advice: "give channels another number of levels, or pad the pictures (28 x 28 has three levels)",
            });
        }
        // The rule of weights and biases of the authors' framework; only the last layer starts at zero.
        let layout = Layout::new(InitScheme::Adm);
        Ok(Builder { config, layout, stages: Vec::new(), size: [height, width] }.finish(shape))
    }
}

struct Builder<'a> {
    config: &'a LayerNormUNetConfig,
    layout: Layout,
    stages: Vec<Stage>,
    /// Height and width at the place that is being built.
    size: [usize; 2],
}

impl Builder<'_> {
    fn finish(mut self, shape: [usize; 3]) -> LayerNormUNet {
        let (config, channels) = (self.config, shape[0]);
        let (widths, levels) = (&config.channels, config.levels());
        let rows = [config.times, config.time_width];
        let table = self.layout.add("embed.table", &rows, Init::Waves { theta: THETA }, false);

        let mut inputs = channels;
        let mut down = Vec::new();
        for (level, &c) in widths.iter().enumerate() {
            let name = format!("down.{level}");
            let blocks = self.level(&name, [inputs, c, c, c], true);
            let mut ways = Vec::new();
            if level + 1 == levels {
                ways.push(self.leave(&format!("{name}.shrink"), c, [2, 1, 0]));
            }
            ways.push(self.leave(&format!("{name}.halve"), c, [4, 2, 1]));
            down.push((blocks, ways));
            inputs = c;
        }

        let mid = self.level("mid", [inputs, config.mid_channels, config.mid_channels, inputs], true);

        let mut up = Vec::new();
        for (level, &c) in widths.iter().enumerate().rev() {
            let name = format!("up.{level}");
            let mut ways = vec![self.enter(&format!("{name}.double"), c, [4, 2, 1])];
            if level + 1 == levels {
                ways.push(self.enter(&format!("{name}.grow"), c, [2, 1, 0]));
            }
            // What came from below and what the way down left, into the width of the level above.
            let above = widths[level.saturating_sub(1)];
            up.push((ways, self.level(&name, [2 * c, c, above, above], level > 0)));
        }

        self.stage("last", format!("conv 3x3, {} -> {channels}", widths[0]), channels);
        let last = self.layout.conv("last", ConvShape::three(widths[0], channels), Place::Last);
        let description = Description::new(self.layout.specs, self.stages, &shape, channels, 0);
        LayerNormUNet { config: config.clone(), description, table, down, mid, up, last }
    }

    /// Three blocks from width to width; the last of them with a norm or without.
    fn level(&mut self, name: &str, widths: [usize; 4], last_norm: bool) -> Level {
        let (c, time_width) = (widths[0], self.config.time_width);
        let time = format!("{name}.time");
        self.stages.push(Stage { name: time.clone(), what: format!("time to {c} numbers"), output: vec![c], parameters: 0 });
        let time = self.layout.within(time, |l| {
            [("linear0", time_width), ("linear1", c)].map(|(name, inputs)| l.linear(name, inputs, c, true, Place::Inner))
        });
        let blocks = [0, 1, 2].map(|i| self.block(&format!("{name}.{i}"), [widths[i], widths[i + 1]], i < 2 || last_norm));
        Level { time, blocks }
    }

    fn block(&mut self, name: &str, [inputs, outputs]: [usize; 2], norm: bool) -> Block {
        let first = if norm { "layer norm, " } else { "" };
        self.stage(name, format!("{first}two conv 3x3, {inputs} -> {outputs}"), outputs);
        let [height, width] = self.size;
        self.layout.within(name, |l| Block {
            norm: norm.then(|| LayerNorm::new(l, "norm", [inputs, height, width])),
            convs: [("conv0", inputs), ("conv1", outputs)]
                .map(|(name, inputs)| l.conv(name, ConvShape::three(inputs, outputs), Place::Inner)),
        })
    }

    /// A convolution of this kernel, stride and padding; the size follows.
    fn leave(&mut self, name: &str, c: usize, [kernel, stride, pad]: [usize; 3]) -> Conv {
        self.size = self.size.map(|side| (side + 2 * pad - kernel) / stride + 1);
        self.stage(name, format!("conv {kernel}x{kernel}, stride {stride}"), c);
        let shape = ConvShape { inputs: c, outputs: c, kernel, stride, pad: Padding::all(pad), dilation: 1, bias: true };
        self.layout.conv(name, shape, Place::Inner)
    }

    /// Its transpose.
    fn enter(&mut self, name: &str, c: usize, [kernel, stride, pad]: [usize; 3]) -> TransposedConv {
        self.size = self.size.map(|side| stride * (side - 1) + kernel - 2 * pad);
        self.stage(name, format!("transposed conv {kernel}x{kernel}, stride {stride}"), c);
        TransposedConv::new(&mut self.layout, name, [c, c], [kernel, stride, pad])
    }

    fn stage(&mut self, name: &str, what: String, c: usize) {
        let [h, w] = self.size;
        self.stages.push(Stage { name: name.into(), what, output: vec![c, h, w], parameters: 0 });
    }
}
