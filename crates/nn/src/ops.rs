//! The operations networks are made of: the one place that names where they come from.

use scorefield_tensor::Tensor;

pub(crate) use scorefield_kernels::{
    Act, Padding, Pool, Resample, Tail, add, add_channels, attention, concat, conv2d_tail, fir, group_norm, linear, linear_onto,
    linear_ready, pool, resample, silu, silu_sum,
};

/// The slope of SiLU, `s (1 + x (1 - s))` with `s` the sigmoid, from operations that can be differentiated again; the hyperbolic
/// tangent keeps the sigmoid from overflowing.
pub(crate) fn silu_slope(x: Tensor<2>) -> Tensor<2> {
    let s = ((x.clone() * 0.5).tanh() + 1.0) * 0.5;
    s.clone() * (x * (s * -1.0 + 1.0) + 1.0)
}

/// `x Phi(x)`, `Phi` the distribution function of the standard normal (Hendrycks and Gimpel 2016), exactly: from the error function,
/// whose slope Burn knows exactly on every backend.
pub(crate) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let twice = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0;
    x * twice * 0.5
}

/// The exponentials along a dimension, divided by their sum. The largest is taken out first; it cancels, so it has no slope.
pub(crate) fn softmax<const D: usize>(x: Tensor<D>, dimension: usize) -> Tensor<D> {
    let top = x.clone().detach().max_dim(dimension);
    let exponentials = (x - top).exp();
    exponentials.clone() / exponentials.sum_dim(dimension)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::{DType, Device, TensorData, rows_f64};

    fn tensor(values: &[f64], device: &Device, dtype: DType) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, values.len()]), (device, dtype))
    }

    /// `x Phi(x)` to all digits, computed elsewhere from the complementary error function; the slope against differences.
    #[test]
    fn gelu_is_exact() {
        const TABLE: [(f64, f64); 9] = [
            (-6.0, -5.919525870226207e-09),
            (-3.0, -0.004049694094890287),
            (-1.0, -0.15865525393145707),
            (-0.25, -0.10032341857926907),
            (0.0, 0.0),
            (0.5, 0.34573123063700656),
            (1.0, 0.8413447460685429),
            (2.0, 1.9544997361036416),
            (5.0, 4.99999856674214),
        ];
        let (x, expected): (Vec<f64>, Vec<f64>) = TABLE.into_iter().unzip();
        for (dtype, tolerance) in [(DType::F32, 1e-7), (DType::F64, 1e-15)] {
            let y = rows_f64(gelu(tensor(&x, &Device::default(), dtype)));
            for ((x, y), e) in x.iter().zip(y).zip(&expected) {
                assert!((y - e).abs() <= tolerance * x.abs().max(1.0), "{dtype:?}: {x}: {y} {e}");
            }
        }
        let leaf = tensor(&x, &Device::default().autodiff(), DType::F64).require_grad();
        let slope = rows_f64(leaf.grad(&gelu(leaf.clone()).sum().backward()).unwrap());
        let at = |h: f64| rows_f64(gelu(tensor(&x, &Device::default(), DType::F64) + h));
        let h = 1e-5;
        for (i, (up, down)) in at(h).iter().zip(at(-h)).enumerate() {
            assert!((slope[i] - (up - down) / (2.0 * h)).abs() < 1e-9, "{}: {}", x[i], slope[i]);
        }
    }

    /// Along either dimension, with numbers whose exponentials overflow, and its slope along a direction.
    #[test]
    fn softmax_sums_to_one() {
        let x = [800.0, 801.0, -3.0, 0.5, 799.0, 0.1];
        let matrix = |device: &Device, dtype| tensor(&x, device, dtype).reshape([2, 3]);
        for (dimension, parts) in [(1, vec![[0, 1, 2], [3, 4, 5]]), (0, vec![[0, 3, 0], [1, 4, 1], [2, 5, 2]])] {
            let y = rows_f64(softmax(matrix(&Device::default(), DType::F64), dimension));
            for part in parts {
                let part = &part[..if dimension == 1 { 3 } else { 2 }];
                for &i in part {
                    let expected = part.iter().map(|&j| (x[j] - x[i]).exp()).sum::<f64>().recip();
                    assert!((y[i] - expected).abs() < 1e-14, "{dimension} {i}: {} {expected}", y[i]);
                }
            }
        }
        let leaf = tensor(&x[..2], &Device::default().autodiff(), DType::F64).require_grad();
        let first = softmax(leaf.clone(), 1).narrow(1, 0, 1).sum();
        let slope = rows_f64(leaf.grad(&first.backward()).unwrap());
        // s (1 - s) for the number itself, minus that for the other.
        let s = 1.0 / (1.0 + 1f64.exp());
        assert!((slope[0] - s * (1.0 - s)).abs() < 1e-14 && (slope[1] + s * (1.0 - s)).abs() < 1e-14, "{slope:?}");
    }
}
