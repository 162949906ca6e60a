//! The spacings of a grid by name.

use super::{Grid, GridError, beta, leading, linspace, sections, trailing};
use crate::{Marginal, Process, ProcessExt, Span};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// A spacing. With `v` falling from 1 to 0 in equal steps, `t_0 < t_1` the ends of the span, and `r = sigma / alpha`:
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GridKind {
    /// `t = t_0 + v (t_1 - t_0)`: equal steps in time (Song et al. 2021).
    Uniform,
    /// `t = t_0 + v^2 (t_1 - t_0)` (Song et al. 2021, DDIM, appendix D.2).
    Quadratic,
    /// `t = t_0 + (1 - cos(pi v / 2)) (t_1 - t_0)`.
    Cosine,
    /// Equal steps in `r^(1/rho)` (Karras et al. 2022, eq. 5; rho = 7 there).
    Karras {
        /// The exponent: larger puts more steps next to the data.
        rho: f64,
    },
    /// Equal steps in the log signal-to-noise ratio, which is `-2 ln r` (Lu et al. 2022; "exponential" in k-diffusion).
    LogSnr,
    /// `ln r = ln r_0 + v^rho (ln r_1 - ln r_0)` (k-diffusion); 1 is [`GridKind::LogSnr`].
    Polyexponential {
        /// The exponent: larger puts more steps next to the data.
        rho: f64,
    },
    /// `t = t_0 + Q(v) (t_1 - t_0)`, `Q` the quantile function of Beta(alpha, beta): more steps at both ends where both are
    /// below 1 (Lee et al. 2024: 0.6 and 0.6).
    Beta {
        /// First parameter: below 1 draws times to the data.
        alpha: f64,
        /// Second parameter: below 1 draws times to the noise.
        beta: f64,
    },
    /// Whole times of a discrete-time process: [`linspace`].
    Linspace,
    /// Whole times of a discrete-time process: [`leading`].
    Leading {
        /// Added to each time.
        offset: usize,
    },
    /// Whole times of a discrete-time process: [`trailing`].
    Trailing,
    /// Whole times of a discrete-time process: [`sections`].
    Sections {
        /// How many times of each section, from the data on.
        counts: Vec<usize>,
    },
    /// The caller's own times, decreasing.
    Times(Vec<f64>),
    /// The times of the caller's own noise levels `r`, decreasing.
    Levels(Vec<f64>),
}

impl GridKind {
    /// One of each that gives any number of times on any process: what tests walk.
    pub fn all() -> Vec<Self> {
        let beta = Self::Beta { alpha: 0.6, beta: 0.6 };
        let rho = (7.0, 2.0);
        vec![
            Self::Uniform,
            Self::Karras { rho: rho.0 },
            Self::LogSnr,
            Self::Quadratic,
            Self::Cosine,
            Self::Polyexponential { rho: rho.1 },
            beta,
        ]
    }

    /// Every spacing with its usual options (an example where there are none): what listings and parsers walk.
    pub fn named() -> Vec<Self> {
        let mut all = Self::all();
        all.extend([Self::Linspace, Self::Leading { offset: 0 }, Self::Trailing, Self::Sections { counts: vec![10, 15, 20] }]);
        all.extend([Self::Times(vec![1.0, 0.5, 0.1]), Self::Levels(vec![80.0, 10.0, 1.0])]);
        all
    }

