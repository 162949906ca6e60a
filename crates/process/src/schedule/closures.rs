//! A process of one's own: any pair of formulas.

use crate::{Process, Span};
use scorefield_tensor::Dual;
use std::fmt;

/// A process given by two closures over [`Dual`] numbers and the span on which they are used. The slopes come out of them.
///
/// The ratio `alpha / sigma` must strictly decrease over the span; [`Closures::new`] looks at it in 256 places.
///
/// ```
/// use scorefield_process::{ProcessExt, Span, schedule::Closures};
/// // The line of rectified flow, bent.
/// let bent = Closures::new(|t| 1.0 - t * t, |t| t, Span { start: 1e-3, end: 0.99 });
/// assert!((bent.at(0.5).d_alpha + 1.0).abs() < 1e-15);
/// ```
pub struct Closures<A, S> {
    alpha: A,
    sigma: S,
    span: Span,
}

impl<A, S> Closures<A, S>
where
    A: Fn(Dual) -> Dual + Send + Sync,
    S: Fn(Dual) -> Dual + Send + Sync,
{
    /// A process of two formulas.
    ///
    /// # Panics
    /// When the span is empty, or at one of 256 places a coefficient is not finite and positive or the signal-to-noise ratio
    /// does not fall.
    #[track_caller]
    pub fn new(alpha: A, sigma: S, span: Span) -> Self {
        assert!(span.start < span.end, "a span from {} to {} is empty", span.start, span.end);
        let mut before = f64::INFINITY;
        for i in 0..256 {
            let t = Dual::constant(span.at(f64::from(i) / 255.0));
            let (a, s) = (alpha(t).value, sigma(t).value);
            let least = if i == 0 { 0.0 } else { f64::MIN_POSITIVE };
            assert!(a.is_finite() && s.is_finite() && a > 0.0 && s >= least, "alpha = {a}, sigma = {s} at t = {}", t.value);
            assert!(a / s < before || i == 0, "alpha / sigma does not fall at t = {}: {} after {before}", t.value, a / s);
            before = a / s;
        }
        Self { alpha, sigma, span }
    }
}

impl<A, S> fmt::Debug for Closures<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closures").field("span", &self.span).finish_non_exhaustive()
    }
}

impl<A, S> Process for Closures<A, S>
where
    A: Fn(Dual) -> Dual + Send + Sync,
    S: Fn(Dual) -> Dual + Send + Sync,
{
    fn alpha(&self, t: Dual) -> Dual {
        (self.alpha)(t)
    }

    fn sigma(&self, t: Dual) -> Dual {
        (self.sigma)(t)
    }

    fn span(&self) -> Span {
        self.span
    }
}
