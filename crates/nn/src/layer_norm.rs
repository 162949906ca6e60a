//! Layer normalisation of whole pictures (Ba et al. 2016): with the mean `m` and the biased variance `v` of all numbers of one picture
//! and `eps = 1e-5`,
//!
//! `y = (x - m) / sqrt(v + eps) gamma + beta`,
//!
//! where `gamma` and `beta` have a number for every channel and pixel, so that a network with these norms takes pictures of one size
//! only. The mean and the size of a picture are lost: what comes after sees neither.

use crate::Init;
use crate::layer::{Layout, Pass};
use crate::ops::{self, Act};
use scorefield_tensor::Tensor;

const EPS: f64 = 1e-5;

/// The norm of pictures of one shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    gamma: usize,
    beta: usize,
    shape: [usize; 3],
}

impl LayerNorm {
    /// For pictures `[channels, height, width]`.
    pub(crate) fn new(layout: &mut Layout, name: &str, shape: [usize; 3]) -> Self {
        layout.within(name, |l| Self {
            gamma: l.add("weight", &shape, Init::Ones, true),
            beta: l.add("bias", &shape, Init::Zeros, true),
            shape,
        })
    }

    /// `x` `[n, c, h, w]`.
    pub(crate) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        let [c, h, w] = self.shape;
        // One group of all channels; its own scales, a number a channel, are one and zero.
        let (one, zero) = (pass.constant(vec![1.0; c], [c]), pass.constant(vec![0.0; c], [c]));
        let x = ops::group_norm(x, one, zero, 1, EPS, None, Act::Identity);
        x * pass.tensor(self.gamma, [1, c, h, w]) + pass.tensor(self.beta, [1, c, h, w])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InitScheme, Mode, Params};
    use scorefield_tensor::noise::Stream;
    use scorefield_tensor::{DType, Device, Purpose, TensorData, rows_f64};

    /// The formula, number by number, on pictures far from zero, and one whose numbers are all the same.
    #[test]
    fn norm_is_its_formula() {
        let numbers = |n: usize, seed: u64| -> Vec<f64> {
            let stream = Stream::new(seed, 0, Purpose::User, 0, 0);
            (0..n).map(|i| f64::from((2.0 * stream.uniform(i) - 1.0) as f32)).collect()
        };
        for shape @ [c, h, w] in [[3, 5, 4], [1, 2, 2], [20, 3, 3]] {
            let (n, d) = (3, c * h * w);
            let mut layout = Layout::new(InitScheme::Adm);
            let norm = LayerNorm::new(&mut layout, "norm", shape);
            let (gamma, beta) = (numbers(d, 1), numbers(d, 2));
            let host = [&gamma, &beta].map(|v| v.iter().map(|v| *v as f32).collect()).to_vec();
            let params = Params::from_host(&layout.specs, host, &Device::default()).unwrap();
            let mut x: Vec<f64> = numbers(n * d, 3).iter().map(|v| 2.0 + 0.5 * v).collect();
            x[d..2 * d].fill(0.75);
            let mut expected = Vec::new();
            for row in x.chunks(d) {
                let mean = row.iter().sum::<f64>() / d as f64;
                let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64;
                expected.extend((0..d).map(|i| (row[i] - mean) / (variance + 1e-5).sqrt() * gamma[i] + beta[i]));
            }
            for (dtype, tolerance) in [(DType::F32, 5e-6), (DType::F64, 1e-13)] {
                let params = params.cast(dtype);
                let pass = Pass::new(&params, &layout.specs, &Mode::Eval);
                let x = Tensor::<4>::from_data(TensorData::new(x.clone(), [n, c, h, w]), (&Device::default(), dtype));
                let y = rows_f64(norm.forward(&pass, x));
                let error = y.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(error < tolerance, "{shape:?}, {dtype:?}: {error}");
            }
        }
    }
}
