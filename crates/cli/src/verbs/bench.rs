//! `bench`: how fast this machine runs a network.

use super::sample::load;
use crate::context::Context;
use crate::failure::{Ended, misuse};
use crate::progress::Progress;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use scorefield::data::{Codec, CodecOptions};
use scorefield::model::Weights;
use scorefield::nn::{NetworkConfig, preset, presets};
use scorefield::process::Denoiser as _;
use scorefield::sample::nearest;
use scorefield::tensor::{batch, rows};
use scorefield::train::{TrainConfig, Trainer};
use scorefield::untrained;
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// Time a network on this machine
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// A preset (info --presets), a model file or a run folder
    #[arg(value_name = "PRESET|MODEL")]
    network: String,
    /// A forward pass, or a training step (forward, backward, optimiser, averages)
    #[arg(long, value_enum, default_value = "forward")]
    what: What,
    /// Examples at once
    #[arg(long, value_name = "B", default_value_t = 8)]
    batch: usize,
    /// Pictures of another side than the preset's
    #[arg(long, value_name = "S")]
    size: Option<usize>,
    /// Timed runs, after one to warm up; the median is told
    #[arg(long, value_name = "R", default_value_t = 5)]
    runs: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Forward,
    Train,
}

impl Bench {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        if !(1..=MOST).contains(&self.batch) || !(1..=MOST).contains(&self.runs) {
            return Err(misuse(format!("--batch and --runs: expected 1 to {MOST}")));
        }
        let (config, dims) = self.sized(self.network(context)?)?;
        let network = config.build(&dims)?;
        let data = untrained::noise(&dims, self.batch);
        let mut times = match self.what {
            What::Forward => {
                let model = untrained::model(&config, Codec::fit(&data, &CodecOptions::default())?, &context.device)?
                    .in_precision(context.precision);
                let x = batch(vec![0.5; self.batch * model.dim()], self.batch, &context.device);
                let denoiser = model.denoiser((config.classes() > 0).then(|| vec![Some(0); self.batch]));
                // Reading the result is what makes a lazy device do the work.
                self.time(context, || drop(rows(denoiser.denoise(&x, 1.0))))
            }
            What::Train => {
                let folder = tempfile::tempdir().context("a temporary folder for the run")?;
                let precision = context.precision;
                let config = TrainConfig { precision, ..untrained::config(config.with_classes(0), self.batch) };
                let mut trainer = Trainer::create(folder.path(), config, "", &data, &context.device)?;
                self.time(context, || {
                    trainer.advance();
                })
            }
        };
        times.sort_by(f64::total_cmp);
        let middle = times.len() / 2;
        let median = if times.len() % 2 == 1 { times[middle] } else { 0.5 * (times[middle - 1] + times[middle]) };
        let passes = if self.what == What::Train { 3.0 } else { 1.0 };
        let gflop = 2e-9 * network.multiplications() as f64 * self.batch as f64 * passes;
        let peak = peak_memory_mib();
        let json = json!({
            "network": self.network, "shape": dims, "what": if self.what == What::Train { "train" } else { "forward" }, "batch": self.batch,
            "runs": self.runs, "parameters": network.parameters(), "median_ms": 1e3 * median, "fastest_ms": 1e3 * times[0],
            "slowest_ms": 1e3 * times[times.len() - 1], "images_per_s": self.batch as f64 / median, "gflops": gflop / median,
            "peak_memory_mib": peak, "threads": rayon::current_num_threads(),
        });
        let memory = peak.map(|m| format!(", peak memory {m:.0} MiB")).unwrap_or_default();
        let text = format!(
            "{} {} of {}: median {:.1} ms ({:.1} to {:.1}) over {} runs, {:.1} examples/s, {:.0} GFLOP/s{memory}",
            if self.what == What::Train { "training step" } else { "forward pass" },
            self.network,
            self.batch,
            1e3 * median,
            1e3 * times[0],
            1e3 * times[times.len() - 1],
            self.runs,
            self.batch as f64 / median,
            gflop / median
        );
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }

    /// The network on pictures of the side that was asked for.
    fn sized(&self, (config, dims): (NetworkConfig, Vec<usize>)) -> Result<(NetworkConfig, Vec<usize>)> {
        match (self.size, &*dims) {
            (None, _) => Ok((config, dims)),
            (Some(side @ 1..=LARGEST), &[channels, ..]) if dims.len() == 3 => Ok((config, vec![channels, side, side])),
            (Some(side), [_, _, _]) => Err(misuse(format!("--size {side}: expected 1 to {LARGEST}"))),
            (Some(_), _) => Err(misuse(format!("--size: {} takes vectors, not pictures", self.network))),
        }
    }

    /// The network and the shape of its rows.
    fn network(&self, context: &Context) -> Result<(NetworkConfig, Vec<usize>)> {
        if let Some(p) = preset(self.network.strip_prefix("preset:").unwrap_or(&self.network)) {
            return Ok((p.config, p.shape));
        }
        let path = Path::new(&self.network);
        if path.exists() {
            let model = load(context, path, Weights::Ema)?;
            return Ok((model.meta().network.clone(), model.meta().codec.shape().dims()));
        }
        let all = presets();
        let near = nearest(&self.network, all.iter().map(|p| p.name)).unwrap_or_default();
        Err(misuse(format!(
            "{}: neither a preset nor a file; did you mean \"{near}\"? All are listed by info --presets",
            self.network
        )))
    }

    fn time(&self, context: &Context, mut work: impl FnMut()) -> Vec<f64> {
        let mut progress = Progress::new(context, "run", Some(self.runs as u64));
        let mut times = Vec::with_capacity(self.runs);
        work();
        for i in 0..self.runs {
            let begun = Instant::now();
            work();
            times.push(begun.elapsed().as_secs_f64());
            progress.set(i as u64 + 1, Some(self.runs as u64), "");
        }
        progress.end();
        times
    }
}

/// The largest side of a picture that is timed.
const LARGEST: usize = 4096;

/// More at once, or more often, than anybody times.
const MOST: usize = 100_000;

/// The largest resident set of this process so far, where the system tells.
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}
