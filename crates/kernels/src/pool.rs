//! Pooling over a square window around each pixel, at every pixel: the size stays.
//!
//! For a window of odd side `s`, `r = s / 2`, and the pixels `W(i, j)` at most `r` rows and columns from `(i, j)`:
//!
//! * maximum: `y[i, j] = max over W of x`, the pixels beyond the border left out;
//! * mean: `y[i, j] = (sum over W of x) / s^2`, the pixels beyond the border counted as zeros.
//!
//! Both are separable: a column of the window and then a row of it, `2 s` numbers in place of `s^2`. They are made of ordinary operations,
//! which Burn differentiates; where several pixels of a window are the largest, one of them gets the gradient.

use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use scorefield_tensor::Tensor;

/// What is taken of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pool {
    /// The largest number.
    Max,
    /// The mean, zeros beyond the border counted.
    Mean,
}

/// Pools `x` `[n, c, h, w]` over windows of side `side` at stride 1; the result has the same shape.
///
/// # Panics
/// When the side is even.
#[track_caller]
pub fn pool(x: Tensor<4>, how: Pool, side: usize) -> Tensor<4> {
    assert!(side % 2 == 1, "a window of side {side} has no middle");
    let along = |x: Tensor<4>, kernel: [usize; 2]| {
        let pad = kernel.map(|k| k / 2);
        match how {
            Pool::Max => max_pool2d(x, MaxPoolOptions::new(kernel).with_stride([1; 2]).with_padding(pad)),
            Pool::Mean => avg_pool2d(x, AvgPoolOptions::new(kernel).with_stride([1; 2]).with_padding(pad)),
        }
    };
    along(along(x, [side, 1]), [1, side])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;
    use burn::tensor::{DType, Device, TensorData};
    use scorefield_tensor::rows_f64;

    /// `x` `[n, c, h, w]` window by window.
    fn direct(x: &[f64], [planes, h, w]: [usize; 3], how: Pool, side: usize) -> Vec<f64> {
        let r = (side / 2) as isize;
        let at = |p: usize, i: isize, j: isize| {
            let inside = (0..h as isize).contains(&i) && (0..w as isize).contains(&j);
            inside.then(|| x[(p * h + i as usize) * w + j as usize])
        };
        let of = |p: usize, i: isize, j: isize| {
            let window = (-r..=r).flat_map(|a| (-r..=r).map(move |b| (a, b))).filter_map(|(a, b)| at(p, i + a, j + b));
            match how {
                Pool::Max => window.fold(f64::NEG_INFINITY, f64::max),
                Pool::Mean => window.sum::<f64>() / (side * side) as f64,
            }
        };
        let pixels = (0..h as isize).flat_map(|i| (0..w as isize).map(move |j| (i, j))).collect::<Vec<_>>();
        (0..planes).flat_map(|p| pixels.iter().map(move |&(i, j)| of(p, i, j)).collect::<Vec<_>>()).collect()
    }

    fn tensor(values: &[f64], shape: [usize; 4], dtype: DType, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, dtype))
    }

    /// Windows at borders, pictures smaller than a window, both types.
    #[test]
    fn pooling_is_its_formula() {
        for shape @ [n, c, h, w] in [[2, 3, 7, 6], [1, 2, 1, 3], [1, 1, 4, 1], [3, 1, 1, 1]] {
            let x: Vec<f64> = numbers(n * c * h * w, 3).into_iter().map(|v| f64::from(v) - 1.5).collect();
            for (how, side) in [(Pool::Max, 5), (Pool::Mean, 5), (Pool::Max, 3), (Pool::Mean, 1)] {
                for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-14)] {
                    let y = rows_f64(pool(tensor(&x, shape, dtype, &Device::default()), how, side));
                    let expected = direct(&x, [n * c, h, w], how, side);
                    assert_eq!(y.len(), expected.len());
                    let error = y.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(error < tolerance, "{how:?} {side} {shape:?} {dtype:?}: {error}");
                }
            }
        }
    }

    /// Differences of `sum y g` at every pixel.
    #[test]
    fn gradients_equal_differences() {
        let (shape, device) = ([1, 2, 4, 6], Device::default().autodiff());
        let f64s = |seed| numbers(48, seed).into_iter().map(f64::from).collect::<Vec<_>>();
        let (x, g) = (f64s(1), f64s(2));
        for how in [Pool::Max, Pool::Mean] {
            let loss = |x: &[f64]| direct(x, [2, 4, 6], how, 5).iter().zip(&g).map(|(y, g)| y * g).sum::<f64>();
            let leaf = tensor(&x, shape, DType::F64, &device).require_grad();
            let weights = tensor(&g, shape, DType::F64, &device);
            let gradients = (pool(leaf.clone(), how, 5) * weights).sum().backward();
            let dx = rows_f64(leaf.grad(&gradients).expect("a gradient"));
            for (i, along) in dx.iter().enumerate() {
                let moved = |h: f64| {
                    let mut x = x.clone();
                    x[i] += h;
                    loss(&x)
                };
                let quotient = (moved(1e-7) - moved(-1e-7)) / 2e-7;
                assert!((along - quotient).abs() < 1e-6, "{how:?} {i}: {along} against {quotient}");
            }
        }
    }
}
