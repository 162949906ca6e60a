//! Score matching without denoising: the noise that was added is not used, only the noised data.
//!
//! Hyvarinen 2005, theorem 1: `E |s - grad ln p|^2 = E [ |s|^2 + 2 tr J ] + const` with `J = ds/dx`. The trace is exact (a direction
//! for every dimension) or that of random directions, `E_v v^T J v = tr J` (Song et al. 2019). The law `p` is that of `x_t`, so a loss
//! over many times is the annealed one, conditional on the noise level; times of a single low level give the plain one.
//!
//! A prediction makes `s = a x + b F(c_in x)` with `a = (alpha c_skip - 1) / sigma^2`, `b = alpha c_out / sigma^2`. With `kappa` the
//! weight on the squared error of the score, a row's loss is `kappa (|s|^2 + 2 tr J) / d`, evaluated on the network's own scale, plus
//! `kappa / sigma^2`, the constant that makes it equal to the denoising loss in expectation: figures of the two compare.
//!
//! `J` multiplies directions exactly where the network gives that ([`Network::exact_jvp`](scorefield_nn::Network::exact_jvp)), by
//! central differences elsewhere.

use crate::{Directions, Loss};
use scorefield_process::{Coeffs, Marginal};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Coefficient, Column, Device, Purpose, batch};

/// The most dimensions whose whole Jacobian is formed.
pub(crate) const MOST_DIMENSIONS: usize = 64;

/// The coefficients of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// `kappa b^2`, the weight on the error of the network's output.
    on_output: Column,
    /// `a / b`.
    own: Column,
    /// `1 / b`.
    inverse: Column,
    c_in: Column,
    /// `kappa / sigma^2`.
    constant: Column,
}

/// Directions and how their products are summed.
#[derive(Clone, Debug)]
pub(crate) struct Probes {
    /// Each `[n, d]`.
    pub(crate) directions: Vec<Batch>,
    share: f64,
    /// Whether `(v^T s)^2` stands for `|s|^2`.
    projected: bool,
}

impl Probes {
    /// The directions a loss asks for, for rows of `d` numbers; row `i` belongs to training sample `samples[i]`.
    pub(crate) fn of(loss: &Loss, d: usize, seed: u64, samples: &[u64], device: &Device) -> Self {
        let n = samples.len();
        let of_rows = |row: &dyn Fn(u64, &mut [f64])| {
            let mut v = vec![0.0; n * d];
            v.chunks_mut(d).zip(samples).for_each(|(v, &sample)| row(sample, v));
            batch(v.into_iter().map(|v| v as f32).collect(), n, device)
        };
        match *loss {
            Loss::Sliced { probes, variance_reduced, directions } => {
                let draw = |k: usize| {
                    of_rows(&|sample, v| {
                        let stream = Stream::new(seed, sample, Purpose::Probe, 0, k as u8);
                        match directions {
                            Directions::Rademacher => stream.fill_sign(v),
                            Directions::Normal => stream.fill_normal(v),
                        }
                    })
                };
                let directions = (0..probes).map(draw).collect();
                Self { directions, share: 1.0 / probes as f64, projected: !variance_reduced }
            }
            _ => {
                let axis = |i: usize| of_rows(&|_, v| v[i] = 1.0);
                Self { directions: (0..d).map(axis).collect(), share: 1.0, projected: false }
            }
        }
    }
}

impl Field {
    /// Of a prediction's coefficients, with the weights on the squared error of the network's output.
    pub(crate) fn new(m: &Marginal<Column>, coeffs: &Coeffs<Column>, on_output: &Column) -> Self {
        let inverse = m.sigma.square() / (m.alpha.clone() * coeffs.c_out.clone());
        Self {
            own: (m.alpha.clone() * coeffs.c_skip.clone() - 1.0) / (m.alpha.clone() * coeffs.c_out.clone()),
            constant: on_output.clone() * inverse.square() / m.sigma.square(),
            inverse,
            c_in: coeffs.c_in.clone(),
            on_output: on_output.clone(),
        }
    }

    /// The loss of every row, `[n, 1]`: `x` the states, `output` the network's `F(c_in x)`, `products[k]` its Jacobian (with respect
    /// to its own input) times `probes.directions[k]`, all in one derivative graph.
    pub(crate) fn rows(&self, x: &Batch, output: Batch, probes: &Probes, products: Vec<Batch>) -> Batch {
        let d = x.dims()[1] as f64;
        // s / b, and the parts of v^T J v / b^2 that belong to x itself and to the network
        let score = output + self.own.scale(x.clone());
        let (along_x, along_f) = (self.own.clone() * self.inverse.clone() * 2.0, self.c_in.clone() * self.inverse.clone() * 2.0);
        let mut sum = if probes.projected { None } else { Some((score.clone() * score.clone()).sum_dim(1)) };
        for (v, jv) in probes.directions.iter().zip(products) {
            let v = if x.is_autodiff() { v.clone().autodiff() } else { v.clone() };
            let trace = along_x.scale((v.clone() * v.clone()).sum_dim(1)) + along_f.scale((v.clone() * jv).sum_dim(1));
            let term = match probes.projected {
                true => trace + (v * score.clone()).sum_dim(1).powi_scalar(2),
                false => trace,
            } * probes.share;
            sum = Some(match sum {
                Some(sum) => sum + term,
                None => term,
            });
        }
        let sum = sum.expect("a loss has a direction or a norm");
        self.constant.shift(self.on_output.scale(sum) / d)
    }
}
