//! Linear maps, SiLU and attention.

mod common;

use common::*;
use scorefield_kernels::{Precision, Ready, attention, linear, linear_onto, linear_ready, silu, silu_sum};
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

/// Added while the rows are at hand, or afterwards: the same bits in both precisions, and the derivatives in all four.
#[test]
fn linear_onto_rows_that_are_there() {
    let device = Device::flex();
    for (n, i, o) in [(1, 1, 1), (5, 7, 3), (33, 64, 65), (300, 40, 256), (70, 520, 31)] {
        let part = |shape: &[usize], seed| tensor([shape.iter().product()], seed, DType::F32, &device);
        let (x, w, b) = (part(&[n, i], 1).reshape([n, i]), part(&[o, i], 2).reshape([o, i]), part(&[o], 3));
        let y = part(&[n, o], 4).reshape([n, o]);
        for (precision, b) in [Precision::Single, Precision::Bf16].into_iter().flat_map(|p| [(p, None), (p, Some(b.clone()))]) {
            let ready = Some(Ready::new(precision));
            let onto = linear_onto(x.clone(), w.clone(), b.clone(), y.clone(), ready.clone());
            let apart = y.clone() + linear_ready(x.clone(), w.clone(), b.clone(), ready);
            assert_eq!(bits(&onto), bits(&apart), "{precision:?} {n} x {i} -> {o}");
        }
        let op = |t: &[Tensor<1>]| {
            let (x, w, y) = (t[0].clone().reshape([n, i]), t[1].clone().reshape([o, i]), t[3].clone().reshape([n, o]));
            linear_onto(x, w, Some(t[2].clone()), y, None).flatten(0, 1)
        };
        Probe { shapes: vec![vec![n, i], vec![o, i], vec![o], vec![n, o]], op: &op }.check(5e-6, &format!("{n} x {i} -> {o}"));
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

/// In one pass and in two: the same bits, and the derivatives in both terms.
#[test]
fn silu_of_a_sum() {
    let terms = |t: &[Tensor<1>]| [t[0].clone() * 5.0, t[1].clone() * 3.0];
    let op = |t: &[Tensor<1>]| {
        let [x, h] = terms(t);
        silu_sum(x, h)
    };
    let probe = Probe { shapes: vec![vec![40_007]; 2], op: &op };
    probe.check(4e-7, "silu of a sum");
    let apart = |t: &[Tensor<1>]| {
        let [x, h] = terms(t);
        silu(x + h)
    };
    let ((y, dx), (two, twice)) = (probe.gradients(DType::F32), Probe { op: &apart, ..probe }.gradients(DType::F32));
    assert_eq!((bits(&y), dx.iter().map(bits).collect::<Vec<_>>()), (bits(&two), twice.iter().map(bits).collect()));
    let x = tensor([3, 4, 5], 1, DType::F32, &Device::flex()).swap_dims(0, 2);
    assert_eq!(bits(&silu_sum(x.clone(), x.clone())), bits(&silu(x * 2.0)));
}

#[test]
fn attention_is_the_softmax_mean_and_its_derivatives() {
    for (n, heads, d, [h, w]) in
        [(1, 1, 1, [1, 1]), (3, 2, 4, [5, 7]), (2, 1, 32, [8, 8]), (1, 3, 16, [15, 20]), (5, 2, 40, [4, 4]), (1, 1, 3, [60, 100])]
    {
        let (len, c) = (h * w, heads * d);
        let what = format!("attention {n} x {heads} x {d} x {len}");
        let op =
            |t: &[Tensor<1>]| attention(t[0].clone().reshape([n, 3 * c, h, w]) * 2.0, heads, Precision::Single).flatten(0, 3);
        let probe = Probe { shapes: vec![vec![n, 3 * c, h, w]], op: &op };
        if len < 1000 {
            probe.check(5e-6, &what);
        } else {
            probe.matches_double_precision(5e-6, &what);
            probe.does_not_depend_on_threads(&what);
        }
        if len < 1000 {
            let want = softmax_mean(&numbers(n * 3 * c * len, 100), n, heads, d, len);
            close(&values(&probe.gradients(DType::F32).0), &want, 2e-6, &what);
        }
    }
}

/// The formula in double precision, queries, keys and values doubled.
fn softmax_mean(x: &[f64], n: usize, heads: usize, d: usize, len: usize) -> Vec<f64> {
    let c = heads * d;
    let mut want = vec![0.0; n * c * len];
    let at =
        |picture: usize, part: usize, channel: usize, pixel: usize| 2.0 * x[((picture * 3 + part) * c + channel) * len + pixel];
    for (picture, head) in (0..n).flat_map(|n| (0..heads).map(move |h| (n, h))) {
        let first = head * d;
        for q in 0..len {
            let score = |k: usize| {
                (first..first + d).map(|e| at(picture, 0, e, q) * at(picture, 1, e, k)).sum::<f64>() / (d as f64).sqrt()
            };
            let p: Vec<f64> = (0..len).map(|k| score(k).exp()).collect();
            let total: f64 = p.iter().sum();
            for e in first..first + d {
                want[(picture * c + e) * len + q] = (0..len).map(|k| p[k] * at(picture, 2, e, k)).sum::<f64>() / total;
            }
        }
    }
    want
}

/// In bfloat16 the outputs differ by what rounding operands does, in every shape.
#[test]
fn attention_in_bfloat16_is_near() {
    let device = Device::flex();
    for (n, heads, d, [h, w]) in
        [(1, 1, 1, [1, 1]), (3, 2, 5, [5, 7]), (2, 1, 33, [8, 8]), (1, 3, 64, [15, 20]), (5, 2, 40, [4, 4])]
    {
        let x = tensor([n, 3 * heads * d, h, w], 7, DType::F32, &device) * 2.0;
        let (ours, want) =
            (values(&attention(x.clone(), heads, Precision::Bf16)), values(&attention(x, heads, Precision::Single)));
        let worst = ours.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 0.03 && (worst > 0.0 || d == 1), "{n} x {heads} x {d} x {h} x {w}: {worst}");
    }
}

#[test]
fn a_picture_does_not_depend_on_the_others() {
    let device = Device::flex();
    let x = tensor([6, 72, 10, 10], 1, DType::F32, &device);
    for precision in [Precision::Single, Precision::Bf16] {
        let all = bits(&attention(x.clone(), 2, precision));
        for i in 0..6 {
            assert_eq!(bits(&attention(x.clone().narrow(0, i, 1), 2, precision)), all[i * 2400..(i + 1) * 2400]);
        }
    }
}

/// Large scores neither overflow nor lose the row: the mean of values stays inside their range.
#[test]
fn attention_survives_large_scores() {
    let device = Device::flex();
    let q = tensor([1, 8, 2, 4], 1, DType::F32, &device) * 1e4;
    for precision in [Precision::Single, Precision::Bf16] {
        let qkv = Tensor::cat(vec![q.clone(), q.clone(), tensor([1, 8, 2, 4], 3, DType::F32, &device)], 1);
        assert!(values(&attention(qkv, 1, precision)).iter().all(|y| y.abs() <= 1.0));
    }
}

/// Tensors used several times, by operations of this crate, by Burn's, and by both in every order, inside the graph and at its leaves: the
/// gradients are summed once each. Repeated, because nodes that Burn passed on are remembered for a while.
#[test]
fn gradients_of_what_is_used_several_times() {
    let op = |t: &[Tensor<1>]| {
        let x = silu(t[0].clone());
        let by_ours = silu(x.clone()) + silu_sum(x.clone(), x.clone());
        let between = x.clone() * 0.5 + silu(x.clone() * 2.0) + x.clone().powi_scalar(2);
        let h = x + by_ours.clone();
        silu_sum(h.clone(), between.clone()) * h.clone() + silu(h) + silu(between) + silu(by_ours) + silu(t[0].clone())
    };
    for repeat in 0..3 {
        Probe { shapes: vec![vec![20_011]], op: &op }.check(2e-6, &format!("several uses, {repeat}"));
    }
    let device = Device::flex().autodiff();
    let x = tensor([3], 1, DType::F32, &device).require_grad();
    let mut sum = x.clone() * 1.0;
    for _ in 0..6000 {
        sum = silu_sum(sum.clone(), sum * -1.0) + x.clone();
    }
    // silu(0) + x: the slope of the first term at 0 is a half, of a sum that does not change.
    assert_eq!(bits(&sum.clone().inner()), bits(&x.clone().inner()));
    assert_eq!(values(&x.grad(&sum.sum().backward()).unwrap()), [1.0; 3]);
}
