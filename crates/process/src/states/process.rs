//! The process on states: its laws forwards and backwards at every time in [0, 1].

use super::{ColumnKind, Columns, Group, Kernel, Law, StatesError, Survival, Transition};
use crate::{Marginal, Process, ProcessExt, Span};
use scorefield_tensor::{Batch, Column, DType, Device, Dual, Known, Streams, Tensor};

/// A likelihood below this is none: of a level from which a state cannot have come.
const NONE: f64 = 1e-30;
/// The logarithm of such a likelihood: its exponential is zero in every precision.
const LN_NONE: f64 = -1e4;

/// Columns of numbers and categories that are noised side by side, every column by itself.
#[derive(Debug)]
pub struct StatesProcess {
    columns: Columns,
    kernels: Vec<Option<Kernel>>,
    survival: Survival,
    numbers: Option<Box<dyn Process>>,
}

/// The process at one time for all rows (`f64`), or at one a row ([`Column`]).
#[derive(Clone, Debug, PartialEq)]
pub struct StatesAt<S = f64> {
    /// The share of categories that nothing was forgotten of.
    pub keep: S,
    /// The rate of forgetting, `-keep' / keep`.
    pub beta: S,
    /// The marginal of numbers, where there are any.
    pub numbers: Option<Marginal<S>>,
}

impl StatesAt {
    /// What happens on the way from the earlier time `s` to this one: the kernel of `q(x_t | x_s)`.
    pub fn since(&self, s: &Self) -> Self {
        let numbers = self.numbers.as_ref().zip(s.numbers.as_ref()).map(|(t, s)| {
            let alpha = t.alpha / s.alpha;
            let sigma = (t.sigma - alpha * s.sigma) * (t.sigma + alpha * s.sigma);
            Marginal { alpha, sigma: sigma.max(0.0).sqrt(), d_alpha: 0.0, d_sigma: 0.0 }
        });
        Self { keep: self.keep / s.keep, beta: 0.0, numbers }
    }
}

impl StatesProcess {
    /// Columns of categories under a transition and a survival, and of numbers under a Gaussian process.
    ///
    /// # Errors
    /// When there is no column, a category has fewer than two levels or more than can be ordered, a constant is out of range, or there are
    /// numbers and no process for them.
    pub fn new(
        kinds: Vec<ColumnKind>,
        transition: Transition,
        survival: Survival,
        numbers: Option<Box<dyn Process>>,
    ) -> Result<Self, StatesError> {
        survival.validate()?;
        if kinds.is_empty() {
            return Err(StatesError::Columns);
        }
        for (column, kind) in kinds.iter().enumerate() {
            match *kind {
                ColumnKind::Number if numbers.is_none() => return Err(StatesError::Number { column }),
                ColumnKind::Category(levels @ (0 | 1)) => return Err(StatesError::Levels { column, levels }),
                ColumnKind::Category(levels) => transition.takes(column, levels)?,
                ColumnKind::Number => {}
            }
        }
        let columns = Columns::new(kinds, transition.masks());
        let kernel = |group: &Group| match group.kind {
            ColumnKind::Number => None,
            ColumnKind::Category(levels) => Some(Kernel::new(transition, levels)),
        };
        let kernels = columns.groups().iter().map(kernel).collect();
        Ok(Self { columns, kernels, survival, numbers })
    }

    /// The columns.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The survival.
    pub fn survival(&self) -> &Survival {
        &self.survival
    }

    /// The process of the numbers.
    pub fn numbers(&self) -> Option<&dyn Process> {
        self.numbers.as_deref()
    }

    /// The blocks of a wide row with the chain of each that has one.
    pub fn parts(&self) -> impl Iterator<Item = (&Group, Option<&Kernel>)> {
        self.columns.groups().iter().zip(self.kernels.iter().map(Option::as_ref))
    }

    /// The time of the numbers' own process at a time in [0, 1].
    pub fn number_time(&self, t: f64) -> Option<f64> {
        self.numbers.as_ref().map(|p| p.span().at(t))
    }

    /// The process at a time in [0, 1].
    pub fn at(&self, t: f64) -> StatesAt<f64> {
        let keep = self.survival.keep(Dual::variable(t));
        let numbers = self.numbers.as_ref().map(|p| {
            let Span { start, end } = p.span();
            let at = p.at(p.span().at(t));
            // Slopes by the time of the whole, not of the span.
            let stretch = end - start;
            Marginal { d_alpha: at.d_alpha * stretch, d_sigma: at.d_sigma * stretch, ..at }
        });
        // A survival below zero is rounding.
        StatesAt { keep: keep.value.max(0.0), beta: -keep.slope / keep.value.max(f64::MIN_POSITIVE), numbers }
    }

