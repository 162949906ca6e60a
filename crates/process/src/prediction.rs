//! What a network's output means, and the coefficients that turn it into a denoiser.
//!
//! Every parametrisation of the field is affine in the network's output `F`:
//! `D = c_skip x + c_out F(c_in x, c_noise)`. Solving for `F` gives the training target, so the target is derived from the
//! coefficients that sampling uses and cannot disagree with them (Karras et al. 2022, section 5).

use crate::{Marginal, ProcessExt, process::Process};
use scorefield_tensor::{Batch, Coefficient};
use serde::{Deserialize, Serialize};

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// The clean data `x_0`.
    Clean,
    /// The noise `eps` (Ho et al. 2020).
    Noise,
    /// `v = alpha eps - sigma x_0` (Salimans and Ho 2022).
    Velocity,
    /// `u = alpha' x_0 + sigma' eps`, the flow-matching target (Lipman et al. 2023; Liu et al. 2023).
    Flow,
    /// The score times `sigma`: `-eps` (Song et al. 2021 with the network's output divided by the noise level).
    Score,
    /// The score itself, of order `1 / sigma` (NCSN: Song and Ermon 2019).
    RawScore,
    /// The preconditioning of Karras et al. 2022, table 1, for data of standard deviation `sigma_data`.
    Edm {
        /// Root mean square of the centred data.
        sigma_data: f64,
    },
    /// Not a posterior mean but the end of the probability flow's path through `x`, at the lowest level `level_min`
    /// (Song et al. 2023, "Consistency models", appendix C): the preconditioning keeps `f(x) = x` at that level. What it makes is no
    /// `E[x_0 | x]`: only the `consistency` solver samples it.
    Consistency {
        /// Root mean square of the centred data.
        sigma_data: f64,
        /// The noise level `sigma / alpha` at which paths end.
        level_min: f64,
    },
}

/// `D = c_skip x + c_out F(c_in x, c_noise)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Coeffs<S = f64> {
    /// Weight of the input itself.
    pub c_skip: S,
    /// Weight of the network's output.
    pub c_out: S,
    /// Scale of the network's input.
    pub c_in: S,
}

impl Prediction {
    /// One of each that makes a posterior mean, for tests and listings.
    pub fn all() -> [Self; 7] {
        [Self::Clean, Self::Noise, Self::Velocity, Self::Flow, Self::Score, Self::RawScore, Self::Edm { sigma_data: 0.5 }]
    }

    /// The name used in recipes and model files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Noise => "noise",
            Self::Velocity => "velocity",
            Self::Flow => "flow",
            Self::Score => "score",
            Self::RawScore => "raw-score",
            Self::Edm { .. } => "edm",
            Self::Consistency { .. } => "consistency",
        }
    }

    /// The coefficients at a marginal. The input is scaled to unit variance for data of unit variance
    /// (of variance `sigma_data^2` for [`Prediction::Edm`]): `c_in = 1 / sqrt(alpha^2 sigma_d^2 + sigma^2)`, which is one for
    /// variance-preserving processes.
    pub fn coeffs<S: Coefficient>(&self, m: &Marginal<S>) -> Coeffs<S> {
        let (alpha, sigma) = (m.alpha.clone(), m.sigma.clone());
        let sigma_d = self.sigma_data().unwrap_or(1.0);
        let variance = alpha.square() * (sigma_d * sigma_d) + sigma.square();
        let c_in = variance.sqrt().recip();
        let (c_skip, c_out) = match self {
            // F = x_0
            Self::Clean => (alpha.constant(0.0), alpha.constant(1.0)),
            // F = eps, x_0 = (x - sigma eps) / alpha
            Self::Noise => (alpha.recip(), -(sigma / alpha)),
            // F = alpha eps - sigma x_0, x_0 = (alpha x - sigma F) / (alpha^2 + sigma^2)
            Self::Velocity => {
                let norm = alpha.square() + sigma.square();
                (alpha / norm.clone(), -(sigma / norm))
            }
            // F = alpha' x_0 + sigma' eps, x_0 = (sigma F - sigma' x) / (sigma alpha' - sigma' alpha)
            Self::Flow => {
                let wronskian = sigma.clone() * m.d_alpha.clone() - m.d_sigma.clone() * alpha;
                (-(m.d_sigma.clone() / wronskian.clone()), sigma / wronskian)
            }
            // F = sigma score = -eps
            Self::Score => (alpha.recip(), sigma / alpha),
            // F = score = -eps / sigma
            Self::RawScore => (alpha.recip(), sigma.square() / alpha),
            // Karras et al. 2022, table 1, with the signal scaled by alpha
            Self::Edm { .. } => (alpha * (sigma_d * sigma_d) / variance.clone(), sigma * sigma_d / variance.sqrt()),
            // Song et al. 2023, appendix C, with x / alpha at level sigma / alpha: identity at the lowest level
            Self::Consistency { level_min, .. } => {
                let (level, d2) = (sigma / alpha.clone(), sigma_d * sigma_d);
                let above = level.clone() - *level_min;
                let c_skip = (above.square() + d2).recip() * d2 / alpha;
                (c_skip, above * sigma_d / (level.square() + d2).sqrt())
            }
        };
        Coeffs { c_skip, c_out, c_in }
    }
}

