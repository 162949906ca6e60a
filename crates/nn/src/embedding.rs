//! From the time, the class and the augmentation of a row to the vector that every block is told.
//!
//! `e = silu(L1 silu(L0 f(t) + ...) + ...)`. The features `f` are sines and cosines; published networks agree on the two linear
//! layers and differ in the features' order, their lowest frequency, and the place where a class is added. Arguments of sines are
//! formed in single precision, as all of them do: the trained weights know the rounding of `t w` at large `t`.

use crate::layer::{Layout, Linear, Pass, Place};
use crate::{Init, Input, ops};
use rayon::prelude::*;
use scorefield_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Which half of sinusoidal features comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinCos {
    /// Sines, then cosines: Ho et al. 2020, Song et al. 2021, the DDPM++ of Karras et al. 2022.
    #[default]
    SinFirst,
    /// Cosines, then sines: Nichol and Dhariwal 2021, ADM.
    CosFirst,
}

/// The features of the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TimeFeatures {
    /// `sin(s t w_k)`, `cos(s t w_k)`, `w_k = 10000^(-k / (h - e))`, `k = 0..h`, `h` half the width (Vaswani et al. 2017).
    Sinusoidal {
        /// Order of the halves.
        #[serde(default)]
        order: SinCos,
        /// Whether the last frequency is exactly 1 / 10000 (`e = 1`: Ho et al. 2020) or stays above it (`e = 0`: ADM).
        #[serde(default)]
        endpoint: bool,
        /// The factor `s`; 1 where the time already runs to 1000.
        #[serde(default = "one")]
        scale: f64,
    },
    /// `sin(2 pi t w_k)`, `cos(2 pi t w_k)`, `w_k` drawn from a normal of deviation `scale` and frozen (Tancik et al. 2020); twice
    /// the width.
    Fourier {
        /// Standard deviation of the frequencies.
        scale: f64,
        /// The order of the rounded products: `t (2 pi w)` (Karras et al. 2022) or `((t w) 2) pi` (Song et al. 2021).
        #[serde(default)]
        frequency_first: bool,
    },
}

const fn one() -> f64 {
    1.0
}

impl TimeFeatures {
    /// The features of Ho et al. 2020.
    pub const fn ddpm() -> Self {
        Self::Sinusoidal { order: SinCos::SinFirst, endpoint: true, scale: 1.0 }
    }

    /// The features of Nichol and Dhariwal 2021 and of ADM.
    pub const fn adm() -> Self {
        Self::Sinusoidal { order: SinCos::CosFirst, endpoint: false, scale: 1.0 }
    }

    /// How many features there are for a base width.
    pub(crate) fn width(&self, base: usize) -> usize {
        match self {
            Self::Sinusoidal { .. } => base,
            Self::Fourier { .. } => 2 * base,
        }
    }

    /// The features of each time, row after row. `frequencies` are the frozen ones of Fourier features.
    fn of(&self, times: &[f64], width: usize, frequencies: &[f32]) -> Vec<f32> {
        let half = width / 2;
        let argument = |t: f64, k: usize| match *self {
            Self::Sinusoidal { endpoint, scale, .. } => (scale * t) as f32 * frequency(10_000.0, k, half, endpoint),
            Self::Fourier { frequency_first, .. } => {
                let (t, w) = (t as f32, frequencies[k]);
                let two_pi = std::f64::consts::TAU as f32;
                if frequency_first { t * (w * two_pi) } else { t * w * 2.0 * std::f32::consts::PI }
            }
        };
        let swap = matches!(self, Self::Sinusoidal { order: SinCos::CosFirst, .. });
        let row = |(row, &t): (&mut [f32], &f64)| {
            // The argument is rounded, its sine is that of the rounded one.
            let arguments: Vec<f32> = (0..half).map(|k| argument(t, k)).collect();
            let (first, second) = row[..2 * half].split_at_mut(half);
            let (sin, cos) = if swap { (second, first) } else { (first, second) };
            scorefield_kernels::sin_cos(&arguments, sin, cos);
        };
        let mut out = vec![0.0f32; times.len() * width];
        if out.len() < SHARED {
            out.chunks_mut(width).zip(times).for_each(row);
        } else {
            out.par_chunks_mut(width).zip(times).with_min_len(16).for_each(row);
        }
        out
    }
}

/// Features from which on the threads share the rows.
const SHARED: usize = 1 << 13;

/// Frequency `k` of `half`: `theta^(-k / (half - endpoint))` (Vaswani et al. 2017).
pub(crate) fn frequency(theta: f64, k: usize, half: usize, endpoint: bool) -> f32 {
    // A single frequency is 1 in either convention.
    let steps = half.saturating_sub(usize::from(endpoint)).max(1) as f64;
    // Rounded once; published programs round the exponent as well, each in its own way, and lie on both sides of this.
    (-theta.ln() * k as f64 / steps).exp() as f32
}

/// Where a class joins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassEmbedding {
    /// A vector added to the embedding, none for a row without class (Dhariwal and Nichol 2021).
    #[default]
    Embedding,
    /// A linear map with bias of `sqrt(K)` times the one-hot class, added to the features (DDPM++ of Karras et al. 2022); a row
    /// without class gets the bias.
    Features,
}

