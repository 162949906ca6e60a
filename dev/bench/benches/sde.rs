//! Solving the reverse SDE alone: samples of a mixture in the plane by Euler-Maruyama with the exact score, all through the ordinary
//! interface. Prints one JSON object; `dev/bench/sde.py` runs it in turn with the peers.

use scorefield::process::oracle::Mixture;
use scorefield::process::schedule::VpLinear;
use scorefield::process::{Denoiser, GridKind};
use scorefield::sample::{Finish, Job, Path, SolverKind, sample, sample_driven};
use scorefield::tensor::{Noise, Purpose, Streams, rows};
use std::ops::ControlFlow;
use std::time::Instant;

/// As the command line has it: batches of a megabyte come and go at every step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SAMPLES: u64 = 100_000;
const STEPS: usize = 1000;

#[allow(clippy::print_stdout, reason = "its output is what the script reads")]
fn main() {
    let process = VpLinear::new(0.1, 20.0).expect("rates");
    let means = [vec![2.0, 0.0], vec![-1.0, 1.7], vec![-1.0, -1.7]];
    let law = Mixture::isotropic(process, &[0.5, 0.3, 0.2], &means, &[0.3, 0.2, 0.4]);
    let solver = "euler-maruyama".parse::<SolverKind>().expect("a solver").build();
    let grid = GridKind::Uniform.grid(law.process(), STEPS).expect("a grid");
    let job = Job { batch: SAMPLES as usize, finish: Finish::Leave, ..Job::new(1, SAMPLES, 2) };

    let began = Instant::now();
    let x = sample(&law, solver.as_ref(), &grid, &job, |_, _| ControlFlow::Continue(())).expect("samples");
    let plain = began.elapsed().as_secs_f64();
    let x = rows(x);
    let nearest = |p: &[f32]| {
        let distance = |m: &Vec<f64>| (f64::from(p[0]) - m[0]).powi(2) + (f64::from(p[1]) - m[1]).powi(2);
        (0..3).min_by(|&a, &b| distance(&means[a]).total_cmp(&distance(&means[b]))).unwrap_or(0)
    };
    let mut shares = [0.0; 3];
    x.chunks(2).for_each(|p| shares[nearest(p)] += 1.0 / SAMPLES as f64);

    let path = Path::new(law.process(), &GridKind::Uniform, 1024).expect("a path");
    let began = Instant::now();
    let driven =
        sample_driven(|_| &law, |streams| path.noise(streams), solver.as_ref(), &grid, &job, |_, _| ControlFlow::Continue(()));
    let refinable = began.elapsed().as_secs_f64();
    assert!(driven.is_some());

    // The noise alone and the denoiser alone, as often.
    let mut streams = Streams::new(1, (0..SAMPLES).collect(), Purpose::Solver);
    let like = driven.expect("samples");
    let began = Instant::now();
    for _ in 0..100 {
        let _ = streams.normal(&like);
        streams.begin(0);
    }
    let noise = began.elapsed().as_secs_f64() * 10.0;
    let began = Instant::now();
    for _ in 0..100 {
        let _ = law.denoise(&like, 0.5);
    }
    let denoiser = began.elapsed().as_secs_f64() * 10.0;
    println!(
        "{{\"plain\": {plain}, \"path\": {refinable}, \"noise\": {noise}, \"denoiser\": {denoiser}, \"shares\": {shares:?}}}"
    );
}
