//! The survival `keep(t)`: how much is remembered of a category at time `t` in [0, 1].

use super::{Kernel, StatesError};
use scorefield_tensor::Dual;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// Points of a table made by [`Survival::mutual_information`].
const POINTS: usize = 200;

/// `keep(t) = exp(-int_0^t beta)`, from 1 at `t = 0` down to what is left at `t = 1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Survival {
    /// `keep = 1 - t`, the chain of `beta_i = 1 / (T - i + 1)` (Sohl-Dickstein et al. 2015, section 2.4.1): each step forgets the same
    /// share of what was known at the start.
    Reciprocal,
    /// `beta = beta_min + (beta_max - beta_min) t`, the rates of DDPM (Ho et al. 2020).
    Linear {
        /// Rate at t = 0.
        #[serde(default = "linear_min")]
        beta_min: f64,
        /// Rate at t = 1.
        #[serde(default = "linear_max")]
        beta_max: f64,
    },
    /// `keep = cos^2(pi/2 (t + s) / (1 + s)) / cos^2(pi/2 s / (1 + s))` (Nichol and Dhariwal 2021; Hoogeboom et al. 2021 for categories).
    Cosine {
        /// Offset.
        #[serde(default = "offset")]
        offset: f64,
    },
    /// What is left at `0, 1/N, ..., 1`, straight lines between.
    Table {
        /// From 1 down.
        keep: Vec<f64>,
    },
}

fn linear_min() -> f64 {
    0.1
}

fn linear_max() -> f64 {
    20.0
}

fn offset() -> f64 {
    0.008
}

impl Survival {
    /// Every kind with its usual constants, and a table.
    pub fn all() -> Vec<Self> {
        let (beta_min, beta_max) = (linear_min(), linear_max());
        let keep = vec![1.0, 0.7, 0.6, 0.2, 0.0];
        vec![Self::Reciprocal, Self::Linear { beta_min, beta_max }, Self::Cosine { offset: offset() }, Self::Table { keep }]
    }

    /// The survival of a chain by its rates `beta_1, ..., beta_T`.
    ///
    /// # Errors
    /// When there are fewer than two, or one is not in (0, 1].
    pub fn of_betas(betas: &[f64]) -> Result<Self, StatesError> {
        if betas.len() < 2 {
            return Err(StatesError::Steps { found: betas.len() });
        }
        if let Some((i, &found)) = betas.iter().enumerate().find(|(_, b)| !(**b > 0.0 && **b <= 1.0)) {
            return Err(StatesError::Beta { place: i + 1, found });
        }
        let mut keep = vec![1.0];
        betas.iter().for_each(|b| keep.push(keep[keep.len() - 1] * (1.0 - b)));
        Ok(Self::Table { keep })
    }

    /// The survival under which the mutual information between `x_t` and `x_0`, the mean over columns, falls along a straight line
    /// (Austin et al. 2021, eq. 6): `marginals` holds the law of the levels of each column under its kernel.
    ///
    /// # Panics
    /// When a law has not as many numbers as its kernel levels, or all columns are constant.
    #[track_caller]
    pub fn mutual_information(marginals: &[(&Kernel, Vec<f64>)]) -> Self {
        let information = |keep: f64| marginals.iter().map(|(kernel, law)| kernel.mutual_information(law, keep)).sum::<f64>();
        let whole = information(1.0);
        assert!(whole > 0.0, "columns without any spread have no mutual information to lose");
        let point = |i: usize| {
            let asked = whole * (1.0 - i as f64 / POINTS as f64);
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                if information(middle) > asked { high = middle } else { low = middle }
            }
            0.5 * (low + high)
        };
        let mut keep: Vec<f64> = (0..=POINTS).map(point).collect();
        (keep[0], keep[POINTS]) = (1.0, 0.0);
        Self::Table { keep }
    }

    /// `keep(t)` with its slope.
    pub fn keep(&self, t: Dual) -> Dual {
        match self {
            Self::Reciprocal => -t + 1.0,
            Self::Linear { beta_min, beta_max } => (t * -(*beta_min) - t * t * (0.5 * (beta_max - beta_min))).exp(),
            Self::Cosine { offset } => {
                let c = |t: Dual| ((t + *offset) * (FRAC_PI_2 / (1.0 + offset))).cos();
                let ratio = c(t) / c(Dual::constant(0.0));
                ratio * ratio
            }
            Self::Table { keep } => {
                let steps = keep.len() - 1;
                let place = ((t.value * steps as f64) as usize).min(steps - 1);
                let share = t * steps as f64 - place as f64;
                share * (keep[place + 1] - keep[place]) + keep[place]
            }
        }
    }

    /// Checks the constants.
    pub(super) fn validate(&self) -> Result<(), StatesError> {
        let say = |sound: bool, key: &'static str, found: String, expected: &'static str| {
            if sound { Ok(()) } else { Err(StatesError::Key { key, found, expected }) }
        };
        match self {
            Self::Reciprocal => Ok(()),
            Self::Linear { beta_min, beta_max } => {
                let sound = beta_min.is_finite() && beta_max.is_finite() && *beta_min > 0.0 && beta_max >= beta_min;
                say(sound, "survival", format!("{self:?}"), "0 < beta_min <= beta_max")
            }
            Self::Cosine { offset } => say(
                (0.0..1.0).contains(offset),
                "survival.offset",
                offset.to_string(),
                "a number from 0 up to, but not including, 1",
            ),
            Self::Table { keep } => {
                let wrong = (0..keep.len()).find(|&i| {
                    let before = if i == 0 { f64::INFINITY } else { keep[i - 1] };
                    !((0.0..=1.0).contains(&keep[i]) && keep[i] < before && (i > 0 || keep[0] == 1.0))
                });
                let found = wrong.map_or(format!("{} numbers", keep.len()), |i| format!("{} in place {i}", keep[i]));
                say(
                    wrong.is_none() && keep.len() > 2,
                    "survival.keep",
                    found,
                    "at least three numbers that fall from 1 and stay at 0 or above",
                )
            }
        }
    }
}
