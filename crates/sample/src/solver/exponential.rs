//! The one formula under DPM-Solver, DPM-Solver++, UniPC and DEIS.
//!
//! With `lambda = ln(alpha / sigma)` the probability flow is linear but for the model, and its linear part is solved exactly. On the
//! data prediction `x_s / sigma_s = x_t / sigma_t + int e^lambda x_0 dlambda`, on the noise prediction
//! `x_s / alpha_s = x_t / alpha_t - int e^-lambda eps dlambda` (Lu et al. 2022a, eq. 3.4; 2022b, eq. 8). Both read
//!
//! `x_s = (A_s / A_t) x_t + sum_k M_k c_k`, `M_k = -B_s z k! phi_(k+1)(z)`,
//!
//! with `(A, B, z) = (sigma, alpha, -h)` or `(alpha, sigma, h)`, `h = lambda_s - lambda_t`, where `m = sum_k c_k u^k` is the polynomial through the
//! predictions seen, in `u = (lambda - lambda_t) / h`, and `phi_k(z) = int_0^1 e^((1 - v) z) v^(k-1) dv / (k-1)!`. Methods differ in the places
//! seen and in what they put for a moment `M_k`.

use super::Seen;
use super::key::choice;
use scorefield_process::{Marginal, Process, ProcessExt};
use scorefield_tensor::Batch;

choice! {
    /// Which of the model's predictions is taken to be a polynomial in lambda.
    Predicts {
        Data = "data": "`E[x_0 | x_t]`, as DPM-Solver++: steadier with guidance and few steps.",
        Noise = "noise": "`E[eps | x_t]`, as DPM-Solver.",
    }
}

choice! {
    /// What stands for the first moment in a formula of second order.
    Second {
        Midpoint = "midpoint": "`M_1 = M_0 / 2`, right to the order of the method.",
        Heun = "heun": "`M_1` itself: the straight line is integrated exactly.",
    }
}

choice! {
    /// How a multistep method begins.
    Start {
        Full = "full": "With further evaluations in the first steps, so that the order is kept.",
        Low = "low": "With steps of order 1, 2, ... as published: the first one limits the order of the run.",
    }
}

impl Predicts {
    /// The prediction of a look at the model.
    pub(super) fn of(self, process: &dyn Process, look: &Seen) -> Batch {
        match self {
            Self::Data => look.clean.clone(),
            Self::Noise => process.at(look.t).noise(&look.x, &look.clean),
        }
    }
}

/// `lambda = ln(alpha / sigma)`.
pub(super) fn lambda(process: &dyn Process, t: f64) -> f64 {
    0.5 * process.at(t).log_snr()
}

/// The step from `t` to `s`, `sigma_s > 0`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leap<'a> {
    process: &'a dyn Process,
    /// `lambda_t`.
    from: f64,
    /// `lambda_s - lambda_t`.
    pub(super) h: f64,
    /// `-h` on data, `h` on noise.
    pub(super) z: f64,
    /// `A_s / A_t`.
    keep: f64,
    /// `B_s`.
    pub(super) scale: f64,
    predicts: Predicts,
}

impl<'a> Leap<'a> {
    pub(super) fn new(process: &'a dyn Process, t: f64, s: f64, predicts: Predicts) -> Self {
        let (at_t, at_s): (Marginal, Marginal) = (process.at(t), process.at(s));
        let from = 0.5 * at_t.log_snr();
        let h = 0.5 * at_s.log_snr() - from;
        let (z, keep, scale) = match predicts {
            Predicts::Data => (-h, at_s.sigma / at_t.sigma, at_s.alpha),
            Predicts::Noise => (h, at_s.alpha / at_t.alpha, at_s.sigma),
        };
        Self { process, from, h, z, keep, scale, predicts }
    }

    /// The time at `lambda_t + r h`.
    pub(super) fn time(&self, r: f64) -> f64 {
        self.process.time_of(2.0 * (self.from + r * self.h))
    }

    /// `M_0, ..., M_(n-1)`.
    pub(super) fn moments(&self, n: usize) -> Vec<f64> {
        let factorial = |k: usize| (1..=k).map(|i| i as f64).product::<f64>();
        // The zeroth by itself, because it also exists where z is infinite.
        let times_phi = |k: usize| if k == 0 { self.z.exp_m1() } else { self.z * factorial(k) * phi(k + 1, self.z) };
        (0..n).map(|k| -self.scale * times_phi(k)).collect()
    }

