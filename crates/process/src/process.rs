//! A process is two formulas and the interval on which they are used.

use crate::Marginal;
use scorefield_tensor::{Column, Dual};
use std::fmt::Debug;

/// The times between which a process is used: `start` next to the data, `end` next to pure noise, `start < end`.
///
/// A span stays off the points where a slope is singular (variance-preserving processes at `t = 0`, where
/// `sigma ~ sqrt(t)`; interpolants at `t = 1`, where `alpha = 0`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The time next to the data.
    pub start: f64,
    /// The time next to pure noise.
    pub end: f64,
}

impl Span {
    /// The time a fraction `u` of the way from the data to the noise.
    pub fn at(&self, u: f64) -> f64 {
        self.start + u * (self.end - self.start)
    }

    /// Whether `t` lies in the span.
    pub fn contains(&self, t: f64) -> bool {
        (self.start..=self.end).contains(&t)
    }
}

/// `x_t = alpha(t) x_0 + sigma(t) eps`, with `alpha / sigma` strictly decreasing in time.
///
/// Both formulas are written over [`Dual`] numbers; slopes are derived, never typed.
pub trait Process: Debug + Send + Sync {
    /// The signal coefficient.
    fn alpha(&self, t: Dual) -> Dual;
    /// The noise coefficient.
    fn sigma(&self, t: Dual) -> Dual;
    /// Where the process is used.
    fn span(&self) -> Span;

    /// Whether the formulas have all derivatives inside the span. A table's slopes jump at its times; solvers run on it, but the
    /// orders they claim, which suppose derivatives, show only once steps are shorter than the table's.
    fn smooth(&self) -> bool {
        true
    }

    /// The number `T` of a discrete-time process, whose own times are 0, 1, ..., T - 1; none for a continuous one.
    fn steps(&self) -> Option<usize> {
        None
    }
}

/// What every process can do.
pub trait ProcessExt: Process {
    /// The marginal at one time.
    fn at(&self, t: f64) -> Marginal<f64> {
        let t = Dual::variable(t);
        let (alpha, sigma) = (self.alpha(t), self.sigma(t));
        Marginal { alpha: alpha.value, sigma: sigma.value, d_alpha: alpha.slope, d_sigma: sigma.slope }
    }

    /// The marginals at one time a row.
    fn at_each(&self, times: &[f64]) -> Marginal<Column> {
        let rows: Vec<_> = times.iter().map(|&t| self.at(t)).collect();
        let column = |f: fn(&Marginal<f64>) -> f64| Column(rows.iter().map(f).collect());
        Marginal {
            alpha: column(|m| m.alpha),
            sigma: column(|m| m.sigma),
            d_alpha: column(|m| m.d_alpha),
            d_sigma: column(|m| m.d_sigma),
        }
    }

    /// The time in the span at which `ln(alpha^2 / sigma^2)` takes the given value (clamped to the span's ends), by
    /// bisection to the last bit: the log-SNR is strictly decreasing.
    fn time_of(&self, log_snr: f64) -> f64 {
        let Span { start: mut low, end: mut high } = self.span();
        if self.at(low).log_snr() <= log_snr {
            return low;
        }
        if self.at(high).log_snr() >= log_snr {
            return high;
        }
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if self.at(middle).log_snr() > log_snr {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    }

    /// The time at which the noise-to-signal ratio `sigma / alpha` takes the given value.
    fn time_of_ratio(&self, ratio: f64) -> f64 {
        self.time_of(-2.0 * ratio.ln())
    }
}

impl<P: Process + ?Sized> ProcessExt for P {}

macro_rules! through_pointer {
    ($($pointer:ty),*) => {$(
        impl<P: Process + ?Sized> Process for $pointer {
            fn alpha(&self, t: Dual) -> Dual {
                (**self).alpha(t)
            }
            fn sigma(&self, t: Dual) -> Dual {
                (**self).sigma(t)
            }
            fn span(&self) -> Span {
                (**self).span()
            }
            fn smooth(&self) -> bool {
                (**self).smooth()
            }
            fn steps(&self) -> Option<usize> {
                (**self).steps()
            }
        }
    )*};
}
through_pointer!(&P, Box<P>);
