//! Putting a RefineNet together: the one place where widths and sizes are followed from layer to layer.

use super::norm::InstanceNormPlus;
use super::{Block, Refine, RefineNet, RefineNetConfig, Told, Unit};
use crate::layer::{Conv, ConvShape, Layout, Place};
use crate::{Description, InitScheme, NetworkError, Stage};

impl RefineNet {
    /// The network for pictures of shape `[channels, height, width]`.
    ///
    /// # Errors
    /// When the configuration contradicts itself, the shape is not that of a picture, or the halvings do not divide a side: there is no
    /// padding, which the norms would see.
    pub fn new(config: &RefineNetConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        config.check()?;
        let &[channels @ 1..=usize::MAX, height @ 1..=usize::MAX, width @ 1..=usize::MAX] = shape else {
            return Err(NetworkError::Shape {
                network: "refinenet",
                expected: "[channels, height, width]",
                found: shape.to_vec(),
                advice: "use an mlp for vectors",
            });
        };
        let multiple = 1usize << config.halvings(config.stages() - 1);
        if !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
            let advice = "dilate more stages, so that fewer halve the size";
            let (network, levels) = ("refinenet", config.stages());
            return Err(NetworkError::Multiple { network, height, width, levels, multiple, least: multiple, advice });
        }
        // The rule of weights and biases of the authors' framework: uniform, variance 1 / (3 fan_in), the last layers too.
        let layout = Layout::new(InitScheme::Adm);
        Ok(Builder { config, layout, stages: Vec::new(), multiplications: 0, sizes: [height, width] }
            .finish([channels, height, width]))
    }
}

struct Builder<'a> {
    config: &'a RefineNetConfig,
    layout: Layout,
    stages: Vec<Stage>,
    multiplications: u64,
    /// Height and width of stage 0.
    sizes: [usize; 2],
}

