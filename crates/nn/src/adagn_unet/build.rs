//! Putting the network together: the one place where widths are followed from layer to layer.

use super::block::Unit;
use super::mapping::Mapping;
use super::{AdaGnUNet, AdaGnUNetConfig};
use crate::layer::{ConvShape, Layout, Place};
use crate::{Description, NetworkError, Stage};

impl AdaGnUNet {
    /// The network for pictures of shape `[channels, height, width]`, each side a multiple of `patch_size 2^(levels - 1)`, so that the levels
    /// halve evenly; with several levels twice that at least, for one pixel cannot be reflected.
    ///
    /// # Errors
    /// When the configuration contradicts itself, the shape is not that of a picture, or a side does not fit the levels.
    pub fn new(config: &AdaGnUNetConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        config.check()?;
        let shape @ [_, height, width] = NetworkError::picture("adagn-unet", shape)?;
        let levels = config.levels();
        let multiple = config.patch_size << (levels - 1);
        let least = if levels > 1 { 2 * multiple } else { multiple };
        if [height, width].iter().any(|side| !side.is_multiple_of(multiple) || *side < least) {
            let advice = "give depths and channels fewer entries, or pad the pictures";
            return Err(NetworkError::Multiple { network: "adagn-unet", height, width, levels, multiple, least, advice });
        }
        let size = [height, width].map(|side| side / config.patch_size);
        Builder { config, layout: Layout::new(config.init), stages: Vec::new(), size, refused: None }.finish(shape)
    }
}

struct Builder<'a> {
    config: &'a AdaGnUNetConfig,
    layout: Layout,
    stages: Vec<Stage>,
    /// Height and width of level 0.
    size: [usize; 2],
    refused: Option<NetworkError>,
}

impl Builder<'_> {
    fn finish(mut self, shape: [usize; 3]) -> Result<AdaGnUNet, NetworkError> {
        let config = self.config;
        let (channels, side, levels) = (shape[0], config.patch_size, config.levels());

        let width = config.mapping_width;
        self.stages.push(Stage {
            name: "embed".into(),
            what: "conditions to an embedding".into(),
            output: vec![width],
            parameters: 0,
        });
        let mapping = Mapping::new(&mut self.layout, width, config.augment);
        let c = config.channels[0];
        self.stage("stem", format!("patches of {side}x{side}, {channels} -> {c}"), c, 0);
        let stem = self.layout.conv("stem", ConvShape::patches(side, channels, c), Place::Inner);

        // A level begins at the width of the one before it and ends at its own.
        let down = (0..levels)
            .map(|level| {
                let (from, to) = (config.channels[level.saturating_sub(1)], config.channels[level]);
                self.level("down", level, from, to)
            })
            .collect();
        // On the way up it begins at its own width, with a skip but at the deepest, and ends at that of the level it goes to.
        let up = (0..levels)
            .rev()
            .map(|level| {
                let (own, to) = (config.channels[level], config.channels[level.saturating_sub(1)]);
                self.level("up", level, if level + 1 < levels { 2 * own } else { own }, to)
            })
            .collect();

        let outputs = channels * side * side + usize::from(config.variance_channel);
        let variance = if config.variance_channel { " and a variance" } else { "" };
        self.stage("out", format!("conv 1x1, {c} -> {outputs}: patches of {side}x{side}{variance}"), outputs, 0);
        let out = self.layout.conv("out", ConvShape::one(c, outputs), Place::Last);

        if let Some(refused) = self.refused {
            return Err(refused);
        }
        // A variance channel is no part of the output.
        let description = Description::new(self.layout.specs, self.stages, &shape, shape[0], 0);
        Ok(AdaGnUNet { config: config.clone(), description, mapping, stem, down, up, out })
    }

    fn level(&mut self, way: &str, level: usize, from: usize, to: usize) -> Vec<Unit> {
        let config = self.config;
        let (inner, depth) = (config.channels[level], config.depths[level]);
        let attention = config.attention_levels.contains(&level);
        let mut units = Vec::with_capacity(depth);
        for i in 0..depth {
            let inputs = if i == 0 { from } else { inner };
            let outputs = if i + 1 == depth { to } else { inner };
            [inputs, inner].iter().for_each(|&c| self.check_groups(c));
            let mut what = format!("residual block, {inputs} -> {outputs}");
            if attention {
                let heads = config.heads_for(outputs);
                self.check_groups(outputs);
                self.check_heads(outputs);
                what += &format!(", attention with {heads} head{}", if heads == 1 { "" } else { "s" });
            }
            let name = format!("{way}.{level}.{i}");
            self.stage(&name, what, outputs, level);
            units.push(Unit::new(&mut self.layout, &name, [inputs, inner, outputs], attention, config));
        }
        units
    }

    fn stage(&mut self, name: &str, what: String, c: usize, level: usize) {
        let [h, w] = self.size.map(|s| s >> level);
        self.stages.push(Stage { name: name.into(), what, output: vec![c, h, w], parameters: 0 });
    }

    fn check_groups(&mut self, c: usize) {
        let groups = self.config.groups_for(c);
        if !c.is_multiple_of(groups) {
            let expected =
                format!("{groups} groups do not divide a norm over {c} channels (on the way up a level has twice its width)");
            self.refuse(NetworkError::value("group_width", self.config.group_width, expected));
        }
    }

    fn check_heads(&mut self, c: usize) {
        let heads = self.config.heads_for(c);
        if !c.is_multiple_of(heads) {
            let expected = format!("attention over {c} channels cannot be cut into {heads} equal heads");
            self.refuse(NetworkError::value("head_channels", self.config.head_channels, expected));
        }
    }

    /// Keeps the first reason.
    fn refuse(&mut self, reason: NetworkError) {
        self.refused.get_or_insert(reason);
    }
}
