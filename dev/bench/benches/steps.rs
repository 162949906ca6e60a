//! A training step and a sampling step of `small28` and of DDPM's CIFAR-10 network.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use scorefield::data::Codec;
use scorefield::nn::preset;
use scorefield::process::Denoiser;
use scorefield::tensor::{Device, batch};
use scorefield::train::Trainer;
use scorefield::untrained;
use std::time::Duration;

/// Name of the preset, batch of a sampling step, batch of a training step.
const CASES: [(&str, usize, usize); 2] = [("small28", 64, 64), ("ddpm-cifar10", 16, 8)];

fn steps(c: &mut Criterion) {
    for (name, sampling, training) in CASES {
        let preset = preset(name).expect("a preset's name");
        let data = untrained::noise(&preset.shape, training);
        let mut group = c.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).sample_size(10).warm_up_time(Duration::from_millis(1));

        let codec = Codec::fit(&data, &Default::default()).expect("bytes have a codec");
        let model = untrained::model(&preset.config, codec, &Device::default()).expect("presets make models");
        let x = batch(vec![0.5; sampling * model.dim()], sampling, &Device::default());
        group.throughput(Throughput::Elements(sampling as u64));
        group.bench_function(format!("sampling step, batch {sampling}"), |b| b.iter(|| model.denoiser(None).denoise(&x, 1.0)));

        let folder = tempfile::tempdir().expect("a temporary folder");
        let recipe = untrained::config(preset.config.clone(), training);
        let mut trainer = Trainer::create(folder.path(), recipe, "", &data, &Device::default()).expect("a run of noise");
        group.throughput(Throughput::Elements(training as u64));
        group.bench_function(format!("training step, batch {training}"), |b| b.iter(|| trainer.advance()));
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
