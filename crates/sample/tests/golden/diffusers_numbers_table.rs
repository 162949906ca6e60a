//! Numbers of diffusers' tests: schedulers over the times of a table. DDPM, DDIM and its inverse, PNDM, iPNDM.

use crate::diffusers_grid::ddim_times;
use crate::diffusers_numbers::{Case, Formula, Same, network, walk};
use crate::text;
use scorefield_process::{Leg, ProcessExt};
use scorefield_sample::solver::{Combined, Ddim, Ddpm, Ipndm, Pndm, Variance};
use scorefield_sample::{Past, Solver};
use scorefield_tensor::{Batch, rows_f64};
use scorefield_testkit::Table;
use serde_json::Value;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

fn on(case: &Case<'_>, key: &str, usual: bool) -> bool {
    case.config.get(key).map_or(usual, |v| v == &Value::Bool(true))
}

/// The clean data that an output of the network stands for at a marginal.
fn clean(case: &Case<'_>, table: &Table, x: &Batch, t: f64, asked: f64) -> Batch {
    let (m, output) = (table.at(t), network(x, asked));
    match text(case.config, "prediction_type") {
        "v_prediction" => x.clone() * m.alpha - output * m.sigma,
        _ => (x.clone() - output * m.sigma) * m.alpha.recip(),
    }
}

/// The table of a configuration, `alpha_bar = last` at time -1.
fn table(case: &Case<'_>, alpha_to_one: bool) -> Table {
    let bars = case.alpha_bar();
    let last = if alpha_to_one { 1.0 } else { bars[0] };
    Table::of_alpha_bar(&bars, last)
}

/// The steps of DDIM and PNDM: a whole number of the table's, whatever the listed times.
fn legs(case: &Case<'_>) -> Vec<(f64, f64)> {
    let jump = (case.alpha_bar().len() / case.steps) as f64;
    ddim_times(case.config, case.steps).iter().map(|t| (*t, (t - jump).max(-1.0))).collect()
}

/// DDIM's bound on the clean data, its noise staying the network's.
fn bounded(case: &Case<'_>) -> Ddim {
    let clip = if on(case, "clip_sample", true) { 1.0 } else { f64::INFINITY };
    Ddim { clip, ..Ddim::default() }
}

pub(crate) fn ddim(case: &Case<'_>) -> Batch {
    let table = table(case, on(case, "set_alpha_to_one", true));
    let legs = &legs(case)[case.start..];
    let m = table.at(legs[0].0);
    let d = Formula { process: table.clone(), clean: |x: &Batch, t: f64| clean(case, &table, x, t, t) };
    walk(&d, &bounded(case), legs, case.begin(1.0, m.alpha, m.sigma), |x, _| x)
}

/// DDIM from clean data to noise, the network asked at the end of each step for the state at its start. Times here are `-i` for the i-th
/// step. Where it starts without any noise, noise of 1e-6 stands for it: a denoiser cannot tell the noise of states without noise.
pub(crate) fn ddim_inverse(case: &Case<'_>) -> Batch {
    let bars = case.alpha_bar();
    let listed: Vec<f64> = legs(case).iter().rev().map(|leg| leg.0).collect();
    let at = |t: f64| [bars[t as usize].sqrt(), (1.0 - bars[t as usize]).sqrt()];
    let first = if on(case, "set_alpha_to_one", true) { [1.0, 1e-6] } else { at(0.0) };
    let knots = std::iter::once(first).chain(listed.iter().map(|t| at(*t)));
    let table = Table::new(knots.enumerate().map(|(i, [alpha, sigma])| [-(i as f64), alpha, sigma]).collect());
    let d = Formula { process: table.clone(), clean: |x: &Batch, t: f64| clean(case, &table, x, t, listed[-t as usize]) };
    let legs: Vec<(f64, f64)> = (0..listed.len()).map(|i| (-(i as f64), -(i as f64) - 1.0)).collect();
    walk(&d, &bounded(case), &legs, case.sample(), |x, _| x)
}

