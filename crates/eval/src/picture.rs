//! How far a restored picture is from the true one: PSNR and SSIM.

/// Peak signal-to-noise ratio `10 log10(peak^2 / mean squared error)` in dB; infinite for equal pictures. `peak` is the width
/// of the range of values: 2 for values in [-1, 1].
///
/// # Panics
/// When lengths differ or are zero.
#[track_caller]
pub fn psnr(x: &[f32], y: &[f32], peak: f64) -> f64 {
    assert!(x.len() == y.len() && !x.is_empty(), "pictures of {} and {} numbers", x.len(), y.len());
    let mse = x.iter().zip(y).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>() / x.len() as f64;
    10.0 * (peak * peak / mse).log10()
}

/// Structural similarity (Wang et al. 2004, eq. 13), from -1 to 1, the mean over channels and over all places where the window
/// fits: Gaussian weights of deviation 1.5 on 11 x 11, `K_1 = 0.01`, `K_2 = 0.03`, covariances divided by the sum of weights.
/// A side shorter than 11 takes the largest odd window that fits it.
///
/// # Panics
/// When lengths do not belong to `(channels, height, width)` or are zero.
#[track_caller]
pub fn ssim(x: &[f32], y: &[f32], (channels, h, w): (usize, usize, usize), peak: f64) -> f64 {
    let len = channels * h * w;
    assert!(len > 0 && x.len() == len && y.len() == len, "pictures of {} and {} numbers, not {len}", x.len(), y.len());
    let (c1, c2) = ((0.01 * peak).powi(2), (0.03 * peak).powi(2));
    let (kh, kw) = (window(h), window(w));
    let mut sum = 0.0;
    let mut count = 0usize;
    for (x, y) in x.chunks_exact(h * w).zip(y.chunks_exact(h * w)) {
        let blur = |f: &dyn Fn(f64, f64) -> f64| {
            let plane: Vec<f64> = x.iter().zip(y).map(|(a, b)| f(f64::from(*a), f64::from(*b))).collect();
            filter(&plane, h, w, &kh, &kw)
        };
        let (mx, my) = (blur(&|a, _| a), blur(&|_, b| b));
        let (xx, yy, xy) = (blur(&|a, _| a * a), blur(&|_, b| b * b), blur(&|a, b| a * b));
        for i in 0..mx.len() {
            let (a, b) = (mx[i], my[i]);
            let (vx, vy, cov) = (xx[i] - a * a, yy[i] - b * b, xy[i] - a * b);
            sum += (2.0 * a * b + c1) * (2.0 * cov + c2) / ((a * a + b * b + c1) * (vx + vy + c2));
        }
        count += mx.len();
    }
    sum / count as f64
}

/// Normalised Gaussian weights of deviation 1.5 on the largest odd number of places up to 11 that fits `side`.
fn window(side: usize) -> Vec<f64> {
    let size = if side >= 11 { 11 } else { side - usize::from(side.is_multiple_of(2)) };
    let half = (size / 2) as f64;
    let raw: Vec<f64> = (0..size).map(|i| (-(i as f64 - half).powi(2) / (2.0 * 1.5 * 1.5)).exp()).collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|v| v / total).collect()
}

/// Separable correlation at the places where the window fits: `[h - kh + 1, w - kw + 1]`.
fn filter(plane: &[f64], h: usize, w: usize, kh: &[f64], kw: &[f64]) -> Vec<f64> {
    let ow = w - kw.len() + 1;
    let lines: Vec<f64> = plane
        .chunks_exact(w)
        .flat_map(|line| line.windows(kw.len()).map(|at| at.iter().zip(kw).map(|(v, k)| v * k).sum::<f64>()))
        .collect();
    (0..h - kh.len() + 1)
        .flat_map(|i| (0..ow).map(move |j| (i, j)))
        .map(|(i, j)| kh.iter().enumerate().map(|(k, weight)| weight * lines[(i + k) * ow + j]).sum())
        .collect()
}
