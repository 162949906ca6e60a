//! Feature spaces in which distances are measured.
//!
//! `raw` is the data itself. `random-conv` sees local structure without any trained network: three levels of fixed random
//! 3x3 filters with leaky rectifiers and 2x2 mean pooling, of which each channel's mean and standard deviation over the
//! picture are kept. Random convolutional features tell textures apart (Ustyuzhaninov et al. 2017) and need no download; they
//! are weaker than learned ones and their distances are comparable only with each other.

use crate::{EvalError, Rows, RowsBuf};
use rayon::prelude::*;
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;
use serde::{Deserialize, Serialize};

/// Features by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureSpace {
    /// The rows themselves.
    Raw,
    /// Statistics of fixed random convolutions, [`Features::RANDOM_CONV_DIM`] numbers; pictures only.
    RandomConv,
}

impl FeatureSpace {
    /// Every feature space.
    pub fn all() -> [Self; 2] {
        [Self::Raw, Self::RandomConv]
    }

    /// The name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::RandomConv => "random-conv",
        }
    }
}

impl std::str::FromStr for FeatureSpace {
    type Err = EvalError;
    fn from_str(name: &str) -> Result<Self, EvalError> {
        Self::all()
            .into_iter()
            .find(|f| f.name() == name)
            .ok_or_else(|| EvalError::UnknownFeatures { found: name.to_owned(), known: Self::all().map(|f| f.name()).join(", ") })
    }
}

/// Constants of the feature spaces.
#[derive(Clone, Copy, Debug)]
pub struct Features;

impl Features {
    /// Numbers a picture under [`FeatureSpace::RandomConv`]: a mean and a deviation for each of 16 + 32 + 64 channels.
    pub const RANDOM_CONV_DIM: usize = 2 * (16 + 32 + 64);
    /// The seed of the filters: fixed, so that figures can be compared.
    pub const RANDOM_CONV_SEED: u64 = 2021;
    const WIDTHS: [usize; 3] = [16, 32, 64];
}

/// The features of rows; `picture` is `(channels, height, width)` when rows are pictures in CHW order.
///
/// # Errors
/// When picture features are asked of rows that are none, or a number is not finite.
pub fn features(space: FeatureSpace, rows: Rows<'_>, picture: Option<(usize, usize, usize)>) -> Result<RowsBuf, EvalError> {
    rows.check_finite("the set")?;
    match space {
        FeatureSpace::Raw => Ok(RowsBuf::new(rows.values().to_vec(), rows.len(), rows.dim())),
        FeatureSpace::RandomConv => {
            let found = match picture {
                Some((c, h, w)) if c * h * w == rows.dim() => return Ok(random_conv(rows, (c, h, w))),
                Some((c, h, w)) => format!("{c} x {h} x {w} makes {}", c * h * w),
                None => "they have no picture shape".to_owned(),
            };
            Err(EvalError::NoPictures { features: space.name(), dim: rows.dim(), found })
        }
    }
}

fn random_conv(rows: Rows<'_>, picture: (usize, usize, usize)) -> RowsBuf {
    let mut filters = Vec::new();
    let mut channels = picture.0;
    for (level, &width) in Features::WIDTHS.iter().enumerate() {
        // He et al. 2015: variance 2 / fan_in keeps the scale through rectifiers.
        let deviation = (2.0 / (9 * channels) as f32).sqrt();
        let mut w = vec![0.0f32; width * channels * 9];
        Stream::new(Features::RANDOM_CONV_SEED, level as u64, Purpose::Init, 0, 0).fill_normal_f32(&mut w);
        w.iter_mut().for_each(|v| *v *= deviation);
        filters.push(w);
        channels = width;
    }
    let values: Vec<f32> =
        (0..rows.len()).into_par_iter().flat_map_iter(|i| picture_features(rows.row(i), picture, &filters)).collect();
    RowsBuf::new(values, rows.len(), Features::RANDOM_CONV_DIM)
}

fn picture_features(row: &[f32], (mut channels, mut h, mut w): (usize, usize, usize), filters: &[Vec<f32>]) -> Vec<f32> {
    let mut out = Vec::with_capacity(Features::RANDOM_CONV_DIM);
    let mut x = row.to_vec();
    for (level, filter) in filters.iter().enumerate() {
        let width = Features::WIDTHS[level];
        x = convolve(&x, (channels, h, w), filter, width);
        channels = width;
        for plane in x.chunks_exact(h * w) {
            let n = plane.len() as f64;
            let mean = plane.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let variance = plane.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
            out.extend([mean as f32, variance.sqrt() as f32]);
        }
        (x, h, w) = pool(&x, channels, h, w);
    }
    out
}

/// 3x3 correlation with the border repeated, then a leaky rectifier of slope 0.2.
fn convolve(x: &[f32], (channels, h, w): (usize, usize, usize), filter: &[f32], width: usize) -> Vec<f32> {
    let (ph, pw) = (h + 2, w + 2);
    let mut padded = Vec::with_capacity(channels * ph * pw);
    for plane in x.chunks_exact(h * w) {
        for i in 0..ph {
            let line = &plane[i.saturating_sub(1).min(h - 1) * w..][..w];
            padded.push(line[0]);
            padded.extend_from_slice(line);
            padded.push(line[w - 1]);
        }
    }
    let mut out = vec![0.0f32; width * h * w];
    for (plane, taps) in out.chunks_exact_mut(h * w).zip(filter.chunks_exact(channels * 9)) {
        for (source, taps) in padded.chunks_exact(ph * pw).zip(taps.chunks_exact(9)) {
            for (tap, &weight) in taps.iter().enumerate() {
                for (i, line) in plane.chunks_exact_mut(w).enumerate() {
                    let from = &source[(i + tap / 3) * pw + tap % 3..][..w];
                    line.iter_mut().zip(from).for_each(|(o, v)| *o += weight * v);
                }
            }
        }
        plane.iter_mut().for_each(|v| *v = v.max(0.2 * *v));
    }
    out
}

/// 2x2 means; an odd last line or column is dropped, a side of one is left alone.
fn pool(x: &[f32], channels: usize, h: usize, w: usize) -> (Vec<f32>, usize, usize) {
    if h < 2 || w < 2 {
        return (x.to_vec(), h, w);
    }
    let (oh, ow) = (h / 2, w / 2);
    let mut out = Vec::with_capacity(channels * oh * ow);
    for plane in x.chunks_exact(h * w) {
        for i in 0..oh {
            for j in 0..ow {
                let at = 2 * i * w + 2 * j;
                out.push(0.25 * (plane[at] + plane[at + 1] + plane[at + w] + plane[at + w + 1]));
            }
        }
    }
    (out, oh, ow)
}
