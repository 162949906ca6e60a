//! The terms of the variational bound on `ln p(x_0)` of a chain on states, each in nats and one a row.
//!
//! For a chain that looks at times `0 = t_0 < t_1 < ... < t_T = 1`,
//! `-K = KL(q(x_1 | x_0) || p(x_1)) + sum_i E KL(q(x_(i-1) | x_i, x_0) || p(x_(i-1) | x_i))` (Sohl-Dickstein et al. 2015, eq. 11 to 14, in the
//! arrangement of Ho et al. 2020, eq. 5); the last term, `i = 1`, is `-ln p(x_0 | x_1)` for categories. Numbers end at the lowest level of
//! their process, from where a normal of mean `D` and that level's spread decodes them. In the limit of many steps the sum is an integral
//! ([`StatesProcess::rate_term`]).

use super::kernel::scale;
use super::law::divergence;
use super::process::{flat, numbers};
use super::{Law, StatesAt, StatesProcess};
use scorefield_tensor::{Batch, Known, Tensor};

/// Below this a rate counts as this in a logarithm.
const LEAST: f64 = 1e-30;

impl StatesProcess {
    /// `KL(q(x_1 | x_0) || p(x_1))`.
    pub fn prior_term(&self, x0: &Batch) -> Batch {
        let at = self.at(1.0);
        let (q, p) = (self.marginal(x0, &at), self.prior(x0.dims()[0], (&x0.device(), x0.dtype())));
        q.divergence(&p.wide, self.columns())
    }

    /// `KL(q(x_s | x_t, x_0) || p(x_s | x_t))`, the reverse step made with `clean` for `E[x_0 | x_t]`.
    pub fn step_term<S: Known>(&self, x0: &Batch, x_t: &Batch, clean: &Batch, at_t: &StatesAt<S>, at_s: &StatesAt<S>) -> Batch {
        let q: Law<S> = self.posterior(x_t, x0, at_t, at_s);
        let p = self.posterior(x_t, clean, at_t, at_s);
        q.divergence(&p.wide, self.columns())
    }

    /// `-ln p(x_0 | x_t)` of the categories: what they cost if `x_t` is the last that is looked at.
    pub fn surprise(&self, x0: &Batch, clean: &Batch) -> Batch {
        let parts = self.parts().filter(|(group, _)| group.is_category());
        let nats = parts.map(|(group, _)| divergence(group.cube(x0), group.cube(clean)));
        nats.reduce(|a, b| a + b).unwrap_or_else(|| x0.clone().narrow(1, 0, 1) * 0.0)
    }

    /// `-ln p(x_0 | x_t)` of the numbers at the lowest level: a normal density of mean `D` and the variance of `x_t / alpha_t` given `x_0`.
    pub fn decoder_term<S: Known>(&self, x0: &Batch, clean: &Batch, at: &StatesAt<S>) -> Batch {
        let parts = self.parts().filter(|(group, _)| !group.is_category()).map(|(group, _)| {
            let ratio = numbers(at).ratio();
            let error = ratio.recip().scale(group.of(x0) - group.of(clean));
            let nats = (error.clone() * error).sum_dim(1) * 0.5;
            (ratio.square() * std::f64::consts::TAU).ln().map(|v| 0.5 * group.columns as f64 * v).shift(nats)
        });
        parts.reduce(|a, b| a + b).unwrap_or_else(|| x0.clone().narrow(1, 0, 1) * 0.0)
    }

    /// The bound's integrand in continuous time, a unit of `t`: for categories
    /// `beta sum_y (r_p - r_q + r_q ln(r_q / r_p))` over the reverse rates of the model and of the posterior (Campbell et al. 2022,
    /// proposition 3), for numbers `-SNR' (x_0 - D)^2 / 2` (Kingma et al. 2021, eq. 17).
    pub fn rate_term<S: Known>(&self, x0: &Batch, x_t: &Batch, clean: &Batch, at: &StatesAt<S>) -> Batch {
        let (q, p) = (self.rates(x_t, x0, at), self.rates(x_t, clean, at));
        let parts = self.parts().map(|(group, kernel)| {
            if kernel.is_some() {
                let (q, p): (Tensor<3>, Tensor<3>) = (group.cube(&q), group.cube(&p));
                let gain = q.clone() * (q.clone().clamp_min(LEAST).log() - p.clone().clamp_min(LEAST).log());
                flat(scale(&at.beta, p - q + gain)).sum_dim(1)
            } else {
                let m = numbers(at);
                let snr = m.ratio().square().recip();
                let slope = (m.d_sigma.clone() / m.sigma.clone() - m.d_alpha.clone() / m.alpha.clone()) * snr;
                let error = group.of(x0) - group.of(clean);
                slope.scale((error.clone() * error).sum_dim(1))
            }
        });
        parts.reduce(|a, b| a + b).expect("a state has a column")
    }
}
