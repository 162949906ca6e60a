//! The order of convergence from errors at several numbers of steps.

/// A fitted order.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Slope of `-ln error` over `ln steps`, by least squares.
    pub order: f64,
    /// Largest distance of an error from the fitted line, in units of `ln error`: small when the errors obey one power.
    pub residual: f64,
    /// The numbers of steps and the errors.
    pub errors: Vec<(usize, f64)>,
}

/// Fits `error = c steps^-order`.
///
/// # Panics
/// With fewer than two numbers of steps, or when an error is not positive and finite (an exact method has no order).
#[track_caller]
pub fn fit_order(steps: &[usize], mut error: impl FnMut(usize) -> f64) -> Fit {
    assert!(steps.len() >= 2, "an order needs two numbers of steps");
    let errors: Vec<(usize, f64)> = steps.iter().map(|&n| (n, error(n))).collect();
    assert!(errors.iter().all(|(_, e)| *e > 0.0 && e.is_finite()), "no order in {errors:?}");
    let points: Vec<(f64, f64)> = errors.iter().map(|&(n, e)| ((n as f64).ln(), e.ln())).collect();
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
    let residual = points.iter().map(|p| (p.1 - y - slope * (p.0 - x)).abs()).fold(0.0, f64::max);
    Fit { order: -slope, residual, errors }
}

#[cfg(test)]
mod tests {
    #[test]
    fn powers_are_recovered() {
        for order in [1.0, 2.0, 3.0] {
            let fit = super::fit_order(&[10, 20, 40], |n| 3.0 * (n as f64).powf(-order));
            assert!((fit.order - order).abs() < 1e-12 && fit.residual < 1e-12, "{fit:?}");
        }
    }
}
