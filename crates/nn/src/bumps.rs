//! Read-outs that depend on time: a network works without knowing the time, and its last layer gives the coefficients of a few functions
//! of time (Sohl-Dickstein et al. 2015, appendix D).
//!
//! `y(t) = sum_j g_j(t) z_j`, `g_j(t) = exp(-(t - tau_j)^2 / 2 w^2) / sum_k exp(-(t - tau_k)^2 / 2 w^2)`,
//!
//! with centres `tau_j` spaced evenly from the first time to the last. The bumps are positive and sum to one, so that coefficients that
//! agree are the output at every time.

use crate::layer::Pass;
use crate::{Input, NetworkError};
use scorefield_tensor::{Batch, Tensor};
use serde::{Deserialize, Serialize};

/// Bumps along the time, `bumps` in the configurations of [`crate::Rbf`], [`crate::Perceptron`] and [`crate::MultiScale`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BumpsConfig {
    /// How many; the authors' program has ten.
    pub count: usize,
    /// The first and the last number that the network is told for a time; numbers outside count as the nearer end.
    pub times: [f64; 2],
    /// The width `w` in spacings of the centres: 1 in the paper, 0.5 in the authors' program.
    pub width: f64,
}

impl Default for BumpsConfig {
    fn default() -> Self {
        Self { count: 10, times: [0.0, 1.0], width: 1.0 }
    }
}

/// More than one bump for every step of the longest chains would only be noise.
const MOST: usize = 4096;

impl BumpsConfig {
    /// Refuses what cannot be.
    pub(crate) fn check(&self) -> Result<(), NetworkError> {
        if !(2..=MOST).contains(&self.count) {
            let expected = format!("from 2, one for each end of the times, to {MOST}");
            return Err(NetworkError::value("bumps.count", self.count, expected));
        }
        let length = self.times[1] - self.times[0];
        if !(length > 0.0 && length.is_finite()) {
            let expected = "two finite numbers, the first below the second";
            return Err(NetworkError::value("bumps.times", format!("{:?}", self.times), expected));
        }
        if !(0.01..=100.0).contains(&self.width) {
            return Err(NetworkError::value("bumps.width", self.width, "from 0.01 to 100 spacings"));
        }
        Ok(())
    }

    /// `g_j(t)` for every `j`.
    pub fn weights(&self, time: f64) -> Vec<f64> {
        let [first, last] = self.times;
        // The time in spacings, from 0 to J - 1.
        let s = (time.clamp(first, last) - first) / (last - first) * (self.count - 1) as f64;
        let exponent = |j: usize| -((s - j as f64) / self.width).powi(2) / 2.0;
        // The nearest bump is taken out first: it cancels, and keeps narrow bumps from vanishing all at once.
        let top = exponent(s.round() as usize);
        let bumps: Vec<f64> = (0..self.count).map(|j| (exponent(j) - top).exp()).collect();
        let sum: f64 = bumps.iter().sum();
        bumps.into_iter().map(|b| b / sum).collect()
    }

    /// `g_j(t_i)`, `[n, J]`.
    pub(crate) fn told(&self, pass: &Pass<'_>, input: &Input) -> Tensor<2> {
        let weights = input.time.iter().flat_map(|&t| self.weights(t)).map(|g| g as f32).collect();
        pass.constant(weights, [input.time.len(), self.count])
    }
}

/// `sum_j g_j z_j` for bumps `[n, J]` and coefficients `[n, J m]`, those of the first bump first: `[n, m]`.
pub(crate) fn read(bumps: &Tensor<2>, z: Batch) -> Batch {
    let ([n, count], [_, width]) = (bumps.dims(), z.dims());
    let m = width / count;
    (z.reshape([n, count, m]) * bumps.clone().reshape([n, count, 1])).sum_dim(1).reshape([n, m])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the formula with centres and width in units of time; they sum to one, mirror each other, and stay at the ends outside.
    #[test]
    fn bumps_are_their_formula() {
        let bumps = BumpsConfig { count: 5, times: [-1.0, 3.0], width: 0.5 };
        let direct = |t: f64| {
            let g: Vec<f64> = [-1.0f64, 0.0, 1.0, 2.0, 3.0].iter().map(|tau| (-(t - tau).powi(2) / (2.0 * 0.25)).exp()).collect();
            let sum: f64 = g.iter().sum();
            g.into_iter().map(|g| g / sum).collect::<Vec<_>>()
        };
        for (t, seen) in [(-1.0, -1.0), (-0.3, -0.3), (0.5, 0.5), (2.9, 2.9), (3.0, 3.0), (-7.0, -1.0), (1e9, 3.0)] {
            let (found, expected) = (bumps.weights(t), direct(seen));
            assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-15), "{t}: {found:?} {expected:?}");
            assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-15);
            let mirrored: Vec<f64> = bumps.weights(2.0 - t).into_iter().rev().collect();
            assert!(found.iter().zip(&mirrored).all(|(f, m)| (f - m).abs() < 1e-12), "{t}");
        }
        // Halfway between two centres both have e^(-1/8); the next ones are e^(-9/8).
        let wide = BumpsConfig { count: 4, times: [0.0, 3000.0], width: 1.0 }.weights(1500.0);
        let half = 0.5 / (1.0 + (-1f64).exp());
        assert!((wide[1] - half).abs() < 1e-15 && (wide[2] - half).abs() < 1e-15, "{wide:?}");
    }

    /// The narrowest bumps pick the nearest centre instead of dividing zero by zero.
    #[test]
    fn narrow_bumps_are_a_table() {
        let bumps = BumpsConfig { count: 3, times: [0.0, 2.0], width: 0.01 };
        assert!(bumps.check().is_ok());
        assert_eq!(bumps.weights(0.4), [1.0, 0.0, 0.0]);
        assert_eq!(bumps.weights(1.6), [0.0, 0.0, 1.0]);
    }
}
