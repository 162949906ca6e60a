//! Putting a U-Net together: the one place where widths are followed from layer to layer.

use super::{
    AttentionPlacement, DownLevel, DownPadding, Encoder, HalfUNet, Head, Leave, Middle, ProgressiveInput, ProgressiveOutput,
    ResampleFilter, Resampling, UNet, UNetConfig, Unit, UpLevel,
};
use crate::block::{Attention, BlockStyle, ResBlock};
use crate::embedding::{Embedding, EmbeddingShape};
use crate::layer::{Conv, ConvShape, Layout, Place};
use crate::ops::{Padding, Resample};
use crate::{Description, NetworkError, Stage};

impl UNet {
    /// The network for pictures of shape `[channels, height, width]`. Sizes that the levels do not divide are padded with zeros
    /// inside (evenly, the odd pixel at the bottom and right) and cropped again: zero is what convolutions see beyond a border anyway.
    ///
    /// # Errors
    /// When the configuration contradicts itself, the shape is not that of a picture, or the picture is smaller than one pixel of the
    /// deepest level.
    pub fn new(config: &UNetConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        let (builder, shape, padding) = Builder::for_pictures(config, shape)?;
        builder.finish(shape, padding)
    }
}

impl HalfUNet {
    /// The network from pictures of shape `[channels, height, width]` to `outputs` numbers.
    ///
    /// # Errors
    /// As [`UNet::new`], and when the configuration writes pictures from several levels or learns a variance.
    pub fn new(config: &UNetConfig, outputs: usize, shape: &[usize]) -> Result<Self, NetworkError> {
        if config.learned_variance {
            return Err(NetworkError::value("trunk.learned_variance", true, "false: the output is a few numbers"));
        }
        if config.condition_channels + config.condition_width > 0 {
            return Err(NetworkError::value("trunk.condition_channels", config.condition_channels, "0, and condition_width = 0"));
        }
        let (builder, shape, padding) = Builder::for_pictures(config, shape)?;
        builder.finish_half(shape, padding, outputs)
    }
}

/// What is added on each side of a picture, rows and columns.
type Margins = [(usize, usize); 2];

struct Builder<'a> {
    config: &'a UNetConfig,
    style: BlockStyle,
    layout: Layout,
    stages: Vec<Stage>,
    /// Padded height and width of level 0.
    sizes: [usize; 2],
    refused: Option<NetworkError>,
}

impl<'a> Builder<'a> {
    /// For pictures of a shape: that shape and what is added to its sides.
    fn for_pictures(config: &'a UNetConfig, shape: &[usize]) -> Result<(Self, [usize; 3], Margins), NetworkError> {
        config.check()?;
        if config.condition_channels > 0 && config.condition_width > 0 {
            let expected = "0 beside condition_channels: a row is given with a picture or a vector";
            return Err(NetworkError::value("condition_width", config.condition_width, expected));
        }
        let [channels, height, width] = NetworkError::picture("unet", shape)?;
        let levels = config.levels();
        let least = 1usize << (levels - 1);
        if height < least || width < least {
            let fit = 1 + height.min(width).ilog2() as usize;
            return Err(NetworkError::Size { height, width, levels, least, fit });
        }
        let padding = [height, width].map(|side| {
            let more = side.next_multiple_of(least) - side;
            (more / 2, more - more / 2)
        });
        let sizes = [height, width].map(|side| side.next_multiple_of(least));
        Ok((Self::new(config, sizes), [channels, height, width], padding))
    }

    fn new(config: &'a UNetConfig, sizes: [usize; 2]) -> Self {
        let style = BlockStyle {
            embedding: config.embedding_mult * config.model_channels,
            groups: config.groups,
            group_width: config.group_width,
            first_groups: None,
            eps: config.norm_eps,
            scale_shift: config.scale_shift,
            gain: gain(config.skip_rescale),
            dropout: config.dropout,
            resample_skip_conv: config.resample_skip_conv,
        };
        Self { config, style, layout: Layout::new(config.init), stages: Vec::new(), sizes, refused: None }
    }

