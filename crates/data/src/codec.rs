//! Data to states and back: an affine map a channel, invertible, stored in the model file and never guessed again.
//!
//! The state of a category is its number; the names are stored, since other data may count them in another order ([`Codec::align`]).

use crate::categories::distinct;
use crate::{Categorical, DataError, Dataset, Shape, Value};
use serde::{Deserialize, Serialize};

/// The range that encoded numbers are given; categories are counted, whatever the range.
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

/// `state = (natural - shift) / scale`, with one shift and scale a channel: 0 and 1 for a channel of categories.
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
    /// Names of the categories of each channel, an empty list for numbers; empty itself if all are numbers, and then not in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    categories: Vec<Vec<String>>,
}

impl Codec {
    /// The codec of a data set: measured where the range asks for it.
    ///
    /// # Errors
    /// When a channel is constant and has to be standardised or spread, or is of one category alone.
    pub fn fit(data: &Dataset, options: &CodecOptions) -> Result<Self, DataError> {
        let (shape, value) = (data.shape(), data.value());
        let channels = shape.channels();
        let range = match (options.range, value) {
            (Range::Auto, Value::Byte) => Range::MinusOneOne,
            (Range::Auto, Value::Real | Value::Category) => Range::Standardise,
            (range, _) => range,
        };
        let measured = measure(data);
        let bounds = data.bounds();
        let mut shift = Vec::with_capacity(channels);
        let mut scale = Vec::with_capacity(channels);
        for (c, m) in measured.iter().enumerate() {
            if let Some(names) = data.categories(c) {
                if let [only] = names {
                    return Err(DataError::OneCategory { channel: data.channels()[c].clone(), name: only.clone() });
                }
                shift.push(0.0);
                scale.push(1.0);
                continue;
            }
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
        Ok(Self { shape, value, bounds, shift, scale, channels, classes, categories: data.categories.to_vec() })
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
            categories: Vec::new(),
        }
    }

    /// Checks what was read from a file.
    ///
    /// # Errors
    /// When lengths disagree, a number is not finite, a scale is not positive, bounds are the wrong way round, or a channel of categories
    /// has fewer than two, one of them twice, or is scaled.
    pub fn validate(&self) -> Result<(), DataError> {
        let c = self.shape.channels();
        let counted = |c: usize| {
            let Some(names) = self.categories(c) else { return self.value != Value::Category };
            names.len() > 1 && distinct(names) && (self.shift[c], self.scale[c]) == (0.0, 1.0)
        };
        let sound = self.shape.len() > 0
            && self.shift.len() == c
            && self.scale.len() == c
            && self.shift.iter().all(|v| v.is_finite())
            && self.scale.iter().all(|v| v.is_finite() && *v > 0.0)
            && self.bounds.is_none_or(|(low, high)| low.is_finite() && high.is_finite() && low <= high)
            && (self.categories.is_empty() || self.categories.len() == c)
            && (0..c).all(counted);
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

    /// The names of the categories of channel `c`, which its states count from 0; none if they are numbers.
    pub fn categories(&self, c: usize) -> Option<&[String]> {
        self.categories.get(c).filter(|names| !names.is_empty()).map(Vec::as_slice)
    }

    /// How many categories each channel has, at least two; none for a channel of numbers. In a picture every pixel of a channel has as many.
    pub fn levels(&self) -> Vec<Option<usize>> {
        (0..self.shape.channels()).map(|c| self.levels_of(c)).collect()
    }

    fn levels_of(&self, c: usize) -> Option<usize> {
        self.categories(c).map(<[String]>::len)
    }

    /// What [`crate::OpenOptions::categorical`] should be for other tables of these channels: the list of the channels of categories.
    pub fn categorical(&self) -> Categorical {
        let names: Vec<String> =
            self.channels.iter().enumerate().filter(|(c, _)| self.categories(*c).is_some()).map(|(_, n)| n.clone()).collect();
        if names.is_empty() { Categorical::None } else { Categorical::Names(names) }
    }

    /// The smallest and largest encoded value of channel `c`, where natural values have bounds: of categories the first and the last.
    pub fn range(&self, c: usize) -> Option<(f64, f64)> {
        if let Some(levels) = self.levels_of(c) {
            return Some((0.0, (levels - 1) as f64));
        }
        self.bounds.map(|(low, high)| ((low - self.shift[c]) / self.scale[c], (high - self.shift[c]) / self.scale[c]))
    }

    /// How many natural units a unit of the state is in channel `c`: 1 for categories.
    pub fn scale(&self, c: usize) -> f64 {
        self.scale[c]
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

    /// What a state of zero is in natural units in channel `c`.
    pub fn shift(&self, c: usize) -> f64 {
        self.shift[c]
    }

    /// The bounds of natural values, where they have any.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        self.bounds
    }

    /// A state to natural numbers; bytes are rounded, bounded values clipped to their bounds, categories the nearest there is.
    pub fn decode_row(&self, state: &[f32], natural: &mut [f32]) {
        for (i, (o, v)) in natural.iter_mut().zip(state).enumerate() {
            let c = self.channel_of(i);
            if let Some(levels) = self.levels_of(c) {
                *o = v.round().clamp(0.0, (levels - 1) as f32);
                continue;
            }
            let mut y = f64::from(*v) * self.scale[c] + self.shift[c];
            if let Some((low, high)) = self.bounds {
                y = y.clamp(low, high);
            }
            *o = if self.value == Value::Byte { y.round() as f32 } else { y as f32 };
        }
    }

    /// `ln |d state / d natural|` of a whole example: what a log-density of states gains to be one of natural values. Categories are
    /// counted alike in both and add nothing.
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
    /// Natural values that are shown as black and white: the bounds, the first and last category, or two deviations about the mean.
    pub(crate) fn bounds_of(&self, c: usize) -> (f64, f64) {
        if let Some(levels) = self.levels_of(c) {
            return (0.0, (levels - 1) as f64);
        }
        self.bounds.unwrap_or((self.shift[c] - 2.0 * self.scale[c], self.shift[c] + 2.0 * self.scale[c]))
    }
}
