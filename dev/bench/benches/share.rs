//! The solver's own share of a sampling run with a network: the time that is not spent within the denoiser, over the time of the run.
//! Prints the rows of a table.

use scorefield::data::Codec;
use scorefield::nn::preset;
use scorefield::process::{Denoiser, Process};
use scorefield::sample::{Job, Path, SolverKind, sample_driven};
use scorefield::tensor::{Batch, Device, Noise};
use scorefield::untrained;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// As the command line has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Name of the preset, samples in a batch, steps of a run.
const CASES: [(&str, u64, usize); 2] = [("small28", 64, 20), ("ddpm-cifar10", 16, 8)];
const SOLVERS: [&str; 9] = ["euler", "heun", "dpmpp-2m", "unipc", "deis", "ddpm", "euler-maruyama", "dpmpp-2m-sde", "sra"];
const ROUNDS: usize = 5;

/// A denoiser that keeps the time spent in it.
struct Timed<D>(D, Mutex<Duration>);

impl<D> std::fmt::Debug for Timed<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("timed")
    }
}

impl<D: Denoiser> Timed<D> {
    fn time(&self, look: impl FnOnce(&D) -> Batch) -> Batch {
        let began = Instant::now();
        let out = look(&self.0);
        *self.1.lock().expect("no look panics") += began.elapsed();
        out
    }
}

impl<D: Denoiser> Denoiser for Timed<D> {
    fn process(&self) -> &dyn Process {
        self.0.process()
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.time(|d| d.denoise(x, t))
    }
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        self.time(|d| d.denoise_each(x, times))
    }
}

#[allow(clippy::print_stdout, reason = "its output is the table")]
fn main() {
    println!("| network | solver | run, s | own share |\n|---|---|---|---|");
    for (name, batch, steps) in CASES {
        let preset = preset(name).expect("a preset's name");
        let data = untrained::noise(&preset.shape, batch as usize);
        let codec = Codec::fit(&data, &Default::default()).expect("bytes have a codec");
        let model = untrained::model(&preset.config, codec, &Device::default()).expect("presets make models");
        for (solver, tied) in SOLVERS.iter().map(|s| (*s, false)).chain([("euler-maruyama", true)]) {
            let kind = solver.parse::<SolverKind>().expect("a solver");
            let timed = Timed(model.denoiser(None), Mutex::default());
            let grid = kind.default_grid().grid(timed.process(), steps + 1).expect("a grid");
            let path = Path::new(timed.process(), &kind.default_grid(), 1024).expect("a path");
            let job = Job { batch: batch as usize, ..Job::new(1, batch, model.dim()) };
            let mut found: Vec<(f64, f64)> = (0..ROUNDS)
                .map(|_| {
                    *timed.1.lock().expect("no look panics") = Duration::ZERO;
                    let began = Instant::now();
                    let source = |s| -> Box<dyn Noise> { if tied { path.noise(s) } else { Box::new(s) } };
                    let watch = |_: &_, _: &_| ControlFlow::Continue(());
                    let x = sample_driven(|_| &timed, source, kind.build().as_ref(), &grid, &job, watch);
                    let whole = began.elapsed().as_secs_f64();
                    assert!(x.is_some(), "nothing stops the run");
                    (1.0 - timed.1.lock().expect("no look panics").as_secs_f64() / whole, whole)
                })
                .collect();
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (share, whole) = found[ROUNDS / 2];
            let path = if tied { ", on a path" } else { "" };
            println!("| {name}, batch {batch} | {solver}{path} | {whole:.2} | {:.2} % |", 100.0 * share);
        }
    }
}
