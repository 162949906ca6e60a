//! What is drawn from uniform numbers: normals, and some of many.

/// A stream of independent uniform numbers in (0, 1), the caller's: the counter-based streams of the house, or any other.
pub type Uniforms<'a> = dyn FnMut() -> f64 + 'a;

/// One standard normal number from two uniform ones: `sqrt(-2 ln u) cos(2 pi v)` (Box and Muller 1958).
pub fn normal(uniform: &mut Uniforms<'_>) -> f64 {
    // A stream that includes zero must not give infinity.
    let (u, v) = (uniform().max(f64::MIN_POSITIVE), uniform());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// `k` of the numbers below `n`, every subset alike, in order: the first `k` steps of a Fisher-Yates shuffle.
pub(super) fn some_of(n: usize, k: usize, uniform: &mut Uniforms<'_>) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..n).collect();
    for i in 0..k {
        let j = i + ((uniform() * (n - i) as f64) as usize).min(n - i - 1);
        numbers.swap(i, j);
    }
    numbers.truncate(k);
    numbers.sort_unstable();
    numbers
}