    fn finish(mut self, shape: [usize; 3], padding: Margins) -> Result<UNet, NetworkError> {
        let (config, channels) = (self.config, shape[0]);
        let outputs = if config.learned_variance { 2 * channels } else { channels };
        let (encoder, mut skips) = self.encoder(channels, padding);
        let up = self.up(outputs, &mut skips);
        let head = (config.progressive_output == ProgressiveOutput::None).then(|| self.head("out", config.width(0), outputs, 0));
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        let given = config.condition_width + config.condition_channels * shape[1] * shape[2];
        let description = Description::new(self.layout.specs, self.stages, &shape, outputs, config.classes).with_condition(given);
        Ok(UNet { encoder, description, up, head })
    }

    fn finish_half(mut self, shape: [usize; 3], padding: Margins, outputs: usize) -> Result<HalfUNet, NetworkError> {
        let (encoder, _) = self.encoder(shape[0], padding);
        let c = self.config.width(self.config.levels() - 1);
        self.check_groups(c, self.style.groups(c));
        let what = format!("norm, silu, mean over pixels, linear {c} -> {outputs}");
        self.stages.push(Stage { name: "pooled".into(), what, output: vec![outputs], parameters: 0 });
        let style = self.style;
        let (norm, linear) =
            self.layout.within("pooled", |l| (style.norm(l, "norm", c), l.linear("linear", c, outputs, true, Place::Last)));
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        let description = Description::of(self.layout.specs, self.stages, &shape, vec![outputs], self.config.classes);
        Ok(HalfUNet { encoder, description, norm, linear })
    }

    /// Everything before the way up, and the widths of what is kept for it.
    fn encoder(&mut self, channels: usize, padding: Margins) -> (Encoder, Vec<usize>) {
        let config = self.config;
        let stem_width = config.stem_channels.unwrap_or(config.model_channels);
        let embedding = Embedding::new(
            &mut self.layout,
            EmbeddingShape {
                time: config.time,
                base: config.model_channels,
                width: self.style.embedding,
                classes: config.classes,
                class_embedding: config.class_embedding,
                augment: config.augment,
            },
        );
        let width = self.style.embedding;
        self.stages.push(Stage {
            name: "embed".into(),
            what: "conditions to an embedding".into(),
            output: vec![width],
            parameters: 0,
        });
        let given = config.condition_width;
        let condition =
            (given > 0).then(|| self.layout.within("embed", |l| l.linear("condition", given, width, false, Place::Inner)));
        let seen = channels + config.condition_channels;
        let stem = self.layout.conv("stem", ConvShape::three(seen, stem_width), Place::Inner);
        self.stage("stem", format!("conv 3x3, {seen} -> {stem_width}"), stem_width, 0);

        let mut skips = vec![stem_width];
        let down = self.down(channels, &mut skips);
        let deepest = config.levels() - 1;
        let mid = self.middle(config.width(deepest), deepest);
        (Encoder { config: config.clone(), padding, gain: self.style.gain, embedding, condition, stem, down, mid }, skips)
    }

    /// Blocks of each level from the top, each output pushed on the skips.
    fn down(&mut self, channels: usize, skips: &mut Vec<usize>) -> Vec<DownLevel> {
        let config = self.config;
        let (mut c, mut from_picture) = (skips[0], channels);
        let mut levels = Vec::new();
        for level in 0..config.levels() {
            let width = config.width(level);
            let mut units = Vec::new();
            for i in 0..config.blocks {
                units.push(self.unit(format!("down.{level}.{i}"), c, width, level, config.attention_levels.contains(&level)));
                c = width;
                skips.push(c);
            }
            let (mut leave, mut input) = (None, None);
            if level + 1 < config.levels() {
                let name = format!("down.{level}.resample");
                leave = Some(self.leave(&name, c, level + 1, false));
                input = self.input_path(format!("down.{level}.input"), &mut from_picture, c, level + 1);
                skips.push(c);
            }
            levels.push(DownLevel { units, leave, input });
        }
        levels
    }

