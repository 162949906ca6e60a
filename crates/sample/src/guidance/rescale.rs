//! Guided clean data brought back to the spread that the model itself would give them.
//!
//! Guidance with a large weight makes pictures of too much contrast. Lin et al. 2024 ("Common diffusion noise schedules and sample steps
//! are flawed", section 3.4, eq. 15 and 16) scale the guided prediction by the ratio of deviations, each over all entries of one sample,
//! and mix the two by `phi`:
//!
//! `D_phi = k D_w`, `k = 1 + phi (s(M) / s(D_w) - 1)`,
//!
//! `s` the standard deviation about the mean of the entries. A prediction whose entries are all alike has no spread to be scaled: its `k`
//! is 1.

use scorefield_tensor::{Batch, Coefficient, Column, rows_f64};

/// The factor of each row and what its slope is made of.
pub(super) struct Rescale {
    phi: f64,
    /// Of the main model and of the guided prediction.
    deviations: [Column; 2],
}

impl Rescale {
    /// For predictions `[n, d]` of the main model and with guidance.
    pub(super) fn of(main: &Batch, guided: &Batch, phi: f64) -> Self {
        let deviation = |x: &Batch| Column(rows_f64((centred(x).powi_scalar(2)).mean_dim(1).sqrt()));
        Self { phi, deviations: [deviation(main), deviation(guided)] }
    }

    /// One number a row, from the deviations of both.
    fn each(&self, f: impl Fn(f64, f64) -> f64) -> Column {
        let [main, guided] = &self.deviations;
        Column(main.0.iter().zip(&guided.0).map(|(&m, &g)| if g > 0.0 { f(m, g) } else { f64::NAN }).collect())
    }

    /// `k`, exactly 1 where both are the same.
    fn factor(&self) -> Column {
        Column(self.each(|m, g| 1.0 + self.phi * (m / g - 1.0)).0.into_iter().map(|k| if k.is_nan() { 1.0 } else { k }).collect())
    }

    /// `k D_w`.
    pub(super) fn apply(&self, guided: Batch) -> Batch {
        self.factor().scale(guided)
    }

    /// What a cotangent `v` of `k D_w` is for `D_w` and, by way of its deviation, for `M`: with `c` the centred entries and
    /// `ds = <c, dx> / (d s)`,
    /// `k v - phi <v, D_w> s_M / s_w^2 c_w / (d s_w)` and `phi <v, D_w> / s_w c_M / (d s_M)`.
    pub(super) fn back(&self, main: &Batch, guided: &Batch, v: Batch) -> (Batch, Batch) {
        let d = v.dims()[1] as f64;
        let along = Column(rows_f64((v.clone() * guided.clone()).sum_dim(1)));
        let share = |part: Column| {
            let finite = |s: f64| if s.is_finite() { s } else { 0.0 };
            Column(part.0.into_iter().zip(&along.0).map(|(s, a)| finite(s) * a * self.phi / d).collect())
        };
        let of_guided = share(self.each(|m, g| -m / g.powi(3)));
        let of_main = share(self.each(|m, g| (g * m).recip()));
        (self.factor().scale(v) + of_guided.scale(centred(guided)), of_main.scale(centred(main)))
    }
}

/// The entries of each row about their mean.
fn centred(x: &Batch) -> Batch {
    x.clone() - x.clone().mean_dim(1)
}
