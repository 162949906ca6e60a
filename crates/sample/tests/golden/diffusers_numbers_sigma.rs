//! Numbers of diffusers' tests: the schedulers over the noise level (Euler, Heun, KDPM2, LMS) and EDM's Euler.
//!
//! The tests of the former run a loop that no sampler would: before every look at the network the state itself is divided by
//! `sqrt(sigma^2 + 1)`, and goes on divided. A step of a solver sees its start divided by the loop (`walk`), and a second look within a step
//! is divided by the stand-in.

use crate::diffusers_grid::{levels_of, sigma_grid, time_of_level};
use crate::diffusers_numbers::{Case, Formula, network, walk};
use crate::diffusers_numbers_exponential::karras;
use crate::{number, text};
use scorefield_process::schedule::Edm;
use scorefield_sample::Solver;
use scorefield_sample::solver::{Dpm2, Euler, Heun, Lms, Start};
use scorefield_tensor::Batch;

fn process() -> Edm {
    Edm::new(1e-4, 1e4).expect("levels")
}

/// `1 / sqrt(1 + sigma^2)`.
fn shrink(sigma: f64) -> f64 {
    (1.0 + sigma * sigma).sqrt().recip()
}

pub(crate) fn sigma_space(case: &Case<'_>) -> Batch {
    let bars = case.alpha_bar();
    let (times, levels) = sigma_grid(case.scheduler, case.config, &bars, case.steps).expect("no grid of quantiles");
    let table = levels_of(&bars);
    let solver: Box<dyn Solver> = match case.scheduler {
        "EulerDiscreteScheduler" => Box::new(Euler::default()),
        "HeunDiscreteScheduler" => Box::new(Heun::default()),
        "KDPM2DiscreteScheduler" => Box::new(Dpm2::default()),
        "LMSDiscreteScheduler" => Box::new(Lms { order: 4, start: Start::Low }),
        other => panic!("scheduler {other}"),
    };
    let mut x = case.begin(table[table.len() - 1], 1.0, levels[case.start]);

    let legs: Vec<(f64, f64)> = levels[case.start..].windows(2).map(|leg| (leg[0], leg[1])).collect();
    let at = |sigma: f64| levels.iter().position(|l| (l / sigma - 1.0).abs() < 1e-9);
    let v = text(case.config, "prediction_type") == "v_prediction";
    let two_looks = matches!(case.scheduler, "HeunDiscreteScheduler" | "KDPM2DiscreteScheduler");
    // A solver with memory takes its steps in one walk; one with two looks in a walk a step, that the stand-in knows the first.
    let pieces: Vec<&[(f64, f64)]> = if two_looks { legs.chunks(1).collect() } else { vec![&legs] };
    for piece in pieces {
        let first = piece[0].0;
        let clean = |y: &Batch, sigma: f64| {
            let t = at(sigma).map_or_else(|| time_of_level(sigma, &table), |i| times[i]);
            let seen = if two_looks && sigma != first { y.clone() * shrink(sigma) } else { y.clone() };
            let output = network(&seen, t);
            let x0 = match v {
                true => seen.clone() * shrink(sigma).powi(2) - output * (sigma * shrink(sigma)),
                false => seen.clone() - output * sigma,
            };
            // The slope is (seen - x0) / sigma: the clean data that has it from the state given.
            y.clone() - seen + x0
        };
        let d = Formula { process: process(), clean };
        x = walk(&d, solver.as_ref(), piece, x, |x, sigma| x * shrink(sigma));
    }
    x
}

pub(crate) fn edm_euler(case: &Case<'_>) -> Batch {
    let (low, high) = (number(case.config, "sigma_min", 0.002), number(case.config, "sigma_max", 80.0));
    let mut levels = karras(high, low, case.steps);
    levels.push(0.0);
    // c_skip, c_out and c_in of Karras et al. 2022, table 1, sigma_data = 1/2.
    let clean = |x: &Batch, sigma: f64| {
        let square = sigma * sigma + 0.25;
        let output = network(&(x.clone() * square.sqrt().recip()), sigma.ln() / 4.0);
        x.clone() * (0.25 / square) + output * (sigma * 0.5 / square.sqrt())
    };
    let d = Formula { process: process(), clean };
    let legs: Vec<(f64, f64)> = levels.windows(2).map(|leg| (leg[0], leg[1])).collect();
    walk(&d, &Euler::default(), &legs, case.begin((high * high + 1.0).sqrt(), 1.0, 0.0), |x, _| x)
}
