//! The variational bound of a chain on states, term by term: categories, numbers, or both.
//!
//! `ln p(x_0) >= K = -prior - sum_(i = 2..T) step_i - decoder` at the times `t_i = i / T`:
//!
//! * prior: `KL(q(x_T | x_0) || p(x_T))`,
//! * step i: `E KL(q(x_(i-1) | x_i, x_0) || p(x_(i-1) | x_i))`,
//! * decoder: `E[-ln p(x_0 | x_1)]`, of categories by the probabilities of their levels, of numbers by a normal about `D` with the deviation
//!   of the noise level there
//!
//! (Sohl-Dickstein et al. 2015, eq. 10 to 14; Ho et al. 2020, eq. 5; Austin et al. 2021, eq. 1). What `K` lacks under the exact
//! `E[x_0 | x_t]` is what steps get wrong that treat columns as independent given `x_i`: about `1 / T`. In the limit of many steps the sum
//! is an integral from `t_1` to 1, which [`StatesBoundOptions::continuous`] takes by one random time a cell.
//!
//! [`Edges::Paper`] is the arrangement that the first paper evaluates, which needs no model for the first step.

mod estimate;
mod null;

pub use estimate::states_bound;
pub use null::null_nats;

use thiserror::Error;

/// What stands at the ends of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edges {
    /// The divergence of the prior, and `-ln p(x_0 | x_1)` of the model.
    #[default]
    Model,
    /// `H_q(X_T | x_0) - H_q(X_1 | x_0) - H_p(X_T)` (Sohl-Dickstein et al. 2015, eq. 14): the first reverse step is taken to be the forward
    /// one. A bound where `q(x_1 | x_0)` is a law over `x_0` too, as of bits; of numbers it is one up to `-ln alpha_1` a column, and
    /// their prior counts as reached.
    Paper,
}

/// How the bound is estimated.
#[derive(Clone, Debug, PartialEq)]
pub struct StatesBoundOptions {
    /// Steps `T` of the chain, or cells of the integral.
    pub steps: usize,
    /// Steps behind the first that are looked at for each row and draw, one in each of as many equal parts of the chain, weighted so that
    /// nothing is biased; all of them if none is said.
    pub visited: Option<usize>,
    /// Whether steps behind the first are the cells of an integral over time.
    pub continuous: bool,
    /// Independent estimates of each row's bound.
    pub draws: usize,
    /// The ends of the chain.
    pub edges: Edges,
    /// The seed of noise and times.
    pub seed: u64,
    /// Rows that the denoiser is given at once, about.
    pub batch: usize,
}

impl Default for StatesBoundOptions {
    fn default() -> Self {
        Self { steps: 1000, visited: None, continuous: false, draws: 1, edges: Edges::Model, seed: 0, batch: 512 }
    }
}

impl StatesBoundOptions {
    /// Calls of the denoiser for each row.
    pub fn evaluations(&self) -> usize {
        self.draws * (self.visited.unwrap_or(self.steps - 1) + usize::from(self.edges == Edges::Model))
    }

    fn validate(&self, masked: bool) -> Result<(), StatesBoundError> {
        match self {
            Self { steps: found @ (0 | 1), .. } => Err(StatesBoundError::Steps { found: *found }),
            Self { visited: Some(0), .. } => Err(StatesBoundError::Nothing { option: "visited" }),
            Self { draws: 0, .. } => Err(StatesBoundError::Nothing { option: "draws" }),
            Self { edges: Edges::Paper, continuous: true, .. } => Err(StatesBoundError::PaperContinuous),
            Self { edges: Edges::Paper, .. } if masked => Err(StatesBoundError::PaperMasked),
            _ => Ok(()),
        }
    }
}

/// Why there is no bound.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StatesBoundError {
    /// Too few steps.
    #[error("a bound over {found} step(s) cannot be: a chain has at least 2")]
    Steps {
        /// What was asked for.
        found: usize,
    },
    /// A count of nothing.
    #[error("{option} = 0 estimates nothing; expected at least 1")]
    Nothing {
        /// Which option.
        option: &'static str,
    },
    /// The paper's arrangement in continuous time.
    #[error("the paper's edges need a first step, which a bound in continuous time has not; choose one of the two")]
    PaperContinuous,
    /// The paper's arrangement with masks.
    #[error(
        "the paper's edges are for chains that end where they could have begun, and a mask is none of the levels; take the model's"
    )]
    PaperMasked,
}

/// The terms in nats; the bound on `ln p(x_0)` is minus their sum.
#[derive(Clone, Debug, PartialEq)]
pub struct StatesBound {
    /// The prior's part of each row, `[n]`.
    pub prior: Vec<f64>,
    /// All steps from `t_T` to `t_1` of each row and draw, `[n, draws]`.
    pub steps: Vec<f64>,
    /// `-ln p(x_0 | x_1)` for each row and draw, `[n, draws]`; under [`Edges::Paper`] `H_q(X_1 | x_0)` instead.
    pub decoder: Vec<f64>,
    /// Time and nats of each step (where not all are visited, of each part of the chain), the mean over rows and draws, from the data to
    /// the noise. They add up to the mean of `steps`.
    pub terms: Vec<(f64, f64)>,
}

impl StatesBound {
    /// `K` in nats for each row and draw, `[n, draws]`.
    pub fn draws(&self) -> Vec<f64> {
        let draws = self.steps.len() / self.prior.len().max(1);
        let one = |(i, (a, b)): (usize, (&f64, &f64))| -(self.prior[i / draws] + a + b);
        self.steps.iter().zip(&self.decoder).enumerate().map(one).collect()
    }

    /// `K` in nats for each row, the mean over draws, `[n]`.
    pub fn nats(&self) -> Vec<f64> {
        let draws = self.steps.len() / self.prior.len().max(1);
        self.draws().chunks(draws.max(1)).map(mean).collect()
    }

    /// `K` in nats, the mean over rows.
    pub fn mean(&self) -> f64 {
        mean(&self.nats())
    }

    /// The standard error of the mean over rows as examples of a population; none for a single row.
    pub fn error(&self) -> Option<f64> {
        standard_error(&self.nats())
    }

    /// The standard error of the mean over these very rows, which only the noise makes; none for a single draw.
    pub fn noise(&self) -> Option<f64> {
        let n = self.prior.len();
        let each = self.draws();
        let draws = each.len() / n.max(1);
        let means: Vec<f64> = (0..draws).map(|k| each.iter().skip(k).step_by(draws).sum::<f64>() / n as f64).collect();
        standard_error(&means)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn standard_error(values: &[f64]) -> Option<f64> {
    let (n, mean) = (values.len() as f64, mean(values));
    (values.len() > 1).then(|| (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
}
