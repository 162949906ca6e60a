//! Measurements in natural units and on the model's states are the same.

use scorefield::control::operator::Matrix;
use scorefield::control::{Parts, Task, Tasks};
use scorefield::data::{Codec, CodecOptions, Dataset, Shape};
use scorefield::model::Model;
use scorefield::nn::{NetworkConfig, UNetConfig};
use scorefield::process::GridKind;
use scorefield::sample::SolverKind;
use scorefield::solve::{Problem, Solve, SolveError};
use scorefield::tensor::{Device, batch};
use std::ops::ControlFlow;

fn parts(d: usize, task: &Task) -> Parts {
    let matrix = || Matrix::new(3, d, (0..3 * d).map(|i| (i as f64).sin()).collect()).unwrap();
    Parts {
        mask: (*task == Task::Inpaint).then(|| (0..d).map(|i| i % 3 != 0).collect()),
        kernel: None,
        matrix: (*task == Task::Matrix).then(matrix),
        bounds: None,
    }
}

/// `A(state of x)` is what a question makes of `A(x)`, and its noise is in the same units: a change of the measurement by one deviation is one
/// deviation.
fn agrees(codec: &Codec, task: &Task, natural: &[f32]) {
    let problem = Problem::new(codec, None, &task.clone().into(), &parts(natural.len(), task)).unwrap();
    let y = problem.measure(natural);
    let question = problem.question(0, &y, 2.5).unwrap();
    let state = problem.state(natural);
    let mut seen = vec![0.0; y.len()];
    problem.operator(question.sigma).apply(&state, &mut seen);
    let size = seen.iter().fold(1.0_f64, |a, v| a.max(v.abs()));
    let largest = seen.iter().zip(&question.y).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(largest < 1e-6 * size, "{task}: {largest}");
    let moved: Vec<f64> = y.iter().map(|v| v + 2.5).collect();
    let moved = problem.question(0, &moved, 2.5).unwrap();
    for (a, b) in moved.y.iter().zip(&question.y) {
        assert!((a - b - question.sigma).abs() < 1e-9, "{task}: {} {}", a - b, question.sigma);
    }
    // Without noise every row counts the same.
    let sure = problem.question(0, &y, 0.0).unwrap();
    problem.operator(0.0).apply(&state, &mut seen);
    let size = seen.iter().fold(1.0_f64, |a, v| a.max(v.abs()));
    let largest = seen.iter().zip(&sure.y).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(sure.sigma == 0.0 && largest < 1e-6 * size, "{task}: {largest}");
    let back = problem.natural(&state.iter().map(|v| *v as f32).collect::<Vec<_>>());
    assert!(back.iter().zip(natural).all(|(a, b)| (a - b).abs() < 1e-3 * b.abs().max(1.0)), "{task}");
}

#[test]
fn measurements_have_one_meaning_in_both_units() {
    let pictures = Codec::pictures([3, 8, 8], [-1.0, 1.0], Vec::new());
    let x: Vec<f32> = (0..192).map(|i| (i * 37 % 256) as f32).collect();
    for task in Task::all() {
        agrees(&pictures, &task, &x);
    }
    // A table of columns of very different scales.
    let of = |i: usize| [1.0, 100.0, 0.01, 5.0, 1e4, 2.0][i % 6] * (i as f32 * 0.7).sin() + (i % 6) as f32;
    let rows: Vec<f32> = (0..600).map(of).collect();
    let data = Dataset::from_rows("table", Shape::Vector { dim: 6 }, rows.clone(), None);
    let table = Codec::fit(&data, &CodecOptions::default()).unwrap();
    for task in [Task::Inpaint, Task::Denoise, Task::Matrix, Task::CompressedSensing { share: 0.5, seed: 3 }] {
        agrees(&table, &task, &rows[12..18]);
    }
}

/// A U-Net of numbers drawn for all its weights, so that its Jacobian is not a multiple of one.
fn drawn_model() -> Model {
    let unet = UNetConfig {
        model_channels: 8,
        channel_mult: vec![1.0, 2.0],
        blocks: 1,
        attention_levels: vec![1],
        groups: 4,
        group_width: 2,
        ..UNetConfig::default()
    };
    let codec = Codec::pictures([1, 8, 8], [-1.0, 1.0], Vec::new());
    let bare = scorefield::untrained::model(&NetworkConfig::UNet(unet), codec, &Device::default()).unwrap();
    let mut weights = bare.weights().clone();
    for (i, values) in weights.values_mut().iter_mut().enumerate() {
        let n = values.dims()[0];
        let shift = (0..n).map(|j| 0.08 * ((i * 31 + j) as f32 * 0.7).sin()).collect();
        *values = values.clone() + batch(shift, 1, &Device::default()).reshape([n]);
    }
    Model::new(bare.meta().clone(), weights).unwrap()
}

/// The windows and particles of a sample in one call or in several: the numbers are the same to the bit, under every kind of product, and a
/// gradient back through the network takes one evaluation more.
#[test]
fn portions_are_the_whole() {
    let model = drawn_model();
    let tasks: Tasks = "deblur:sigma=0.7".parse().unwrap();
    let problem = Problem::new(&model.meta().codec, Some([12, 17]), &tasks, &Parts::default()).unwrap();
    let picture: Vec<f32> = (0..12 * 17).map(|p| (p * 37 % 256) as f32).collect();
    let questions: Vec<_> = (0..2).map(|i| problem.question(i, &problem.measure(&picture), 9.0).unwrap()).collect();
    let solver = "ddpm".parse::<SolverKind>().unwrap().build();
    for rule in ["mmps", "mmps:jacobian=pullback", "pigdm", "tds:particles=3", "ddnm"] {
        let run = |batch: usize| {
            let grid = GridKind::LogSnr.grid(model.process(), 4).unwrap();
            let solve =
                Solve { samples: 2, batch, overlap: 3, ..Solve::new(&model, &problem, rule.parse().unwrap(), &*solver, grid) };
            let mut states = Vec::new();
            let cost = solve.run(
                &questions,
                |_, _| ControlFlow::Continue(()),
                |_, answer| {
                    states.extend(answer.states.iter().map(|v| v.to_bits()));
                    ControlFlow::Continue(())
                },
            );
            (states, cost.unwrap().unwrap())
        };
        let ((whole, cost), (parts, dearer)) = (run(1000), run(5));
        assert_eq!(whole, parts, "{rule}");
        assert_eq!(cost.pullbacks, dearer.pullbacks, "{rule}");
        assert_eq!(dearer.evaluations - cost.evaluations, cost.pullbacks, "{rule}");
    }
}

#[test]
fn impossible_measurements_are_named() {
    let codec = Codec::pictures([1, 4, 4], [-1.0, 1.0], Vec::new());
    let problem = Problem::new(&codec, None, &Task::Denoise.into(), &Parts::default()).unwrap();
    assert!(matches!(problem.question(0, &[0.0; 15], 1.0), Err(SolveError::Measurement(_))));
    assert!(problem.question(0, &[0.0; 16], -1.0).is_err() && problem.question(0, &[f64::NAN; 16], 1.0).is_err());
    let mut y = vec![100.0; 16];
    y[5] = 1e4;
    let said = problem.within("a.png", &y, 1.0).unwrap_err().to_string();
    assert!(said.contains("a.png") && said.contains("number 5") && said.contains("10000") && said.contains("255"), "{said}");
    assert!(problem.within("a.png", &[260.0; 16], 1.0).is_ok());
}
