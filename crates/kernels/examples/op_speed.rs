//! Speed of the operations around the convolutions: milliseconds forward and forward + backward, beside the same made of
//! Burn's ordinary operations.
//!
//! `cargo run -p scorefield-kernels --example op_speed`

#![allow(clippy::print_stdout)]

use burn::tensor::{Distribution, activation};
use scorefield_kernels::optim::{AdamW, adamw_step, sum_squares};
use scorefield_kernels::{Act, Precision, Resample, attention, group_norm, linear, resample, silu};
use scorefield_tensor::{Device, Tensor};
use std::time::Instant;

/// Best milliseconds of several runs.
fn milliseconds(mut work: impl FnMut()) -> f64 {
    work();
    let once = Instant::now();
    work();
    let repeat = (0.05 / once.elapsed().as_secs_f64()).ceil().clamp(1.0, 1e4) as usize;
    let run = |_| {
        let start = Instant::now();
        (0..repeat).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e3 / repeat as f64
    };
    (0..5).map(run).fold(f64::INFINITY, f64::min)
}

fn numbers(shape: &[usize], device: &Device) -> Tensor<1> {
    Tensor::random([shape.iter().product::<usize>()], Distribution::Uniform(-1.0, 1.0), device)
}

/// Prints the times of two ways to compute the same.
fn compare(
    name: &str,
    shapes: &[&[usize]],
    ours: impl Fn(&[Tensor<1>]) -> Tensor<1>,
    theirs: impl Fn(&[Tensor<1>]) -> Tensor<1>,
) {
    let times = |op: &dyn Fn(&[Tensor<1>]) -> Tensor<1>| {
        let plain: Vec<_> = shapes.iter().map(|s| numbers(s, &Device::flex())).collect();
        let forward = milliseconds(|| drop(op(&plain)));
        let tracked: Vec<_> = shapes.iter().map(|s| numbers(s, &Device::flex().autodiff()).require_grad()).collect();
        let dy = op(&plain);
        (forward, milliseconds(|| drop((op(&tracked) * Tensor::from_inner(dy.clone())).sum().backward())))
    };
    let ((f, b), (tf, tb)) = (times(&ours), times(&theirs));
    println!("{name:>36} {f:9.3} {b:9.3} | {tf:9.3} {tb:9.3}");
}

fn main() {
    println!("{:>36} {:>9} {:>9} | {:>9} {:>9}", "milliseconds", "forward", "both", "Burn", "both");
    let x: &[usize] = &[16, 128, 32, 32];
    let shape = [16, 128, 32, 32];
    compare("silu 16 x 128 x 32 x 32", &[x], |t| silu(t[0].clone()), |t| activation::silu(t[0].clone()));
    compare(
        "group norm + silu",
        &[x, &[128], &[128]],
        |t| {
            let x = t[0].clone().reshape(shape);
            group_norm(x, t[1].clone(), t[2].clone(), 32, 1e-6, None, Act::Silu).flatten(0, 3)
        },
        |t| {
            let x = t[0].clone().reshape([16, 32, 4 * 32 * 32]);
            let centred = x.clone() - x.mean_dim(2);
            let normal = centred.clone() / (centred.square().mean_dim(2) + 1e-6).sqrt();
            let y = normal.reshape(shape) * t[1].clone().reshape([1, 128, 1, 1]) + t[2].clone().reshape([1, 128, 1, 1]);
            activation::silu(y).flatten(0, 3)
        },
    );
    for (n, side, d) in [(16, 16, 256), (64, 16, 64), (1, 16, 256)] {
        let shape = [n, 3 * d, side, side];
        let s: &[usize] = &shape;
        compare(
            &format!("attention {n} x {side} x {side} x {d}"),
            &[s],
            |t| attention(t[0].clone().reshape(shape), 1, Precision::Single).flatten(0, 3),
            |t| {
                let [q, k, v] = [0, 1, 2].map(|i| t[0].clone().reshape([n, 3 * d, side * side]).narrow(1, i * d, d));
                let p = activation::softmax(q.swap_dims(1, 2).matmul(k) / (d as f64).sqrt(), 2);
                v.matmul(p.swap_dims(1, 2)).flatten(0, 2)
            },
        );
    }
    for how in [Resample::Up2Nearest, Resample::Down2Mean, Resample::FirUp, Resample::FirDown] {
        let f = |t: &[Tensor<1>]| resample(t[0].clone().reshape(shape), how).flatten(0, 3);
        compare(&format!("{how:?} (beside x + 1)"), &[x], f, |t| t[0].clone() + 1.0);
    }
    for n in [256, 1024, 4096] {
        let layers = |t: &[Tensor<1>], ours: bool| {
            let mut x = t[0].clone().reshape([n, 256]);
            for w in &t[1..] {
                let w = w.clone().reshape([256, 256]);
                x = if ours { silu(linear(x, w, None)) } else { activation::silu(x.matmul(w.transpose())) };
            }
            x.flatten(0, 1)
        };
        let w: &[usize] = &[256, 256];
        compare(&format!("mlp 4 x 256, {n} rows"), &[&[n, 256], w, w, w, w], |t| layers(t, true), |t| layers(t, false));
    }
    let n = 10_000_000;
    let (mut p, g, mut m, mut v, mut e) = (vec![0.1; n], vec![0.1; n], vec![0.1; n], vec![0.1; n], vec![0.1; n]);
    let step = milliseconds(|| adamw_step(&mut p, &g, &mut m, &mut v, AdamW::default(), 3, 1.0, &mut [(&mut e, 0.999)]));
    println!("{:>36} {step:9.3}", "AdamW + average of 10^7");
    let norm = milliseconds(|| assert!(sum_squares(&g) > 0.0));
    println!("{:>36} {norm:9.3}", "sum of squares of 10^7");
}
