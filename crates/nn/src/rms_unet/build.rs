//! Putting the network together: the one place where widths are followed from layer to layer.

use super::attention::Attention;
use super::block::Block;
use super::features::Features;
use super::{Level, RmsUNet, RmsUNetConfig};
use crate::layer::{ConvShape, Layout, Place};
use crate::{Description, NetworkError, Stage};

impl RmsUNet {
    /// The network for pictures of shape `[channels, height, width]`, each side a multiple of `2^(levels - 1)`: half a pixel of a level
    /// has no place in the next.
    ///
    /// # Errors
    /// When the configuration contradicts itself, the shape is not that of a picture, or a side is no such multiple.
    pub fn new(config: &RmsUNetConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        config.check()?;
        let shape @ [_, height, width] = NetworkError::picture("rms-unet", shape)?;
        let levels = config.levels();
        let multiple = 1usize << (levels - 1);
        if !(height.is_multiple_of(multiple) && width.is_multiple_of(multiple)) {
            let advice = "give channel_mult fewer entries, or pad the pictures";
            return Err(NetworkError::Multiple { network: "rms-unet", height, width, levels, multiple, least: multiple, advice });
        }
        Ok(Builder { config, layout: Layout::new(config.init), stages: Vec::new(), size: [height, width] }.finish(shape))
    }
}

struct Builder<'a> {
    config: &'a RmsUNetConfig,
    layout: Layout,
    stages: Vec<Stage>,
    /// Height and width of level 0.
    size: [usize; 2],
}

impl Builder<'_> {
    fn finish(mut self, shape: [usize; 3]) -> RmsUNet {
        let config = self.config;
        let (channels, levels) = (shape[0], config.levels());
        let outputs = if config.learned_variance { 2 * channels } else { channels };
        let inputs = if config.self_conditioning { 2 * channels } else { channels };

        let (features, embed) = self.embedding();
        let c = config.width(0);
        self.stage("stem", format!("conv 7x7, {inputs} -> {c}"), c, 0);
        let stem = self.layout.conv("stem", ConvShape::same(7, inputs, c), Place::Inner);

        let down = (0..levels).map(|level| self.down(level)).collect();
        let (c, deepest) = (config.width(levels), levels - 1);
        let first = self.block("mid.0", [c, c], deepest);
        let attention = self.attention("mid.attention", c, deepest, true);
        let mid = (first, attention, self.block("mid.1", [c, c], deepest));
        let up = (0..levels).rev().map(|level| self.up(level)).collect();

        let c = config.width(0);
        let last = self.block("last", [2 * c, c], 0);
        self.stage("out", format!("conv 1x1, {c} -> {outputs}"), outputs, 0);
        let out = self.layout.conv("out", ConvShape::one(c, outputs), Place::Last);

        let description = Description::new(self.layout.specs, self.stages, &shape, outputs, 0);
        RmsUNet { config: config.clone(), description, features, embed, stem, down, mid, up, last, out }
    }

    fn embedding(&mut self) -> (Features, [crate::layer::Linear; 2]) {
        let (config, width) = (self.config, self.width());
        self.stages.push(Stage { name: "embed".into(), what: "time to an embedding".into(), output: vec![width], parameters: 0 });
        self.layout.within("embed", |l| {
            let features = Features::new(l, config.time, config.model_channels);
            let first = l.linear("linear0", features.width(), width, true, Place::Inner);
            (features, [first, l.linear("linear1", width, width, true, Place::Inner)])
        })
    }

    /// Of the embedding.
    fn width(&self) -> usize {
        4 * self.config.model_channels
    }

    fn down(&mut self, level: usize) -> Level {
        let (c, next) = (self.config.width(level), self.config.width(level + 1));
        let blocks = [0, 1].map(|i| self.block(&format!("down.{level}.{i}"), [c, c], level));
        let attention = self.level_attention("down", level, c);
        let name = format!("down.{level}.leave");
        let deepest = level + 1 == self.config.levels();
        let (shape, what, to) = match deepest {
            true => (ConvShape::three(c, next), "conv 3x3", level),
            false => (ConvShape::patches(2, c, next), "patches of 2x2", level + 1),
        };
        self.stage(&name, format!("{what}, {c} -> {next}"), next, to);
        Level { blocks, attention, doubles: false, leave: self.layout.conv(&name, shape, Place::Inner) }
    }

    /// Works at the width that the level below handed on, and leaves at that of its own way down.
    fn up(&mut self, level: usize) -> Level {
        let (c, next) = (self.config.width(level + 1), self.config.width(level));
        let blocks = [0, 1].map(|i| self.block(&format!("up.{level}.{i}"), [c + next, c], level));
        let attention = self.level_attention("up", level, c);
        let name = format!("up.{level}.leave");
        let doubles = level > 0;
        let what = if doubles { "nearest neighbours, conv 3x3" } else { "conv 3x3" };
        self.stage(&name, format!("{what}, {c} -> {next}"), next, level.saturating_sub(1));
        Level { blocks, attention, doubles, leave: self.layout.conv(&name, ConvShape::three(c, next), Place::Inner) }
    }

    fn block(&mut self, name: &str, [inputs, outputs]: [usize; 2], level: usize) -> Block {
        self.stage(name, format!("residual block, {inputs} -> {outputs}"), outputs, level);
        let embedding = self.width();
        Block::new(&mut self.layout, name, [inputs, outputs], embedding, self.config.dropout)
    }

    fn level_attention(&mut self, way: &str, level: usize, c: usize) -> Attention {
        let full = self.config.full_attention_levels.contains(&level);
        self.attention(&format!("{way}.{level}.attention"), c, level, full)
    }

    fn attention(&mut self, name: &str, c: usize, level: usize, full: bool) -> Attention {
        let (heads, d) = (self.config.heads, self.config.head_channels);
        let kind = if full { "attention" } else { "linear attention" };
        self.stage(name, format!("{kind}, {heads} head{}", if heads == 1 { "" } else { "s" }), c, level);
        Attention::new(&mut self.layout, name, c, [heads, d], full)
    }

    fn stage(&mut self, name: &str, what: String, c: usize, level: usize) {
        let [h, w] = self.size.map(|s| s >> level);
        self.stages.push(Stage { name: name.into(), what, output: vec![c, h, w], parameters: 0 });
    }
}