/// Three batches, each a step from its own time: the sample from 0, more from 1, less from 2. The means of the steps.
pub(crate) fn batch_step(case: &Case<'_>) -> Vec<f64> {
    let (ddim, table) = (case.scheduler.starts_with("DDIM"), table(case, true));
    let d = Formula {
        process: table.clone(),
        clean: |x: &Batch, t: f64| {
            let x0 = clean(case, &table, x, t, t);
            if ddim { x0 } else { x0.clamp(-1.0, 1.0) }
        },
    };
    let solver: Box<dyn Solver> = if ddim { Box::new(bounded(case)) } else { Box::new(Ddpm::default()) };
    let jump = if ddim { (case.alpha_bar().len() / case.steps) as f64 } else { 1.0 };
    let end =
        |(t, more): (f64, f64)| rows_f64(walk(&d, solver.as_ref(), &[(t, (t - jump).max(-1.0))], case.sample() + more, |x, _| x));
    [(0.0, 0.0), (1.0, 0.1), (2.0, -0.1)].into_iter().flat_map(end).collect()
}

/// The variance of a step, or of UnCLIP its standard deviation: what a draw of 1 adds. One time is a step to the time before.
pub(crate) fn variance(case: &Case<'_>, times: &[f64]) -> f64 {
    let (t, s) = (times[0], times.get(1).copied().unwrap_or(times[0] - 1.0));
    let table = table(case, true);
    let solver: Box<dyn Solver> = match times.len() {
        2 => Box::new(Ddim { eta: 1.0, ..Ddim::default() }),
        _ => Box::new(Ddpm { variance: Variance::Small, noisy_end: false }),
    };
    let d = Formula { process: table, clean: |x: &Batch, _: f64| x.zeros_like() };
    let end = |draw: f64| {
        let leg = Leg { t, s, index: 0, count: 1 };
        rows_f64(solver.step(&d, &case.sample(), leg, &mut Past::new(), &mut Same(draw)))[0]
    };
    let deviation = end(1.0) - end(0.0);
    if case.scheduler == "UnCLIPScheduler" { deviation } else { deviation * deviation }
}

pub(crate) fn pndm(case: &Case<'_>) -> Batch {
    let table = table(case, on(case, "set_alpha_to_one", false));
    let combined = if text(case.config, "prediction_type") == "v_prediction" { Combined::V } else { Combined::Noise };
    let d = Formula { process: table.clone(), clean: |x: &Batch, t: f64| clean(case, &table, x, t, t) };
    walk(&d, &Pndm { skip_prk: false, combined }, &legs(case), case.sample(), |x, _| x)
}

/// iPNDM with `sigma_i = sin^2(pi (1 - i / n) / 2)`, `alpha_i^2 + sigma_i^2 = 1`, the network's output a velocity `alpha eps - sigma x_0`. Their
/// test runs it twice on one memory. It starts without signal, where they divide by 1e-8 in the place of `alpha = 0`: the second run
/// begins with that division, and shows the rounding of their table, which is in single precision.
pub(crate) fn ipndm(case: &Case<'_>) -> Batch {
    let sigma = |i: usize| {
        let u = 1.0 - i as f32 / case.steps as f32;
        let root = (f64::from(u) * FRAC_PI_2).sin() as f32;
        root * root
    };
    let alpha = |i: usize| f64::from((1.0 - sigma(i) * sigma(i)).sqrt());
    let knot = |i: usize| [-(i as f64), alpha(i).max(1e-8), f64::from(sigma(i))];
    let table = Table::new((0..=case.steps).map(knot).collect());
    let clean = |x: &Batch, t: f64| {
        let (m, exact) = (table.at(t), alpha(-t as usize));
        let output = network(x, m.sigma.atan2(exact) * FRAC_2_PI);
        let eps = x.clone() * m.sigma + output * exact;
        (x.clone() - eps * m.sigma) * m.alpha.recip()
    };
    let d = Formula { process: table.clone(), clean };
    let once = (0..case.steps).map(|i| (-(i as f64), -(i as f64) - 1.0));
    let twice: Vec<(f64, f64)> = once.clone().chain(once).collect();
    walk(&d, &Ipndm::default(), &twice, case.sample(), |x, _| x)
}