/// What the embedding is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EmbeddingShape {
    pub(crate) time: TimeFeatures,
    pub(crate) base: usize,
    pub(crate) width: usize,
    pub(crate) classes: usize,
    pub(crate) class_embedding: ClassEmbedding,
    pub(crate) augment: bool,
}

/// The layers from conditions to the embedding.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    shape: EmbeddingShape,
    frequencies: Option<usize>,
    class: Option<Linear>,
    augment: Option<Linear>,
    linear: [Linear; 2],
}

impl Embedding {
    /// Adds the layers under `embed`.
    pub(crate) fn new(layout: &mut Layout, shape: EmbeddingShape) -> Self {
        let features = shape.time.width(shape.base);
        layout.within("embed", |l| {
            let frequencies = match shape.time {
                TimeFeatures::Fourier { scale, .. } => {
                    Some(l.add("frequencies", &[shape.base], Init::Normal { std: scale }, false))
                }
                TimeFeatures::Sinusoidal { .. } => None,
            };
            let class = (shape.classes > 0).then(|| match shape.class_embedding {
                ClassEmbedding::Features => l.linear("class", shape.classes, features, true, Place::Inner),
                ClassEmbedding::Embedding => l.table("class", shape.classes, shape.width),
            });
            let augment = shape.augment.then(|| l.linear("augment", 9, features, false, Place::Inner));
            let linear = [
                l.linear("linear0", features, shape.width, true, Place::Inner),
                l.linear("linear1", shape.width, shape.width, true, Place::Inner),
            ];
            Self { shape, frequencies, class, augment, linear }
        })
    }

    /// `[n, width]`, the last activation applied.
    pub(crate) fn forward(&self, pass: &Pass<'_>, input: &Input) -> Tensor<2> {
        self.forward_with(pass, input, None)
    }

    /// [`Embedding::forward`] with something added before the last activation.
    pub(crate) fn forward_with(&self, pass: &Pass<'_>, input: &Input, more: Option<Tensor<2>>) -> Tensor<2> {
        let (n, features) = (input.time.len(), self.shape.time.width(self.shape.base));
        let frequencies = self.frequencies.map(|f| pass.frozen(f)).unwrap_or_default();
        let mut f = pass.constant(self.shape.time.of(&input.time, features, &frequencies), [n, features]);
        let at_features = self.shape.class_embedding == ClassEmbedding::Features;
        if let Some(class) = self.class.as_ref().filter(|_| at_features) {
            f = f + class.forward(pass, self.one_hot(pass, input, (self.shape.classes as f32).sqrt()));
        }
        if let (Some(augment), Some(numbers)) = (&self.augment, &input.augment) {
            f = f + augment.forward(pass, pass.constant(numbers.concat(), [n, 9]));
        }
        let mut e = self.linear[1].forward_ready(pass, ops::silu(self.linear[0].forward(pass, f)));
        if let Some(class) = self.class.as_ref().filter(|_| !at_features) {
            e = e + class.forward(pass, self.one_hot(pass, input, 1.0));
        }
        if let Some(more) = more {
            e = e + more;
        }
        ops::silu(e)
    }

    fn one_hot(&self, pass: &Pass<'_>, input: &Input, value: f32) -> Tensor<2> {
        let (n, k) = (input.time.len(), self.shape.classes);
        let mut rows = vec![0.0; n * k];
        for (i, label) in input.classes.iter().flatten().enumerate() {
            if let Some(label) = label {
                rows[i * k + *label as usize] = value;
            }
        }
        pass.constant(rows, [n, k])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// w = 1 and 1/10000 at the ends with `endpoint`, 1 and 1/100 without, for four features.
    #[test]
    fn sinusoidal_conventions() {
        let t = [3.0];
        let a = TimeFeatures::ddpm().of(&t, 4, &[]);
        let expected = [3f64.sin(), 3e-4f64.sin(), 3f64.cos(), 3e-4f64.cos()];
        a.iter().zip(expected).for_each(|(a, e)| assert!((f64::from(*a) - e).abs() < 1e-6, "{a} {e}"));
        let b = TimeFeatures::adm().of(&t, 4, &[]);
        let expected = [3f64.cos(), 0.03f64.cos(), 3f64.sin(), 0.03f64.sin()];
        b.iter().zip(expected).for_each(|(b, e)| assert!((f64::from(*b) - e).abs() < 1e-6, "{b} {e}"));
    }

    /// The same numbers but for rounding, whichever product comes first; whole turns give sine 0 and cosine 1.
    #[test]
    fn fourier_features() {
        for frequency_first in [false, true] {
            let f = TimeFeatures::Fourier { scale: 1.0, frequency_first }.of(&[0.25, 1.0], 4, &[1.0, 2.0]);
            let expected = [1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0, 1.0];
            f.iter().zip(expected).for_each(|(a, e)| assert!((a - e).abs() < 1e-6, "{f:?}"));
        }
    }
}
