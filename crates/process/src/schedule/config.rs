//! Processes as they stand in recipes, model files and on command lines.

use super::*;
use crate::Process;
use serde::{Deserialize, Serialize};

/// A process as it stands in a recipe or a model file: its name and its constants, the usual ones where they are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// [`Trigonometric`].
    Trigonometric,
    /// [`Discrete`] with [`Betas::Linear`].
    DiscreteLinear {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// The first rate.
        #[serde(default = "defaults::table_min")]
        beta_min: f64,
        /// The last rate.
        #[serde(default = "defaults::table_max")]
        beta_max: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::Quadratic`].
    DiscreteQuadratic {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// The first rate.
        #[serde(default = "defaults::table_min")]
        beta_min: f64,
        /// The last rate.
        #[serde(default = "defaults::table_max")]
        beta_max: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::Quadratic`] under the name and with the rates of latent diffusion's scaled linear table.
    DiscreteScaledLinear {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// The first rate.
        #[serde(default = "defaults::scaled_min")]
        beta_min: f64,
        /// The last rate.
        #[serde(default = "defaults::scaled_max")]
        beta_max: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::Constant`].
    DiscreteConstant {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// The rate.
        #[serde(default = "defaults::table_max")]
        beta: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::Cosine`].
    DiscreteCosine {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// Offset.
        #[serde(default = "defaults::offset")]
        offset: f64,
        /// The largest rate.
        #[serde(default = "defaults::clip")]
        clip: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::Sigmoid`].
    DiscreteSigmoid {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// The lowest rate.
        #[serde(default = "defaults::table_min")]
        beta_min: f64,
        /// The highest rate.
        #[serde(default = "defaults::table_max")]
        beta_max: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::SigmoidCumulative`].
    DiscreteSigmoidCumulative {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// Where the sigmoid begins.
        #[serde(default = "defaults::sigmoid_start")]
        start: f64,
        /// Where it ends.
        #[serde(default = "defaults::sigmoid_end")]
        end: f64,
        /// Its width.
        #[serde(default = "defaults::sigmoid_tau")]
        tau: f64,
        /// The largest rate.
        #[serde(default = "defaults::clip")]
        clip: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::Laplace`].
    DiscreteLaplace {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// The largest rate.
        #[serde(default = "defaults::clip")]
        clip: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::Exponential`].
    DiscreteExponential {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// The exponent at the end.
        #[serde(default = "defaults::exponent")]
        rate: f64,
        /// The largest rate.
        #[serde(default = "defaults::clip")]
        clip: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::Warmup`].
    DiscreteWarmup {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
        /// The first rate.
        #[serde(default = "defaults::table_min")]
        beta_min: f64,
        /// The last rate.
        #[serde(default = "defaults::table_max")]
        beta_max: f64,
        /// The share of the times that rises.
        #[serde(default = "defaults::fraction")]
        fraction: f64,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Discrete`] with [`Betas::Jsd`].
    DiscreteJsd {
        /// How many times.
        #[serde(default = "defaults::steps")]
        steps: usize,
    },
    /// [`Discrete`] with rates of one's own.
    DiscreteBetas {
        /// The rates, one a time.
        betas: Vec<f64>,
        /// Whether the last signal level is moved to zero.
        #[serde(default)]
        zero_terminal_snr: bool,
    },
    /// [`Shifted`].
    Shifted {
        /// The process that is shifted.
        process: Box<ProcessConfig>,
        /// What its noise-to-signal ratios are multiplied by.
        factor: f64,
    },
}

impl ProcessConfig {
    /// Each kind of process that differs from the others in more than numbers, with its usual constants: what tests walk.
    pub fn all() -> Vec<Self> {
        let kinds =
            ["vp-linear", "vp-cosine", "sub-vp", "ve", "edm", "rectified-flow", "trigonometric", "discrete-linear", "shifted"];
        let named = Self::named();
        kinds.iter().filter_map(|name| named.iter().find(|c| c.name() == *name).cloned()).collect()
    }

