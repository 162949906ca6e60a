//! The law of the swiss roll: a spiral of one and a half turns with Gaussian noise, its density and its entropy.
//!
//! A point is `r(a) + noise z` with `r(a) = a (cos a, sin a) / 10`, `a` uniform on `[1.5 pi, 4.5 pi]` and `z` standard normal in the plane,
//! so `p(x) = 1/(3 pi) int N(x; r(a), noise^2 I) da`. Neither the density nor the entropy has a closed form: both are integrals here, to
//! the errors stated. Sohl-Dickstein et al. 2015 (section 3.1.1) hold a model's bound against such a roll.

use rayon::prelude::*;
use std::f64::consts::{PI, TAU};

/// The angles at which the spiral begins and ends.
const FROM: f64 = 1.5 * PI;
const TO: f64 = 4.5 * PI;

/// The deviation of the noise unless another is asked for.
pub const NOISE: f64 = 0.03;

/// The point of the spiral at an angle.
pub(crate) fn spiral(a: f64) -> [f64; 2] {
    [a * a.cos() / 10.0, a * a.sin() / 10.0]
}

/// The length of the spiral a radian, `|r'(a)|`: it grows with the angle.
fn speed(a: f64) -> f64 {
    (1.0 + a * a).sqrt() / 10.0
}

/// A swiss roll of stated thickness.
#[derive(Clone, Debug)]
pub struct Roll {
    noise: f64,
    /// Gauss-Legendre on [-1, 1].
    rule: Vec<(f64, f64)>,
}

impl Roll {
    /// The law with noise of this deviation, in natural units; none unless `1e-5 <= noise <= 10`.
    pub fn new(noise: f64) -> Option<Self> {
        (1e-5..=10.0).contains(&noise).then(|| Self { noise, rule: gauss_legendre(10) })
    }

    /// The deviation of the noise.
    pub fn noise(&self) -> f64 {
        self.noise
    }

    /// `ln p(x)` in nats at a point of the plane in natural units, to 1e-8 (of itself where it is beyond 1 in size).
    ///
    /// The spiral is halved until a piece is shorter than two deviations and the exponent changes by no more than 8 along it; a piece whose
    /// every point adds less than e^-30 of what the nearest point of the spiral does is left out, and the rest is integrated by ten
    /// points of Gauss and Legendre each.
    pub fn log_density(&self, x: [f64; 2]) -> f64 {
        let mut nearest = f64::INFINITY;
        self.nearest(x, FROM, TO, &mut nearest);
        let mut sum = LogSum { largest: f64::NEG_INFINITY, scaled: 0.0 };
        // d^2 / (2 noise^2) beyond that of the nearest point by 30.
        let limit = (nearest.powi(2) + 60.0 * self.noise.powi(2)).sqrt();
        self.integrate(x, FROM, TO, limit, &mut sum);
        sum.ln() - (TAU * self.noise.powi(2)).ln() - (TO - FROM).ln()
    }

    /// The differential entropy `-E[ln p]` in nats, to 1e-6 (against finer rules).
    ///
    /// Normals across and along the spiral are summed on a lattice, which is exact to rounding for what is smooth; the angle is integrated
    /// by pieces, narrow within a few deviations of the two ends, where the density falls off.
    pub fn entropy(&self) -> f64 {
        self.entropy_by(6, 0.5)
    }

    /// [`Roll::entropy`] with `order` points a piece and lattice points `step` apart.
    fn entropy_by(&self, order: usize, step: f64) -> f64 {
        let reach = (6.5 / step).ceil() as i64;
        let lattice: Vec<(f64, f64)> =
            (-reach..=reach).map(|k| k as f64 * step).map(|z| (z, step * (-0.5 * z * z).exp() / TAU.sqrt())).collect();
        let rule = gauss_legendre(order);
        let angles: Vec<(f64, f64)> = self
            .pieces()
            .windows(2)
            .flat_map(|w| rule.iter().map(|&(t, weight)| on(w[0], w[1], t, weight)).collect::<Vec<_>>())
            .collect();
        let mean_at = |&(a, weight): &(f64, f64)| {
            let [cx, cy] = spiral(a);
            // Unit tangent: r' = (cos a - a sin a, sin a + a cos a) / 10.
            let scale = self.noise / (10.0 * speed(a));
            let [tx, ty] = [(a.cos() - a * a.sin()) * scale, (a.sin() + a * a.cos()) * scale];
            let mut sum = 0.0;
            for &(u, wu) in &lattice {
                for &(v, wv) in &lattice {
                    sum -= wu * wv * self.log_density([cx + u * tx - v * ty, cy + u * ty + v * tx]);
                }
            }
            weight * sum
        };
        angles.par_iter().map(mean_at).collect::<Vec<f64>>().iter().sum::<f64>() / (TO - FROM)
    }

