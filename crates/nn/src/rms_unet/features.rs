//! Features of the time: fixed frequencies on the host, or frequencies that are parameters.
//!
//! Frequencies that are trained need a gradient, so their features are tensor operations, in the order in which the authors round:
//! `((t w) 2) pi`.

use super::RmsTimeFeatures;
use crate::embedding::frequency;
use crate::layer::{Layout, Pass};
use crate::{Init, Input};
use scorefield_tensor::Tensor;

#[derive(Clone, Copy, Debug)]
pub(super) enum Features {
    Fixed { theta: f64, width: usize },
    Weights { index: usize, frequencies: usize },
}

impl Features {
    /// Adds the frequencies, if they are parameters.
    pub(super) fn new(layout: &mut Layout, time: RmsTimeFeatures, base: usize) -> Self {
        let mut weights = |width: usize, trainable: bool| {
            let index = layout.add("frequencies", &[width / 2], Init::Normal { std: 1.0 }, trainable);
            Self::Weights { index, frequencies: width / 2 }
        };
        match time {
            RmsTimeFeatures::Sinusoidal { theta } => Self::Fixed { theta, width: base },
            RmsTimeFeatures::Learned { width } => weights(width, true),
            RmsTimeFeatures::Random { width } => weights(width, false),
        }
    }

    /// How many there are.
    pub(super) fn width(&self) -> usize {
        match *self {
            Self::Fixed { width, .. } => width,
            Self::Weights { frequencies, .. } => 2 * frequencies + 1,
        }
    }

    /// `[n, width]`.
    pub(super) fn forward(&self, pass: &Pass<'_>, input: &Input) -> Tensor<2> {
        let n = input.time.len();
        match *self {
            Self::Fixed { theta, width } => {
                let half = width / 2;
                let argument = |t: f64, k: usize| f64::from(t as f32 * frequency(theta, k, half, true));
                let of = |&t: &f64| {
                    let sines = (0..half).map(move |k| argument(t, k).sin() as f32);
                    sines.chain((0..half).map(move |k| argument(t, k).cos() as f32))
                };
                pass.constant(input.time.iter().flat_map(of).collect(), [n, width])
            }
            Self::Weights { index, frequencies } => {
                let t: Tensor<2> = pass.constant(input.time.iter().map(|&t| t as f32).collect(), [n, 1]);
                let argument = t.clone() * pass.tensor(index, [1, frequencies]) * 2.0 * std::f64::consts::PI;
                Tensor::cat(vec![t, argument.clone().sin(), argument.cos()], 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InitScheme, Mode, Params};
    use scorefield_tensor::rows;

    /// `theta = 100`, four features: frequencies 1 and 1/100; trained frequencies 1/4 and 1: quarter turns and whole turns.
    #[test]
    fn values() {
        let of = |time, base, weights: Vec<Vec<f32>>, t: f64| {
            let mut layout = Layout::new(InitScheme::Adm);
            let features = Features::new(&mut layout, time, base);
            let params = Params::from_host(&layout.specs, weights, &Default::default()).unwrap();
            let values = rows(features.forward(&Pass::new(&params, &layout.specs, &Mode::Eval), &Input::at(vec![t])));
            assert_eq!(values.len(), features.width());
            values
        };
        let near = |found: Vec<f32>, expected: &[f64]| {
            found.iter().zip(expected).for_each(|(f, e)| assert!((f64::from(*f) - e).abs() < 1e-6, "{found:?} {expected:?}"));
        };
        let fixed = of(RmsTimeFeatures::Sinusoidal { theta: 100.0 }, 4, vec![], 3.0);
        near(fixed, &[3f64.sin(), 0.03f64.sin(), 3f64.cos(), 0.03f64.cos()]);
        for time in [RmsTimeFeatures::Learned { width: 4 }, RmsTimeFeatures::Random { width: 4 }] {
            near(of(time, 64, vec![vec![0.25, 1.0]], 1.0), &[1.0, 1.0, 0.0, 0.0, 1.0]);
        }
    }
}
