//! From the time, the class and the augmentation of a picture to the vector that all layers are told (Karras et al. 2019;
//! Crowson et al. 2024, section 3.1).
//!
//! `e = A f(t) + B g(a) + k`, with random Fourier features `f` of the time and `g` of the nine numbers of an augmentation (zeros
//! without one), and a vector `k` for each class and one more for none. Then `m = norm(e)`, `m <- m + feed(norm(m))` a few times,
//! `c = norm(m)`.

use super::layer::Feed;
use super::norm::RmsNorm;
use crate::Input;
use crate::layer::{Linear, Pass};
use scorefield_tensor::Tensor;

/// Numbers of an augmentation.
pub(super) const AUGMENT: usize = 9;

/// The layers from conditions to the vector.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    /// `[width / 2, 1]`.
    pub(super) time_frequencies: usize,
    pub(super) time: Linear,
    /// `[width / 2, 9]`.
    pub(super) augment_frequencies: usize,
    pub(super) augment: Linear,
    /// One column a class, the last for none.
    pub(super) class: Option<Linear>,
    pub(super) enter: RmsNorm,
    pub(super) blocks: Vec<(RmsNorm, Feed)>,
    pub(super) leave: RmsNorm,
}

impl Mapping {
    /// `[n, width]`.
    pub(super) fn forward(&self, pass: &Pass<'_>, input: &Input) -> Tensor<2> {
        let n = input.time.len();
        let told = |values: &[f32], frequencies: usize, linear: &Linear| {
            let features = features(values, n, &pass.frozen(frequencies));
            linear.forward(pass, pass.constant(features, [n, linear.inputs]))
        };
        let times: Vec<f32> = input.time.iter().map(|&t| t as f32).collect();
        let numbers = input.augment.as_ref().map_or_else(|| vec![0.0; AUGMENT * n], |rows| rows.concat());
        let mut e = told(&times, self.time_frequencies, &self.time) + told(&numbers, self.augment_frequencies, &self.augment);
        if let Some(class) = &self.class {
            let mut one_hot = vec![0.0; n * class.inputs];
            for (i, row) in one_hot.chunks_mut(class.inputs).enumerate() {
                let label = input.classes.as_ref().and_then(|labels| labels[i]);
                row[label.map_or(class.inputs - 1, |label| label as usize)] = 1.0;
            }
            e = e + class.forward(pass, pass.constant(one_hot, [n, class.inputs]));
        }

        let mut m = self.enter.forward(pass, e);
        for (norm, feed) in &self.blocks {
            m = feed.forward_onto(pass, norm.forward(pass, m.clone()), m, n);
        }
        self.leave.forward(pass, m)
    }
}

/// `[cos a | sin a]`, `a = (2 pi v) W^T`: `n` rows `v`, `W` `[half, numbers of v]`. The arguments are formed in single precision, as
/// those that the weights were trained with; their sines are not.
fn features(values: &[f32], n: usize, frequencies: &[f32]) -> Vec<f32> {
    let each = values.len() / n;
    let mut all = Vec::with_capacity(n * 2 * frequencies.len() / each);
    for v in values.chunks(each) {
        let argument = |w: &[f32]| -> f32 { w.iter().zip(v).map(|(w, v)| std::f32::consts::TAU * v * w).sum() };
        let arguments: Vec<f64> = frequencies.chunks(each).map(|w| f64::from(argument(w))).collect();
        all.extend(arguments.iter().map(|a| a.cos() as f32).chain(arguments.iter().map(|a| a.sin() as f32)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::features;

    #[test]
    fn cosines_then_sines_of_products() {
        let f = features(&[0.25, 1.0, 0.5, 0.0], 2, &[1.0, 0.0, 1.0, 0.25]); // rows (1/4, 1), (1/2, 0); frequencies (1, 0), (1, 1/4)
        let expected = [0.0, -1.0, 1.0, 0.0, -1.0, -1.0, 0.0, 0.0];
        f.iter().zip(expected).for_each(|(a, e)| assert!((a - e).abs() < 1e-6, "{f:?}"));
    }
}
