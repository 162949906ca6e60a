//! A process seen at another resolution: every noise-to-signal ratio multiplied by a factor.
//!
//! Averaging `k` neighbouring pixels divides the variance of the noise by `k` and keeps the signal, so the same schedule destroys
//! less of a larger picture. Hoogeboom et al. 2023 ("Simple diffusion", eq. 3) repair that by
//! `log SNR + 2 ln(base / resolution)`, a factor `resolution / base` on `r = sigma / alpha`; Esser et al. 2024 (SD3, eq. 23) by
//! the time `s t / (1 + (s - 1) t)` of a rectified flow, which is a factor `s` on `r = t / (1 - t)`. Both are one wrapper.

use super::ProcessError;
use crate::{Process, ProcessExt, Span};
use scorefield_tensor::Dual;

/// What a family of processes keeps constant, and a shifted one with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// `alpha = 1`: variance exploding.
    Signal,
    /// `alpha + sigma = 1`: the straight line.
    Sum,
    /// `alpha^2 + sigma^2`, whatever it is: variance preserving among others.
    Variance,
}

/// `sigma / alpha` of a process times `factor`, over the same times.
///
/// `alpha' = k alpha`, `sigma' = k c sigma` with the factor `c` and the `k` that leaves the process in its family:
/// `k = 1` where `alpha = 1`, `k = 1 / (alpha + c sigma)` where `alpha + sigma = 1`, and else
/// `k = sqrt((alpha^2 + sigma^2) / (alpha^2 + c^2 sigma^2))`, which keeps a variance-preserving process one.
#[derive(Debug)]
pub struct Shifted<P> {
    process: P,
    factor: f64,
    keeps: Keeps,
}

impl<P: Process> Shifted<P> {
    /// A process with its ratios multiplied by `factor`; above 1 there is more noise at each time.
    ///
    /// # Errors
    /// Unless the factor lies between 1e-6 and 1e6.
    pub fn new(process: P, factor: f64) -> Result<Self, ProcessError> {
        if !(1e-6..=1e6).contains(&factor) {
            let expected = "a number from 1e-6 to 1e6; 1 shifts nothing";
            return Err(ProcessError { process: "shifted", parameter: "factor", found: factor, expected });
        }
        let holds = |f: fn(f64, f64) -> f64| {
            [0.0, 0.3, 0.7, 1.0]
                .iter()
                .map(|u| process.at(process.span().at(*u)))
                .all(|m| (f(m.alpha, m.sigma) - 1.0).abs() < 1e-12)
        };
        let keeps = match () {
            () if holds(|alpha, _| alpha) => Keeps::Signal,
            () if holds(|alpha, sigma| alpha + sigma) => Keeps::Sum,
            () => Keeps::Variance,
        };
        Ok(Self { process, factor, keeps })
    }

    /// The shift of Hoogeboom et al. 2023 from pictures of side `base` to side `resolution`: `factor = resolution / base`.
    ///
    /// # Errors
    /// As [`Shifted::new`].
    pub fn of_resolution(process: P, base: f64, resolution: f64) -> Result<Self, ProcessError> {
        Self::new(process, resolution / base)
    }

    /// The dynamic shift of flow matching, given as `mu = ln factor` (Esser et al. 2024; FLUX takes `mu` linear in the number of
    /// tokens): `t' = e^mu / (e^mu + 1 / t - 1)`.
    ///
    /// # Errors
    /// As [`Shifted::new`].
    pub fn of_mu(process: P, mu: f64) -> Result<Self, ProcessError> {
        Self::new(process, mu.exp())
    }

    fn scale(&self, t: Dual) -> Dual {
        let (alpha, sigma) = (self.process.alpha(t), self.process.sigma(t) * self.factor);
        match self.keeps {
            Keeps::Signal => Dual::constant(1.0),
            Keeps::Sum => 1.0 / (alpha + sigma),
            Keeps::Variance => {
                let total = alpha.square() + self.process.sigma(t).square();
                (total / (alpha.square() + sigma.square())).sqrt()
            }
        }
    }
}

impl<P: Process> Process for Shifted<P> {
    fn alpha(&self, t: Dual) -> Dual {
        self.process.alpha(t) * self.scale(t)
    }

    fn sigma(&self, t: Dual) -> Dual {
        self.process.sigma(t) * self.factor * self.scale(t)
    }

    fn span(&self) -> Span {
        self.process.span()
    }

    fn smooth(&self) -> bool {
        self.process.smooth()
    }

    fn steps(&self) -> Option<usize> {
        self.process.steps()
    }
}
