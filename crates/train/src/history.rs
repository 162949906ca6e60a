//! Loss-second-moment resampling: more times where losses are large (Nichol and Dhariwal 2021, section 3.3).
//!
//! The variance of the bound's gradient is lowered by `p_b ~ sqrt(E[L_b^2])` over bins `b` of the span, each loss divided by
//! `B p_b`, which leaves the mean over uniform bins where it was. The expectations are those of the latest losses of each bin.

use crate::TimeLaw;

/// The latest losses of each bin.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// `[bins, kept]`, oldest first.
    pub(crate) losses: Vec<f32>,
    /// How many of a bin's losses have been seen, up to `kept`; whole numbers.
    pub(crate) counts: Vec<f32>,
    kept: usize,
    uniform: f64,
}

impl History {
    /// An empty history, for the law that needs one.
    pub fn of(law: &TimeLaw) -> Option<Self> {
        let &TimeLaw::LossSecondMoment { bins, history, uniform } = law else { return None };
        Some(Self { losses: vec![0.0; bins * history], counts: vec![0.0; bins], kept: history, uniform })
    }

    fn bins(&self) -> usize {
        self.counts.len()
    }

    /// The probability of each bin.
    pub fn probabilities(&self) -> Vec<f64> {
        let even = 1.0 / self.bins() as f64;
        let warm = self.counts.iter().all(|&c| c as usize == self.kept);
        let square = |v: &f32| f64::from(*v) * f64::from(*v);
        let roots = || self.losses.chunks(self.kept).map(|l| (l.iter().map(square).sum::<f64>() / self.kept as f64).sqrt());
        let total: f64 = roots().sum();
        if !(warm && total > 0.0 && total.is_finite()) {
            return vec![even; self.bins()];
        }
        roots().map(|r| (1.0 - self.uniform) * r / total + self.uniform * even).collect()
    }

    /// The place in the span, from 0 to 1, below which a share `u` lies, and the factor `1 / (B p_b)` of its loss.
    pub fn quantile(&self, u: f64) -> (f64, f64) {
        let (p, bins) = (self.probabilities(), self.bins());
        let mut below = 0.0;
        for (b, &p) in p.iter().enumerate() {
            if u < below + p || b + 1 == bins {
                let inside = ((u - below) / p).clamp(0.0, 1.0 - 1e-9);
                return ((b as f64 + inside) / bins as f64, 1.0 / (bins as f64 * p));
            }
            below += p;
        }
        (u, 1.0)
    }

    /// Takes in a loss (before its factor) at a place in the span.
    pub fn record(&mut self, place: f64, loss: f64) {
        let b = ((place * self.bins() as f64) as usize).min(self.bins() - 1);
        let (seen, row) = (self.counts[b] as usize, &mut self.losses[b * self.kept..(b + 1) * self.kept]);
        if seen < self.kept {
            row[seen] = loss as f32;
            self.counts[b] += 1.0;
        } else {
            row.rotate_left(1);
            row[self.kept - 1] = loss as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bins of losses 1 and 3: probabilities 1/4 and 3/4 (but for the uniform share), quantiles and factors follow, and the mean of
    /// `factor f` over the law is that of `f` over the uniform one.
    #[test]
    fn probabilities_follow_the_losses() {
        let law = TimeLaw::LossSecondMoment { bins: 2, history: 3, uniform: 1e-9 };
        let mut history = History::of(&law).unwrap();
        assert_eq!(history.probabilities(), [0.5, 0.5]);
        for k in 0..4 {
            history.record(0.1, 1.0);
            history.record(0.9, if k == 0 { 100.0 } else { 3.0 });
        }
        let p = history.probabilities();
        assert!((p[0] - 0.25).abs() < 1e-8 && (p[1] - 0.75).abs() < 1e-8, "{p:?}");
        let (place, factor) = history.quantile(0.25 + 0.75 * 0.5);
        assert!((place - 0.75).abs() < 1e-8 && (factor - 2.0 / 3.0).abs() < 1e-8);
        let f = |place: f64| place * place;
        let n = 100_000;
        let at = |i: usize| history.quantile((i as f64 + 0.5) / n as f64);
        let mean: f64 = (0..n).map(at).map(|(place, factor)| factor * f(place)).sum::<f64>() / n as f64;
        assert!((mean - 1.0 / 3.0).abs() < 1e-6, "{mean}");
    }
}
