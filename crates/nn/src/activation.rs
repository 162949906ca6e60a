//! The nonlinearities that small networks may choose between.
//!
//! All are made of operations whose derivatives are exact and finite for every finite number; slopes are operations that can be
//! differentiated again.

use scorefield_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// A function of every number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `1 / (1 + e^-x)`.
    #[default]
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `ln(1 + e^x)`, the soft rectifier.
    Softplus,
    /// `x` for positive numbers, `0.05 x` for others.
    LeakyRelu,
}

/// The slope of the leaky rectifier below zero.
const LEAK: f64 = 0.05;

impl Activation {
    /// The function of every number.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Softplus => softplus(x),
            Self::LeakyRelu => x.clone() * leaky_slope(x),
        }
    }

    /// Its slope at every number.
    pub(crate) fn slope<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            // s' = s (1 - s)
            Self::Sigmoid => {
                let s = sigmoid(x);
                s.clone() * (s * -1.0 + 1.0)
            }
            // tanh' = 1 - tanh^2
            Self::Tanh => {
                let y = x.tanh();
                y.clone() * y * -1.0 + 1.0
            }
            // ln(1 + e^x)' = s(x)
            Self::Softplus => sigmoid(x),
            Self::LeakyRelu => leaky_slope(x),
        }
    }

    /// The name, as in a configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Softplus => "softplus",
            Self::LeakyRelu => "leaky relu",
        }
    }
}

/// `(tanh(x / 2) + 1) / 2`, which never overflows.
fn sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    ((x * 0.5).tanh() + 1.0) * 0.5
}

/// `m + ln(e^(x - m) + e^-m)` with `m = max(x, 0)`, which cancels and so has no slope: the derivative is the sigmoid everywhere, zero
/// included. The error is one rounding of 1 where `x` is far below zero.
fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let m = x.clone().detach().clamp_min(0.0);
    m.clone() + ((x - m.clone()).exp() + (m * -1.0).exp()).log()
}

/// 1 or the leak; at zero 1.
fn leaky_slope<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let x = x.detach();
    x.ones_like().mask_fill(x.lower_elem(0.0), LEAK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::{DType, Device, TensorData, rows_f64};

    /// Values and slopes by their formulas, the slope also as the derivative graph has it, where exponentials overflow and at zero.
    #[test]
    fn values_and_slopes() {
        let x: Vec<f64> = vec![-800.0, -90.0, -3.0, -0.25, 0.0, 0.5, 2.0, 90.0, 800.0];
        let s = |x: f64| 1.0 / (1.0 + (-x).exp());
        for act in [Activation::Sigmoid, Activation::Tanh, Activation::Softplus, Activation::LeakyRelu] {
            let expected = |&x: &f64| match act {
                Activation::Sigmoid => (s(x), s(x) * s(-x)),
                Activation::Tanh => (x.tanh(), x.cosh().powi(2).recip()),
                Activation::Softplus => (x.max(0.0) + (-x.abs()).exp().ln_1p(), s(x)),
                Activation::LeakyRelu if x < 0.0 => (0.05 * x, 0.05),
                Activation::LeakyRelu => (x, 1.0),
            };
            for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-14)] {
                let data = TensorData::new(x.clone(), [1, x.len()]);
                let leaf = Tensor::<2>::from_data(data, (&Device::default().autodiff(), dtype)).require_grad();
                let (y, slope) = (act.apply(leaf.clone()), act.slope(leaf.clone()));
                let grad = rows_f64(leaf.grad(&y.clone().sum().backward()).expect("a gradient"));
                let (y, slope) = (rows_f64(y.inner()), rows_f64(slope.inner()));
                for (i, (value, along)) in x.iter().map(expected).enumerate() {
                    let near = |a: f64, b: f64| (a - b).abs() <= tolerance * b.abs().max(1.0);
                    let found = (y[i], slope[i], grad[i]);
                    assert!(near(y[i], value) && near(slope[i], along) && near(grad[i], along), "{act:?} {}: {found:?}", x[i]);
                }
            }
        }
    }
}
