//! Finite differences.

/// The derivative of `f` at `x`: central difference with one Richardson step, error `O(h^4)`.
pub fn derivative(f: impl Fn(f64) -> f64, x: f64, h: f64) -> f64 {
    let central = |h: f64| (f(x + h) - f(x - h)) / (2.0 * h);
    (4.0 * central(h / 2.0) - central(h)) / 3.0
}

/// The gradient of `f` at `x`, entry by entry, as [`derivative`].
pub fn gradient(f: impl Fn(&[f64]) -> f64, x: &[f64], h: f64) -> Vec<f64> {
    let along = |i: usize| {
        derivative(
            |v| {
                let mut x = x.to_vec();
                x[i] = v;
                f(&x)
            },
            x[i],
            h,
        )
    };
    (0..x.len()).map(along).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn derivative_of_the_exponential_is_itself() {
        assert!((super::derivative(f64::exp, 0.7, 1e-2) - 0.7f64.exp()).abs() < 1e-9);
    }

    #[test]
    fn gradient_of_a_product() {
        let g = super::gradient(|x| x[0] * x[0] * x[1], &[2.0, 3.0], 1e-2);
        assert!((g[0] - 12.0).abs() < 1e-9 && (g[1] - 4.0).abs() < 1e-9, "{g:?}");
    }
}
