//! Halving and doubling with the filter `k = [1, 3, 3, 1] / 8` in each direction on a border reflected by one pixel, and pixels of
//! patches.
//!
//! With `z` the picture and its reflected border, along one axis:
//!
//! * half: `y[i] = sum_a k[a] z[2 i + a]`;
//! * double: `y[j] = sum_i 2 k[j + 3 - 2 i] z[i]`.
//!
//! The filters of [`Resample`] do the same on a border of zeros, shifted: `FirDown` of `z` between two further zeros is half, one pixel to
//! the right, and `FirUp` of `z` is double, two pixels to the right. What a zero touched is cut off.

use crate::ops::{self, Resample};
use scorefield_tensor::Tensor;

/// One pixel more on each side of a dimension of at least two, the mirror image about the outermost.
fn reflected(x: Tensor<4>, dimension: usize) -> Tensor<4> {
    let size = x.dims()[dimension];
    let first = x.clone().narrow(dimension, 1, 1);
    let last = x.clone().narrow(dimension, size - 2, 1);
    Tensor::cat(vec![first, x, last], dimension)
}

fn bordered(x: Tensor<4>) -> Tensor<4> {
    reflected(reflected(x, 2), 3)
}

/// `[n, c, h, w]` to `[n, c, h / 2, w / 2]`, `h` and `w` even.
pub(super) fn half(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    let z = bordered(x).pad([(0, 0), (0, 0), (1, 1), (1, 1)], 0.0);
    ops::resample(z, Resample::FirDown).narrow(2, 1, h / 2).narrow(3, 1, w / 2)
}

/// `[n, c, h, w]` to `[n, c, 2 h, 2 w]`, `h` and `w` at least two.
pub(super) fn double(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    ops::resample(bordered(x), Resample::FirUp).narrow(2, 2, 2 * h).narrow(3, 2, 2 * w)
}

/// Channels `[c, row in patch, column in patch]` of a pixel to a patch of `side` x `side` pixels: `[n, c side^2, h, w]` to
/// `[n, c, side h, side w]`.
pub(super) fn unfold(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [n, channels, h, w] = x.dims();
    let c = channels / (side * side);
    let x = x.reshape([n, c, side, side, h, w]).permute([0, 1, 4, 2, 5, 3]);
    x.reshape([n, c, side * h, side * w])
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::{DType, TensorData, rows_f64};

    const K: [f64; 4] = [0.125, 0.375, 0.375, 0.125];

    fn picture(shape: [usize; 4]) -> (Vec<f64>, Tensor<4>) {
        let values: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| ((i * i) as f64 * 0.7).sin()).collect();
        let tensor = Tensor::from_data(TensorData::new(values.clone(), shape), (&Default::default(), DType::F64));
        (values, tensor)
    }

    /// The index of the pixel that a reflected border shows at `i - 1`.
    fn mirrored(i: usize, size: usize) -> usize {
        let i = i as isize - 1;
        let last = size as isize - 1;
        (if i < 0 {
            -i
        } else if i > last {
            2 * last - i
        } else {
            i
        }) as usize
    }

    /// Both filters against the sums at the head of the file, in the smallest and in uneven shapes.
    #[test]
    fn filters_equal_a_loop() {
        for shape @ [n, c, h, w] in [[2, 3, 4, 6], [1, 2, 2, 2], [1, 1, 8, 2]] {
            let (x, tensor) = picture(shape);
            let z = |p: usize, i: usize, j: usize| x[p * h * w + mirrored(i, h) * w + mirrored(j, w)];
            let (halved, doubled) = (half(tensor.clone()), double(tensor));
            assert_eq!((halved.dims(), doubled.dims()), ([n, c, h / 2, w / 2], [n, c, 2 * h, 2 * w]));
            let (halved, doubled) = (rows_f64(halved), rows_f64(doubled));
            for p in 0..n * c {
                for (i, j) in (0..h / 2).flat_map(|i| (0..w / 2).map(move |j| (i, j))) {
                    let taps = (0..4).flat_map(|a| (0..4).map(move |b| (a, b)));
                    let expected: f64 = taps.map(|(a, b)| K[a] * K[b] * z(p, 2 * i + a, 2 * j + b)).sum();
                    let found = halved[(p * (h / 2) + i) * (w / 2) + j];
                    assert!((found - expected).abs() < 1e-12, "{shape:?} {p} {i} {j}: {found} {expected}");
                }
                for (i, j) in (0..2 * h).flat_map(|i| (0..2 * w).map(move |j| (i, j))) {
                    let tap = |o: usize, s: usize| (o + 3).checked_sub(2 * s).and_then(|k| K.get(k)).map_or(0.0, |k| 2.0 * k);
                    let sources = (0..h + 2).flat_map(|a| (0..w + 2).map(move |b| (a, b)));
                    let expected: f64 = sources.map(|(a, b)| tap(i, a) * tap(j, b) * z(p, a, b)).sum();
                    let found = doubled[(p * 2 * h + i) * 2 * w + j];
                    assert!((found - expected).abs() < 1e-12, "{shape:?} {p} {i} {j}: {found} {expected}");
                }
            }
        }
    }

    /// Pixel `(2 i + r, 2 j + s)` is channel `(c, r, s)` of pixel `(i, j)`.
    #[test]
    fn patches_unfold() {
        let (x, tensor) = picture([2, 8, 2, 3]);
        let y = unfold(tensor, 2);
        assert_eq!(y.dims(), [2, 2, 4, 6]);
        let y = rows_f64(y);
        for (at, &found) in y.iter().enumerate() {
            let (n, c, row, column) = (at / 48, at / 24 % 2, at / 6 % 4, at % 6);
            let channel = c * 4 + row % 2 * 2 + column % 2;
            assert_eq!(found, x[((n * 8 + channel) * 2 + row / 2) * 3 + column / 2]);
        }
    }
}