    /// Where the pieces of the angle begin and end.
    fn pieces(&self) -> Vec<f64> {
        let mut at = vec![FROM, TO];
        for deviations in [0.7, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0, 15.0] {
            let (near, far) = (FROM + deviations * self.noise / speed(FROM), TO - deviations * self.noise / speed(TO));
            if near < far {
                at.extend([near, far]);
            }
        }
        // Between them the turns of a thin roll do not see each other, and nothing changes fast.
        let most = if self.noise < 0.02 { 1.0 } else { 0.5 };
        at.sort_by(f64::total_cmp);
        let mut all = vec![FROM];
        for w in at.windows(2) {
            let n = ((w[1] - w[0]) / most).ceil().max(1.0);
            all.extend((1..=n as usize).map(|k| w[0] + (w[1] - w[0]) * k as f64 / n));
        }
        all
    }

    /// The distance from `x` to the middle of the piece, and half the length of the piece, which no point of it is farther from the
    /// middle than.
    fn reach(&self, x: [f64; 2], a: f64, b: f64) -> (f64, f64) {
        let [cx, cy] = spiral(0.5 * (a + b));
        ((x[0] - cx).hypot(x[1] - cy), 0.5 * (b - a) * speed(b))
    }

    /// Whether the integrand is smooth enough on a piece for ten points.
    fn smooth(&self, a: f64, b: f64, (distance, half): (f64, f64)) -> bool {
        b - a <= 0.5 && half <= self.noise && 2.0 * half * (distance + half) <= 8.0 * self.noise.powi(2)
    }

    /// Lowers `best` to the distance to the nearest middle of a smooth piece.
    fn nearest(&self, x: [f64; 2], a: f64, b: f64, best: &mut f64) {
        let reach = self.reach(x, a, b);
        *best = best.min(reach.0);
        if reach.0 - reach.1 >= *best || self.smooth(a, b, reach) {
            return;
        }
        let middle = 0.5 * (a + b);
        let mut halves = [(a, middle), (middle, b)];
        if self.reach(x, a, middle).0 > self.reach(x, middle, b).0 {
            halves.reverse();
        }
        halves.iter().for_each(|&(a, b)| self.nearest(x, a, b, best));
    }

    /// Adds the integral of `exp(-|x - r|^2 / (2 noise^2))` over the pieces that are not farther than `limit`.
    fn integrate(&self, x: [f64; 2], a: f64, b: f64, limit: f64, sum: &mut LogSum) {
        let reach = self.reach(x, a, b);
        if reach.0 - reach.1 > limit {
            return;
        }
        if self.smooth(a, b, reach) {
            for &(t, weight) in &self.rule {
                let (at, weight) = on(a, b, t, weight);
                let [px, py] = spiral(at);
                let squared = (x[0] - px).powi(2) + (x[1] - py).powi(2);
                sum.add(-0.5 * squared / self.noise.powi(2), weight);
            }
            return;
        }
        let middle = 0.5 * (a + b);
        self.integrate(x, a, middle, limit, sum);
        self.integrate(x, middle, b, limit, sum);
    }
}

/// `ln sum w exp(e)` of terms with exponents of any size.
struct LogSum {
    largest: f64,
    scaled: f64,
}

impl LogSum {
    fn add(&mut self, exponent: f64, weight: f64) {
        if exponent > self.largest {
            self.scaled *= (self.largest - exponent).exp();
            self.largest = exponent;
        }
        self.scaled += weight * (exponent - self.largest).exp();
    }

    fn ln(&self) -> f64 {
        self.largest + self.scaled.ln()
    }
}

/// A point and weight of [-1, 1] on [a, b].
fn on(a: f64, b: f64, t: f64, weight: f64) -> (f64, f64) {
    let half = 0.5 * (b - a);
    (0.5 * (a + b) + half * t, half * weight)
}

