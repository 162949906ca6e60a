//! How a category jumps: the generator of its chain, and what it has done by the time a share `keep` survives.

use scorefield_tensor::{Known, Tensor, TensorData, symmetric_eigen};
use serde::{Deserialize, Serialize};

/// The kinds of jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Transition {
    /// To any level alike: bits towards 1/2 (Sohl-Dickstein et al. 2015, appendix B.1), categories towards the uniform law (Hoogeboom et
    /// al. 2021).
    #[default]
    Uniform,
    /// To a mask that is never left (Austin et al. 2021, section 3.1).
    Absorbing,
    /// Between ordered levels, as a discretised Gaussian: the rate between `i` and `j` falls as `exp(-(i - j)^2 / 2 w^2)`, `w = width` times
    /// the range (the shape of Austin et al. 2021, eq. 8, as rates, so that steps of any length compose). The slowest of its modes decays as
    /// `keep`.
    Ordered {
        /// Deviation of a jump as a share of the range of levels.
        width: f64,
    },
}

impl Transition {
    /// Every kind.
    pub fn all() -> [Self; 3] {
        [Self::Uniform, Self::Absorbing, Self::Ordered { width: 0.1 }]
    }

    /// Whether there is a mask.
    pub fn masks(self) -> bool {
        self == Self::Absorbing
    }
}

/// The chain of a category with so many levels.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    levels: usize,
    /// The law it ends in, over levels and mask.
    prior: Vec<f64>,
    ordered: Option<Spectrum>,
}

/// A symmetric generator `-V^T diag(exponents) V`, the smallest exponent above zero being one.
#[derive(Clone, Debug, PartialEq)]
struct Spectrum {
    exponents: Vec<f64>,
    /// Row `i` is the mode of exponent `i`, `[K, K]`.
    modes: Vec<f64>,
    /// The rates off the diagonal.
    rates: Vec<f64>,
}

impl Spectrum {
    fn new(levels: usize, width: f64) -> Self {
        let deviation = width * (levels - 1) as f64;
        let mut rates = vec![0.0; levels * levels];
        for i in 0..levels {
            for j in (0..levels).filter(|&j| j != i) {
                let distance = i.abs_diff(j) as f64;
                rates[i * levels + j] = (-0.5 * ((distance - 1.0) / deviation) * ((distance + 1.0) / deviation)).exp();
            }
        }
        let mut generator = rates.iter().map(|r| -r).collect::<Vec<_>>();
        for i in 0..levels {
            generator[i * levels + i] = rates[i * levels..][..levels].iter().sum();
        }
        let eigen = symmetric_eigen(&generator, levels);
        let mut order: Vec<usize> = (0..levels).collect();
        order.sort_by(|&a, &b| eigen.values[a].total_cmp(&eigen.values[b]));
        let gap = eigen.values[order[1]];
        let exponents = order.iter().enumerate().map(|(k, &i)| if k == 0 { 0.0 } else { eigen.values[i] / gap }).collect();
        let modes = order.iter().flat_map(|&i| eigen.vectors[i * levels..][..levels].iter().copied()).collect();
        rates.iter_mut().for_each(|r| *r /= gap);
        Self { exponents, modes, rates }
    }
}

impl Kernel {
    /// The chain of a category with `levels` levels, at least two.
    pub(super) fn new(transition: Transition, levels: usize) -> Self {
        let uniform = vec![1.0 / levels as f64; levels];
        let (prior, ordered) = match transition {
            Transition::Uniform => (uniform, None),
            Transition::Absorbing => (std::iter::repeat_n(0.0, levels).chain([1.0]).collect(), None),
            Transition::Ordered { width } => (uniform, Some(Spectrum::new(levels, width))),
        };
        Self { levels, prior, ordered }
    }

    /// How many levels, without the mask.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// How many states, with the mask where there is one.
    pub fn states(&self) -> usize {
        self.prior.len()
    }

    /// Whether its levels are ordered.
    pub fn is_ordered(&self) -> bool {
        self.ordered.is_some()
    }

    /// `min Q_s / Q_t` over all pairs of states that are possible at `t`: the largest share of a state at `t` that a state at the earlier `s`
    /// can keep without a change of marginals.
    pub fn most_kept(&self, keep_t: f64, keep_s: f64) -> f64 {
        let (q_t, q_s, k) = (self.transition(keep_t), self.transition(keep_s), self.states());
        let pairs = q_s[..self.levels * k].iter().zip(&q_t[..self.levels * k]);
        pairs.filter(|(_, t)| **t > 1e-12).map(|(s, t)| s / t).fold(1.0, f64::min)
    }

    /// The law of a state of which nothing is remembered.
    pub fn prior(&self) -> &[f64] {
        &self.prior
    }

