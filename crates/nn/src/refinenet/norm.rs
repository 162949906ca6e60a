//! Instance normalisation that keeps the means (Song and Ermon 2019, appendix A.1, "InstanceNorm++").
//!
//! Plain instance normalisation takes the mean of every channel away, and with it a shift of colours. Here the means come back, themselves
//! normalised over the channels of the picture. With `m_c` and `v_c` the mean and the (biased) variance of channel `c` over the pixels,
//! `M` and `V` the mean and the unbiased variance of the `m_c` over the channels, `eps = 1e-5`:
//!
//! `y_c = gamma_c ((x_c - m_c) / sqrt(v_c + eps) + alpha_c (m_c - M) / sqrt(V + eps)) + beta_c`.
//!
//! The scales are parameters of the channels or, in a conditional norm, a row `[gamma | alpha | beta]` of a table with a row a noise level.

use crate::Init;
use crate::layer::{Layout, Pass};
use crate::ops::{self, Act};
use scorefield_tensor::{Int, Tensor};

/// Of the authors.
const EPS: f64 = 1e-5;

/// Deviation of fresh scales about one.
const SPREAD: f64 = 0.02;

/// The norm of a number of channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct InstanceNormPlus {
    channels: usize,
    scales: Scales,
}

/// Places of parameters.
#[derive(Clone, Copy, Debug)]
enum Scales {
    /// `[C]` each.
    Own { gamma: usize, alpha: usize, beta: usize },
    /// `[levels, 3 C]`.
    Table { table: usize, levels: usize },
}

impl InstanceNormPlus {
    /// With a table of so many levels, or none.
    pub(super) fn new(layout: &mut Layout, name: &str, channels: usize, levels: usize) -> Self {
        let around = Init::Around { mean: 1.0, std: SPREAD };
        let scales = layout.within(name, |l| match levels {
            0 => Scales::Own {
                gamma: l.add("gamma", &[channels], around, true),
                alpha: l.add("alpha", &[channels], around, true),
                beta: l.add("beta", &[channels], Init::Zeros, true),
            },
            _ => Scales::Table { table: l.add("table", &[levels, 3 * channels], Init::Norms { std: SPREAD }, true), levels },
        });
        Self { channels, scales }
    }

