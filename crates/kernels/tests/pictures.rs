//! Group normalisation and resampling.

mod common;

use common::*;
use scorefield_kernels::{Act, Resample, add, add_channels, concat, fir, group_norm, resample};
use scorefield_tensor::{DType, Device, Tensor};

/// The definition, in double precision.
fn naive_norm(
    x: &[f64],
    [n, c, plane]: [usize; 3],
    groups: usize,
    eps: f64,
    affine: impl Fn(usize, usize, f64) -> f64,
) -> Vec<f64> {
    let slab = c / groups * plane;
    let mut y = Vec::new();
    for g in 0..n * groups {
        let x = &x[g * slab..][..slab];
        let mean = x.iter().sum::<f64>() / slab as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / slab as f64;
        for (e, x) in x.iter().enumerate() {
            y.push(affine(g / groups, g % groups * (c / groups) + e / plane, (x - mean) / (variance + eps).sqrt()));
        }
    }
    y
}

#[test]
fn group_norm_is_its_definition_and_derivatives() {
    for (n, c, h, w, groups) in [(2, 4, 3, 5, 2), (3, 32, 8, 8, 32), (1, 6, 1, 1, 3), (2, 64, 16, 16, 8), (5, 3, 7, 7, 1)] {
        for act in [Act::Identity, Act::Silu] {
            let (shape, eps) = ([n, c, h, w], 1e-5);
            let what = format!("{shape:?} in {groups} {act:?}");
            let activate = |z: f64| if act == Act::Silu { z / (1.0 + (-z).exp()) } else { z };

            let plain = |t: &[Tensor<1>]| {
                group_norm(t[0].clone().reshape(shape), t[1].clone(), t[2].clone(), groups, eps, None, act).flatten(0, 3)
            };
            let probe = Probe { shapes: vec![shape.to_vec(), vec![c], vec![c]], op: &plain };
            probe.check(2e-5, &what);
            let (x, gamma, beta) = (numbers(n * c * h * w, 100), numbers(c, 101), numbers(c, 102));
            let want = naive_norm(&x, [n, c, h * w], groups, eps, |_, c, x| activate(x * gamma[c] + beta[c]));
            close(&values(&probe.gradients(DType::F32).0), &want, 2e-6, &what);

            let modulated = |t: &[Tensor<1>]| {
                let pair = (t[3].clone().reshape([n, c]), t[4].clone().reshape([n, c]));
                group_norm(t[0].clone().reshape(shape), t[1].clone(), t[2].clone(), groups, eps, Some(pair), act).flatten(0, 3)
            };
            let probe = Probe { shapes: vec![shape.to_vec(), vec![c], vec![c], vec![n, c], vec![n, c]], op: &modulated };
            probe.check(2e-5, &format!("{what} modulated"));
            let (scale, shift) = (numbers(n * c, 103), numbers(n * c, 104));
            let want = naive_norm(&x, [n, c, h * w], groups, eps, |n, i, x| {
                activate((x * gamma[i] + beta[i]) * (1.0 + scale[n * c + i]) + shift[n * c + i])
            });
            close(&values(&probe.gradients(DType::F32).0), &want, 2e-6, &what);
        }
    }
}

#[test]
fn group_norm_of_a_picture_does_not_depend_on_the_others() {
    let device = Device::flex();
    let x = tensor([7, 24, 9, 9], 1, DType::F32, &device);
    let (gamma, beta) = (tensor([24], 2, DType::F32, &device), tensor([24], 3, DType::F32, &device));
    let norm = |x| group_norm(x, gamma.clone(), beta.clone(), 4, 1e-6, None, Act::Silu);
    let all = bits(&norm(x.clone()));
    let one = all.len() / 7;
    for i in 0..7 {
        assert_eq!(bits(&norm(x.clone().narrow(0, i, 1))), all[i * one..(i + 1) * one]);
    }
}

/// A large offset must not cancel the variance.
#[test]
fn group_norm_of_shifted_numbers() {
    let device = Device::flex();
    let x = tensor([1, 8, 16, 16], 1, DType::F32, &device);
    let ones = Tensor::<1>::ones([8], &device);
    let norm = |x| values(&group_norm(x, ones.clone(), ones.clone() * 0.0, 2, 1e-6, None, Act::Identity));
    close(&norm(x.clone() + 100.0), &norm(x), 1e-4, "shifted by 100");
}

/// `k = [1, 3, 3, 1]`, `K = k k^T / 64`: zero-pad and correlate, as the definition reads.
fn correlate(x: &[f64], [h, w]: [usize; 2], [top, left, bottom, right]: [usize; 4], factor: f64) -> (Vec<f64>, [usize; 2]) {
    let k = [1.0, 3.0, 3.0, 1.0];
    let size = [h + top + bottom - 3, w + left + right - 3];
    let mut y = vec![0.0; size[0] * size[1]];
    for (e, y) in y.iter_mut().enumerate() {
        for (a, b) in (0..4).flat_map(|a| (0..4).map(move |b| (a, b))) {
            let (i, j) = ((e / size[1] + a).wrapping_sub(top), (e % size[1] + b).wrapping_sub(left));
            if i < h && j < w {
                *y += factor * k[a] * k[b] / 64.0 * x[i * w + j];
            }
        }
    }
    (y, size)
}

