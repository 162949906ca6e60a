//! Quantiles of the beta distribution.
//!
//! The regularised incomplete beta function by its continued fraction (DLMF 8.17.22), which converges fast for
//! `x <= (a + 1) / (a + b + 2)`, and by `I_x(a, b) = 1 - I_(1-x)(b, a)` beyond. The normaliser is the function's own sum at one half,
//! so no gamma function is needed.

/// `x^a (1 - x)^b / a` times the continued fraction: the incomplete integral of `v^(a-1) (1-v)^(b-1)` up to `x`, by Lentz's method.
fn incomplete(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let keep = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (mut c, mut d) = (1.0, 1.0 / keep(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / keep(1.0 + term * d);
            c = keep(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() <= 1e-16 * fraction.abs() {
            break;
        }
    }
    x.powf(a) * (1.0 - x).powf(b) / a * fraction
}

/// The distribution function of Beta(a, b) at `x` in [0, 1].
pub(super) fn distribution(x: f64, a: f64, b: f64) -> f64 {
    let whole = incomplete(0.5, a, b) + incomplete(0.5, b, a);
    if x <= (a + 1.0) / (a + b + 2.0) { incomplete(x, a, b) / whole } else { 1.0 - incomplete(1.0 - x, b, a) / whole }
}

/// The quantile of Beta(a, b) at `p` in [0, 1], by bisection to the last bit.
pub(super) fn quantile(p: f64, a: f64, b: f64) -> f64 {
    // The upper half from its own end, where 1 - x would lose digits.
    if p > 0.5 && distribution(0.5, a, b) < p {
        return 1.0 - quantile(1.0 - p, b, a);
    }
    let (mut low, mut high) = (0.0, 1.0);
    if p <= 0.0 {
        return low;
    }
    for _ in 0..1100 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if distribution(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::{distribution, quantile};
    use std::f64::consts::FRAC_PI_2;

    /// The arcsine law, powers, and the uniform law have closed forms.
    #[test]
    fn quantiles_are_the_closed_forms() {
        for i in 0..=200 {
            let p = f64::from(i) / 200.0;
            assert!((quantile(p, 0.5, 0.5) - (FRAC_PI_2 * p).sin().powi(2)).abs() < 1e-13, "{p}");
            assert!((quantile(p, 1.0, 1.0) - p).abs() < 1e-14, "{p}");
            assert!((quantile(p, 1.0, 3.0) - (1.0 - (1.0 - p).cbrt())).abs() < 1e-13, "{p}");
            assert!((quantile(p, 2.5, 1.0) - p.powf(0.4)).abs() < 1e-13, "{p}");
            assert!((distribution(quantile(p, 0.6, 0.6), 0.6, 0.6) - p).abs() < 1e-13, "{p}");
        }
    }
}
