//! Putting an hourglass transformer together: the one place where widths are followed from layer to layer.

use super::layer::{Feed, Layer, Reach, SelfAttention};
use super::mapping::{AUGMENT, Mapping};
use super::norm::{AdaRmsNorm, RmsNorm};
use super::rotary::Grid;
use super::{Down, Hourglass, HourglassAttention, HourglassConfig, HourglassLevel, Up};
use crate::layer::{Layout, Linear, Place};
use crate::{Description, Init, InitScheme, NetworkError, Stage};
use std::f64::consts::PI;

impl Hourglass {
    /// The network for pictures of shape `[channels, height, width]`.
    ///
    /// # Errors
    /// When the configuration contradicts itself, the shape is not that of a picture, or patches, levels, windows or neighbourhoods do
    /// not fit it.
    pub fn new(config: &HourglassConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        let &[channels @ 1..=usize::MAX, height @ 1..=usize::MAX, width @ 1..=usize::MAX] = shape else {
            let advice = "use an mlp for vectors";
            return Err(NetworkError::Shape {
                network: "hourglass",
                expected: "[channels, height, width]",
                found: shape.to_vec(),
                advice,
            });
        };
        let grids = config.grids(height, width)?;
        Ok(Builder::new(config, &grids).finish([channels, height, width]))
    }
}

struct Builder<'a> {
    config: &'a HourglassConfig,
    grids: &'a [[usize; 2]],
    layout: Layout,
    stages: Vec<Stage>,
    multiplications: u64,
}

impl<'a> Builder<'a> {
    fn new(config: &'a HourglassConfig, grids: &'a [[usize; 2]]) -> Self {
        // The linear maps of Crowson et al. 2024 are drawn as those of ADM are; the last of each branch start at zero.
        Self { config, grids, layout: Layout::new(InitScheme::Adm), stages: Vec::new(), multiplications: 0 }
    }

    fn finish(mut self, shape: [usize; 3]) -> Hourglass {
        let config = self.config;
        let ([channels, height, width], [p, q]) = (shape, config.patch);
        let outputs = if config.learned_variance { 2 * channels } else { channels };
        let first = config.levels[0].width;
        let deepest = config.levels.len() - 1;

        let mapping = self.mapping();
        let enter = self.linear("enter", p * q * channels, first, Place::Inner, self.tokens(0));
        self.stage("enter", format!("patches of {p} x {q}, linear {} -> {first}", p * q * channels), first, 0);
        let down = (0..deepest).map(|level| self.down(level)).collect();
        let mid = self.layers("mid", deepest, 0);
        let up = (0..deepest).rev().map(|level| self.up(level)).collect();
        let norm = RmsNorm::new(&mut self.layout, "leave.norm", first);
        let leave = self.linear("leave.linear", first, p * q * outputs, Place::Last, self.tokens(0));
        self.stages.push(Stage {
            name: "leave".into(),
            what: format!("norm, linear {first} -> {}, patches to pixels", p * q * outputs),
            output: vec![outputs, height, width],
            parameters: 0,
        });

        let description = Description::new(self.layout.specs, self.stages, &shape, outputs, config.classes);
        Hourglass {
            config: config.clone(),
            description,
            multiplications: self.multiplications,
            grids: self.grids.iter().map(|&size| Grid { size }).collect(),
            mapping,
            enter,
            down,
            mid,
            up,
            norm,
            leave,
        }
    }

    fn mapping(&mut self) -> Mapping {
        let config = self.config;
        let (width, hidden) = (config.mapping_width, config.mapping_hidden_width());
        let frequencies = |b: &mut Self, name: &str, numbers: usize| {
            b.layout.add(&format!("mapping.{name}"), &[width / 2, numbers], Init::Normal { std: 1.0 }, false)
        };
        let time_frequencies = frequencies(self, "time_frequencies", 1);
        let time = self.linear("mapping.time", width, width, Place::Inner, 1);
        let augment_frequencies = frequencies(self, "augment_frequencies", AUGMENT);
        let augment = self.linear("mapping.augment", width, width, Place::Inner, 1);
        let class = (config.classes > 0).then(|| self.layout.table("mapping.class", config.classes + 1, width));
        self.count(class.map_or(0, |class| class.inputs), width, 1);
        let enter = RmsNorm::new(&mut self.layout, "mapping.enter", width);
        let block = |i: usize| {
            let norm = RmsNorm::new(&mut self.layout, &format!("mapping.{i}.norm"), width);
            (norm, self.feed(&format!("mapping.{i}"), width, hidden, config.mapping_dropout, 1))
        };
        let blocks = (0..config.mapping_depth).map(block).collect();
        let leave = RmsNorm::new(&mut self.layout, "mapping.leave", width);
        let what = "time, class and augmentation to the vector that layers are told".into();
        self.stages.push(Stage { name: "mapping".into(), what, output: vec![width], parameters: 0 });
        Mapping { time_frequencies, time, augment_frequencies, augment, class, enter, blocks, leave }
    }

