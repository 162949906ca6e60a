//! Speed of one 3 x 3 convolution for the shapes of the performance notes, in GFLOP/s (2 x multiply-adds; the backward pass
//! counts twice the forward pass).
//!
//! `cargo run -p scorefield-kernels --example conv_speed`

#![allow(clippy::print_stdout)]

use scorefield_kernels::{Padding, conv2d, linear};
use scorefield_tensor::{Device, Tensor};
use std::time::Instant;

/// Best seconds of several runs, each of at least a tenth of a second.
fn seconds(mut work: impl FnMut()) -> f64 {
    work();
    let once = Instant::now();
    work();
    let repeat = (0.1 / once.elapsed().as_secs_f64()).ceil().clamp(1.0, 1e4) as usize;
    let run = |_| {
        let start = Instant::now();
        (0..repeat).for_each(|_| work());
        start.elapsed().as_secs_f64() / repeat as f64
    };
    (0..5).map(run).fold(f64::INFINITY, f64::min)
}

fn numbers<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, burn::tensor::Distribution::Uniform(-1.0, 1.0), device)
}

fn main() {
    let plain = Device::flex();
    let tracked = Device::flex().autodiff();
    println!("{} threads", rayon::current_num_threads());
    println!("{:>24} {:>9} {:>9} {:>9}", "batch x channels x side", "forward", "both", "ms fwd");
    for (n, c, side) in [
        (16, 256, 16),
        (16, 128, 32),
        (16, 256, 8),
        (1, 256, 16),
        (128, 64, 16),
        (1, 128, 32),
        (1, 256, 8),
        (16, 256, 4),
        (1, 256, 4),
        (64, 64, 28),
    ] {
        let flop = 2.0 * (n * c * c * 9 * side * side) as f64;
        let (x, w) = (numbers([n, c, side, side], &plain), numbers([c, c, 3, 3], &plain));
        let forward = seconds(|| drop(conv2d(x.clone(), w.clone(), None, 1, Padding::same(3))));
        let x = numbers([n, c, side, side], &tracked).require_grad();
        let w = numbers([c, c, 3, 3], &tracked).require_grad();
        let both = seconds(|| drop(conv2d(x.clone(), w.clone(), None, 1, Padding::same(3)).sum().backward()));
        println!(
            "{:>24} {:9.0} {:9.0} {:9.3}",
            format!("{n} x {c} x {side}"),
            flop / forward / 1e9,
            3.0 * flop / both / 1e9,
            forward * 1e3
        );
    }
    println!("{:>24} {:>9} {:>9}", "linear rows x width", "forward", "both");
    for (n, d) in [(1, 512), (256, 256), (4096, 256), (16, 1024)] {
        let flop = 2.0 * (n * d * d) as f64;
        let (x, w) = (numbers([n, d], &plain), numbers([d, d], &plain));
        let forward = seconds(|| drop(linear(x.clone(), w.clone(), None)));
        let (x, w) = (numbers([n, d], &tracked).require_grad(), numbers([d, d], &tracked).require_grad());
        let both = seconds(|| drop(linear(x.clone(), w.clone(), None).sum().backward()));
        println!("{:>24} {:9.0} {:9.0}", format!("{n} x {d}"), flop / forward / 1e9, 3.0 * flop / both / 1e9);
    }
}
