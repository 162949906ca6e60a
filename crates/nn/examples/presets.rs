//! What each preset holds and, for those named on the command line, how long a pass takes: `cargo run -p scorefield-nn --example presets
//! -- small28 16`.
#![allow(clippy::print_stdout)]

use scorefield_nn::{Input, Mode, Params, preset, presets};
use scorefield_tensor::{Device, Tensor, batch};
use std::time::Instant;

fn main() {
    for p in presets() {
        let count = p.config.parameters(&p.shape).expect("presets build");
        println!("{:20} {count:>12}  {:?}  {}", p.name, p.shape, p.about);
    }
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else { return };
    let n: usize = arguments.next().map_or(8, |n| n.parse().expect("a batch size"));
    let p = preset(&name).expect("the name of a preset");
    let network = p.config.build(&p.shape).expect("presets build");
    let device = Device::default();
    let params = Params::init(network.params(), 0, &device);
    let d: usize = p.shape.iter().product();
    let x = batch((0..n * d).map(|i| (i as f32).sin()).collect(), n, &device);
    let input = Input::at(vec![0.1; n]);
    for _ in 0..4 {
        let start = Instant::now();
        let y: Tensor<2> = network.forward(&params, x.clone(), &input, &Mode::Eval);
        y.into_data();
        let forward = start.elapsed();
        let start = Instant::now();
        let leaves = params.tracked(network.params(), &device);
        let y = network.forward(&leaves, x.clone(), &input, &Mode::Eval);
        let mut gradients = (y - x.clone()).square().mean().backward();
        let grads = leaves.grads(&mut gradients);
        let both = start.elapsed();
        println!("{name}, batch {n}: forward {forward:.1?}, forward and backward {both:.1?} ({} gradients)", grads.len());
    }
}
