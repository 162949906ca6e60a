//! Root-mean-square norms of tokens (Zhang and Sennrich 2019): `x g / sqrt(mean(x^2) + 1e-6)`.
//!
//! The gain `g` is a parameter, or `1 + W c` with the condition `c` of the token's picture (AdaRMS: Crowson et al. 2024, section 3.1).

use crate::Init;
use crate::layer::{Layout, Linear, Pass};
use scorefield_tensor::Tensor;

const EPS: f64 = 1e-6;

/// A norm with a gain of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct RmsNorm {
    gain: usize,
    width: usize,
}

impl RmsNorm {
    pub(super) fn new(layout: &mut Layout, name: &str, width: usize) -> Self {
        Self { gain: layout.within(name, |l| l.add("scale", &[width], Init::Ones, true)), width }
    }

    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<2>) -> Tensor<2> {
        let [rows, width] = x.dims();
        let gain = pass.tensor(self.gain, [1, 1, self.width]);
        normalised(x.reshape([rows, 1, width]), gain).reshape([rows, width])
    }
}

/// A norm whose gain is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdaRmsNorm {
    gain: Linear,
}

impl AdaRmsNorm {
    pub(super) fn new(gain: Linear) -> Self {
        Self { gain }
    }

    /// `x` `[n t, width]`, `condition` `[n, m]`.
    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<2>, condition: &Tensor<2>) -> Tensor<2> {
        let ([rows, width], [n, _]) = (x.dims(), condition.dims());
        let gain = self.gain.forward(pass, condition.clone()) + 1.0;
        normalised(x.reshape([n, rows / n, width]), gain.reshape([n, 1, width])).reshape([rows, width])
    }
}

fn normalised(x: Tensor<3>, gain: Tensor<3>) -> Tensor<3> {
    let square = (x.clone() * x.clone()).mean_dim(2);
    x * (square + EPS).sqrt().recip() * gain
}