    /// `Q`, row-major `[states, states]`: entry `(i, j)` is the probability of `j` given `i` where a share `keep` survives.
    pub fn transition(&self, keep: f64) -> Vec<f64> {
        let k = self.states();
        let entry = |i: usize, j: usize| match &self.ordered {
            None => keep * f64::from(u8::from(i == j)) + (1.0 - keep) * self.prior[j],
            Some(s) => {
                let mode = |m: usize| s.modes[m * k + i] * keep.powf(s.exponents[m]) * s.modes[m * k + j];
                (0..k).map(mode).sum::<f64>().max(0.0)
            }
        };
        (0..k * k).map(|at| entry(at / k, at % k)).collect()
    }

    /// `v Q` for rows of numbers over states, `[n, m, states]`: where a law goes.
    pub fn forward<S: Known>(&self, v: Tensor<3>, keep: &S) -> Tensor<3> {
        match &self.ordered {
            None => {
                let whole = v.clone().sum_dim(2) * self.row(&self.prior, &v);
                scale(keep, v) + scale(&(keep.map(|k| 1.0 - k)), whole)
            }
            Some(spectrum) => spectrum.apply(v, keep),
        }
    }

    /// `Q v` for columns of numbers over states, `[n, m, states]`: what a state expects of them.
    pub fn backward<S: Known>(&self, v: Tensor<3>, keep: &S) -> Tensor<3> {
        match &self.ordered {
            None => {
                let expected = (v.clone() * self.row(&self.prior, &v)).sum_dim(2);
                let spread = expected * v.clone().ones_like();
                scale(keep, v) + scale(&(keep.map(|k| 1.0 - k)), spread)
            }
            // A symmetric matrix.
            Some(spectrum) => spectrum.apply(v, keep),
        }
    }

    /// The rates of jumps into a state given one-hot, `[n, m, states]`: entry `y` is the rate from `y`, zero for the state itself, a unit of
    /// time being that in which `keep` falls e-fold.
    pub fn jumps_into(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.ordered {
            None => {
                let into = (x.clone() * self.row(&self.prior, &x)).sum_dim(2);
                (x.clone().ones_like() - x) * into
            }
            Some(s) => s.jumps(x),
        }
    }

    /// The rates of jumps from a state given one-hot, `[n, m, states]`: entry `y` is the rate into `y`, zero for the state itself.
    pub fn jumps_from(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.ordered {
            None => (x.clone().ones_like() - x.clone()) * self.row(&self.prior, &x),
            // Symmetric.
            Some(s) => s.jumps(x),
        }
    }

    /// The mutual information in nats between a state and its origin, which has the law `law` over levels, where a share `keep` survives.
    ///
    /// # Panics
    /// When the law has not one number a level.
    #[track_caller]
    pub fn mutual_information(&self, law: &[f64], keep: f64) -> f64 {
        assert_eq!(law.len(), self.levels, "a law of {} numbers over {} levels", law.len(), self.levels);
        let (q, k) = (self.transition(keep), self.states());
        let end: Vec<f64> = (0..k).map(|j| law.iter().enumerate().map(|(i, p)| p * q[i * k + j]).sum()).collect();
        let term = |i: usize, j: usize| {
            let joint = law[i] * q[i * k + j];
            if joint > 0.0 { joint * (q[i * k + j] / end[j]).ln() } else { 0.0 }
        };
        (0..self.levels).flat_map(|i| (0..k).map(move |j| (i, j))).map(|(i, j)| term(i, j)).sum()
    }

    fn row(&self, values: &[f64], like: &Tensor<3>) -> Tensor<3> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, values.len()]), (&like.device(), like.dtype()))
    }
}

impl Spectrum {
    fn jumps(&self, x: Tensor<3>) -> Tensor<3> {
        let [n, m, k] = x.dims();
        let rates = matrix(&self.rates, &x, k);
        x.reshape([n * m, k]).matmul(rates).reshape([n, m, k])
    }

    fn apply<S: Known>(&self, v: Tensor<3>, keep: &S) -> Tensor<3> {
        let [n, m, k] = v.dims();
        let powers: Vec<f64> = keep.rows(n).iter().flat_map(|&keep| self.exponents.iter().map(move |&e| keep.powf(e))).collect();
        let powers: Tensor<3> = Tensor::from_data(TensorData::new(powers, [n, 1, k]), (&v.device(), v.dtype()));
        let modes = matrix(&self.modes, &v, k);
        let shares = v.reshape([n * m, k]).matmul(modes.clone().transpose()).reshape([n, m, k]) * powers;
        // Sums of modes leave rounding where a probability is zero.
        shares.reshape([n * m, k]).matmul(modes).reshape([n, m, k]).clamp_min(0.0)
    }
}

fn matrix(values: &[f64], like: &Tensor<3>, k: usize) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [k, k]), (&like.device(), like.dtype()))
}

/// Row `i` of a cube times number `i`.
pub(super) fn scale<S: Known>(by: &S, v: Tensor<3>) -> Tensor<3> {
    let [n, m, k] = v.dims();
    by.scale(v.reshape([n, m * k])).reshape([n, m, k])
}
