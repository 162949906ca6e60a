//! A process given by a table: the discrete schedules of other programs.

use scorefield_process::{Process, Span};
use scorefield_tensor::Dual;

/// Coefficients at given times, exact there and linear between.
#[derive(Clone, Debug)]
pub struct Table {
    /// `(t, alpha, sigma)`, times increasing.
    knots: Vec<[f64; 3]>,
}

impl Table {
    /// A table of `(t, alpha, sigma)` in any order.
    ///
    /// # Panics
    /// With fewer than two knots.
    #[track_caller]
    pub fn new(mut knots: Vec<[f64; 3]>) -> Self {
        assert!(knots.len() > 1, "a table needs two times");
        knots.sort_by(|a, b| a[0].total_cmp(&b[0]));
        Self { knots }
    }

    /// Cumulative products `alpha_bar` at times 0, 1, ...: `alpha = sqrt(alpha_bar)`, `sigma = sqrt(1 - alpha_bar)`; and at time -1
    /// the clean data, `alpha_bar = last`.
    pub fn of_alpha_bar(alpha_bar: &[f64], last: f64) -> Self {
        let knot = |(t, a): (usize, &f64)| [t as f64 - 1.0, a.sqrt(), (1.0 - a).sqrt()];
        Self::new(std::iter::once(&last).chain(alpha_bar).enumerate().map(knot).collect())
    }

    fn column(&self, t: Dual, c: usize) -> Dual {
        let i = self.knots.partition_point(|k| k[0] < t.value).clamp(1, self.knots.len() - 1);
        let (a, b) = (self.knots[i - 1], self.knots[i]);
        // Written from the nearer knot, so that a knot's own value comes out exactly.
        let from = if t.value == a[0] { a } else { b };
        (t - from[0]) * ((b[c] - a[c]) / (b[0] - a[0])) + from[c]
    }
}

impl Process for Table {
    fn alpha(&self, t: Dual) -> Dual {
        self.column(t, 1)
    }

    fn sigma(&self, t: Dual) -> Dual {
        self.column(t, 2)
    }

    fn span(&self) -> Span {
        Span { start: self.knots[0][0], end: self.knots[self.knots.len() - 1][0] }
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use scorefield_process::ProcessExt;

    #[test]
    fn knots_are_exact() {
        let table = Table::of_alpha_bar(&[0.9, 0.4, 0.1], 1.0);
        assert_eq!((table.at(-1.0).alpha, table.at(-1.0).sigma), (1.0, 0.0));
        for (t, a) in [(0.0, 0.9f64), (1.0, 0.4), (2.0, 0.1)] {
            assert_eq!((table.at(t).alpha, table.at(t).sigma), (a.sqrt(), (1.0 - a).sqrt()));
        }
        assert!((table.at(0.5).alpha - 0.5 * (0.9f64.sqrt() + 0.4f64.sqrt())).abs() < 1e-15);
    }
}