impl Prediction {
    /// What a network of this prediction would have to give for the same denoised data as a network of another: the output
    /// `output` at the state `x`, both `[n, d]`, as `other` has it.
    ///
    /// `D = c_skip x + c_out F` holds for both, so `F' = ((c_skip - c_skip') x + c_out F) / c_out'`: one affine map, without the
    /// detour over `D` that would lose digits where `alpha` is small. Where `alpha = 0` the noise and the score say nothing of the
    /// data, and neither can be converted.
    pub fn convert<S: Coefficient>(&self, other: &Self, x: &Batch, output: &Batch, m: &Marginal<S>) -> Batch {
        if self == other {
            return output.clone();
        }
        let (from, to) = (self.coeffs(m), other.coeffs(m));
        let of_state = (from.c_skip - to.c_skip) / to.c_out.clone();
        of_state.scale(x.clone()) + (from.c_out / to.c_out).scale(output.clone())
    }

    /// Whether the denoiser made of it is a posterior mean, which all solvers but `consistency` need.
    pub fn is_posterior_mean(&self) -> bool {
        self.path_end().is_none()
    }

    /// The root mean square of the data that the preconditioning is made for, where there is one.
    pub fn sigma_data(&self) -> Option<f64> {
        if let Self::Edm { sigma_data } | Self::Consistency { sigma_data, .. } = self { Some(*sigma_data) } else { None }
    }

    /// The noise level at which the paths end whose ends are predicted; none for posterior means.
    pub fn path_end(&self) -> Option<f64> {
        if let Self::Consistency { level_min, .. } = self { Some(*level_min) } else { None }
    }
}

impl<S: Coefficient> Coeffs<S> {
    /// The denoised data from the network's output: `D = c_skip x + c_out F`.
    pub fn assemble(&self, x: &Batch, output: &Batch) -> Batch {
        self.c_skip.scale(x.clone()) + self.c_out.scale(output.clone())
    }

    /// The output the network should give: `F* = (x_0 - c_skip x) / c_out`.
    pub fn target(&self, x: &Batch, x0: &Batch) -> Batch {
        self.c_out.recip().scale(x0.clone() - self.c_skip.scale(x.clone()))
    }
}

/// What the network is told of the time: `c_noise`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeInput {
    /// `ln(sigma / alpha) / 4` (Karras et al. 2022, table 1): the same for every process at the same noise level.
    QuarterLogRatio,
    /// `scale * t`, for example 999 t for variance-preserving models of Song et al. 2021.
    Time {
        /// The factor.
        scale: f64,
    },
    /// The noise level `sigma / alpha` itself.
    Ratio,
    /// `ln(factor * sigma / alpha)`: 1 for the logarithm of the level (Song et al. 2021), 1/2 for the exploding models of Karras et al.
    /// 2022, whose data are twice as wide as the level says.
    LogRatio {
        /// The factor.
        factor: f64,
    },
    /// The whole time of a discrete-time process whose noise level `sigma / alpha` is nearest: for networks that were told whole
    /// times only and are asked at levels between (Karras et al. 2022, appendix C.3.2).
    Nearest,
    /// The nearest place to `(L - 1)(1 - t)` in a list of `L` levels that falls from the highest (NCSN: Song and Ermon 2019).
    Descending {
        /// The number of levels `L`.
        levels: usize,
    },
    /// Nothing: the same number at all times, for networks whose output is divided by the noise level and that need no more
    /// (NCSNv2: Song and Ermon 2020, technique 3).
    Untold,
}

impl TimeInput {
    /// `c_noise` at one time.
    pub fn at(&self, process: &(impl Process + ?Sized), t: f64) -> f64 {
        match self {
            Self::QuarterLogRatio => process.at(t).ratio().ln() / 4.0,
            Self::Time { scale } => scale * t,
            Self::Ratio => process.at(t).ratio(),
            Self::LogRatio { factor } => (factor * process.at(t).ratio()).ln(),
            Self::Nearest => {
                let (below, above) = (t.floor(), t.ceil());
                let (level, at) = (process.at(t).ratio(), |whole: f64| process.at(whole).ratio());
                // A last time without signal has no level; the whole time before it is then the nearest.
                if at(above).is_finite() && at(above) - level < level - at(below) { above } else { below }
            }
            Self::Descending { levels } => (levels.saturating_sub(1) as f64 * (1.0 - t)).round(),
            Self::Untold => 0.0,
        }
    }
}