impl Builder<'_> {
    fn finish(mut self, shape: [usize; 3]) -> RefineNet {
        let (config, channels) = (self.config, shape[0]);
        let base = config.width(0);
        let stem = self.conv("stem", ConvShape::three(channels, base), 0);
        self.stage("stem", format!("conv 3x3, {channels} -> {base}"), base, 0);

        let mut inputs = base;
        let mut down = Vec::new();
        for stage in 0..config.stages() {
            let width = config.width(stage);
            down.push(
                [0, 1].map(|i| self.block(&format!("res.{stage}.{i}"), if i == 0 { inputs } else { width }, stage, i == 0)),
            );
            inputs = width;
        }

        // The width of the refinement below, and how often its size was halved.
        let mut below: Option<(usize, usize)> = None;
        let mut refine = Vec::new();
        for stage in (0..config.stages()).rev() {
            let at = config.halvings(stage);
            let stage_output = (config.width(stage), at);
            let sources: Vec<(usize, usize)> = [stage_output].into_iter().chain(below).collect();
            // Into the width of the stage above, which is joined next; a single input keeps its own.
            let width = if below.is_some() { config.width(stage.saturating_sub(1)) } else { config.width(stage) };
            refine.push(self.refine(&format!("refine.{stage}"), &sources, width, at, stage == 0));
            below = Some((width, at));
        }

        let width = below.map_or(base, |(width, _)| width);
        let norm = self.norm("out.norm", width);
        let last = self.conv("out.conv", ConvShape::three(width, channels), 0);
        self.stage("out", format!("norm, elu, conv 3x3, {width} -> {channels}"), channels, 0);

        let description = Description::new(self.layout.specs, self.stages, &shape, channels, 0);
        RefineNet { config: config.clone(), description, multiplications: self.multiplications, stem, down, refine, norm, last }
    }

    /// The first block of a stage changes width and size: the width in its second convolution, the size after it.
    fn block(&mut self, name: &str, inputs: usize, stage: usize, first: bool) -> Block {
        let (outputs, dilation) = (self.config.width(stage), self.config.dilations[stage]);
        let changes = first && stage > 0;
        let halves = changes && self.config.halves(stage);
        let after = self.config.halvings(stage);
        let within = after - usize::from(halves);
        let shape = |inputs, outputs| ConvShape { dilation, ..ConvShape::three(inputs, outputs) };
        let block = Block {
            norm0: self.norm(&format!("{name}.norm0"), inputs),
            conv0: self.conv(&format!("{name}.conv0"), shape(inputs, inputs), within),
            norm1: self.norm(&format!("{name}.norm1"), inputs),
            conv1: self.conv(&format!("{name}.conv1"), shape(inputs, outputs), within),
            skip: changes.then(|| {
                let shape = if halves { ConvShape::one(inputs, outputs) } else { shape(inputs, outputs) };
                self.conv(&format!("{name}.skip"), shape, after)
            }),
            halves,
        };
        let how = match (halves, dilation) {
            (true, _) => ", halved".to_owned(),
            (false, 1) => String::new(),
            (false, d) => format!(", dilation {d}"),
        };
        self.stage(name, format!("residual block, {inputs} -> {outputs}{how}"), outputs, after);
        block
    }

    /// `sources` are the inputs as (width, halvings); the result has `width` channels at the size of the first.
    fn refine(&mut self, name: &str, sources: &[(usize, usize)], width: usize, at: usize, last: bool) -> Refine {
        let mut adapt = Vec::new();
        for (i, &(inputs, halvings)) in sources.iter().enumerate() {
            let name = format!("{name}.adapt.{i}");
            adapt.push([0, 1].map(|u| self.unit(&format!("{name}.{u}"), inputs, halvings)));
            self.stage(&name, "two residual units of two conv 3x3".into(), inputs, halvings);
        }
        let mut fuse = Vec::new();
        if sources.len() > 1 {
            let name = format!("{name}.fuse");
            for (i, &(inputs, halvings)) in sources.iter().enumerate() {
                fuse.push(self.told(&format!("{name}.{i}"), ConvShape::three(inputs, width), halvings));
            }
            let from = sources.iter().map(|(inputs, _)| inputs.to_string()).collect::<Vec<_>>().join(" and ");
            self.stage(&name, format!("conv 3x3, {from} -> {width}, resized and added"), width, at);
        }
        let plain = ConvShape { bias: false, ..ConvShape::three(width, width) };
        let pool = [0, 1].map(|i| self.told(&format!("{name}.pool.{i}"), plain, at));
        let how = if self.config.noise_levels > 0 { "mean" } else { "max" };
        self.stage(&format!("{name}.pool"), format!("elu, two {how} 5x5, conv 3x3, added"), width, at);
        let units = if last { 3 } else { 1 };
        let out = (0..units).map(|u| self.unit(&format!("{name}.out.{u}"), width, at)).collect();
        let what = if last { "three residual units of two conv 3x3" } else { "residual unit of two conv 3x3" };
        self.stage(&format!("{name}.out"), what.into(), width, at);
        Refine { adapt, fuse, pool, out }
    }

    fn unit(&mut self, name: &str, width: usize, halvings: usize) -> Unit {
        let shape = ConvShape { bias: false, ..ConvShape::three(width, width) };
        [0, 1].map(|i| self.told(&format!("{name}.{i}"), shape, halvings))
    }

    fn told(&mut self, name: &str, shape: ConvShape, halvings: usize) -> Told {
        let norm = (self.config.noise_levels > 0).then(|| self.norm(&format!("{name}.norm"), shape.inputs));
        Told { norm, conv: self.conv(&format!("{name}.conv"), shape, halvings) }
    }

    fn norm(&mut self, name: &str, channels: usize) -> InstanceNormPlus {
        InstanceNormPlus::new(&mut self.layout, name, channels, self.config.noise_levels)
    }

    /// A convolution over pictures halved so often.
    fn conv(&mut self, name: &str, shape: ConvShape, halvings: usize) -> Conv {
        let [h, w] = self.sizes.map(|side| side >> halvings);
        let weights = (shape.inputs * shape.outputs * shape.kernel * shape.kernel) as u64;
        // What a damaged file says may be beyond counting, and is refused for other reasons.
        self.multiplications = self.multiplications.saturating_add(weights.saturating_mul((h * w) as u64));
        self.layout.conv(name, shape, Place::Inner)
    }

    fn stage(&mut self, name: &str, what: String, channels: usize, halvings: usize) {
        let [h, w] = self.sizes.map(|side| side >> halvings);
        self.stages.push(Stage { name: name.into(), what, output: vec![channels, h, w], parameters: 0 });
    }
}