    /// Every process by name with its usual constants (an example where there are none): what listings and parsers walk.
    pub fn named() -> Vec<Self> {
        use defaults::*;
        vec![
            Self::VpLinear { beta_min: beta_min(), beta_max: beta_max() },
            Self::VpCosine { offset: offset() },
            Self::SubVp { beta_min: beta_min(), beta_max: beta_max() },
            Self::Ve { sigma_min: ve_min(), sigma_max: ve_max() },
            Self::Edm { sigma_min: edm_min(), sigma_max: edm_max() },
            Self::RectifiedFlow,
            Self::Trigonometric,
            Self::DiscreteLinear { steps: steps(), beta_min: table_min(), beta_max: table_max(), zero_terminal_snr: false },
            Self::DiscreteQuadratic { steps: steps(), beta_min: table_min(), beta_max: table_max(), zero_terminal_snr: false },
            Self::DiscreteScaledLinear {
                steps: steps(),
                beta_min: scaled_min(),
                beta_max: scaled_max(),
                zero_terminal_snr: false,
            },
            Self::DiscreteConstant { steps: steps(), beta: table_max(), zero_terminal_snr: false },
            Self::DiscreteCosine { steps: steps(), offset: offset(), clip: clip(), zero_terminal_snr: false },
            Self::DiscreteSigmoid { steps: steps(), beta_min: table_min(), beta_max: table_max(), zero_terminal_snr: false },
            Self::DiscreteSigmoidCumulative {
                steps: steps(),
                start: sigmoid_start(),
                end: sigmoid_end(),
                tau: sigmoid_tau(),
                clip: clip(),
                zero_terminal_snr: false,
            },
            Self::DiscreteLaplace { steps: steps(), clip: clip(), zero_terminal_snr: false },
            Self::DiscreteExponential { steps: steps(), rate: exponent(), clip: clip(), zero_terminal_snr: false },
            Self::DiscreteWarmup {
                steps: steps(),
                beta_min: table_min(),
                beta_max: table_max(),
                fraction: fraction(),
                zero_terminal_snr: false,
            },
            Self::DiscreteJsd { steps: steps() },
            Self::DiscreteBetas { betas: vec![1e-4, 0.01, 0.2], zero_terminal_snr: false },
            Self::Shifted { process: Box::new(Self::VpCosine { offset: offset() }), factor: 2.0 },
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
            Self::Trigonometric => "trigonometric",
            Self::DiscreteLinear { .. } => "discrete-linear",
            Self::DiscreteQuadratic { .. } => "discrete-quadratic",
            Self::DiscreteScaledLinear { .. } => "discrete-scaled-linear",
            Self::DiscreteConstant { .. } => "discrete-constant",
            Self::DiscreteCosine { .. } => "discrete-cosine",
            Self::DiscreteSigmoid { .. } => "discrete-sigmoid",
            Self::DiscreteSigmoidCumulative { .. } => "discrete-sigmoid-cumulative",
            Self::DiscreteLaplace { .. } => "discrete-laplace",
            Self::DiscreteExponential { .. } => "discrete-exponential",
            Self::DiscreteWarmup { .. } => "discrete-warmup",
            Self::DiscreteJsd { .. } => "discrete-jsd",
            Self::DiscreteBetas { .. } => "discrete-betas",
            Self::Shifted { .. } => "shifted",
        }
    }

    /// The process itself.
    ///
    /// # Errors
    /// When a constant makes no process; the error names it.
    pub fn build(&self) -> Result<Box<dyn Process>, ProcessError> {
        Ok(match self {
            Self::VpLinear { beta_min, beta_max } => Box::new(VpLinear::new(*beta_min, *beta_max)?),
            Self::VpCosine { offset } => Box::new(VpCosine::new(*offset)?),
            Self::SubVp { beta_min, beta_max } => Box::new(SubVp::new(*beta_min, *beta_max)?),
            Self::Ve { sigma_min, sigma_max } => Box::new(Ve::new(*sigma_min, *sigma_max)?),
            Self::Edm { sigma_min, sigma_max } => Box::new(Edm::new(*sigma_min, *sigma_max)?),
            Self::RectifiedFlow => Box::new(RectifiedFlow),
            Self::Trigonometric => Box::new(Trigonometric),
            Self::Shifted { process, factor } => Box::new(Shifted::new(process.build()?, *factor)?),
            table => Box::new(table.discrete()?.ok_or(ProcessError {
                process: table.name(),
                parameter: "betas",
                found: f64::NAN,
                expected: "a table of rates",
            })?),
        })
    }

    /// The discrete-time process with its table; none for the continuous ones.
    ///
    /// # Errors
    /// As [`ProcessConfig::build`].
    pub fn discrete(&self) -> Result<Option<Discrete>, ProcessError> {
        let (betas, steps, zero) = match self {
            Self::DiscreteLinear { steps, beta_min, beta_max, zero_terminal_snr } => {
                (Betas::Linear { start: *beta_min, end: *beta_max }, *steps, *zero_terminal_snr)
            }
            Self::DiscreteQuadratic { steps, beta_min, beta_max, zero_terminal_snr }
            | Self::DiscreteScaledLinear { steps, beta_min, beta_max, zero_terminal_snr } => {
                (Betas::Quadratic { start: *beta_min, end: *beta_max }, *steps, *zero_terminal_snr)
            }
            Self::DiscreteConstant { steps, beta, zero_terminal_snr } => {
                (Betas::Constant { beta: *beta }, *steps, *zero_terminal_snr)
            }
            Self::DiscreteCosine { steps, offset, clip, zero_terminal_snr } => {
                (Betas::Cosine { offset: *offset, clip: *clip }, *steps, *zero_terminal_snr)
            }
            Self::DiscreteSigmoid { steps, beta_min, beta_max, zero_terminal_snr } => {
                (Betas::Sigmoid { start: *beta_min, end: *beta_max }, *steps, *zero_terminal_snr)
            }
            Self::DiscreteSigmoidCumulative { steps, start, end, tau, clip, zero_terminal_snr } => {
                (Betas::SigmoidCumulative { start: *start, end: *end, tau: *tau, clip: *clip }, *steps, *zero_terminal_snr)
            }
            Self::DiscreteLaplace { steps, clip, zero_terminal_snr } => {
                (Betas::Laplace { clip: *clip }, *steps, *zero_terminal_snr)
            }
            Self::DiscreteExponential { steps, rate, clip, zero_terminal_snr } => {
                (Betas::Exponential { rate: *rate, clip: *clip }, *steps, *zero_terminal_snr)
            }
            Self::DiscreteWarmup { steps, beta_min, beta_max, fraction, zero_terminal_snr } => {
                (Betas::Warmup { start: *beta_min, end: *beta_max, fraction: *fraction }, *steps, *zero_terminal_snr)
            }
            Self::DiscreteJsd { steps } => (Betas::Jsd, *steps, false),
            Self::DiscreteBetas { betas, zero_terminal_snr } => (Betas::List(betas.clone()), betas.len(), *zero_terminal_snr),
            _ => return Ok(None),
        };
        Discrete::new(betas, steps, zero).map(Some).map_err(|e| ProcessError { process: self.name(), ..e })
    }
}