    fn down(&mut self, level: usize) -> Down {
        let layers = self.layers(&format!("down.{level}"), level, 0);
        let (fine, coarse) = (self.config.levels[level].width, self.config.levels[level + 1].width);
        let name = format!("down.{level}.merge");
        let merge = self.linear(&name, 4 * fine, coarse, Place::Inner, self.tokens(level + 1));
        self.stage(&name, format!("2x2 tokens to one, linear {} -> {coarse}", 4 * fine), coarse, level + 1);
        Down { layers, merge }
    }

    fn up(&mut self, level: usize) -> Up {
        let (fine, coarse) = (self.config.levels[level].width, self.config.levels[level + 1].width);
        let name = format!("up.{level}.split");
        let split = self.linear(&name, coarse, 4 * fine, Place::Inner, self.tokens(level + 1));
        let share = self.layout.add(&format!("{name}.share"), &[1], Init::Constant { value: 0.5 }, true);
        self.stage(&name, format!("one token to 2x2, linear {coarse} -> {}, mean with the way down", 4 * fine), fine, level);
        // The way up goes on counting, and with it the turns of the windows.
        let layers = self.layers(&format!("up.{level}"), level, self.config.levels[level].depth);
        Up { split, share, layers }
    }

    fn layers(&mut self, name: &str, level: usize, counted: usize) -> Vec<Layer> {
        let depth = self.config.levels[level].depth;
        (0..depth).map(|i| self.layer(&format!("{name}.{i}"), level, counted + i)).collect()
    }

    fn layer(&mut self, name: &str, level: usize, number: usize) -> Layer {
        let HourglassLevel { width, dropout, attention, .. } = self.config.levels[level];
        let config = &self.config.levels[level];
        let (heads, tokens) = (config.heads(), self.tokens(level));
        let (reach, what) = match attention {
            HourglassAttention::Global => (Reach::Global, "attention to all tokens".to_owned()),
            HourglassAttention::ShiftedWindow { size } => {
                let shift = if number % 2 == 1 { size / 2 } else { 0 };
                (Reach::Window { size, shift }, format!("attention in windows of {size} x {size} moved by {shift}"))
            }
            HourglassAttention::Neighbourhood { size } => {
                (Reach::Neighbourhood { size }, format!("attention to {size} x {size} tokens around"))
            }
        };
        let plural = if heads == 1 { "" } else { "s" };
        self.stage(name, format!("{what}, {heads} head{plural}, feed-forward {}", config.hidden_width()), width, level);

        let inner = format!("{name}.attention");
        let attention = SelfAttention {
            norm: self.told(&inner, width),
            qkv: self.linear(&format!("{inner}.qkv"), width, 3 * width, Place::Qkv, tokens),
            scale: self.layout.add(&format!("{inner}.scale"), &[heads], Init::Constant { value: 10.0 }, true),
            frequencies: self.layout.add(
                &format!("{inner}.frequencies"),
                &[heads, config.head_channels / 8],
                Init::Geometric { from: PI, to: 10.0 * PI },
                false,
            ),
            out: self.linear(&format!("{inner}.out"), width, width, Place::Last, tokens),
            heads,
            reach,
            dropout,
        };
        let inner = format!("{name}.feed");
        let norm = self.told(&inner, width);
        Layer { attention, norm, feed: self.feed(&inner, width, config.hidden_width(), dropout, tokens) }
    }

    fn told(&mut self, name: &str, width: usize) -> AdaRmsNorm {
        AdaRmsNorm::new(self.linear(&format!("{name}.norm"), self.config.mapping_width, width, Place::Last, 1))
    }

    fn feed(&mut self, name: &str, width: usize, hidden: usize, dropout: f64, places: usize) -> Feed {
        Feed {
            up: self.linear(&format!("{name}.up"), width, 2 * hidden, Place::Inner, places),
            down: self.linear(&format!("{name}.down"), hidden, width, Place::Last, places),
            dropout,
        }
    }

    /// A linear map without bias, used at so many places.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, place: Place, places: usize) -> Linear {
        self.count(inputs, outputs, places);
        self.layout.linear(name, inputs, outputs, false, place)
    }

    /// Counts a map's multiplications; sizes that no machine could hold stop at the largest number.
    fn count(&mut self, inputs: usize, outputs: usize, places: usize) {
        let work = (inputs as u64).saturating_mul(outputs as u64).saturating_mul(places as u64);
        self.multiplications = self.multiplications.saturating_add(work);
    }

    /// Tokens of a level.
    fn tokens(&self, level: usize) -> usize {
        self.grids[level].iter().product()
    }

    fn stage(&mut self, name: &str, what: String, width: usize, level: usize) {
        let [rows, columns] = self.grids[level];
        self.stages.push(Stage { name: name.into(), what, output: vec![width, rows, columns], parameters: 0 });
    }
}