/// Points and weights of Gauss and Legendre on [-1, 1], exact for polynomials up to degree `2n - 1`: the roots of the Legendre polynomial by
/// Newton's method from their asymptotic places.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    // (P_n(t), P_n'(t)) by the three-term recurrence.
    let legendre = |t: f64| {
        let (mut p, mut before) = (1.0, 0.0);
        for k in 1..=n {
            let k = k as f64;
            (p, before) = (((2.0 * k - 1.0) * t * p - (k - 1.0) * before) / k, p);
        }
        (p, n as f64 * (t * p - before) / (t * t - 1.0))
    };
    let root = |i: usize| {
        let mut t = (PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        for _ in 0..8 {
            let (p, slope) = legendre(t);
            t -= p / slope;
        }
        let (_, slope) = legendre(t);
        (t, 2.0 / ((1.0 - t * t) * slope * slope))
    };
    (0..n).map(root).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OpenOptions, open};

    #[test]
    fn the_rule_is_exact_for_polynomials() {
        for n in [1, 2, 5, 10] {
            let rule = gauss_legendre(n);
            for degree in 0..2 * n {
                let exact = if degree % 2 == 0 { 2.0 / (degree as f64 + 1.0) } else { 0.0 };
                let sum: f64 = rule.iter().map(|(t, w)| w * t.powi(degree as i32)).sum();
                assert!((sum - exact).abs() < 1e-14, "{n} {degree}: {sum} {exact}");
            }
        }
    }

    /// The integral by half a million equal steps, corrected at its ends, near the spiral, between its turns, at its end and far away.
    #[test]
    fn densities_are_the_integral() {
        let steps = 500_000;
        for noise in [0.003, 0.03, 0.4, 5.0] {
            let law = Roll::new(noise).unwrap();
            for x in [[0.0, 0.0], [0.0, -0.5], [0.3, 0.9], [-1.4, 0.05], [1.2, 1.2], [0.02, -0.47], [6.0, -7.0]] {
                let exponents: Vec<f64> = (0..=steps)
                    .map(|i| spiral(FROM + (TO - FROM) * f64::from(i) / f64::from(steps)))
                    .map(|[px, py]| -0.5 * ((x[0] - px).powi(2) + (x[1] - py).powi(2)) / (noise * noise))
                    .collect();
                let largest = exponents.iter().copied().fold(f64::MIN, f64::max);
                let simpson = |(i, e): (usize, &f64)| {
                    let weight = if i == 0 || i == steps as usize { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
                    weight / 3.0 * (e - largest).exp()
                };
                let mean = exponents.iter().enumerate().map(simpson).sum::<f64>() / f64::from(steps);
                let exact = largest + mean.ln() - (TAU * noise * noise).ln();
                let found = law.log_density(x);
                assert!((found - exact).abs() < 1e-8 * exact.abs().max(1.0), "{noise} {x:?}: {found} {exact}");
            }
        }
    }

    /// A lattice finer than the noise integrates the density, which is then as good as band-limited, to rounding.
    #[test]
    fn densities_integrate_to_one() {
        let (law, step) = (Roll::new(0.1).unwrap(), 0.06);
        let at = |k: i32| f64::from(k) * step;
        let sum: f64 = (-40..=40).flat_map(|i| (-40..=40).map(move |j| [at(i), at(j)])).map(|x| law.log_density(x).exp()).sum();
        assert!((sum * step * step - 1.0).abs() < 1e-9, "{}", sum * step * step);
    }

    /// The entropy is the mean of `-ln p` over the points of the set, within four standard errors.
    #[test]
    fn entropies_are_means_over_draws() {
        let noise = 0.2;
        let data = open(&format!("toy:swiss-roll:5000:{noise}"), &OpenOptions::default()).unwrap();
        let law = Roll::new(noise).unwrap();
        let surprise = |i: usize| {
            let mut x = [0.0; 2];
            data.row(i, &mut x);
            -law.log_density(x.map(f64::from))
        };
        let all: Vec<f64> = (0..data.len()).map(surprise).collect();
        let n = all.len() as f64;
        let mean = all.iter().sum::<f64>() / n;
        let error = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / n).sqrt();
        let entropy = law.entropy();
        assert!((mean - entropy).abs() < 4.0 * error && error < 0.03, "{noise}: {mean} +/- {error}, {entropy}");
    }

    /// Thin rolls: `ln 3 pi + E[ln |r'|] + ln(2 pi e noise^2)/2`, the entropy of the angle carried along the spiral and of one normal across
    /// it, and at each end `noise C / (3 pi |r'|)` with `C = -int Phi ln Phi`, the density there being that of a step blurred by `Phi`.
    #[test]
    fn entropies_of_thin_rolls() {
        let noise = 1e-3;
        let log_speed = |a: f64| 0.5 * (a * (1.0 + a * a).ln() - 2.0 * a + 2.0 * a.atan()) - a * 10f64.ln();
        let along = (3.0 * PI).ln() + (log_speed(TO) - log_speed(FROM)) / (3.0 * PI);
        let across = 0.5 * (TAU * noise * noise).ln() + 0.5;
        let step = 1e-3;
        let (mut phi, mut c) = (0.0, 0.0);
        for k in -9000..9000 {
            phi += step * (-0.5 * (step * (f64::from(k) + 0.5)).powi(2)).exp() / TAU.sqrt();
            c -= step * phi * phi.ln();
        }
        let ends = noise * c / (3.0 * PI) * (1.0 / speed(FROM) + 1.0 / speed(TO));
        let found = Roll::new(noise).unwrap().entropy();
        assert!((found - (along + across + ends)).abs() < 1e-5 && ends > 1e-4, "{found} {along} {across} {ends}");
    }

    /// The error that is stated for the entropy.
    #[test]
    fn entropies_are_as_exact_as_they_say() {
        for noise in [0.03, 0.3] {
            let law = Roll::new(noise).unwrap();
            let (found, finer) = (law.entropy(), law.entropy_by(8, 0.4));
            assert!((found - finer).abs() < 1e-6, "{noise}: {found} {finer}");
        }
    }

    #[test]
    fn rolls_have_a_thickness() {
        assert!([0.0, -0.1, f64::NAN, f64::INFINITY, 11.0].iter().all(|&noise| Roll::new(noise).is_none()));
    }
}
