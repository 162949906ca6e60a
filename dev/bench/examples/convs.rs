//! Times single convolutions in both precisions.
#![allow(clippy::print_stdout, reason = "what it is for")]
use scorefield::kernels::{Padding, Precision, Ready, conv2d_ready};
use scorefield::tensor::{Device, Tensor, TensorData};
use std::time::Instant;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let device = Device::default();
    rayon::scope(|_| {
        for (n, c, k, side, kernel) in [
            (16, 128, 128, 32, 3),
            (16, 256, 128, 32, 3),
            (16, 384, 256, 32, 3),
            (16, 256, 256, 16, 3),
            (16, 512, 256, 16, 3),
            (16, 256, 256, 8, 3),
            (16, 512, 256, 8, 3),
            (16, 256, 256, 4, 3),
            (16, 512, 256, 16, 1),
            (16, 256, 128, 32, 1),
            (1, 128, 128, 32, 3),
            (1, 256, 256, 16, 3),
            (1, 512, 256, 8, 3),
            (1, 512, 256, 4, 3),
            (64, 32, 32, 28, 3),
            (64, 64, 64, 14, 3),
            (64, 64, 64, 7, 3),
        ] {
            let numbers = |n: usize| (0..n).map(|i| ((i * 7919 % 1000) as f32) / 1000.0 - 0.5).collect::<Vec<f32>>();
            let x: Tensor<4> = Tensor::from_data(TensorData::new(numbers(n * c * side * side), [n, c, side, side]), &device);
            let w: Tensor<4> =
                Tensor::from_data(TensorData::new(numbers(k * c * kernel * kernel), [k, c, kernel, kernel]), &device);
            let b: Tensor<1> = Tensor::from_data(TensorData::new(numbers(k), [k]), &device);
            print!("{n} x {c} -> {k}, {side}, {kernel}x{kernel}:");
            for p in [Precision::Single, Precision::Bf16] {
                let ready = Ready::new(p);
                let mut times = Vec::new();
                for _ in 0..41 {
                    let t = Instant::now();
                    let y = conv2d_ready(x.clone(), w.clone(), Some(b.clone()), 1, Padding::same(kernel), Some(ready.clone()));
                    std::hint::black_box(&y);
                    times.push(t.elapsed().as_secs_f64());
                }
                times.sort_by(f64::total_cmp);
                let t = times[20];
                print!("  {:.3} ms {:.0} GF/s", t * 1e3, 2e-9 * (n * c * k * side * side * kernel * kernel) as f64 / t);
            }
            println!();
        }
    });
}