    fn middle(&mut self, c: usize, level: usize) -> Middle {
        let outside = self.style;
        self.style.gain = gain(self.config.mid_rescale.unwrap_or(self.config.skip_rescale));
        let first = self.block("mid.0", c, c, None, level);
        let attention = self.config.mid_attention.then(|| {
            self.stage("mid.attention", format!("attention, {} heads", self.config.heads_for(c)), c, level);
            self.attention("mid.attention", c, self.style)
        });
        let second = self.block("mid.1", c, c, None, level);
        self.style = outside;
        Middle { first, attention, second }
    }

    /// Blocks of each level from the deepest, each seeing one skip.
    fn up(&mut self, outputs: usize, skips: &mut Vec<usize>) -> Vec<UpLevel> {
        let config = self.config;
        let mut c = config.width(config.levels() - 1);
        let mut levels = Vec::new();
        for level in (0..config.levels()).rev() {
            let width = config.width(level);
            let mut units = Vec::new();
            for i in 0..=config.blocks {
                let skip = skips.pop().expect("one skip for every block on the way up");
                let placed = config.attention_placement == AttentionPlacement::EveryBlock || i == config.blocks;
                let attention = placed && config.attention_levels.contains(&level);
                // The blocks of a level with attention, whether it stands after them or not.
                let few = config.attention_groups.filter(|_| config.attention_levels.contains(&level));
                self.style.first_groups = few.map(|groups| groups.min(c + skip / config.group_width));
                units.push(self.unit(format!("up.{level}.{i}"), c + skip, width, level, attention));
                self.style.first_groups = None;
                c = width;
            }
            let output = (config.progressive_output == ProgressiveOutput::Skip)
                .then(|| self.head(&format!("up.{level}.output"), c, outputs, level));
            let leave = (level > 0).then(|| self.leave(&format!("up.{level}.resample"), c, level - 1, true));
            levels.push(UpLevel { units, output, leave });
        }
        levels
    }

    fn unit(&mut self, name: String, inputs: usize, outputs: usize, level: usize, attention: bool) -> Unit {
        let block = self.block(&name, inputs, outputs, None, level);
        let attention = attention.then(|| {
            let heads = self.config.heads_for(outputs);
            if let Some(stage) = self.stages.last_mut() {
                stage.what += &format!(", attention with {heads} head{}", if heads == 1 { "" } else { "s" });
            }
            let style = match self.config.attention_groups {
                Some(groups) => BlockStyle { groups, group_width: 1, ..self.style },
                None => self.style,
            };
            self.attention(&format!("{name}.attention"), outputs, style)
        });
        Unit { block, attention }
    }

    fn block(&mut self, name: &str, inputs: usize, outputs: usize, resample: Option<Resample>, level: usize) -> ResBlock {
        self.check_groups(inputs, self.style.first_groups.unwrap_or(self.style.groups(inputs)));
        self.check_groups(outputs, self.style.groups(outputs));
        let what = match resample {
            None => format!("residual block, {inputs} -> {outputs}"),
            Some(how) => format!("residual block, {how:?}"),
        };
        self.stage(name, what, outputs, level);
        ResBlock::new(&mut self.layout, name, inputs, outputs, resample, self.style)
    }

    fn attention(&mut self, name: &str, c: usize, style: BlockStyle) -> Attention {
        let heads = self.config.heads_for(c);
        if !c.is_multiple_of(heads) {
            let key = if self.config.head_channels.is_some() { "head_channels" } else { "heads" };
            let found = self.config.head_channels.unwrap_or(heads);
            self.refuse(NetworkError::value(
                key,
                found,
                format!("attention over {c} channels cannot be cut into {heads} equal heads"),
            ));
        }
        self.check_groups(c, style.groups(c));
        Attention::new(&mut self.layout, name, c, heads, style)
    }

