//! Operations on pictures that have no body of their own: interleaved grids, resizing, the exponential linear unit.
//!
//! All are made of tensor operations that copy, select and multiply element by element, so that row `i` of a result depends on row `i`
//! of the input only.

use scorefield_tensor::{Int, Tensor, TensorData};

/// The `d x d` interleaved grids of a picture as pictures of their own: `[n, c, h, w]` to `[n d d, c, h', w']`, `h' = ceil(h / d)`, grid
/// `(a, b)` holding the pixels `(i d + a, j d + b)` and zeros beyond the border.
///
/// A convolution whose taps are `d` apart (Yu and Koltun 2016) is the ordinary one of each grid: zeros beyond the border are what either
/// sees there.
pub(crate) fn deinterlace(x: Tensor<4>, d: usize) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let [rows, columns] = [h, w].map(|side| side.div_ceil(d));
    let (below, beside) = (rows * d - h, columns * d - w);
    let x = if below + beside > 0 { x.pad([(0, 0), (0, 0), (0, below), (0, beside)], 0.0) } else { x };
    x.reshape([n, c, rows, d, columns, d]).permute([0, 3, 5, 1, 2, 4]).reshape([n * d * d, c, rows, columns])
}

/// The picture of size `[h, w]` whose interleaved grids these are: the inverse of [`deinterlace`].
pub(crate) fn interlace(grids: Tensor<4>, d: usize, [h, w]: [usize; 2]) -> Tensor<4> {
    let [all, c, rows, columns] = grids.dims();
    let n = all / (d * d);
    let x = grids.reshape([n, d, d, c, rows, columns]).permute([0, 3, 4, 1, 5, 2]).reshape([n, c, rows * d, columns * d]);
    if [rows * d, columns * d] == [h, w] { x } else { x.narrow(2, 0, h).narrow(3, 0, w) }
}

/// A picture of another size by linear interpolation along each axis, the middles of the corner pixels staying the corners: output `i` of
/// `m` is the input at `i (k - 1) / (m - 1)` of `k`. The same size is the same picture.
pub(crate) fn resize_corners(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    size.into_iter().enumerate().fold(x, |x, (axis, to)| resize_axis(x, axis + 2, to))
}

fn resize_axis(x: Tensor<4>, axis: usize, to: usize) -> Tensor<4> {
    let from = x.dims()[axis];
    if from == to {
        return x;
    }
    // Places as whole numbers and a rest, so that no rounding moves one to another pixel; a single output is the first input.
    let (steps, gaps) = (from - 1, (to - 1).max(1));
    let lower: Vec<i64> = (0..to).map(|i| (i * steps / gaps) as i64).collect();
    let upper: Vec<i64> = lower.iter().map(|&l| (l + 1).min(steps as i64)).collect();
    let share: Vec<f64> = (0..to).map(|i| (i * steps % gaps) as f64 / gaps as f64).collect();

    let mut shape = [1; 4];
    shape[axis] = to;
    let (device, dtype) = (x.device(), x.dtype());
    let share = Tensor::<4>::from_data(TensorData::new(share, shape), (&device, dtype));
    let pixels = |places: Vec<i64>| x.clone().select(axis, Tensor::<1, Int>::from_data(TensorData::new(places, [to]), &device));
    let (low, high) = (pixels(lower), pixels(upper));
    low.clone() + (high - low) * share
}

