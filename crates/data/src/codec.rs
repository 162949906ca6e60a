//! Data to states and back: an affine map a channel, invertible, stored in the model file and never guessed again.

use crate::{DataError, Dataset, Shape, Value};
use serde::{Deserialize, Serialize};

/// The range that encoded data are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Range {
    /// Bytes to [-1, 1], real numbers standardised.
    #[default]
    Auto,
    /// Smallest to -1, largest to 1 (0 and 255 for bytes).
    MinusOneOne,
    /// Smallest to 0, largest to 1 (0 and 255 for bytes).
    ZeroOne,
    /// Mean 0 and standard deviation 1 a channel.
    Standardise,
}

/// What a caller may choose of a codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CodecOptions {
    /// The range.
    pub range: Range,
}

/// `state = (natural - shift) / scale`, with one shift and scale a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Codec {
    shape: Shape,
    value: Value,
    /// Natural values lie within these where they have bounds: decoded values are clipped to them.
    bounds: Option<(f64, f64)>,
    shift: Vec<f64>,
    scale: Vec<f64>,
    channels: Vec<String>,
    classes: Vec<String>,
}

impl Codec {
    /// The codec of a data set: measured where the range asks for it.
    ///
    /// # Errors
    /// When a channel is constant and has to be standardised or spread.
    pub fn fit(data: &Dataset, options: &CodecOptions) -> Result<Self, DataError> {
        let (shape, value) = (data.shape(), data.value());
        let channels = shape.channels();
        let range = match (options.range, value) {
            (Range::Auto, Value::Byte) => Range::MinusOneOne,
            (Range::Auto, Value::Real) => Range::Standardise,
            (range, _) => range,
        };
        let measured = measure(data);
        let bounds = data.bounds();
        let mut shift = Vec::with_capacity(channels);
        let mut scale = Vec::with_capacity(channels);
        for (c, m) in measured.iter().enumerate() {
            let (low, high) = bounds.unwrap_or((m.low, m.high));
            let (a, b) = match range {
                Range::Standardise => (m.mean, m.deviation),
                Range::ZeroOne => (low, high - low),
                _ => (0.5 * (low + high), 0.5 * (high - low)),
            };
            if !(b > 0.0 && b.is_finite() && a.is_finite()) {
                return Err(DataError::Constant { channel: data.channels().get(c).cloned().unwrap_or_default(), value: m.mean });
            }
            shift.push(a);
            scale.push(b);
        }
        let (channels, classes) = (data.channels().to_vec(), data.classes().to_vec());
        Ok(Self { shape, value, bounds, shift, scale, channels, classes })
    }

    /// The codec of 8-bit pictures of `[channels, height, width]` whose states run from `low` at 0 to `high` at 255: of models that were
    /// trained elsewhere.
    pub fn pictures([channels, height, width]: [usize; 3], [low, high]: [f64; 2], classes: Vec<String>) -> Self {
        let (shape, scale) = (Shape::Image { channels, height, width }, 255.0 / (high - low));
        Self {
            shape,
            value: Value::Byte,
            bounds: Some((0.0, 255.0)),
            shift: vec![-low * scale; channels],
            scale: vec![scale; channels],
            channels: shape.channel_names(),
            classes,
        }
    }

    /// Checks what was read from a file.
    ///
    /// # Errors
    /// When lengths disagree, a number is not finite, a scale is not positive, or bounds are the wrong way round.
    pub fn validate(&self) -> Result<(), DataError> {
        let c = self.shape.channels();
        let sound = self.shape.len() > 0
            && self.shift.len() == c
            && self.scale.len() == c
            && self.shift.iter().all(|v| v.is_finite())
            && self.scale.iter().all(|v| v.is_finite() && *v > 0.0)
            && self.bounds.is_none_or(|(low, high)| low.is_finite() && high.is_finite() && low <= high);
        if sound { Ok(()) } else { Err(DataError::Codec { found: format!("{self:?}") }) }
    }

    /// The shape of an example.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What natural values are.
    pub fn value(&self) -> Value {
        self.value
    }

    /// Names of the channels.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Names of the classes; none for data without labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The smallest and largest encoded value of channel `c`, where natural values have bounds.
    pub fn range(&self, c: usize) -> Option<(f64, f64)> {
        self.bounds.map(|(low, high)| ((low - self.shift[c]) / self.scale[c], (high - self.shift[c]) / self.scale[c]))
    }

    fn channel_of(&self, i: usize) -> usize {
        i / self.shape.plane()
    }

    /// Natural numbers to a state.
    pub fn encode_row(&self, natural: &[f32], state: &mut [f32]) {
        for (i, (o, v)) in state.iter_mut().zip(natural).enumerate() {
            let c = self.channel_of(i);
            *o = ((f64::from(*v) - self.shift[c]) / self.scale[c]) as f32;
        }
    }

    /// A state to natural numbers; bytes are rounded, bounded values clipped to their bounds.
    pub fn decode_row(&self, state: &[f32], natural: &mut [f32]) {
        for (i, (o, v)) in natural.iter_mut().zip(state).enumerate() {
            let c = self.channel_of(i);
            let mut y = f64::from(*v) * self.scale[c] + self.shift[c];
            if let Some((low, high)) = self.bounds {
                y = y.clamp(low, high);
            }
            *o = if self.value == Value::Byte { y.round() as f32 } else { y as f32 };
        }
    }

    /// `ln |d state / d natural|` of a whole example: what a log-density of states gains to be one of natural values.
    pub fn log_det(&self) -> f64 {
        -(0..self.shape.len()).map(|i| self.scale[self.channel_of(i)].ln()).sum::<f64>()
    }
}

struct Measured {
    low: f64,
    high: f64,
    mean: f64,
    deviation: f64,
}

fn measure(data: &Dataset) -> Vec<Measured> {
    let shape = data.shape();
    let (plane, channels) = (shape.plane(), shape.channels());
    let mut sums = vec![(f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0); channels];
    let mut row = vec![0.0; shape.len()];
    for i in 0..data.len() {
        data.row(i, &mut row);
        for (c, sums) in sums.iter_mut().enumerate() {
            for &v in &row[c * plane..(c + 1) * plane] {
                let v = f64::from(v);
                *sums = (sums.0.min(v), sums.1.max(v), sums.2 + v, sums.3 + v * v);
            }
        }
    }
    let n = (data.len() * plane) as f64;
    sums.into_iter()
        .map(|(low, high, sum, squares)| {
            let mean = sum / n;
            Measured { low, high, mean, deviation: (squares / n - mean * mean).max(0.0).sqrt() }
        })
        .collect()
}

impl Codec {
    /// Natural values that are shown as black and white: the bounds, or two deviations about the mean.
    pub(crate) fn bounds_of(&self, c: usize) -> (f64, f64) {
        self.bounds.unwrap_or((self.shift[c] - 2.0 * self.scale[c], self.shift[c] + 2.0 * self.scale[c]))
    }
}
