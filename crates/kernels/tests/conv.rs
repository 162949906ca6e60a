//! Convolution: against the sum written out in f64, finite differences, and the bits of a row.

mod common;

use common::*;
use scorefield_kernels::{Algorithm, Padding, Precision, Ready, Tail, conv2d, conv2d_ready, conv2d_tail};
use scorefield_tensor::{DType, Device, Tensor};

/// (n, c, h, w, k, kh, kw, stride, pad)
type Case = (usize, usize, usize, usize, usize, usize, usize, usize, Padding);

const fn pad(top: usize, left: usize, bottom: usize, right: usize) -> Padding {
    Padding { top, left, bottom, right }
}

const CASES: &[Case] = &[
    (2, 3, 8, 8, 5, 3, 3, 1, Padding::same(3)),
    (3, 40, 16, 16, 13, 3, 3, 1, Padding::same(3)),
    (2, 35, 32, 32, 3, 3, 3, 1, Padding::same(3)),
    (5, 8, 4, 4, 70, 3, 3, 1, Padding::same(3)),
    (3, 4, 7, 5, 6, 3, 3, 1, pad(0, 2, 1, 0)),
    (2, 300, 3, 3, 9, 1, 1, 1, Padding::NONE),
    (1, 16, 16, 16, 33, 1, 1, 1, Padding::NONE),
    (2, 6, 8, 8, 7, 3, 3, 2, pad(0, 0, 1, 1)),
    (2, 6, 8, 6, 7, 3, 3, 2, Padding::all(1)),
    (2, 5, 9, 11, 4, 3, 3, 2, Padding::NONE),
    (2, 3, 6, 6, 4, 1, 1, 2, Padding::NONE),
    (1, 2, 13, 10, 3, 5, 4, 3, pad(2, 1, 0, 3)),
    (1, 2, 5, 5, 2, 5, 5, 1, Padding::NONE),
    (1, 1, 1, 1, 1, 1, 1, 1, Padding::NONE),
    (2, 3, 20, 20, 4, 3, 3, 1, Padding::all(4)),
    (1, 1, 40, 9, 2, 3, 1, 1, pad(1, 0, 1, 0)),
    (35, 2, 7, 7, 3, 3, 3, 1, Padding::same(3)),
    (35, 2, 7, 7, 3, 3, 3, 2, Padding::same(3)),
    (3, 40, 16, 16, 17, 3, 3, 1, Padding::same(3)),
    (5, 18, 9, 6, 33, 3, 3, 1, pad(0, 2, 1, 0)),
    (2, 3, 12, 9, 20, 7, 7, 1, Padding::same(7)),
    (2, 6, 8, 12, 10, 2, 2, 2, Padding::NONE),
    (2, 3, 8, 12, 5, 4, 4, 4, Padding::NONE),
];

/// Relative to the largest number: minimal filtering, for many channels, loses a digit.
fn tolerance(&(_, _, _, _, _, kh, kw, stride, _): &Case) -> f64 {
    if (kh, kw, stride) == (3, 3, 1) { 2e-5 } else { 2e-6 }
}

