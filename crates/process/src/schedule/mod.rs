//! The processes by name. Schedules are named by their formula: two projects' "VP" may be two curves.

mod cosine;
mod edm;
mod flow;
mod subvp;
mod ve;
mod vp;

pub use cosine::VpCosine;
pub use edm::Edm;
pub use flow::RectifiedFlow;
pub use subvp::SubVp;
pub use ve::Ve;
pub use vp::VpLinear;

use crate::Process;
use serde::{Deserialize, Serialize};

/// A parameter that makes no process.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("process {process}: {parameter} is {found}, expected {expected}")]
pub struct ProcessError {
    /// The process's name.
    pub process: &'static str,
    /// The parameter.
    pub parameter: &'static str,
    /// Its value.
    pub found: f64,
    /// What would do.
    pub expected: &'static str,
}

/// A process as it stands in a recipe or a model file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProcessConfig {
    /// [`VpLinear`].
    VpLinear {
        /// Rate at t = 0.
        #[serde(default = "defaults::beta_min")]
        beta_min: f64,
        /// Rate at t = 1.
        #[serde(default = "defaults::beta_max")]
        beta_max: f64,
    },
    /// [`VpCosine`].
    VpCosine {
        /// Offset.
        #[serde(default = "defaults::offset")]
        offset: f64,
    },
    /// [`SubVp`].
    SubVp {
        /// Rate at t = 0.
        #[serde(default = "defaults::beta_min")]
        beta_min: f64,
        /// Rate at t = 1.
        #[serde(default = "defaults::beta_max")]
        beta_max: f64,
    },
    /// [`Ve`].
    Ve {
        /// Level at t = 0.
        #[serde(default = "defaults::ve_min")]
        sigma_min: f64,
        /// Level at t = 1.
        #[serde(default = "defaults::ve_max")]
        sigma_max: f64,
    },
    /// [`Edm`].
    Edm {
        /// Lowest level.
        #[serde(default = "defaults::edm_min")]
        sigma_min: f64,
        /// Highest level.
        #[serde(default = "defaults::edm_max")]
        sigma_max: f64,
    },
    /// [`RectifiedFlow`].
    RectifiedFlow,
}

mod defaults {
    pub(super) fn beta_min() -> f64 {
        0.1
    }
    pub(super) fn beta_max() -> f64 {
        20.0
    }
    pub(super) fn offset() -> f64 {
        0.008
    }
    pub(super) fn ve_min() -> f64 {
        0.01
    }
    pub(super) fn ve_max() -> f64 {
        50.0
    }
    pub(super) fn edm_min() -> f64 {
        0.002
    }
    pub(super) fn edm_max() -> f64 {
        80.0
    }
}

impl ProcessConfig {
    /// Every process with its usual constants: the one list that tests and listings walk.
    pub fn all() -> [Self; 6] {
        use defaults::*;
        [
            Self::VpLinear { beta_min: beta_min(), beta_max: beta_max() },
            Self::VpCosine { offset: offset() },
            Self::SubVp { beta_min: beta_min(), beta_max: beta_max() },
            Self::Ve { sigma_min: ve_min(), sigma_max: ve_max() },
            Self::Edm { sigma_min: edm_min(), sigma_max: edm_max() },
            Self::RectifiedFlow,
        ]
    }

    /// The name in recipes and model files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::VpLinear { .. } => "vp-linear",
            Self::VpCosine { .. } => "vp-cosine",
            Self::SubVp { .. } => "sub-vp",
            Self::Ve { .. } => "ve",
            Self::Edm { .. } => "edm",
            Self::RectifiedFlow => "rectified-flow",
        }
    }

    /// The process itself.
    ///
    /// # Errors
    /// When a constant makes no process; the error names it.
    pub fn build(&self) -> Result<Box<dyn Process>, ProcessError> {
        Ok(match *self {
            Self::VpLinear { beta_min, beta_max } => Box::new(VpLinear::new(beta_min, beta_max)?),
            Self::VpCosine { offset } => Box::new(VpCosine::new(offset)?),
            Self::SubVp { beta_min, beta_max } => Box::new(SubVp::new(beta_min, beta_max)?),
            Self::Ve { sigma_min, sigma_max } => Box::new(Ve::new(sigma_min, sigma_max)?),
            Self::Edm { sigma_min, sigma_max } => Box::new(Edm::new(sigma_min, sigma_max)?),
            Self::RectifiedFlow => Box::new(RectifiedFlow),
        })
    }
}

/// Both ends of an increasing positive range, or the error that names the wrong one.
fn increasing(process: &'static str, names: [&'static str; 2], low: f64, high: f64) -> Result<(f64, f64), ProcessError> {
    if !(low.is_finite() && low > 0.0) {
        return Err(ProcessError { process, parameter: names[0], found: low, expected: "a finite number above 0" });
    }
    if !(high.is_finite() && high > low) {
        return Err(ProcessError { process, parameter: names[1], found: high, expected: "a finite number above the lower end" });
    }
    Ok((low, high))
}