    /// `M_0` and the first moment of a formula of second order.
    pub(super) fn second(&self, second: Second) -> Vec<f64> {
        let mut moments = self.moments(2);
        if second == Second::Midpoint {
            moments[1] = 0.5 * moments[0];
        }
        moments
    }

    /// `x_s` from `x_t` through as many looks as there are moments.
    pub(super) fn step<'b>(&self, x: &Batch, moments: &[f64], looks: impl IntoIterator<Item = &'b Seen>) -> Batch {
        let looks: Vec<&Seen> = looks.into_iter().collect();
        assert_eq!(looks.len(), moments.len(), "a moment a look");
        let places: Vec<f64> = looks.iter().map(|look| (lambda(self.process, look.t) - self.from) / self.h).collect();
        self.add(x, &weights(&places, moments), &looks)
    }

    /// `(A_s / A_t) x_t + sum_j w_j m_j`.
    pub(super) fn add(&self, x: &Batch, weights: &[f64], looks: &[&Seen]) -> Batch {
        let linear = x.clone() * self.keep;
        weights.iter().zip(looks).fold(linear, |sum, (w, look)| sum + self.predicts.of(self.process, look) * *w)
    }
}

/// `phi_k(z)`, `k` from 1: `phi_1 = (e^z - 1) / z`, `phi_(k+1) = (phi_k - 1/k!) / z`; by its series where that would cancel.
pub(super) fn phi(k: usize, z: f64) -> f64 {
    let inverse_factorial = |k: usize| (1..=k).map(|i| i as f64).product::<f64>().recip();
    if z.abs() < 1.0 {
        // sum_j z^j / (j + k)!
        let (mut term, mut sum) = (inverse_factorial(k), 0.0);
        for j in 1..=20 {
            sum += term;
            term *= z / (j + k) as f64;
        }
        return sum;
    }
    (1..k).fold(z.exp_m1() / z, |phi, k| (phi - inverse_factorial(k)) / z)
}

/// The weights `w` of values at the places `u` with `sum_j w_j u_j^k = M_k`: the moments applied to the polynomial through the values.
/// By elimination with pivots; the places are few and distinct.
pub(super) fn weights(places: &[f64], moments: &[f64]) -> Vec<f64> {
    let n = places.len();
    let mut rows: Vec<Vec<f64>> = (0..n).map(|k| places.iter().map(|u| u.powi(k as i32)).chain([moments[k]]).collect()).collect();
    for i in 0..n {
        let pivot = (i..n).max_by(|a, b| rows[*a][i].abs().total_cmp(&rows[*b][i].abs())).unwrap_or(i);
        rows.swap(i, pivot);
        let pivot = rows[i].clone();
        for row in rows.iter_mut().enumerate().filter(|(k, _)| *k != i).map(|(_, row)| row) {
            let factor = row[i] / pivot[i];
            row.iter_mut().zip(&pivot).skip(i).for_each(|(v, p)| *v -= factor * p);
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The series and the recurrence meet, and both are the integral.
    #[test]
    fn phi_is_its_integral() {
        for z in [-30.0, -2.0, -1.0, -0.999, -0.3, 0.0, 1e-9, 0.4, 0.999, 1.0, 3.0] {
            for k in 1..=4 {
                // Simpson's rule with 2000 intervals.
                let power = |v: f64| v.powi(k - 1) / (1..k).map(f64::from).product::<f64>();
                let f = |i: usize| ((1.0 - i as f64 / 2000.0) * z).exp() * power(i as f64 / 2000.0);
                let inner: f64 = (1..2000).map(|i| f(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
                let integral = (f(0) + inner + f(2000)) / 6000.0;
                let ours = phi(k as usize, z);
                assert!((ours / integral - 1.0).abs() < 1e-8, "phi_{k}({z}) = {ours}, {integral}");
            }
        }
    }

    /// The weights are exact on every polynomial they can be exact on.
    #[test]
    fn weights_integrate_polynomials() {
        let places = [0.0, -1.1, -1.9, 1.0];
        // int_0^1 u^k du
        let moments = [1.0, 0.5, 1.0 / 3.0, 0.25];
        let w = weights(&places, &moments);
        let f = |u: f64| 3.0 - u + 2.0 * u * u - 0.7 * u.powi(3);
        let sum: f64 = w.iter().zip(places).map(|(w, u)| w * f(u)).sum();
        assert!((sum - (3.0 - 0.5 + 2.0 / 3.0 - 0.175)).abs() < 1e-13, "{sum}");
    }
}