/// `y[n, k, o] = b[k] + sum_{c, i} w[k, c, i] x[n, c, s o + i - p]`, as it stands.
fn naive(x: &[f64], w: &[f64], b: &[f64], (n, c, h, width, k, kh, kw, s, p): Case) -> Vec<f64> {
    let (oh, ow) = ((h + p.top + p.bottom - kh) / s + 1, (width + p.left + p.right - kw) / s + 1);
    let mut y = Vec::new();
    for n in 0..n {
        for k in 0..k {
            for (u, v) in (0..oh).flat_map(|u| (0..ow).map(move |v| (u, v))) {
                let mut sum = b[k];
                for c_in in 0..c {
                    for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
                        let (yy, xx) = ((s * u + i).wrapping_sub(p.top), (s * v + j).wrapping_sub(p.left));
                        if yy < h && xx < width {
                            sum += w[((k * c + c_in) * kh + i) * kw + j] * x[((n * c + c_in) * h + yy) * width + xx];
                        }
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

#[test]
fn forward_is_the_sum() {
    for &case in CASES {
        let (n, c, h, w, k, kh, kw, stride, pad) = case;
        for dtype in [DType::F32, DType::F64] {
            let device = Device::flex();
            let x = tensor([n, c, h, w], 1, dtype, &device);
            let weights = tensor([k, c, kh, kw], 2, dtype, &device);
            let bias = tensor([k], 3, dtype, &device);
            let want = naive(&values(&x), &values(&weights), &values(&bias), case);
            let got = conv2d(x.clone(), weights.clone(), Some(bias), stride, pad);
            close(&values(&got), &want, tolerance(&case), &format!("{case:?}"));
            let without = naive(&values(&x), &values(&weights), &vec![0.0; k], case);
            close(&values(&conv2d(x, weights, None, stride, pad)), &without, tolerance(&case), &format!("{case:?} without bias"));
        }
    }
}

/// Without a bias the products are made of the same numbers as with one of zeros.
#[test]
fn precision_holds_without_a_bias() {
    let device = Device::flex();
    // Of five by five, which no processor filters in single precision where bfloat16 is asked for.
    let (x, w) = (tensor([2, 8, 9, 9], 1, DType::F32, &device), tensor([20, 8, 5, 5], 2, DType::F32, &device));
    let run = |bias: Option<_>, precision| {
        values(&conv2d_ready(x.clone(), w.clone(), bias, 1, Padding::same(5), Some(Ready::new(precision))))
    };
    for precision in [Precision::Single, Precision::Bf16] {
        assert_eq!(run(None, precision), run(Some(tensor([20], 3, DType::F32, &device) * 0.0), precision), "{precision:?}");
    }
    assert_ne!(run(None, Precision::Single), run(None, Precision::Bf16));
}

/// What is told of a layer is what runs: where it says that products are in single precision, they have its bits.
#[test]
fn the_algorithm_told_is_the_one_that_runs() {
    let device = Device::flex();
    for (c, k, size, side) in [(8, 20, 9, 3), (8, 20, 9, 5), (4, 6, 2, 3), (32, 16, 16, 3), (32, 16, 16, 1)] {
        let (x, w) = (tensor([2, c, size, size], 1, DType::F32, &device), tensor([k, c, side, side], 2, DType::F32, &device));
        let pad = Padding::same(side);
        let ready = Ready::new(Precision::Bf16);
        let run = |ready| values(&conv2d_ready(x.clone(), w.clone(), None, 1, pad, Some(ready)));
        let told = ready.algorithm(x.dims(), w.dims(), 1, pad);
        let half = run(ready);
        match told {
            Some(algorithm) => assert_eq!(half, run(Ready::by(algorithm)), "{c} {k} {size} {side}: {algorithm:?}"),
            None => assert_ne!(half, run(Ready::new(Precision::Single)), "{c} {k} {size} {side}"),
        }
        assert_eq!(
            Ready::new(Precision::Single).algorithm(x.dims(), w.dims(), 1, pad),
            Some(Algorithm::of(x.dims(), w.dims(), 1, pad))
        );
    }
}

#[test]
fn gradients_are_the_derivatives() {
    for &case in CASES {
        let (n, c, h, w, k, kh, kw, stride, pad) = case;
        let op = |t: &[scorefield_tensor::Tensor<1>]| {
            let (x, w) = (t[0].clone().reshape([n, c, h, w]), t[1].clone().reshape([k, c, kh, kw]));
            conv2d(x, w, Some(t[2].clone()), stride, pad).flatten(0, 3)
        };
        let probe = Probe { shapes: vec![vec![n, c, h, w], vec![k, c, kh, kw], vec![k]], op: &op };
        probe.check(2.5 * tolerance(&case), &format!("{case:?}"));
    }
}

/// Height and width of a case's output.
fn output(&(_, _, h, w, _, kh, kw, s, p): &Case) -> [usize; 2] {
    [(h + p.top + p.bottom - kh) / s + 1, (w + p.left + p.right - kw) / s + 1]
}

/// Which parts a tail has: bias, shift, residual; and its gain.
const TAILS: [([bool; 3], f64); 6] = [
    ([true, true, true], 0.75),
    ([true, true, false], 1.0),
    ([true, false, true], std::f64::consts::FRAC_1_SQRT_2),
    ([false, true, false], -2.0),
    ([false, false, true], 1.0),
    ([false, false, false], 0.5),
];

/// What follows a convolution has the bits of the separate operations, by every algorithm and in both precisions.
#[test]
fn a_tail_is_the_operations_that_it_replaces() {
    let device = Device::flex();
    for &case in CASES {
        let (n, c, h, w, k, kh, kw, stride, pad) = case;
        let [oh, ow] = output(&case);
        let (x, weights) = (tensor([n, c, h, w], 1, DType::F32, &device), tensor([k, c, kh, kw], 2, DType::F32, &device));
        let algorithms = Algorithm::ALL.into_iter().filter(|a| a.applies(weights.dims(), stride, pad));
        let ways = algorithms.map(Ready::by).chain([Ready::new(Precision::Bf16)]);
        for ready in ways {
            for ([bias, shift, residual], gain) in TAILS {
                let bias = bias.then(|| tensor([k], 3, DType::F32, &device));
                let tail = Tail {
                    shift: shift.then(|| tensor([n, k], 4, DType::F32, &device)),
                    residual: residual.then(|| tensor([n, k, oh, ow], 5, DType::F32, &device)),
                    gain,
                };
                let run = |tail| conv2d_tail(x.clone(), weights.clone(), bias.clone(), stride, pad, tail, Some(ready.clone()));
                let (fused, apart) = (run(tail.clone()), tail.after(run(Tail::default())));
                // Equal as numbers: a zero may have another sign.
                assert_eq!(values(&fused), values(&apart), "{case:?} {ready:?} {bias:?} {shift} {residual} {gain}");
                // Each part is seen.
                assert_ne!(values(&fused), values(&run(Tail::default())), "{case:?} {ready:?} {shift} {residual} {gain}");
            }
        }
    }
}

/// The tail against the f64 body and finite differences, in all five inputs.
#[test]
fn a_tails_gradients_are_the_derivatives() {
    for &case in CASES {
        let (n, c, h, w, k, kh, kw, stride, pad) = case;
        let [oh, ow] = output(&case);
        let shapes = [vec![n, c, h, w], vec![k, c, kh, kw], vec![k], vec![n, k], vec![n, k, oh, ow]];
        for (parts @ [bias, shift, residual], gain) in TAILS {
            let there: Vec<usize> = (0..5).filter(|&i| i < 2 || parts[i - 2]).collect();
            let op = |t: &[Tensor<1>]| {
                let of = |i: usize| there.iter().position(|&j| j == i).map(|at| t[at].clone());
                let (x, weights) = (t[0].clone().reshape([n, c, h, w]), t[1].clone().reshape([k, c, kh, kw]));
                let tail =
                    Tail { shift: of(3).map(|e| e.reshape([n, k])), residual: of(4).map(|r| r.reshape([n, k, oh, ow])), gain };
                conv2d_tail(x, weights, of(2), stride, pad, tail, None).flatten(0, 3)
            };
            let probe = Probe { shapes: there.iter().map(|&i| shapes[i].clone()).collect(), op: &op };
            probe.check(2.5 * tolerance(&case), &format!("{case:?} {bias} {shift} {residual} {gain}"));
        }
    }
}

#[test]
#[should_panic(expected = "branches of one shape meet")]
fn a_residual_has_the_outputs_shape() {
    let [x, w, r] = [[1, 3, 4, 4], [2, 3, 3, 3], [1, 2, 4, 4]].map(|shape| tensor(shape, 1, DType::F32, &Device::flex()));
    conv2d_tail(x, w, None, 1, Padding::NONE, Tail::onto(r, 1.0), None);
}

/// What is kept of weights serves without a bias as well: the bits are those of a bias of zeros, forward and backward.
#[test]
fn no_bias_is_a_bias_of_zeros() {
    let device = Device::flex().autodiff();
    for (n, c, k, size) in [(2, 3, 5, 8), (3, 40, 17, 16), (5, 18, 33, 4)] {
        for precision in [Precision::Single, Precision::Bf16] {
            let run = |zeros: bool| {
                let x = tensor([n, c, size, size], 1, DType::F32, &device).require_grad();
                let w = tensor([k, c, 3, 3], 2, DType::F32, &device).require_grad();
                let bias = zeros.then(|| tensor([k], 3, DType::F32, &device) * 0.0);
                let y = conv2d_ready(x.clone(), w.clone(), bias, 1, Padding::same(3), Some(Ready::new(precision)));
                let gradients = (y.clone() * tensor(y.dims(), 4, DType::F32, &device)).sum().backward();
                [values(&y.inner()), values(&x.grad(&gradients).unwrap()), values(&w.grad(&gradients).unwrap())]
            };
            assert_eq!(run(false), run(true), "{n} {c} {k} {size} {precision:?}");
        }
    }
}

/// Pictures of under and over a block of the sum, odd counts of pixels, several pictures in a vector: the gradient of the
/// weights takes different ways.
#[test]
fn weight_gradients_of_all_sizes() {
    for (n, c, size, k) in
        [(7, 33, 4, 12), (2, 20, 32, 30), (3, 4, 31, 5), (9, 64, 2, 64), (1, 130, 16, 130), (41, 1, 28, 8), (35, 3, 7, 5)]
    {
        let op = |t: &[scorefield_tensor::Tensor<1>]| {
            let (x, w) = (t[0].clone().reshape([n, c, size, size]), t[1].clone().reshape([k, c, 3, 3]));
            conv2d(x, w, None, 1, Padding::same(3)).flatten(0, 3)
        };
        let probe = Probe { shapes: vec![vec![n, c, size, size], vec![k, c, 3, 3]], op: &op };
        let what = format!("{n} x {c} x {size}^2 -> {k}");
        probe.matches_double_precision(2e-5, &what);
        probe.does_not_depend_on_threads(&what);
    }
}

#[test]
fn a_picture_does_not_depend_on_the_others() {
    for &case in CASES {
        let (_, c, h, w, k, kh, kw, stride, pad) = case;
        let device = Device::flex();
        let x = tensor([9, c, h, w], 1, DType::F32, &device);
        let weights = tensor([k, c, kh, kw], 2, DType::F32, &device);
        let bias = tensor([k], 3, DType::F32, &device);
        let all = bits(&conv2d(x.clone(), weights.clone(), Some(bias.clone()), stride, pad));
        for (first, count) in [(0, 1), (4, 1), (2, 5)] {
            let part = bits(&conv2d(x.clone().narrow(0, first, count), weights.clone(), Some(bias.clone()), stride, pad));
            let one = all.len() / 9;
            assert_eq!(part, all[first * one..(first + count) * one], "{case:?}, pictures {first}..{}", first + count);
        }
    }
}

/// Only what is asked for is computed, and a constant input is allowed beside tracked weights.
#[test]
fn constants_need_no_gradient() {
    let tracked = Device::flex().autodiff();
    let x = tensor([2, 3, 8, 8], 1, DType::F32, &tracked);
    let w = tensor([4, 3, 3, 3], 2, DType::F32, &tracked).require_grad();
    let grads = conv2d(x.clone(), w.clone(), None, 1, Padding::same(3)).sum().backward();
    assert!(x.grad(&grads).is_none() && w.grad(&grads).is_some());
    let plain = tensor([2, 3, 8, 8], 1, DType::F32, &Device::flex());
    let mixed = conv2d(plain, w.clone(), None, 1, Padding::same(3)).sum().backward();
    assert_eq!(bits(&w.grad(&mixed).unwrap()), bits(&w.grad(&grads).unwrap()));
}

/// Views (a slice, a transpose) are read as what they show.
#[test]
fn views_are_values() {
    let device = Device::flex();
    let big = tensor([4, 6, 10, 9], 1, DType::F32, &device);
    let view = big.clone().swap_dims(2, 3).narrow(1, 1, 3).narrow(0, 2, 2);
    let copy = scorefield_tensor::Tensor::<4>::from_data(view.to_data(), &device);
    let w = tensor([5, 3, 3, 3], 2, DType::F32, &device);
    let turned = w.clone().swap_dims(2, 3);
    let same = scorefield_tensor::Tensor::<4>::from_data(turned.to_data(), &device);
    assert_eq!(bits(&conv2d(view, turned, None, 1, Padding::same(3))), bits(&conv2d(copy, same, None, 1, Padding::same(3))));
}

#[test]
#[should_panic(expected = "3 channels meet weights for 4")]
fn channels_must_agree() {
    let device = Device::flex();
    conv2d(tensor([1, 3, 4, 4], 1, DType::F32, &device), tensor([2, 4, 3, 3], 1, DType::F32, &device), None, 1, Padding::NONE);
}
