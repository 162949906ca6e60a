//! `info --plan`: which algorithm computes which layer, and what it takes on this machine.

use crate::context::Context;
use anyhow::Result;
use scorefield::kernels::{Algorithm, Precision, Ready, conv2d_ready, linear_ready, unit_name};
use scorefield::nn::{Call, Input, Mode, Network, Params};
use scorefield::tensor::{Device, Tensor, TensorData, batch};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Instant;

/// Timed runs of a layer; the median is told.
const RUNS: usize = 5;

/// The layers of a forward pass of `rows` examples, layers of one shape together, the largest total first.
pub(super) fn plan(context: &Context, network: &dyn Network, rows: usize) -> Result<(Value, String)> {
    let shapes = distinct(calls(context, network, rows));
    let mut lines: Vec<Line> = shapes.into_iter().map(|(call, layers)| Line::time(context, call, layers)).collect();
    lines.sort_by(|a, b| b.total().total_cmp(&a.total()));
    let total: f64 = lines.iter().map(Line::total).sum();
    let mut text = format!(
        "batch {rows}, {} threads, {}: the convolutions and maps of a forward pass, layers of one shape together\n\n{:<44} {:>6} {:<27} {:>9} \
         {:>9} {:>8}  others\n",
        rayon::current_num_threads(),
        if context.precision == Precision::Bf16 { "bf16" } else { "f32" },
        "shape",
        "layers",
        "algorithm",
        "ms each",
        "ms in all",
        "GFLOP/s",
    );
    for line in &lines {
        let others: Vec<String> = line.others.iter().map(|(name, ms)| format!("{name} {ms:.3}")).collect();
        let _ = writeln!(
            text,
            "{:<44} {:>6} {:<27} {:>9.3} {:>9.3} {:>8.0}  {}",
            line.shape(),
            line.layers.len(),
            line.algorithm,
            line.ms,
            line.total(),
            line.gflop / line.ms * 1e3,
            others.join(", ")
        );
    }
    let _ = writeln!(text, "\n{total:.1} ms in all; norms, activations, sums and attention are not in it");
    let layers: Vec<Value> = lines.iter().map(Line::json).collect();
    Ok((json!({ "batch": rows, "layers": layers, "total_ms": total }), text))
}

/// What the layers of one evaluation were.
fn calls(context: &Context, network: &dyn Network, rows: usize) -> Vec<Call> {
    let (weights, calls) = Params::init(network.params(), 0, &context.device).watched();
    let d = network.shape().iter().product::<usize>();
    let input = Input {
        time: vec![0.5; rows],
        classes: (network.classes() > 0).then(|| vec![Some(0); rows]),
        augment: None,
        condition: (network.condition() > 0).then(|| vec![0.5; rows * network.condition()]),
    };
    network.forward(&weights, batch(vec![0.5; rows * d], rows, &context.device), &input, &Mode::Eval);
    let calls = calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    calls.clone()
}

/// Layers that ask for the same work, in the order of their first use.
fn distinct(calls: Vec<Call>) -> Vec<(Call, Vec<String>)> {
    let mut shapes: Vec<(Call, Vec<String>)> = Vec::new();
    for call in calls {
        let work = |c: &Call| (c.input.clone(), c.weights.clone(), c.stride, c.pad, c.rounded);
        let same = |c: &Call| work(c) == work(&call);
        match shapes.iter_mut().find(|(c, _)| same(c)) {
            Some((_, layers)) => layers.push(call.layer),
            None => shapes.push((call.clone(), vec![call.layer])),
        }
    }
    shapes
}

struct Line {
    call: Call,
    layers: Vec<String>,
    algorithm: String,
    ms: f64,
    gflop: f64,
    others: Vec<(String, f64)>,
}

impl Line {
    fn time(context: &Context, call: Call, layers: Vec<String>) -> Self {
        let numbers = |n: usize| (0..n).map(|i| (i * 7919 % 1000) as f32 / 1000.0 - 0.5).collect::<Vec<f32>>();
        let device = &context.device;
        let ready = Ready::new(context.precision);
        let (algorithm, ms, gflop, others) = match (&*call.input, &*call.weights) {
            (&[n, c, h, w], &[k, _, kh, kw]) => {
                let (x, f) = (
                    tensor(numbers(n * c * h * w), [n, c, h, w], device),
                    tensor(numbers(k * c * kh * kw), [k, c, kh, kw], device),
                );
                let bias = tensor(numbers(k), [k], device);
                let run = |ready: &Ready| {
                    median(|| {
                        conv2d_ready(x.clone(), f.clone(), Some(bias.clone()), call.stride, call.pad, Some(ready.clone()));
                    })
                };
                let size = [h + call.pad.top + call.pad.bottom - kh, w + call.pad.left + call.pad.right - kw]
                    .map(|s| s / call.stride + 1);
                let chosen = ready.algorithm([n, c, h, w], [k, c, kh, kw], call.stride, call.pad);
                let others = match chosen {
                    None => Vec::new(),
                    Some(chosen) => Algorithm::ALL
                        .into_iter()
                        .filter(|&a| a != chosen && a.applies([k, c, kh, kw], call.stride, call.pad))
                        .map(|a| (name(a).to_owned(), run(&Ready::by(a))))
                        .collect(),
                };
                let algorithm = chosen.map_or_else(unit_name, name);
                (algorithm.to_owned(), run(&ready), 2e-9 * (n * k * size[0] * size[1] * c * kh * kw) as f64, others)
            }
            (input, weights) => {
                let (rows, i, o) = (input[0], input[1], weights[0]);
                let (x, w) = (tensor(numbers(rows * i), [rows, i], device), tensor(numbers(o * i), [o, i], device));
                // Maps between hidden layers are made of what the precision says, the first and the last of single precision.
                let ready = call.rounded.then_some(ready).filter(|ready| ready.precision() != Precision::Single);
                let bias = tensor(numbers(o), [o], device);
                let ms = median(|| {
                    linear_ready(x.clone(), w.clone(), Some(bias.clone()), ready.clone());
                });
                let algorithm = if ready.is_some() { unit_name() } else { "product" };
                (algorithm.to_owned(), ms, 2e-9 * (rows * i * o) as f64, Vec::new())
            }
        };
        Self { call, layers, algorithm, ms, gflop, others }
    }

    fn total(&self) -> f64 {
        self.ms * self.layers.len() as f64
    }

    fn shape(&self) -> String {
        match (&*self.call.input, &*self.call.weights) {
            (&[_, c, h, w], &[k, _, kh, kw]) => {
                let stride = if self.call.stride > 1 { format!(" / {}", self.call.stride) } else { String::new() };
                format!("{c} -> {k} on {h} x {w}, {kh} x {kw}{stride}")
            }
            (_, weights) => format!("{} -> {}", weights[1], weights[0]),
        }
    }

    fn json(&self) -> Value {
        json!({
            "layers": self.layers, "input": self.call.input, "weights": self.call.weights, "stride": self.call.stride,
            "algorithm": self.algorithm, "ms": self.ms, "gflops": self.gflop / self.ms * 1e3,
            "others": self.others.iter().map(|(name, ms)| json!({ "algorithm": name, "ms": ms })).collect::<Vec<_>>(),
        })
    }
}

fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Direct => "implicit product",
        Algorithm::MinimalTwo => "F(2 x 2, 3 x 3)",
        Algorithm::MinimalFour => "F(4 x 4, 3 x 3)",
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Median milliseconds, after one run to warm up.
fn median(mut work: impl FnMut()) -> f64 {
    work();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begun = Instant::now();
            work();
            1e3 * begun.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}
