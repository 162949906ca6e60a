//! Transposed convolutions: the transpose of a convolution's matrix as a layer of its own (Zeiler et al. 2010; Dumoulin and Visin 2016).
//!
//! A convolution of kernel `k`, stride `s` and padding `p` gathers `y[o] = sum_i w[i] x[s o + i - p]`; its transpose scatters,
//!
//! `y[s o + i - p] += w[i] x[o]`,
//!
//! so that a side of `h` pixels becomes `s (h - 1) + k - 2 p`. It is itself a convolution: of the picture with `s - 1` zeros between
//! its pixels, of stride 1, padded by `k - 1 - p`, with the filter turned by 180 degrees. That is how it is computed, and the turned
//! filter, `[out, in, k, k]`, is the parameter; other programs keep `[in, out, k, k]`, unturned.

use crate::layer::{Conv, ConvShape, Layout, Pass, Place};
use crate::ops::Padding;
use scorefield_tensor::Tensor;

/// The layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransposedConv {
    stride: usize,
    conv: Conv,
}

impl TransposedConv {
    /// With a bias; `pad` is that of the convolution it transposes.
    ///
    /// # Panics
    /// When the padding is as large as the kernel.
    pub(crate) fn new(layout: &mut Layout, name: &str, [inputs, outputs]: [usize; 2], [kernel, stride, pad]: [usize; 3]) -> Self {
        let pad = Padding::all(kernel - 1 - pad);
        let shape = ConvShape { inputs, outputs, kernel, stride: 1, pad, dilation: 1, bias: true };
        Self { stride, conv: layout.conv(name, shape, Place::Inner) }
    }

    /// `x` `[n, inputs, h, w]`.
    pub(crate) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(pass, spread(x, self.stride))
    }
}

/// The picture with `s - 1` zeros between neighbouring pixels: `[n, c, s (h - 1) + 1, s (w - 1) + 1]`.
fn spread(x: Tensor<4>, s: usize) -> Tensor<4> {
    if s == 1 {
        return x;
    }
    let [n, c, h, w] = x.dims();
    let x: Tensor<6> = x.reshape([n, c, h, 1, w, 1]);
    let beside = x.zeros_like().repeat_dim(5, s - 1);
    let x = Tensor::cat(vec![x, beside], 5); // [n, c, h, 1, w, s]
    let below = x.zeros_like().repeat_dim(3, s - 1);
    let x = Tensor::cat(vec![x, below], 3).reshape([n, c, h * s, w * s]);
    x.narrow(2, 0, s * (h - 1) + 1).narrow(3, 0, s * (w - 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InitScheme, Mode, Params};
    use scorefield_tensor::noise::Stream;
    use scorefield_tensor::{DType, Device, Purpose, TensorData, rows_f64};

    fn numbers(n: usize, seed: u64) -> Vec<f64> {
        let stream = Stream::new(seed, 0, Purpose::User, 0, 0);
        (0..n).map(|i| f64::from((2.0 * stream.uniform(i) - 1.0) as f32)).collect()
    }

    fn tensor(values: &[f64], shape: [usize; 4], dtype: DType, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, dtype))
    }

    /// Scattering by loops, and the gradient against differences.
    #[test]
    fn scatters_what_a_convolution_gathers() {
        let (n, inputs, outputs) = (2, 3, 2);
        for (k, s, p, h, w) in
            [(4, 2, 1, 3, 5), (2, 1, 0, 6, 4), (3, 2, 0, 4, 1), (3, 3, 1, 2, 3), (2, 3, 0, 2, 2), (1, 2, 0, 3, 3)]
        {
            let mut layout = Layout::new(InitScheme::Adm);
            let up = TransposedConv::new(&mut layout, "up", [inputs, outputs], [k, s, p]);
            let params = Params::init(&layout.specs, 1, &Device::default());
            let host = params.to_host();
            let x = numbers(n * inputs * h * w, 2);
            let [to_h, to_w] = [h, w].map(|side| s * (side - 1) + k - 2 * p);

            let mut expected: Vec<f64> =
                (0..n * outputs * to_h * to_w).map(|at| f64::from(host[1][at / (to_h * to_w) % outputs])).collect();
            for (i, c, row, column) in (0..x.len()).map(|at| (at / (inputs * h * w), at / (h * w) % inputs, at / w % h, at % w)) {
                let value = x[((i * inputs + c) * h + row) * w + column];
                for (o, a, b) in (0..outputs * k * k).map(|at| (at / (k * k), at / k % k, at % k)) {
                    let (Some(r), Some(q)) = ((s * row + a).checked_sub(p), (s * column + b).checked_sub(p)) else { continue };
                    if r < to_h && q < to_w {
                        let turned = ((o * inputs + c) * k + (k - 1 - a)) * k + (k - 1 - b);
                        expected[((i * outputs + o) * to_h + r) * to_w + q] += f64::from(host[0][turned]) * value;
                    }
                }
            }
            let run = |x: &[f64], dtype: DType| {
                let params = params.cast(dtype);
                let pass = Pass::new(&params, &layout.specs, &Mode::Eval);
                let y = up.forward(&pass, tensor(x, [n, inputs, h, w], dtype, &Device::default()));
                assert_eq!(y.dims(), [n, outputs, to_h, to_w]);
                rows_f64(y)
            };
            for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::F64, 1e-14)] {
                let error = run(&x, dtype).iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(error < tolerance, "kernel {k}, stride {s}, padding {p}, {h} x {w}, {dtype:?}: {error}");
            }

            let device = Device::default().autodiff();
            let constants = params.cast(DType::F64).constants(&device);
            let leaf = tensor(&x, [n, inputs, h, w], DType::F64, &device).require_grad();
            let y = up.forward(&Pass::new(&constants, &layout.specs, &Mode::Eval), leaf.clone());
            let g = numbers(expected.len(), 4);
            let gradients = (y.clone() * tensor(&g, y.dims(), DType::F64, &device)).sum().backward();
            let dx = rows_f64(leaf.grad(&gradients).expect("a gradient"));
            for at in [0, x.len() / 2, x.len() - 1] {
                let moved = |by: f64| {
                    let mut x = x.clone();
                    x[at] += by;
                    run(&x, DType::F64).iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
                };
                let quotient = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((dx[at] - quotient).abs() < 1e-8, "kernel {k}, stride {s}: {} against {quotient}", dx[at]);
            }
        }
    }
}