    /// `x` `[n, c, h, w]`; `levels` the index of each row's level where there is a table.
    pub(super) fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, levels: Option<&Tensor<1, Int>>) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        let [gamma, alpha, beta] = self.scales(pass, n, levels);
        let m = x.clone().reshape([n, c, h * w]).mean_dim(2).reshape([n, c]);
        let centred = m.clone() - m.mean_dim(1);
        let variance = centred.clone().square().sum_dim(1) / (c - 1) as f64;
        let shift = gamma.clone() * alpha * (centred / (variance + EPS).sqrt()) + beta;

        // Groups of one channel are instances; their own scales are one and zero, the others come as a condition's do.
        let (one, zero) = (pass.constant(vec![1.0; c], [c]), pass.constant(vec![0.0; c], [c]));
        ops::group_norm(x, one, zero, c, EPS, Some((gamma - 1.0, shift)), Act::Identity)
    }

    /// Each `[n, c]`.
    fn scales(&self, pass: &Pass<'_>, n: usize, levels: Option<&Tensor<1, Int>>) -> [Tensor<2>; 3] {
        let c = self.channels;
        match (self.scales, levels) {
            (Scales::Own { gamma, alpha, beta }, _) => [gamma, alpha, beta].map(|p| pass.tensor(p, [1, c]).expand([n, c])),
            (Scales::Table { table, levels }, Some(indices)) => {
                let rows = pass.tensor(table, [levels, 3 * c]).select(0, indices.clone());
                [0, 1, 2].map(|part| rows.clone().narrow(1, part * c, c))
            }
            (Scales::Table { .. }, None) => unreachable!("a network with a table looks its rows up"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InitScheme, Mode, Params};
    use scorefield_tensor::noise::Stream;
    use scorefield_tensor::{DType, Device, Purpose, TensorData, rows_f64};

    fn numbers(n: usize, seed: u64) -> Vec<f64> {
        let stream = Stream::new(seed, 0, Purpose::User, 0, 0);
        (0..n).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
    }

    /// The formula, number by number. `scales` gives `[gamma, alpha, beta]` of a row and a channel.
    fn direct(x: &[f64], [n, c, area]: [usize; 3], scales: impl Fn(usize, usize) -> [f64; 3]) -> Vec<f64> {
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let squares = |v: &[f64]| v.iter().map(|x| (x - mean(v)).powi(2)).sum::<f64>();
        let mut y = Vec::new();
        for i in 0..n {
            let planes: Vec<&[f64]> = x[i * c * area..][..c * area].chunks(area).collect();
            let means: Vec<f64> = planes.iter().map(|p| mean(p)).collect();
            let over_channels = (squares(&means) / (c - 1) as f64 + 1e-5).sqrt();
            for (k, plane) in planes.iter().enumerate() {
                let [gamma, alpha, beta] = scales(i, k);
                let deviation = (squares(plane) / area as f64 + 1e-5).sqrt();
                let back = alpha * (means[k] - mean(&means)) / over_channels;
                y.extend(plane.iter().map(|v| gamma * ((v - means[k]) / deviation + back) + beta));
            }
        }
        y
    }

    #[test]
    fn norm_is_its_formula() {
        let (n, c) = (3, 4);
        for (levels, h, w) in [(0, 5, 3), (6, 5, 3), (0, 1, 1), (2, 1, 2)] {
            let mut layout = Layout::new(InitScheme::Adm);
            let norm = InstanceNormPlus::new(&mut layout, "norm", c, levels);
            let values: Vec<Vec<f32>> = (1..)
                .zip(&layout.specs)
                .map(|(seed, s)| numbers(s.len(), seed).into_iter().map(|v| v as f32).collect())
                .collect();
            let params = Params::from_host(&layout.specs, values.clone(), &Device::default()).unwrap();
            let told: Vec<i64> = (0..n).map(|i| ((2 * i + 1) % levels.max(1)) as i64).collect();
            let x = numbers(n * c * h * w, 7);
            let expected = direct(&x, [n, c, h * w], |i, k| match levels {
                0 => [0, 1, 2].map(|part| f64::from(values[part][k])),
                _ => [0, 1, 2].map(|part| f64::from(values[0][told[i] as usize * 3 * c + part * c + k])),
            });
            for (dtype, tolerance) in [(DType::F32, 5e-6), (DType::F64, 1e-13)] {
                let (device, params) = (Device::default(), params.cast(dtype));
                let pass = Pass::new(&params, &layout.specs, &Mode::Eval);
                let indices = Tensor::<1, Int>::from_data(TensorData::new(told.clone(), [n]), &device);
                let x = Tensor::<4>::from_data(TensorData::new(x.clone(), [n, c, h, w]), (&device, dtype));
                let y = rows_f64(norm.forward(&pass, x, (levels > 0).then_some(&indices)));
                let error = y.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(error < tolerance, "{levels} levels, {h} x {w}, {dtype:?}: {error}");
            }
        }
    }

    /// Scales about one with the stated deviation, offsets zero.
    #[test]
    fn fresh_scales() {
        let mut layout = Layout::new(InitScheme::Adm);
        InstanceNormPlus::new(&mut layout, "own", 3000, 0);
        InstanceNormPlus::new(&mut layout, "told", 300, 10);
        let drawn: Vec<Vec<f32>> = layout.specs.iter().enumerate().map(|(i, s)| s.draw(3, i)).collect();
        let part = |part: usize| drawn[3].chunks(300).skip(part).step_by(3).flatten().copied().collect::<Vec<f32>>();
        for (what, values) in [("gamma", &drawn[0]), ("alpha", &drawn[1]), ("table gamma", &part(0)), ("table alpha", &part(1))] {
            let n = values.len() as f64;
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let deviation = (values.iter().map(|&v| (f64::from(v) - 1.0).powi(2)).sum::<f64>() / n).sqrt();
            assert_eq!(values.len(), 3000);
            assert!((mean - 1.0).abs() < 5.0 * 0.02 / n.sqrt(), "{what}: {mean}");
            assert!((deviation / 0.02 - 1.0).abs() < 0.1, "{what}: {deviation}");
        }
        assert!(drawn[2].iter().chain(&part(2)).all(|&v| v == 0.0));
    }
}