    fn head(&mut self, name: &str, c: usize, outputs: usize, level: usize) -> Head {
        self.check_groups(c, self.style.groups(c));
        self.stage(name, format!("norm, silu, conv 3x3, {c} -> {outputs}"), outputs, level);
        let style = self.style;
        self.layout.within(name, |l| Head {
            norm: style.norm(l, "norm", c),
            conv: l.conv("conv", ConvShape::three(c, outputs), Place::Last),
        })
    }

    /// To the level `to`, up or down, at the same width.
    fn leave(&mut self, name: &str, c: usize, to: usize, up: bool) -> Leave {
        match self.config.resampling {
            Resampling::Block => Leave::Block(Box::new(self.block(name, c, c, Some(resample(self.config.filter, up)), to))),
            Resampling::Conv => {
                let mut shape = ConvShape::three(c, c);
                if !up {
                    shape.stride = 2;
                    if self.config.down_padding == DownPadding::BottomRight {
                        shape.pad = Padding { top: 0, left: 0, bottom: 1, right: 1 };
                    }
                }
                let what = if up { "nearest neighbours, conv 3x3" } else { "conv 3x3, stride 2" };
                self.stage(name, what.into(), c, to);
                Leave::Conv(self.layout.conv(name, shape, Place::Inner))
            }
        }
    }

    /// The convolution that brings the halved picture into the level `to`.
    fn input_path(&mut self, name: String, from_picture: &mut usize, c: usize, to: usize) -> Option<Conv> {
        let inputs = *from_picture;
        let shape = match (self.config.progressive_input, self.config.filter) {
            (ProgressiveInput::None, _) => return None,
            (ProgressiveInput::Skip, _) => ConvShape::one(inputs, c),
            (ProgressiveInput::Residual, ResampleFilter::Box) => ConvShape::three(inputs, c),
            // After the filter on a picture padded by two, the convolution takes every second position and pads no more.
            (ProgressiveInput::Residual, ResampleFilter::Fir) => {
                ConvShape { stride: 2, pad: Padding::all(0), ..ConvShape::three(inputs, c) }
            }
        };
        if self.config.progressive_input == ProgressiveInput::Residual {
            *from_picture = c;
        }
        self.stage(&name, format!("halved picture, {inputs} -> {c}, added"), c, to);
        Some(self.layout.conv(&name, shape, Place::Inner))
    }

    fn stage(&mut self, name: &str, what: String, c: usize, level: usize) {
        let [h, w] = self.sizes.map(|s| s >> level);
        self.stages.push(Stage { name: name.into(), what, output: vec![c, h, w], parameters: 0 });
    }

    /// Refuses a norm over `c` channels that cannot have so many groups.
    fn check_groups(&mut self, c: usize, groups: usize) {
        let (key, found) = match self.config.attention_groups {
            Some(attention) if groups != self.style.groups(c) => ("attention_groups", attention),
            _ => ("groups", self.config.groups),
        };
        if groups == 0 {
            let expected = format!("a norm over {c} channels would have no group; at most {c}");
            self.refuse(NetworkError::value("group_width", self.config.group_width, expected));
        } else if !c.is_multiple_of(groups) {
            let expected = format!(
                "{groups} groups do not divide a norm over {c} channels (on the way up, widths of two levels add); \
                 make model_channels a multiple of {groups}, or {key} a divisor of every width"
            );
            self.refuse(NetworkError::value(key, found, expected));
        }
    }

    /// Keeps the first reason.
    fn refuse(&mut self, reason: NetworkError) {
        self.refused.get_or_insert(reason);
    }
}

/// What sums of branches are multiplied by.
fn gain(rescale: bool) -> f64 {
    if rescale { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 }
}

/// The resampling of a filter.
pub(super) fn resample(filter: ResampleFilter, up: bool) -> Resample {
    match (filter, up) {
        (ResampleFilter::Box, true) => Resample::Up2Nearest,
        (ResampleFilter::Box, false) => Resample::Down2Mean,
        (ResampleFilter::Fir, true) => Resample::FirUp,
        (ResampleFilter::Fir, false) => Resample::FirDown,
    }
}
