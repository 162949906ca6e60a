//! Which noise meets which example of a batch.
//!
//! Flow matching needs only the two marginal laws, not that noise and data are independent. Pairing near noise with near data
//! within each batch straightens the paths of the flow and lowers the variance of its target (Pooladian et al. 2023; Tong et al.
//! 2024): by the exact assignment, or by a draw from the entropic plan. Classes are not looked at: with a conditional network the
//! pairing tells the network a little of the class through the noise.

use crate::ConfigError;
use crate::assignment::assignment;
use crate::config::positive;
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;
use serde::{Deserialize, Serialize};

/// The coupling of noise and data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Coupling {
    /// Every example has its own noise.
    #[default]
    Independent,
    /// The pairing of the batch with the least sum of squared distances.
    OptimalTransport,
    /// For each example a draw from the entropic plan (Cuturi 2013), row by row.
    Sinkhorn {
        /// The regularisation as a share of the mean squared distance.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// Rounds of scaling.
        #[serde(default = "rounds")]
        rounds: usize,
    },
}

fn epsilon() -> f64 {
    0.05
}

fn rounds() -> usize {
    100
}

impl Coupling {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let &Self::Sinkhorn { epsilon, rounds } = self else { return Ok(()) };
        positive("objective.coupling.epsilon", epsilon)?;
        positive("objective.coupling.rounds", rounds as f64)
    }

    /// The row of `eps` that each row of `x0` meets; both `[n, d]` by rows, row `i` of training sample `samples[i]`.
    pub fn pairs(&self, x0: &[f32], eps: &[f32], seed: u64, samples: &[u64]) -> Vec<usize> {
        let n = samples.len();
        match *self {
            Self::Independent => (0..n).collect(),
            Self::OptimalTransport => assignment(&distances(x0, eps, n), n),
            Self::Sinkhorn { epsilon, rounds } => {
                let cost = distances(x0, eps, n);
                let scale = epsilon * cost.iter().sum::<f64>() / (n * n) as f64;
                let plan = sinkhorn(&cost, n, scale.max(f64::MIN_POSITIVE), rounds);
                let draw = |(row, &sample): (&[f64], &u64)| {
                    let at = Stream::new(seed, sample, Purpose::Coupling, 0, 0).uniform(0) * row.iter().sum::<f64>();
                    let mut below = 0.0;
                    let found = row.iter().position(|p| {
                        below += p;
                        at < below
                    });
                    found.unwrap_or(n - 1)
                };
                plan.chunks(n).zip(samples).map(draw).collect()
            }
        }
    }
}

/// Squared distances between all rows of two batches.
fn distances(a: &[f32], b: &[f32], n: usize) -> Vec<f64> {
    let d = a.len() / n;
    let square = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    a.chunks(d).flat_map(|a| b.chunks(d).map(move |b| square(a, b))).collect()
}

/// The plan `exp((f_i + g_j - c_ij) / scale)` whose columns, and in the limit rows, sum to `1 / n`; in logarithms throughout.
fn sinkhorn(cost: &[f64], n: usize, scale: f64, rounds: usize) -> Vec<f64> {
    let ln_sum = |terms: &mut dyn Iterator<Item = f64>| {
        let terms: Vec<f64> = terms.collect();
        let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + terms.iter().map(|v| (v - top).exp()).sum::<f64>().ln()
    };
    let ln_n = (n as f64).ln();
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; n]);
    for _ in 0..rounds {
        for i in 0..n {
            f[i] = -ln_n - ln_sum(&mut (0..n).map(|j| g[j] - cost[i * n + j] / scale));
        }
        for j in 0..n {
            g[j] = -ln_n - ln_sum(&mut (0..n).map(|i| f[i] - cost[i * n + j] / scale));
        }
    }
    (0..n * n).map(|k| (f[k / n] + g[k % n] - cost[k] / scale).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(seed: u64, n: usize) -> Vec<f32> {
        let mut v = vec![0.0; n * 2];
        Stream::new(seed, 0, Purpose::User, 0, 0).fill_normal_f32(&mut v);
        v
    }

    /// Both marginals hold, and as the regularisation falls the plan becomes the assignment.
    #[test]
    fn the_entropic_plan() {
        let n = 12;
        let cost = distances(&rows(1, n), &rows(2, n), n);
        let plan = sinkhorn(&cost, n, 0.5, 500);
        for i in 0..n {
            let (row, column): (f64, f64) = ((0..n).map(|j| plan[i * n + j]).sum(), (0..n).map(|j| plan[j * n + i]).sum());
            assert!((row * n as f64 - 1.0).abs() < 1e-6 && (column * n as f64 - 1.0).abs() < 1e-9, "{row} {column}");
        }
        let sharp = sinkhorn(&cost, n, 0.005, 20_000);
        let pairs = assignment(&cost, n);
        let share: f64 = pairs.iter().enumerate().map(|(i, &j)| sharp[i * n + j]).sum();
        assert!(share > 0.99, "{share}");
    }

    /// Pairs are a permutation, cost less than chance, and draws of a plan are those of (seed, sample).
    #[test]
    fn pairs_are_near() {
        let (n, x0, eps) = (64, rows(3, 64), rows(4, 64));
        let samples: Vec<u64> = (100..164).collect();
        let cost = distances(&x0, &eps, n);
        let mean = |pairs: &[usize]| pairs.iter().enumerate().map(|(i, &j)| cost[i * n + j]).sum::<f64>() / n as f64;
        let of = |c: Coupling, seed| c.pairs(&x0, &eps, seed, &samples);
        let exact = of(Coupling::OptimalTransport, 0);
        let blurred = Coupling::Sinkhorn { epsilon: 0.05, rounds: 100 };
        assert_eq!(of(Coupling::Independent, 0), (0..n).collect::<Vec<_>>());
        assert!(mean(&exact) < mean(&of(blurred, 1)) && mean(&of(blurred, 1)) < 0.5 * mean(&of(Coupling::Independent, 0)));
        assert_eq!(of(blurred, 1), of(blurred, 1));
        assert_ne!(of(blurred, 1), of(blurred, 2));
    }
}