    /// The process at one time a row.
    pub fn at_each(&self, times: &[f64]) -> StatesAt<Column> {
        let all: Vec<StatesAt> = times.iter().map(|&t| self.at(t)).collect();
        let column = |of: &dyn Fn(&StatesAt) -> f64| Column(all.iter().map(of).collect());
        let number = |of: fn(&Marginal) -> f64| column(&|at| at.numbers.as_ref().map_or(0.0, of));
        let numbers = self.numbers.is_some().then(|| Marginal {
            alpha: number(|m| m.alpha),
            sigma: number(|m| m.sigma),
            d_alpha: number(|m| m.d_alpha),
            d_sigma: number(|m| m.d_sigma),
        });
        StatesAt { keep: column(&|at| at.keep), beta: column(&|at| at.beta), numbers }
    }

    /// The law of `x_1` as a model starts from it: nothing is remembered of categories, numbers have mean zero and the process's last
    /// spread; `[n, width]`.
    pub fn prior(&self, n: usize, (device, dtype): (&Device, DType)) -> Law {
        let row: Vec<f64> = self
            .parts()
            .flat_map(|(group, kernel)| {
                let one = kernel.map_or(vec![0.0], |k| k.prior().to_vec());
                std::iter::repeat_n(one, group.columns).flatten()
            })
            .collect();
        let like = Batch::zeros([1, 1], (device, dtype));
        let wide = super::columns::like(row.repeat(n), n, &like);
        Law { wide, deviation: self.at(1.0).numbers.map_or(0.0, |m| m.sigma) }
    }

    /// `q(x_t | x_0)` of wide rows.
    pub fn marginal<S: Known>(&self, x0: &Batch, at: &StatesAt<S>) -> Law<S> {
        let wide = self.blocks(|group, kernel| match kernel {
            Some(kernel) => flat(kernel.forward(group.cube(x0), &at.keep)),
            None => numbers(at).alpha.scale(group.of(x0)),
        });
        Law { wide, deviation: at.numbers.as_ref().map_or_else(|| at.keep.constant(0.0), |m| m.sigma.clone()) }
    }

    /// `x_t` drawn from `q(x_t | x_0)`, wide.
    pub fn perturb<S: Known>(&self, x0: &Batch, at: &StatesAt<S>, streams: &mut Streams) -> Batch {
        self.marginal(x0, at).draw(&self.columns, streams)
    }

    /// `q(x_t | x_0 = k)` for the `x_t` at hand and every state `k` of every category, wide; one for numbers. In double precision inside.
    pub fn likelihood<S: Known>(&self, x_t: &Batch, at: &StatesAt<S>) -> Batch {
        let exact = x_t.clone().cast(DType::F64);
        let wide = self.blocks(|group, kernel| match kernel {
            Some(kernel) => flat(kernel.backward(group.cube(&exact), &at.keep)),
            None => group.of(&exact).ones_like(),
        });
        wide.cast(x_t.dtype())
    }

    /// The logarithm of [`StatesProcess::likelihood`]; of levels from which `x_t` cannot have come a number whose exponential is zero.
    pub fn log_likelihood<S: Known>(&self, x_t: &Batch, at: &StatesAt<S>) -> Batch {
        let exact = x_t.clone().cast(DType::F64);
        let l = self.likelihood(&exact, at);
        let none = l.clone().lower_elem(NONE).float().cast(DType::F64);
        (l.clamp_min(NONE).log() + none * LN_NONE).cast(x_t.dtype())
    }

    /// `q(x_s | x_t, x_0)`, `s < t`, averaged over what is known of `x_0`: for an `x_0` of one-hot rows the exact posterior, for
    /// `E[x_0 | x_t]` the law of a reverse step, `sum_k q(x_s | x_t, x_0 = k) p(x_0 = k | x_t)` (Austin et al. 2021, eq. 4), whose columns
    /// are the exact marginals of `q(x_s | x_t)` where `p` is exact.
    ///
    /// With `l_k = q(x_t | x_0 = k)` its weights are `((p / l) Q(s|0))_j q(x_t | x_s = j)`. Numbers: as [`Marginal::posterior`].
    pub fn posterior<S: Known>(&self, x_t: &Batch, x0: &Batch, at_t: &StatesAt<S>, at_s: &StatesAt<S>) -> Law<S> {
        let ratio = self.ratio(x_t, x0, at_t);
        let between = at_t.keep.clone() / at_s.keep.clone();
        let exact = x_t.clone().cast(DType::F64);
        let step = at_t.numbers.as_ref().zip(at_s.numbers.as_ref()).map(|(t, s)| t.posterior(s));
        let wide = self.blocks(|group, kernel| match (kernel, &step) {
            (Some(kernel), _) => {
                let from = kernel.backward(group.cube(&exact), &between).cast(x_t.dtype());
                let to = kernel.forward(group.cube(&ratio), &at_s.keep) * from;
                // Exact but for rounding: the weights sum to one.
                let total = to.clone().sum_dim(2);
                flat(to / total)
            }
            (None, Some(step)) => step.of_clean.scale(group.of(x0)) + step.of_state.scale(group.of(x_t)),
            (None, None) => unreachable!("numbers have a process"),
        });
        let deviation = step.map_or_else(|| at_t.keep.constant(0.0), |s| s.deviation);
        Law { wide, deviation }
    }

