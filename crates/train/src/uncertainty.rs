//! The trained log-variance of the loss at each noise level, `L = e^-u err + u` (Karras et al. 2024, eq. 14).
//!
//! `u` is linear in fixed features, `u(c) = b + sum_k w_k sqrt(2) cos(2 pi (f_k c + phi_k))`, so its gradient is written down:
//! `dL/du = 1 - e^-u err`. It vanishes where `e^u` is the mean error of the level, which makes every level count alike.

use crate::Uncertainty;
use scorefield_kernels::optim::{AdamW, adamw_step, sum_squares};
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;

/// The map from a noise level to `u`, and its optimiser's moments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    frequencies: Vec<f64>,
    phases: Vec<f64>,
    /// Bias first.
    pub(crate) weights: Vec<f32>,
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

impl Head {
    /// The features of a seed, with `u = 0` everywhere.
    pub(crate) fn new(options: &Uncertainty, seed: u64) -> Self {
        let k = options.features;
        // A stream no parameter has: parameters are numbered from zero.
        let stream = |draw| Stream::new(seed, u64::from(u32::MAX), Purpose::Init, 0, draw);
        let mut frequencies = vec![0.0; k];
        stream(0).fill_normal(&mut frequencies);
        let phases = (0..k).map(|i| stream(1).uniform(i)).collect();
        let zeros = vec![0.0; k + 1];
        Self { frequencies, phases, weights: zeros.clone(), first: zeros.clone(), second: zeros }
    }

    fn features(&self, c: f64) -> impl Iterator<Item = f64> + '_ {
        let wave = move |(f, phase): (&f64, &f64)| 2f64.sqrt() * (std::f64::consts::TAU * (f * c + phase)).cos();
        std::iter::once(1.0).chain(self.frequencies.iter().zip(&self.phases).map(wave))
    }

    /// `u` at `c = ln(sigma / alpha) / 4`.
    pub(crate) fn at(&self, c: f64) -> f64 {
        self.features(c).zip(&self.weights).map(|(f, w)| f * f64::from(*w)).sum()
    }

    /// Adds `share (1 - e^-u err)` times the features to a gradient: what one row of error `err` says.
    pub(crate) fn gradient(&self, c: f64, err: f64, share: f64, into: &mut Vec<f32>) {
        into.resize(self.weights.len(), 0.0);
        let slope = share * (1.0 - (-self.at(c)).exp() * err);
        into.iter_mut().zip(self.features(c)).for_each(|(g, f)| *g += (slope * f) as f32);
    }

    /// One step of Adam on a gradient clipped to the norm `clip`.
    pub(crate) fn step(&mut self, grad: &[f32], hyper: AdamW, clip: f64, step: u64) {
        let norm = sum_squares(grad).sqrt();
        let scale = if norm > clip { (clip / norm) as f32 } else { 1.0 };
        adamw_step(&mut self.weights, grad, &mut self.first, &mut self.second, hyper, step, scale, &mut []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradient is that of `mean(e^-u err + u)` by finite differences, and training on errors `e^(2c)` finds `u = 2c`.
    #[test]
    fn the_minimum_is_the_log_of_the_mean_error() {
        let mut head = Head::new(&Uncertainty { features: 16 }, 1);
        head.weights.iter_mut().enumerate().for_each(|(i, w)| *w = 0.05 * (i as f32 - 5.0));
        let rows: Vec<f64> = (0..40).map(|i| i as f64 / 20.0 - 1.0).collect();
        let err = |c: f64| (2.0 * c).exp();
        let loss = |h: &Head| rows.iter().map(|&c| (-h.at(c)).exp() * err(c) + h.at(c)).sum::<f64>() / 40.0;
        let gradient = |h: &Head| {
            let mut g = Vec::new();
            rows.iter().for_each(|&c| h.gradient(c, err(c), 1.0 / 40.0, &mut g));
            g
        };
        let g = gradient(&head);
        for i in [0, 3, 16] {
            let at = |by: f32| {
                let mut moved = head.clone();
                moved.weights[i] += by;
                loss(&moved)
            };
            let h = 1.0 / 256.0;
            let slope = (at(h) - at(-h)) / (2.0 * f64::from(h));
            assert!((slope - f64::from(g[i])).abs() < 1e-3 * (1.0 + slope.abs()), "{i}: {slope} {}", g[i]);
        }
        let hyper = AdamW { lr: 0.02, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.0 };
        (1..=2000).for_each(|k| {
            let g = gradient(&head);
            head.step(&g, hyper, f64::INFINITY, k);
        });
        rows.iter().for_each(|&c| assert!((head.at(c) - 2.0 * c).abs() < 0.1, "{c}: {}", head.at(c)));
    }
}
