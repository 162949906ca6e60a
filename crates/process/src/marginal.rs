//! The law of `x_t` given `x_0` at one time, and all that follows from it.
//!
//! Song et al. 2021 ("Score-based generative modeling through stochastic differential equations"), Karras et al. 2022
//! ("Elucidating the design space"), Kingma et al. 2021 ("Variational diffusion models") write the same quantities in three
//! notations; here they are one struct.

use scorefield_tensor::{Batch, Coefficient};

/// `x_t ~ N(alpha x_0, sigma^2 I)` and the slopes of both coefficients; one time for all rows (`f64`) or one a row
/// ([`Column`](scorefield_tensor::Column)).
#[derive(Clone, Debug, PartialEq)]
pub struct Marginal<S = f64> {
    /// Signal coefficient.
    pub alpha: S,
    /// Noise coefficient: a standard deviation.
    pub sigma: S,
    /// `d alpha / dt`.
    pub d_alpha: S,
    /// `d sigma / dt`.
    pub d_sigma: S,
}

/// `x_s ~ N(of_clean x_0 + of_state x_t, deviation^2 I)`: a step of the reverse chain whose clean end is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior<S = f64> {
    /// Coefficient of `x_0`.
    pub of_clean: S,
    /// Coefficient of `x_t`.
    pub of_state: S,
    /// Standard deviation.
    pub deviation: S,
}

impl<S: Coefficient> Marginal<S> {
    /// `ln(alpha^2 / sigma^2)`.
    pub fn log_snr(&self) -> S {
        (self.alpha.clone() / self.sigma.clone()).ln() * 2.0
    }

    /// Noise-to-signal ratio `sigma / alpha`: the noise level of the equivalent variance-exploding process.
    pub fn ratio(&self) -> S {
        self.sigma.clone() / self.alpha.clone()
    }

    /// Linear drift coefficient `f = alpha' / alpha` of `dx = f x dt + g dw` (Song et al. 2021, eq. 5).
    pub fn drift(&self) -> S {
        self.d_alpha.clone() / self.alpha.clone()
    }

    /// Squared diffusion coefficient `g^2 = 2 sigma sigma' - 2 f sigma^2`.
    pub fn diffusion_squared(&self) -> S {
        (self.d_sigma.clone() - self.drift() * self.sigma.clone()) * self.sigma.clone() * 2.0
    }

    /// `x_t = alpha x_0 + sigma eps`.
    pub fn perturb(&self, x0: &Batch, eps: &Batch) -> Batch {
        self.alpha.scale(x0.clone()) + self.sigma.scale(eps.clone())
    }

    /// The noise in `x_t` if the clean data were `x0`: `eps = (x - alpha x_0) / sigma`.
    pub fn noise(&self, x: &Batch, x0: &Batch) -> Batch {
        self.sigma.recip().scale(x.clone() - self.alpha.scale(x0.clone()))
    }

    /// The score by Tweedie's formula: `(alpha E[x_0 | x] - x) / sigma^2`.
    pub fn score(&self, x: &Batch, x0: &Batch) -> Batch {
        self.sigma.square().recip().scale(self.alpha.scale(x0.clone()) - x.clone())
    }

    /// The clean data that a score implies: `(x + sigma^2 s) / alpha`.
    pub fn clean_of_score(&self, x: &Batch, score: &Batch) -> Batch {
        self.alpha.recip().scale(x.clone() + self.sigma.square().scale(score.clone()))
    }

    /// The law of `x_s`, `s` being nearer to the data, given `x_t` and `x_0` (Ho et al. 2020, eq. 7, in the form without division by
    /// alpha).
    pub fn posterior(&self, at_s: &Self) -> Posterior<S> {
        let decay = self.alpha.clone() / at_s.alpha.clone();
        // 1 - rho^2 from the log-SNRs, without cancellation.
        let fresh = -(self.log_snr() - at_s.log_snr()).exp_m1();
        let shrink = at_s.sigma.clone() / self.sigma.clone();
        Posterior {
            of_clean: at_s.alpha.clone() * fresh.clone(),
            of_state: decay * shrink.clone() * shrink,
            deviation: at_s.sigma.clone() * fresh.sqrt(),
        }
    }

    /// The variance-preserving law of a log-SNR: `alpha^2 = sigmoid(log_snr)`, `sigma^2 = sigmoid(-log_snr)`. A level alone has no time,
    /// and its slopes are not numbers.
    pub fn of_log_snr(log_snr: &S) -> Self {
        // sigmoid(v) = 1 / (1 + e^-v)
        let root = |minus: S| (minus.exp_m1() + 2.0).recip().sqrt();
        let none = log_snr.constant(f64::NAN);
        Self { alpha: root(-log_snr.clone()), sigma: root(log_snr.clone()), d_alpha: none.clone(), d_sigma: none }
    }

    /// `KL(q(x_t | x_0) | N(0, spread I))` in nats, entry by entry, `[n, d]`: what a chain that begins here costs at its beginning.
    pub fn divergence_from(&self, spread: &S, x0: &Batch) -> Batch {
        let (signal, noise) = (self.alpha.square() / spread.clone(), self.sigma.square() / spread.clone());
        let of_noise = noise.clone() - 1.0 - noise.ln();
        (of_noise * 0.5).shift((signal * 0.5).scale(x0.clone() * x0.clone()))
    }

    /// The velocity of the probability flow along a path with clean end `x0` and noise `eps`: `alpha' x_0 + sigma' eps`.
    pub fn velocity(&self, x0: &Batch, eps: &Batch) -> Batch {
        self.d_alpha.scale(x0.clone()) + self.d_sigma.scale(eps.clone())
    }
}