    /// `c x_t + Q_s(x_0) - c Q_t(x_0)`, `c` being a share `1 - fresh` of the largest for which this is a law (Song et al. 2021a, appendix A): a
    /// reverse step that keeps as much of `x_t` as marginals allow. Numbers: `alpha_s x_0 + sigma_s eps`.
    pub fn implicit(&self, x_t: &Batch, x0: &Batch, at_t: &StatesAt, at_s: &StatesAt, fresh: f64) -> Law {
        let wide = self.blocks(|group, kernel| match kernel {
            Some(kernel) => {
                let c = (1.0 - fresh) * kernel.most_kept(at_t.keep, at_s.keep);
                let (clean, now) = (group.cube(x0), group.cube(x_t));
                let law = now * c + kernel.forward(clean.clone(), &at_s.keep) - kernel.forward(clean, &at_t.keep) * c;
                flat(law.clamp_min(0.0))
            }
            None => {
                let (t, s) = (numbers(at_t), numbers(at_s));
                s.perturb(&group.of(x0), &t.noise(&group.of(x_t), &group.of(x0)))
            }
        });
        Law { wide, deviation: 0.0 }
    }

    /// The rates at which the reverse chain jumps from `x_t` to every other state, `[n, width]`, zero for the state it is in and for numbers,
    /// in units of `beta`: `(p / l) Q(t|0)_y R(y, x_t)`, the limit of [`StatesProcess::posterior`] for short steps (Campbell et al. 2022,
    /// proposition 1).
    pub fn rates<S: Known>(&self, x_t: &Batch, x0: &Batch, at: &StatesAt<S>) -> Batch {
        let ratio = self.ratio(x_t, x0, at);
        self.blocks(|group, kernel| match kernel {
            Some(kernel) => flat(kernel.forward(group.cube(&ratio), &at.keep) * kernel.jumps_into(group.cube(x_t))),
            None => group.of(x_t).zeros_like(),
        })
    }

    /// The rates at which the chain itself jumps from `x` to every other state, `[n, width]`, in units of `beta`; zero for numbers.
    pub fn forward_rates(&self, x: &Batch) -> Batch {
        self.blocks(|group, kernel| match kernel {
            Some(kernel) => flat(kernel.jumps_from(group.cube(x))),
            None => group.of(x).zeros_like(),
        })
    }

    /// `p / l`, zero where `l` is.
    fn ratio<S: Known>(&self, x_t: &Batch, x0: &Batch, at: &StatesAt<S>) -> Batch {
        let exact = x_t.clone().cast(DType::F64);
        self.blocks(|group, kernel| match kernel {
            Some(kernel) => {
                let l = kernel.backward(group.cube(&exact), &at.keep);
                let possible = l.clone().greater_elem(NONE).float().cast(DType::F64);
                let inverse = (possible / l.clamp_min(NONE)).cast(x_t.dtype());
                flat(group.cube(x0) * inverse)
            }
            None => group.of(x0),
        })
    }

    /// Wide rows from what is made of each block.
    pub(super) fn blocks(&self, mut of: impl FnMut(&Group, Option<&Kernel>) -> Batch) -> Batch {
        let mut parts: Vec<Batch> = self.parts().map(|(group, kernel)| of(group, kernel)).collect();
        if parts.len() == 1 { parts.remove(0) } else { Batch::cat(parts, 1) }
    }
}

pub(super) fn numbers<S>(at: &StatesAt<S>) -> &Marginal<S> {
    at.numbers.as_ref().expect("numbers have a process")
}

/// A cube as rows.
pub(super) fn flat(cube: Tensor<3>) -> Batch {
    let [n, m, k] = cube.dims();
    cube.reshape([n, m * k])
}
