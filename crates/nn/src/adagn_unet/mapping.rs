//! From the time and the augmentation of a row to the conditions that every norm is told.
//!
//! `cond = gelu(L1 gelu(L0 (f(c) + A a)))`, `f(c) = [cos(2 pi c w) | sin(2 pi c w)]`, `a` the nine numbers of an augmentation (zeros where
//! there are none). `c` is the row's [`Input::time`]: the authors' networks expect `ln(sigma) / 4`.

use crate::layer::{Layout, Linear, Pass, Place};
use crate::ops;
use crate::{Init, Input};
use scorefield_tensor::Tensor;

#[derive(Clone, Debug)]
pub(super) struct Mapping {
    width: usize,
    /// Drawn once and kept in the file: published half-precision files have rounded ones, which the weights are used with.
    frequencies: usize,
    augment: Option<Linear>,
    linear: [Linear; 2],
}

impl Mapping {
    /// Adds the layers under `embed`.
    pub(super) fn new(layout: &mut Layout, width: usize, augment: bool) -> Self {
        layout.within("embed", |l| Self {
            width,
            frequencies: l.add("frequencies", &[width / 2], Init::Normal { std: 1.0 }, false),
            augment: augment.then(|| l.linear("augment", 9, width, false, Place::Inner)),
            linear: ["linear0", "linear1"].map(|name| l.linear(name, width, width, true, Place::Inner)),
        })
    }

    /// `[n, width]`.
    pub(super) fn forward(&self, pass: &Pass<'_>, input: &Input) -> Tensor<2> {
        let n = input.time.len();
        let features = features(&input.time, &pass.frozen(self.frequencies));
        let mut e: Tensor<2> = pass.constant(features, [n, self.width]);
        if let (Some(augment), Some(numbers)) = (&self.augment, &input.augment) {
            e = e + augment.forward(pass, pass.constant(numbers.concat(), [n, 9]));
        }
        self.linear.iter().fold(e, |e, linear| ops::gelu(linear.forward(pass, e)))
    }
}

/// Cosines, then sines, row after row; the argument is formed in single precision, `(2 pi c) w`, its sine is not.
fn features(times: &[f64], frequencies: &[f32]) -> Vec<f32> {
    let of = |&c: &f64| {
        let turn = std::f32::consts::TAU * c as f32;
        let arguments = frequencies.iter().map(move |&w| f64::from(turn * w));
        arguments.clone().map(|a| a.cos() as f32).chain(arguments.map(|a| a.sin() as f32))
    };
    times.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    /// A quarter of a turn and two whole ones.
    #[test]
    fn features() {
        let f = super::features(&[0.25, 1.0], &[1.0, 2.0]);
        let expected = [0.0, -1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        f.iter().zip(expected).for_each(|(a, e)| assert!((a - e).abs() < 1e-6, "{f:?}"));
    }
}
