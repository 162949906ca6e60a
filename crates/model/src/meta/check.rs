//! What a description read from a file must be before anything is built of it.

use super::ModelMeta;
use scorefield_data::Shape;
use scorefield_nn::{MlpConfig, NetworkConfig, PooledConfig, RmsTimeFeatures, TrunkConfig, UNetConfig};
use scorefield_process::ProcessExt;

/// No network of ours has wider layers, and no example more numbers: larger ones in a file are damage, and are refused before
/// anything is allocated or multiplied.
const WIDEST: f64 = (1u64 << 17) as f64;
const LARGEST_EXAMPLE: usize = 1 << 30;

impl ModelMeta {
    /// Checks what was read from a file with `tensors` tensors: whatever passes can be built and called without a panic.
    pub(crate) fn check(&self, tensors: usize) -> Result<(), String> {
        let say = |sound: bool, what: &dyn Fn() -> String| if sound { Ok(()) } else { Err(what()) };
        let (shape, codec) = (self.codec.shape(), &self.codec);
        let dims = shape.dims();
        let numbers = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        say(numbers.is_some_and(|n| (1..=LARGEST_EXAMPLE).contains(&n)), &|| format!("examples of shape {dims:?}"))?;
        codec.validate().map_err(|e| e.to_string())?;
        let names = codec.channels().len();
        say(names == shape.channels(), &|| format!("{names} names for {} channels", shape.channels()))?;
        let (told, named) = (self.network.classes(), codec.classes().len());
        say(told == 0 || named == 0 || told == named, &|| format!("{named} names for the network's {told} classes"))?;
        say(self.sigma_data.is_finite() && self.sigma_data > 0.0, &|| format!("sigma_data is {}", self.sigma_data))?;
        let (doubled, said) = (self.network.learned_variance(), self.variance.is_some());
        say(doubled == said, &|| format!("network.learned_variance is {doubled} and variance is {:?}", self.variance))?;
        self.check_size(tensors)?;
        self.check_classifier()?;
        self.check_condition()?;

        let categories = codec.levels().iter().any(Option::is_some);
        say(categories == self.states.is_some(), &|| {
            format!("categories in the data: {categories}, a process on them: {}", self.states.is_some())
        })?;
        if self.states.is_some() {
            self.check_states()?;
            if codec.levels().iter().all(Option::is_some) {
                return Ok(());
            }
        }

        // Every coefficient that sampling multiplies by, at both ends of the span and between.
        let process = self.process.build().map_err(|e| e.to_string())?;
        for u in [0.0, 0.5, 1.0] {
            let t = process.span().at(u);
            let c = self.coeffs(&process.at(t));
            // Beside categories the network is told the time of the whole.
            let told = if self.states.is_some() { u } else { self.time_input.at(&*process, t) };
            let sound = [c.c_skip, c.c_out, c.c_in, told].iter().all(|v| v.is_finite())
                && c.c_in != 0.0
                && (c.c_out != 0.0 || !self.prediction.is_posterior_mean());
            say(sound, &|| format!("prediction {:?} with {:?} at time {t} is {c:?}, {told}", self.prediction, self.time_input))?;
            say(self.network.takes_time(told), &|| {
                format!("time_input {:?} is {told} at time {t}, which is no noise level of {:?}", self.time_input, self.network)
            })?;
        }
        Ok(())
    }

    /// A condition has the shape that the network takes beside the state.
    fn check_condition(&self) -> Result<(), String> {
        let taken = self.network.condition(&self.codec.shape().dims());
        let given = self.condition.as_ref().map(|c| c.codec.shape().dims()).unwrap_or_default();
        let numbers = given.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if taken != given || numbers.is_none_or(|n| n > LARGEST_EXAMPLE) {
            return Err(format!("a condition of shape {given:?}, for a network that takes {taken:?}"));
        }
        let Some(condition) = &self.condition else { return Ok(()) };
        if self.states.is_some() || condition.codec.levels().iter().any(Option::is_some) {
            return Err("a condition beside or of categories".into());
        }
        condition.codec.validate().map_err(|e| format!("its condition: {e}"))
    }

    /// A classifier has a network of one number a class, and only a classifier has.
    fn check_classifier(&self) -> Result<(), String> {
        let outputs = if let NetworkConfig::Pooled(config) = &self.network { Some(config.outputs) } else { None };
        if outputs.is_some() != self.classifier.is_some() {
            return Err(format!(
                "a classifier: {}, a network of a few numbers: {}",
                self.classifier.is_some(),
                outputs.is_some()
            ));
        }
        let (Some(outputs), Some(summary)) = (outputs, &self.classifier) else { return Ok(()) };
        let named = self.codec.classes().len();
        if outputs < 2 || named != outputs || self.network.classes() != 0 {
            return Err(format!("a classifier of {outputs} classes, with {named} names, told of {}", self.network.classes()));
        }
        if self.states.is_some() {
            return Err("a classifier of categories".into());
        }
        match summary.accuracy.iter().find(|a| !(a.level.is_finite() && (0.0..=1.0).contains(&a.accuracy))) {
            None => Ok(()),
            Some(wrong) => Err(format!("an accuracy of {} at level {}", wrong.accuracy, wrong.level)),
        }
    }

