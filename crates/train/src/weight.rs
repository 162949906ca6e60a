//! How strongly each noise level counts in a loss.
//!
//! A weight is written on `|D(x_t; t) - x_0|^2`; since `score = (alpha D - x) / sigma^2` and `eps = (x - alpha D) / sigma`, a weight
//! `lambda` on the error of the score is `lambda alpha^2 / sigma^4` here, one on the error of the noise `alpha^2 / sigma^2` times it.

use crate::ConfigError;
use crate::config::{finite, positive};
use scorefield_process::{Marginal, Prediction};
use scorefield_tensor::Known;
use serde::{Deserialize, Serialize};

/// How strongly each noise level counts: a weight on `|D - x_0|^2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Weight {
    /// `lambda = sigma^2` on the score error, the plain error of the noise: `w = alpha^2 / sigma^2`
    /// (Song et al. 2021; "L_simple" of Ho et al. 2020).
    SigmaSquared,
    /// `lambda = g^2` on the score error, a bound on the likelihood: `w = g^2 alpha^2 / sigma^4` (Song et al. 2021b, theorem 1).
    DiffusionSquared,
    /// `w = (r^2 + sigma_d^2) / (r sigma_d)^2` with `r = sigma / alpha` (Karras et al. 2022, table 1): unit weight on the network's
    /// output under EDM's preconditioning.
    Edm {
        /// Root mean square of the centred data.
        sigma_data: f64,
    },
    /// `w = min(SNR, gamma)`, `SNR = alpha^2 / sigma^2` (Hang et al. 2023, eq. 7; gamma 5 there).
    MinSnr {
        /// The ceiling.
        gamma: f64,
    },
    /// `w = SNR gamma / (SNR + gamma)`: half the harmonic mean, a ceiling without a corner (Crowson et al. 2024, section 3.4; with
    /// `gamma = 1 / sigma_data^2` it is k-diffusion's `soft-min-snr`).
    SoftMinSnr {
        /// The ceiling.
        gamma: f64,
    },
    /// `sigmoid(bias - ln SNR)` on the error of the noise, `w = SNR sigmoid(bias - ln SNR)`, a monotone weight of the bound on the
    /// likelihood (Kingma and Gao 2023, section 4; Hoogeboom et al. 2024). It counts per unit of log-SNR: `log-snr-uniform` times
    /// make it that paper's loss.
    Sigmoid {
        /// The log-SNR at which the weight is one half.
        bias: f64,
    },
    /// `lambda = sigma^power` on the score error, `w = sigma^power alpha^2 / sigma^4`: NCSN's `anneal_power` (Song and Ermon 2019,
    /// eq. 5 and 6, power 2), which is [`Weight::SigmaSquared`] at 2.
    AnnealPower {
        /// The power of the noise level.
        power: f64,
    },
    /// Unit weight on the network's output, whatever it predicts: `w = 1 / c_out^2`. With the flow prediction this is the
    /// flow-matching loss.
    Output,
    /// Unit weight on the clean data.
    Clean,
}

impl Weight {
    /// One of each, for tests and listings.
    pub fn all() -> [Self; 9] {
        [
            Self::SigmaSquared,
            Self::DiffusionSquared,
            Self::Edm { sigma_data: 0.5 },
            Self::MinSnr { gamma: 5.0 },
            Self::SoftMinSnr { gamma: 4.0 },
            Self::Sigmoid { bias: -1.0 },
            Self::AnnealPower { power: 1.0 },
            Self::Output,
            Self::Clean,
        ]
    }

    /// The weight on the squared error of the network's output: `w c_out^2`.
    pub fn on_output<S: Known>(&self, m: &Marginal<S>, prediction: &Prediction) -> S {
        let c_out_squared = prediction.coeffs(m).c_out.square();
        let snr = m.ratio().square().recip();
        let on_clean = match self {
            Self::SigmaSquared => snr,
            Self::DiffusionSquared => m.diffusion_squared() * snr / m.sigma.square(),
            Self::Edm { sigma_data } => {
                let (r2, d2) = (m.ratio().square(), sigma_data * sigma_data);
                (r2.clone() + d2) / (r2 * d2)
            }
            Self::MinSnr { gamma } => snr.map(|v| v.min(*gamma)),
            Self::SoftMinSnr { gamma } => snr.map(|v| gamma / (1.0 + gamma / v)),
            Self::Sigmoid { bias } => snr.map(|v| (1.0 / v + (-bias).exp()).recip()),
            Self::AnnealPower { power } => m.sigma.map(|s| s.powf(power - 2.0)) * snr,
            Self::Output => return c_out_squared.constant(1.0),
            Self::Clean => return c_out_squared,
        };
        on_clean * c_out_squared
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Edm { sigma_data } => positive("objective.weight.sigma_data", sigma_data),
            Self::MinSnr { gamma } | Self::SoftMinSnr { gamma } => positive("objective.weight.gamma", gamma),
            Self::Sigmoid { bias } => finite("objective.weight.bias", bias),
            Self::AnnealPower { power } => finite("objective.weight.power", power),
            Self::SigmaSquared | Self::DiffusionSquared | Self::Output | Self::Clean => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_process::{ProcessConfig, ProcessExt};

    /// Each weight by its formula, from alpha, sigma and g^2 alone.
    #[test]
    fn weights_are_their_formulas() {
        for config in ProcessConfig::all() {
            let process = config.build().unwrap();
            for u in [0.02, 0.3, 0.7, 0.99] {
                let m = process.at(process.span().at(u));
                let r = m.sigma / m.alpha;
                for prediction in Prediction::all() {
                    let c_out = prediction.coeffs(&m).c_out;
                    for weight in Weight::all() {
                        let on_clean = match weight {
                            Weight::SigmaSquared => 1.0 / (r * r),
                            Weight::DiffusionSquared => m.diffusion_squared() * m.alpha.powi(2) / m.sigma.powi(4),
                            Weight::Edm { sigma_data: s } => (r * r + s * s) / (r * s).powi(2),
                            Weight::MinSnr { gamma } => (1.0 / (r * r)).min(gamma),
                            Weight::SoftMinSnr { gamma } => 1.0 / (r * r + 1.0 / gamma),
                            Weight::Sigmoid { bias } => 1.0 / (1.0 + (m.log_snr() - bias).exp()) / (r * r),
                            Weight::AnnealPower { power } => m.sigma.powf(power) * m.alpha.powi(2) / m.sigma.powi(4),
                            Weight::Output => 1.0 / (c_out * c_out),
                            Weight::Clean => 1.0,
                        };
                        let found = weight.on_output(&m, &prediction);
                        let expected = on_clean * c_out * c_out;
                        assert!(
                            (found / expected - 1.0).abs() < 1e-9,
                            "{config:?} {prediction:?} {weight:?}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }

    /// The noise loss has unit weight under sigma^2, EDM's under EDM's: the reason for these parametrisations.
    #[test]
    fn natural_weights_are_one() {
        let process = ProcessConfig::all()[0].build().unwrap();
        let m = process.at(0.4);
        assert!((Weight::SigmaSquared.on_output(&m, &Prediction::Noise) - 1.0).abs() < 1e-12);
        let edm = Prediction::Edm { sigma_data: 0.5 };
        assert!((Weight::Edm { sigma_data: 0.5 }.on_output(&m, &edm) - 1.0).abs() < 1e-12);
    }
}