    /// The name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Quadratic => "quadratic",
            Self::Cosine => "cosine",
            Self::Karras { .. } => "karras",
            Self::LogSnr => "log-snr",
            Self::Polyexponential { .. } => "polyexponential",
            Self::Beta { .. } => "beta",
            Self::Linspace => "linspace",
            Self::Leading { .. } => "leading",
            Self::Trailing => "trailing",
            Self::Sections { .. } => "sections",
            Self::Times(_) => "times",
            Self::Levels(_) => "levels",
        }
    }

    /// One line: what it is and whose.
    pub fn about(&self) -> &'static str {
        match self {
            Self::Uniform => "equal steps in time",
            Self::Quadratic => "equal steps in the root of time",
            Self::Cosine => "time as 1 - cos(pi v / 2), v in equal steps",
            Self::Karras { .. } => "equal steps in (sigma/alpha)^(1/rho), rho 7 unless said (Karras et al. 2022, eq. 5)",
            Self::LogSnr => "equal steps in the log signal-to-noise ratio (also: exponential)",
            Self::Polyexponential { .. } => "ln(sigma/alpha) as v^rho, v in equal steps, rho 2 unless said (k-diffusion)",
            Self::Beta { .. } => "times at quantiles of Beta(alpha, beta), both 0.6 unless said (Lee et al. 2024)",
            Self::Linspace => "discrete-time processes: whole times from T - 1 to 0 (diffusers)",
            Self::Leading { .. } => "discrete-time processes: whole times i floor(T/n) + offset (DDIM)",
            Self::Trailing => "discrete-time processes: whole times round(T - i T/n) - 1 (Lin et al. 2024)",
            Self::Sections { .. } => "discrete-time processes: counts=10;15;20 of equal sections (Nichol and Dhariwal 2021)",
            Self::Times(_) => "times=1;0.5;0.1 or times=FILE: your own times, decreasing",
            Self::Levels(_) => "levels=80;10;1 or levels=FILE: the times of your own levels sigma/alpha, decreasing",
        }
    }

    /// The number of times that a list has of its own.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Sections { counts } => Some(counts.iter().sum()),
            Self::Times(list) | Self::Levels(list) => Some(list.len()),
            _ => None,
        }
    }

    /// `n` times of `process` over its span.
    ///
    /// # Errors
    /// When `n` is zero, or so large that neighbouring times coincide; when a list has another length or leaves the span; when
    /// whole times are asked of a continuous process, or more than there are.
    pub fn grid(&self, process: &(impl Process + ?Sized), n: usize) -> Result<Grid, GridError> {
        self.between(process, process.span(), n)
    }

    /// `n` times of `process` over a span of the caller's.
    ///
    /// # Errors
    /// As [`GridKind::grid`].
    pub fn between(&self, process: &(impl Process + ?Sized), span: Span, n: usize) -> Result<Grid, GridError> {
        if let Some(expected) = self.count().filter(|c| *c != n) {
            return Err(GridError::Count { found: n, expected });
        }
        let in_time = |f: &dyn Fn(f64) -> f64| spread(span, n, |u| span.at(f(1.0 - u)));
        match self {
            Self::Uniform => spread(span, n, |u| span.end + u * (span.start - span.end)),
            Self::Quadratic => in_time(&|v| v * v),
            Self::Cosine => in_time(&|v| 1.0 - (FRAC_PI_2 * v).cos()),
            Self::Beta { alpha, beta } => in_time(&|v| beta::quantile(v, *alpha, *beta)),
            Self::Karras { rho } => {
                let ends = Ends::of(process, span, |m| m.ratio().powf(rho.recip()));
                spread(span, n, |u| process.time_of_ratio(ends.at(u).powf(*rho)))
            }
            Self::LogSnr => {
                let ends = Ends::of(process, span, Marginal::log_snr);
                spread(span, n, |u| process.time_of(ends.at(u)))
            }
            Self::Polyexponential { rho } => {
                let ends = Ends::of(process, span, Marginal::log_snr);
                spread(span, n, |u| process.time_of(ends.at(1.0 - (1.0 - u).powf(*rho))))
            }
            Self::Linspace => self.whole(process, span, |steps| linspace(steps, n)),
            Self::Leading { offset } => self.whole(process, span, |steps| leading(steps, n, *offset)),
            Self::Trailing => self.whole(process, span, |steps| trailing(steps, n)),
            Self::Sections { counts } => self.whole(process, span, |steps| sections(steps, counts)),
            Self::Times(list) => {
                within("time", list, span.start, span.end)?;
                Grid::new(list.clone())
            }
            Self::Levels(list) => {
                let (low, high) = (process.at(span.start).ratio(), process.at(span.end).ratio());
                within("level", list, low, high)?;
                Grid::new(list.iter().map(|r| process.time_of_ratio(*r).clamp(span.start, span.end)).collect())
            }
        }
    }

    /// A spacing of the whole times that lie in the span; the last of them may be the span's end, just before a time without signal.
    fn whole(
        &self,
        process: &(impl Process + ?Sized),
        span: Span,
        place: impl Fn(usize) -> Result<Vec<usize>, GridError>,
    ) -> Result<Grid, GridError> {
        if process.steps().is_none() {
            return Err(GridError::Continuous { grid: self.name() });
        }
        // A span that ends within 1/100 of a whole time is meant to hold it.
        let (first, last) = ((span.start - 0.01).ceil(), (span.end + 0.01).floor());
        let steps = if last >= first { (last - first) as usize + 1 } else { 0 };
        let times = place(steps)?.into_iter().map(|i| (first + i as f64).clamp(span.start, span.end));
        Grid::new(times.collect())
    }
}

/// A function of the time at both ends of a span.
struct Ends {
    low: f64,
    high: f64,
}

impl Ends {
    fn of(process: &(impl Process + ?Sized), span: Span, f: impl Fn(&Marginal) -> f64) -> Self {
        Self { low: f(&process.at(span.start)), high: f(&process.at(span.end)) }
    }

    /// The value a fraction `u` of the way from the noise to the data.
    fn at(&self, u: f64) -> f64 {
        self.high + u * (self.low - self.high)
    }
}

/// `n` times from the end of a span to its start, both exactly, whatever the formula of the way `u` from the noise rounds to.
fn spread(span: Span, n: usize, time: impl Fn(f64) -> f64) -> Result<Grid, GridError> {
    let place = |i: usize| match i {
        0 => span.end,
        i if i == n - 1 => span.start,
        i => time(i as f64 / (n - 1) as f64),
    };
    Grid::new((0..n).map(place).collect())
}

/// Every number of a list within two others, up to the rounding of a printed number.
fn within(what: &'static str, list: &[f64], low: f64, high: f64) -> Result<(), GridError> {
    let slack = if what == "level" { 1e-9 } else { 0.0 };
    let outside = |v: &f64| v.is_finite() && !(low * (1.0 - slack)..=high * (1.0 + slack)).contains(v);
    match list.iter().position(outside) {
        Some(index) => Err(GridError::Outside { what, index, value: list[index], low, high }),
        None => Ok(()),
    }
}
