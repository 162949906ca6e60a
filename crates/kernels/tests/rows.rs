//! Linear maps, SiLU and attention.

mod common;

use common::*;
use scorefield_kernels::{attention, linear, silu};
use scorefield_tensor::{DType, Device, Tensor};

#[test]
fn linear_is_the_sum_and_its_derivatives() {
    for (n, i, o) in [(1, 1, 1), (1, 600, 40), (5, 7, 3), (33, 64, 65), (300, 17, 256), (70, 520, 31)] {
        let what = format!("linear {n} x {i} -> {o}");
        let device = Device::flex();
        let (x, w, b) = (numbers(n * i, 100), numbers(o * i, 101), numbers(o, 102));
        let want: Vec<f64> =
            (0..n * o).map(|e| b[e % o] + (0..i).map(|t| x[e / o * i + t] * w[e % o * i + t]).sum::<f64>()).collect();
        let of = |dtype| {
            let (x, w) = (tensor([n, i], 100, dtype, &device), tensor([o, i], 101, dtype, &device));
            values(&linear(x, w, Some(tensor([o], 102, dtype, &device))))
        };
        close(&of(DType::F32), &want, 2e-6, &what);
        close(&of(DType::F64), &want, 1e-13, &what);
        let op = |t: &[Tensor<1>]| {
            linear(t[0].clone().reshape([n, i]), t[1].clone().reshape([o, i]), Some(t[2].clone())).flatten(0, 1)
        };
        Probe { shapes: vec![vec![n, i], vec![o, i], vec![o]], op: &op }.check(5e-6, &what);
        let op = |t: &[Tensor<1>]| linear(t[0].clone().reshape([n, i]), t[1].clone().reshape([o, i]), None).flatten(0, 1);
        Probe { shapes: vec![vec![n, i], vec![o, i]], op: &op }.check(5e-6, &what);
    }
}

/// Few rows and many rows take different ways to the same bits.
#[test]
fn a_row_does_not_depend_on_the_others() {
    let device = Device::flex();
    for (i, o) in [(64, 64), (300, 70), (3, 128)] {
        let (x, w) = (tensor([200, i], 1, DType::F32, &device), tensor([o, i], 2, DType::F32, &device));
        let all = bits(&linear(x.clone(), w.clone(), None));
        for (first, count) in [(0, 1), (199, 1), (17, 32), (50, 100)] {
            let part = bits(&linear(x.clone().narrow(0, first, count), w.clone(), None));
            assert_eq!(part, all[first * o..(first + count) * o], "{i} -> {o}: rows {first}..{}", first + count);
        }
    }
}

#[test]
fn silu_is_x_times_sigmoid() {
    let op = |t: &[Tensor<1>]| silu(t[0].clone() * 8.0);
    let probe = Probe { shapes: vec![vec![40_007]], op: &op };
    probe.check(4e-7, "silu");
    let device = Device::flex();
    let x = Tensor::<1>::from_floats([0.0, -200.0, 200.0, -1e30, 1e30, f32::NAN], &device);
    let y = values(&silu(x));
    assert_eq!((y[0], y[2], y[4]), (0.0, 200.0, f64::from(1e30f32)));
    assert!(y[1].abs() < 1e-30 && y[3].abs() < 1e-6 && y[5].is_nan(), "{y:?}");
    // Ranks and views.
    let x = tensor([3, 4, 5], 1, DType::F32, &device).swap_dims(0, 2);
    let copy = Tensor::<3>::from_data(x.to_data(), &device);
    assert_eq!(bits(&silu(x.clone())), bits(&silu(copy)));
    assert_eq!(silu(x).dims(), [5, 4, 3]);
}

#[test]
fn attention_is_the_softmax_mean_and_its_derivatives() {
    for (b, lq, lk, d) in [(1, 1, 1, 1), (3, 5, 7, 4), (2, 64, 64, 32), (1, 300, 300, 16), (5, 16, 16, 40), (1, 20, 6000, 3)] {
        let op = |t: &[Tensor<1>]| {
            let q = t[0].clone().reshape([b, lq, d]) * 3.0;
            attention(q, t[1].clone().reshape([b, lk, d]), t[2].clone().reshape([b, lk, d])).flatten(0, 2)
        };
        let what = format!("attention {b} x {lq} x {lk} x {d}");
        let probe = Probe { shapes: vec![vec![b, lq, d], vec![b, lk, d], vec![b, lk, d]], op: &op };
        if lk < 1000 {
            probe.check(5e-6, &what);
        } else {
            probe.matches_double_precision(5e-6, &what);
            probe.does_not_depend_on_threads(&what);
        }
        let (_, q) = (numbers(0, 0), numbers(b * lq * d, 100));
        let (k, v) = (numbers(b * lk * d, 101), numbers(b * lk * d, 102));
        let mut want = Vec::new();
        for row in 0..b * lq {
            let head = row / lq;
            let score =
                |j: usize| 3.0 * (0..d).map(|e| q[row * d + e] * k[(head * lk + j) * d + e]).sum::<f64>() / (d as f64).sqrt();
            let p: Vec<f64> = (0..lk).map(|j| score(j).exp()).collect();
            let total: f64 = p.iter().sum();
            want.extend((0..d).map(|e| (0..lk).map(|j| p[j] * v[(head * lk + j) * d + e]).sum::<f64>() / total));
        }
        close(&values(&probe.gradients(DType::F32).0), &want, 2e-6, &what);
    }
}

#[test]
fn a_head_does_not_depend_on_the_others() {
    let device = Device::flex();
    let [q, k, v] = [1, 2, 3].map(|seed| tensor([6, 100, 24], seed, DType::F32, &device));
    let all = bits(&attention(q.clone(), k.clone(), v.clone()));
    let one = |i| bits(&attention(q.clone().narrow(0, i, 1), k.clone().narrow(0, i, 1), v.clone().narrow(0, i, 1)));
    for i in 0..6 {
        assert_eq!(one(i), all[i * 2400..(i + 1) * 2400]);
    }
}

/// Large scores neither overflow nor lose the row: the mean of values stays inside their range.
#[test]
fn attention_survives_large_scores() {
    let device = Device::flex();
    let q = tensor([1, 8, 4], 1, DType::F32, &device) * 1e4;
    let y = values(&attention(q.clone(), q, tensor([1, 8, 4], 3, DType::F32, &device)));
    assert!(y.iter().all(|y| y.abs() <= 1.0));
}