/// The exponential linear unit, `x` where `x >= 0` and `e^x - 1` elsewhere (Clevert et al. 2016). The exponential never sees a positive
/// number: what the choice discards must be finite, or its gradient would be zero times infinity.
pub(crate) fn elu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let negative = x.clone().lower_elem(0.0);
    let below = x.clone().clamp_max(0.0).exp() - 1.0;
    x.mask_where(negative, below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{ConvShape, Layout, Pass, Place};
    use crate::ops::Padding;
    use crate::{InitScheme, Mode, Params};
    use scorefield_tensor::noise::Stream;
    use scorefield_tensor::{DType, Device, Purpose, rows_f64};

    fn numbers(n: usize, seed: u64) -> Vec<f64> {
        let stream = Stream::new(seed, 0, Purpose::User, 0, 0);
        (0..n).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
    }

    fn tensor<const D: usize>(values: &[f64], shape: [usize; D], dtype: DType, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, dtype))
    }

    /// The largest difference.
    fn error(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// d (sum y g) / dx against differences of `f` at every number of `x`.
    fn check_gradient<const D: usize>(what: &str, x: &[f64], shape: [usize; D], f: impl Fn(Tensor<D>) -> Tensor<D>) {
        let device = Device::default().autodiff();
        let leaf = tensor(x, shape, DType::F64, &device).require_grad();
        let y = f(leaf.clone());
        let g = numbers(y.dims().iter().product(), 9);
        let weights = tensor(&g, y.dims(), DType::F64, &device);
        let gradients = (y * weights).sum().backward();
        let dx = rows_f64(leaf.grad(&gradients).expect("a gradient"));
        for (i, along) in dx.iter().enumerate() {
            let at = |h: f64| {
                let mut x = x.to_vec();
                x[i] += h;
                let y = rows_f64(f(tensor(&x, shape, DType::F64, &Device::default())));
                y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
            };
            let quotient = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((along - quotient).abs() < 1e-7 * (1.0 + quotient.abs()), "{what} {i}: {along} against {quotient}");
        }
    }

    /// Taps `d` apart by four loops, with and without a bias; sizes that `d` divides or not, and pictures smaller than `d`.
    #[test]
    fn dilated_convolution_is_its_formula() {
        let (n, inputs, outputs) = (2, 3, 4);
        for (d, h, w) in [(2, 6, 8), (2, 7, 5), (4, 8, 10), (4, 3, 2), (3, 9, 1)] {
            for bias in [true, false] {
                let mut layout = Layout::new(InitScheme::Adm);
                let shape = ConvShape { dilation: d, pad: Padding::all(1), bias, ..ConvShape::three(inputs, outputs) };
                let conv = layout.conv("conv", shape, Place::Inner);
                let params = Params::init(&layout.specs, 1, &Device::default());
                let x = numbers(n * inputs * h * w, 2);
                let host = params.to_host();
                assert_eq!(host.len(), if bias { 2 } else { 1 });

                let at = |i: usize, c: usize, row: usize, column: usize, a: usize, b: usize| {
                    let (r, s) = ((row + a * d).checked_sub(d)?, (column + b * d).checked_sub(d)?);
                    (r < h && s < w).then(|| x[((i * inputs + c) * h + r) * w + s])
                };
                let mut expected = Vec::new();
                for (i, k) in (0..n).flat_map(|i| (0..outputs).map(move |k| (i, k))) {
                    for (row, column) in (0..h).flat_map(|r| (0..w).map(move |s| (r, s))) {
                        let mut sum = if bias { f64::from(host[1][k]) } else { 0.0 };
                        for (c, tap) in (0..inputs).flat_map(|c| (0..9).map(move |t| (c, t))) {
                            let weight = f64::from(host[0][(k * inputs + c) * 9 + tap]);
                            sum += weight * at(i, c, row, column, tap / 3, tap % 3).unwrap_or(0.0);
                        }
                        expected.push(sum);
                    }
                }
                for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::F64, 1e-14)] {
                    let params = params.cast(dtype);
                    let pass = Pass::new(&params, &layout.specs, &Mode::Eval);
                    let y = conv.forward(&pass, tensor(&x, [n, inputs, h, w], dtype, &Device::default()));
                    assert_eq!(y.dims(), [n, outputs, h, w]);
                    let error = error(&rows_f64(y), &expected);
                    assert!(error < tolerance, "dilation {d}, {h} x {w}, {dtype:?}: {error}");
                }
            }
        }
    }

    #[test]
    fn grids_are_put_together_again() {
        for (d, h, w) in [(2, 6, 4), (3, 7, 5), (4, 2, 9)] {
            let x = numbers(2 * 3 * h * w, 3);
            let there = deinterlace(tensor(&x, [2, 3, h, w], DType::F64, &Device::default()), d);
            assert_eq!(there.dims(), [2 * d * d, 3, h.div_ceil(d), w.div_ceil(d)]);
            assert_eq!(rows_f64(interlace(there, d, [h, w])), x);
            check_gradient("grids", &x, [2, 3, h, w], |x| deinterlace(x, d));
        }
    }

    /// The four pixels around each place, weighed by their areas; corners stay corners.
    #[test]
    fn resizing_is_its_formula() {
        let device = Device::default();
        for ([h, w], [to_h, to_w]) in [([4, 5], [8, 10]), ([3, 7], [5, 4]), ([1, 3], [4, 1]), ([2, 2], [7, 2]), ([5, 1], [5, 3])]
        {
            let x = numbers(2 * h * w, 4);
            let place = |i: usize, from: usize, to: usize| {
                let p = if to > 1 { i as f64 * (from - 1) as f64 / (to - 1) as f64 } else { 0.0 };
                // A whole place may come out a rounding below itself: the weights then say the same.
                let low = p.floor() as usize;
                (low, (low + 1).min(from - 1), p - p.floor())
            };
            let mut expected = Vec::new();
            for (c, (i, j)) in (0..2).flat_map(|c| (0..to_h).flat_map(move |i| (0..to_w).map(move |j| (c, (i, j))))) {
                let at = |r: usize, s: usize| x[(c * h + r) * w + s];
                let ((r0, r1, a), (s0, s1, b)) = (place(i, h, to_h), place(j, w, to_w));
                let (upper, lower) = (at(r0, s0) * (1.0 - b) + at(r0, s1) * b, at(r1, s0) * (1.0 - b) + at(r1, s1) * b);
                expected.push(upper * (1.0 - a) + lower * a);
            }
            for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-14)] {
                let y = resize_corners(tensor(&x, [1, 2, h, w], dtype, &device), [to_h, to_w]);
                assert_eq!(y.dims(), [1, 2, to_h, to_w]);
                let error = error(&rows_f64(y), &expected);
                assert!(error < tolerance, "{h} x {w} to {to_h} x {to_w}, {dtype:?}: {error}");
            }
            check_gradient("resize", &x, [1, 2, h, w], |x| resize_corners(x, [to_h, to_w]));
        }
        let x = numbers(12, 5);
        assert_eq!(rows_f64(resize_corners(tensor(&x, [1, 1, 3, 4], DType::F64, &device), [3, 4])), x);
    }

    /// Also where the exponential of a positive number would overflow.
    #[test]
    fn elu_is_its_formula() {
        let x = [-800.0, -3.0, -1e-3, 0.0, 1e-3, 0.5, 90.0, 800.0];
        let expected = x.map(|v: f64| if v < 0.0 { v.exp_m1() } else { v });
        for (dtype, tolerance) in [(DType::F32, 1e-7), (DType::F64, 1e-15)] {
            let device = Device::default().autodiff();
            let leaf = tensor(&x, [2, 4], dtype, &device).require_grad();
            let y = elu(leaf.clone());
            let gradients = y.clone().sum().backward();
            assert!(
                error(&rows_f64(y), &expected.map(|v| if dtype == DType::F32 { f64::from(v as f32) } else { v })) < tolerance
            );
            let slopes = x.map(|v: f64| v.min(0.0).exp());
            let dx = rows_f64(leaf.grad(&gradients).expect("a gradient"));
            assert!(error(&dx, &slopes) < tolerance, "{dx:?}");
        }
    }
}
