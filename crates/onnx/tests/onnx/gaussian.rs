//! The optimal noise predictor of Gaussian data as a graph: `D` and the samples are known in closed form.

use crate::graphs::{N, open};
use crate::proto::{D, FLOAT, Graph, floats, node, value, whole};
use scorefield_onnx::{OnnxConfig, OnnxDenoiser};
use scorefield_process::oracle::Gaussian;
use scorefield_process::{Denoiser, GridKind, Prediction, ProcessConfig, TimeInput};
use scorefield_sample::{Job, SolverKind, sample};
use scorefield_tensor::{Device, batch, rows, rows_f64};
use std::ops::ControlFlow;

const MEAN: [f32; 2] = [1.5, -0.5];
const VARIANCE: [f32; 2] = [0.09, 0.64];

/// For `x_0 ~ N(m, v)` and `alpha^2 + sigma^2 = 1`, the level `r = sigma / alpha` gives `alpha = 1 / sqrt(1 + r^2)`, and
/// `E[eps | x] = sigma (x - alpha m) / (alpha^2 v + sigma^2) = r (sqrt(1 + r^2) x - m) / (v + r^2)`.
fn optimal() -> OnnxDenoiser {
    let graph = Graph {
        nodes: vec![
            node("Unsqueeze", &["level", "one"], "r", &[]),
            node("Mul", &["r", "r"], "r2", &[]),
            node("Add", &["r2", "unit"], "s", &[]),
            node("Sqrt", &["s"], "root", &[]),
            node("Mul", &["root", "x"], "scaled", &[]),
            node("Sub", &["scaled", "m"], "centred", &[]),
            node("Mul", &["r", "centred"], "top", &[]),
            node("Add", &["v", "r2"], "bottom", &[]),
            node("Div", &["top", "bottom"], "eps", &[]),
        ],
        weights: vec![
            whole("one", &[1], &[1]),
            floats("unit", &[1], &[1.0]),
            floats("m", &[2], &MEAN),
            floats("v", &[2], &VARIANCE),
        ],
        inputs: vec![value("x", FLOAT, &[N, D::N(2)]), value("level", FLOAT, &[N])],
        outputs: vec![value("eps", FLOAT, &[N, D::N(2)])],
    };
    let process = ProcessConfig::VpLinear { beta_min: 0.1, beta_max: 20.0 };
    open(&graph.model(), OnnxConfig::new(process, Prediction::Noise, TimeInput::Ratio, &[2])).unwrap()
}

#[test]
fn the_posterior_mean_is_that_of_the_law() {
    let denoiser = optimal();
    let process = denoiser.config().process.build().unwrap();
    let law = Gaussian::new(process, MEAN.map(f64::from).to_vec(), VARIANCE.map(f64::from).to_vec());
    let x = batch((0..20).map(|i| (i as f32 * 1.3).cos() * 2.0).collect(), 10, &Device::default());
    let times: Vec<f64> = (0..10).map(|i| 0.02 + 0.09 * i as f64).collect();
    let (found, expected) = (rows(denoiser.denoise_each(&x, &times)), rows(law.denoise_each(&x, &times)));
    for (f, e) in found.iter().zip(&expected) {
        assert!((f - e).abs() < 2e-4 * (1.0 + e.abs()), "{f}, expected {e}");
    }
}

/// DDIM on the graph gives the samples that it gives on the law itself, with the law's mean and variance.
#[test]
fn samples_follow_the_law() {
    let denoiser = optimal();
    let process = denoiser.config().process.build().unwrap();
    let law = Gaussian::new(process, MEAN.map(f64::from).to_vec(), VARIANCE.map(f64::from).to_vec());
    let grid = GridKind::LogSnr.grid(law.process(), 60).unwrap();
    let solver = "ddim".parse::<SolverKind>().unwrap().build();
    let n = 4000;
    let job = Job { batch: 1500, ..Job::new(3, n as u64, 2) };
    let draw =
        |denoiser: &dyn Denoiser| rows_f64(sample(denoiser, &*solver, &grid, &job, |_, _| ControlFlow::Continue(())).unwrap());
    let (found, expected) = (draw(&denoiser), draw(&law));
    for (f, e) in found.iter().zip(&expected) {
        assert!((f - e).abs() < 2e-3, "{f}, expected {e}");
    }
    for j in 0..2 {
        let column: Vec<f64> = found.iter().skip(j).step_by(2).copied().collect();
        let mean = column.iter().sum::<f64>() / n as f64;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        // Four standard errors, and 3 % for the solver's steps.
        let (m, v) = (f64::from(MEAN[j]), f64::from(VARIANCE[j]));
        assert!((mean - m).abs() < 4.0 * (v / n as f64).sqrt() + 0.01, "mean {mean}, expected {m}");
        assert!((variance / v - 1.0).abs() < 4.0 * (2.0 / n as f64).sqrt() + 0.03, "variance {variance}, expected {v}");
    }
}