#[test]
fn resampling_is_its_definition() {
    let device = Device::flex();
    let (h, w) = (6, 10);
    for dtype in [DType::F32, DType::F64] {
        let x = tensor([2, 3, h, w], 1, dtype, &device);
        let planes: Vec<Vec<f64>> = values(&x).chunks(h * w).map(<[f64]>::to_vec).collect();
        let each = |f: &dyn Fn(&[f64]) -> Vec<f64>| planes.iter().flat_map(|p| f(p)).collect::<Vec<_>>();
        let got = |how| values(&resample(x.clone(), how));

        let up = each(&|p| (0..4 * h * w).map(|e| p[e / (2 * w) / 2 * w + e % (2 * w) / 2]).collect());
        close(&got(Resample::Up2Nearest), &up, 0.0, "up");
        let down = each(&|p| {
            (0..h * w / 4)
                .map(|e| (e / (w / 2) * 2 * w + e % (w / 2) * 2, w))
                .map(|(at, w)| (p[at] + p[at + 1] + p[at + w] + p[at + w + 1]) / 4.0)
                .collect()
        });
        close(&got(Resample::Down2Mean), &down, 1e-7, "down");
        let fir_down = each(&|p| {
            let (y, [oh, ow]) = correlate(p, [h, w], [1; 4], 1.0);
            (0..oh).step_by(2).flat_map(|i| (0..ow).step_by(2).map(move |j| (i, j))).map(|(i, j)| y[i * ow + j]).collect()
        });
        close(&got(Resample::FirDown), &fir_down, 2e-7, "fir down");
        let fir_up = each(&|p| {
            let mut z = vec![0.0; 4 * h * w];
            p.iter().enumerate().for_each(|(e, p)| z[e / w * 4 * w + e % w * 2] = *p);
            correlate(&z, [2 * h, 2 * w], [2, 2, 1, 1], 4.0).0
        });
        close(&got(Resample::FirUp), &fir_up, 2e-7, "fir up");
        for pad in 0..=3 {
            let want = each(&|p| correlate(p, [h, w], [pad; 4], 1.0).0);
            let y = fir(x.clone(), pad);
            assert_eq!(y.dims(), [2, 3, h + 2 * pad - 3, w + 2 * pad - 3]);
            close(&values(&y), &want, 2e-7, "fir");
        }
    }
}

#[test]
fn resampling_gradients_are_the_derivatives() {
    for (n, c, h, w) in [(2, 3, 6, 4), (1, 2, 2, 2), (1, 9, 64, 64)] {
        for how in [Resample::Up2Nearest, Resample::Down2Mean, Resample::FirUp, Resample::FirDown] {
            let op = |t: &[Tensor<1>]| resample(t[0].clone().reshape([n, c, h, w]), how).flatten(0, 3);
            Probe { shapes: vec![vec![n, c, h, w]], op: &op }.check(1e-6, &format!("{how:?} of {h} x {w}"));
        }
        for pad in 1..=3 {
            let op = |t: &[Tensor<1>]| fir(t[0].clone().reshape([n, c, h, w]), pad).flatten(0, 3);
            Probe { shapes: vec![vec![n, c, h, w]], op: &op }.check(1e-6, &format!("fir {pad} of {h} x {w}"));
        }
    }
}

#[test]
#[should_panic(expected = "this one is 5 x 8: pad it to 6 x 8")]
fn odd_sizes_are_refused() {
    resample(tensor([1, 1, 5, 8], 1, DType::F32, &Device::flex()), Resample::FirDown);
}

#[test]
fn branches_meet() {
    let pair = |t: &[Tensor<1>]| (t[0].clone().reshape([3, 5, 7, 6]), t[1].clone().reshape([3, 5, 7, 6]));
    let op = |t: &[Tensor<1>]| add(pair(t).0, pair(t).1, 0.75).flatten(0, 3);
    let probe = Probe { shapes: vec![vec![3, 5, 7, 6], vec![3, 5, 7, 6]], op: &op };
    probe.check(1e-6, "sum with a gain");
    let op = |t: &[Tensor<1>]| add(pair(t).0, pair(t).1, 1.0).flatten(0, 3);
    Probe { shapes: vec![vec![3, 5, 7, 6], vec![3, 5, 7, 6]], op: &op }.check(1e-6, "sum");
    let op = |t: &[Tensor<1>]| {
        let (x, h) = (t[0].clone().reshape([3, 5, 40, 31]), t[1].clone().reshape([3, 4, 40, 31]));
        concat(x, h).flatten(0, 3)
    };
    Probe { shapes: vec![vec![3, 5, 40, 31], vec![3, 4, 40, 31]], op: &op }.check(1e-6, "side by side");
    let op = |t: &[Tensor<1>]| add_channels(t[0].clone().reshape([3, 5, 40, 31]), t[1].clone().reshape([3, 5])).flatten(0, 3);
    Probe { shapes: vec![vec![3, 5, 40, 31], vec![3, 5]], op: &op }.check(1e-6, "a number a channel");
}