    /// Categories that make no state, and times that the network cannot be told.
    fn check_states(&self) -> Result<(), String> {
        let levels: usize = self.codec.levels().into_iter().map(|l| l.unwrap_or(1)).fold(0, usize::saturating_add);
        let numbers = levels.saturating_mul(self.codec.shape().plane());
        if numbers > LARGEST_EXAMPLE {
            return Err(format!("states of {numbers} levels"));
        }
        let shape = self.network_shape().map_err(|e| e.to_string())?;
        if shape[0] as f64 > WIDEST {
            return Err(format!("a network told of {} levels a place, at most {WIDEST} are possible", shape[0]));
        }
        if self.variance.is_some() {
            return Err("a learned variance beside categories".into());
        }
        let told = [0.0, 0.5, 1.0].map(|t| self.told(t));
        let told = told.into_iter().collect::<Option<Vec<f64>>>().ok_or_else(|| {
            format!("time_input {:?} beside categories; expected a multiple of the time, or none", self.time_input)
        })?;
        match told.into_iter().find(|t| !t.is_finite() || !self.network.takes_time(*t)) {
            None => Ok(()),
            Some(told) => Err(format!("time_input {:?} is {told} for {:?}", self.time_input, self.network)),
        }
    }

    /// A network that is larger than the file it came in is refused before it is laid out.
    fn check_size(&self, tensors: usize) -> Result<(), String> {
        let of_mlp = |c: &MlpConfig| (c.depth, vec![c.hidden as f64, c.time_width as f64, c.classes as f64]);
        let of_unet = |c: &UNetConfig| {
            let base = c.model_channels as f64;
            let levels = c.channel_mult.iter().map(|m| base * m);
            let others = [base, base * c.embedding_mult as f64, c.classes as f64, c.stem_channels.unwrap_or(1) as f64];
            (c.blocks.saturating_mul(c.levels()), levels.chain(others).collect())
        };
        let (layers, widths): (usize, Vec<f64>) = match &self.network {
            NetworkConfig::Mlp(c) => of_mlp(c),
            NetworkConfig::UNet(c) => of_unet(c),
            NetworkConfig::Pooled(PooledConfig { outputs, trunk }) => {
                let (layers, widths) = match trunk {
                    TrunkConfig::Mlp(c) => of_mlp(c),
                    TrunkConfig::UNet(c) => of_unet(c),
                };
                (layers, widths.into_iter().chain([*outputs as f64]).collect())
            }
            NetworkConfig::Hourglass(c) => {
                let others = [c.mapping_width, c.mapping_hidden.unwrap_or(1), c.classes].map(|w| w as f64);
                let patch = c.patch.iter().map(|&side| side as f64).product();
                let levels = c.levels.iter().flat_map(|l| [l.width, l.hidden.unwrap_or(1), l.head_channels]).map(|w| w as f64);
                let layers = c.levels.iter().fold(c.mapping_depth, |n, l| n.saturating_add(l.depth));
                (layers, levels.chain(others).chain([patch]).collect())
            }
            NetworkConfig::RmsUNet(c) => {
                let (base, memory) = (c.model_channels as f64, c.heads as f64 * c.head_channels as f64);
                let levels = c.channel_mult.iter().map(|&m| base * m as f64);
                let features = match c.time {
                    RmsTimeFeatures::Sinusoidal { .. } => base,
                    RmsTimeFeatures::Learned { width } | RmsTimeFeatures::Random { width } => width as f64,
                };
                let others = [4.0 * base, c.stem_channels.unwrap_or(1) as f64, memory, features];
                (2 * c.levels(), levels.chain(others).collect())
            }
            NetworkConfig::AdaGnUNet(c) => {
                let blocks = c.depths.iter().fold(0usize, |n, &d| n.saturating_add(d));
                let others = [c.mapping_width as f64, c.patch_size as f64];
                (blocks, c.channels.iter().map(|&c| c as f64).chain(others).collect())
            }
            NetworkConfig::RefineNet(c) => {
                let widths = c.channel_mult.iter().map(|&m| c.model_channels as f64 * m as f64);
                (c.stages(), widths.chain([c.model_channels as f64, c.noise_levels as f64]).collect())
            }
            NetworkConfig::ConvStack(c) => {
                let others = [c.frequencies as f64, c.time_width as f64];
                (c.channels.len().saturating_add(c.time_depth), c.channels.iter().map(|&c| c as f64).chain(others).collect())
            }
            NetworkConfig::LayerNormUNet(c) => {
                let others = [c.mid_channels, c.times, c.time_width].map(|w| w as f64);
                (c.levels(), c.channels.iter().map(|&c| c as f64).chain(others).collect())
            }
            NetworkConfig::Rbf(c) => (1, vec![c.units as f64]),
            NetworkConfig::Perceptron(c) => (c.depth, vec![c.hidden as f64]),
            NetworkConfig::MultiScale(c) => {
                let layers = [c.dense_layers, c.pixel_layers].into_iter().fold(c.layers, usize::saturating_add);
                (layers, [c.channels, c.dense_width, c.pixel_width].map(|w| w as f64).to_vec())
            }
        };
        if let Some(wide) = widths.into_iter().find(|w| w.is_nan() || *w > WIDEST) {
            return Err(format!("a layer of the network has {wide} units, at most {WIDEST} are possible"));
        }
        let channels = if let Shape::Image { channels, .. } = self.codec.shape() { channels } else { 1 };
        if channels as f64 > WIDEST {
            return Err(format!("pictures of {channels} channels, at most {WIDEST} are possible"));
        }
        if layers > tensors { Err(format!("{layers} blocks in a file of {tensors} tensors")) } else { Ok(()) }
    }
}
