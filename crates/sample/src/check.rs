//! Self-measurement: what the solvers claim against what they do, on a law with closed forms.
//!
//! Under Gaussian data the denoiser is affine, so a whole run of a solver without data-dependent step sizes is affine in its
//! start and in every noise it draws: `x_end = a x_start + b + sum_k c_k w_k`. [`moments`] reads all of `a`, `b`, `c_k` off a single
//! run on a batch of unit pulses, and with them mean and variance of the end exactly, without sampling error. Halving the
//! steps then measures the order.

use crate::{Finish, Solver, SolverKind, Trajectory};
use scorefield_process::oracle::{Gaussian, PathEnds};
use scorefield_process::{Denoiser, Grid, GridKind, Process, ProcessConfig, ProcessExt, Span};
use scorefield_tensor::{Batch, DType, Device, Noise, Purpose, Streams, Tensor, TensorData, batch_f64, rows_f64};
use serde::Serialize;

/// One claim and its measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What is measured: process, solver, quantity.
    pub name: String,
    /// What is claimed.
    pub claimed: f64,
    /// What was measured.
    pub measured: f64,
    /// Whether they agree within the tolerance of the measurement.
    pub ok: bool,
}

/// The data of the check: two independent entries of unlike scale, neither centred.
const MEAN: [f64; 2] = [0.7, -1.2];
const VARIANCE: [f64; 2] = [0.25, 2.0];
/// An order is confirmed when the measured slope is this close.
const ORDER_TOLERANCE: f64 = 0.15;
/// A spread is confirmed when the standard deviation of the samples is this close to the law's, relatively.
const SPREAD_TOLERANCE: f64 = 0.1;

/// Every process with every solver: the order of convergence, or for those that claim none the spread of their samples.
pub fn check() -> Vec<Row> {
    let mut rows = Vec::new();
    for config in processes() {
        for kind in kinds() {
            let process = config.build().expect("the usual constants make a process");
            let d = Gaussian::new(process, MEAN.to_vec(), VARIANCE.to_vec());
            let solver = kind.build();
            let (quantity, claimed, measured, tolerance) = match solver.order().number() {
                Some(claimed) => ("order", claimed, order(&d, solver.as_ref()), ORDER_TOLERANCE),
                None if kind.samples_path_ends() => ("spread", 1.0, spread(&d, &PathEnds(&d), solver.as_ref()), SPREAD_TOLERANCE),
                None => ("spread", 1.0, spread(&d, &d, solver.as_ref()), SPREAD_TOLERANCE),
            };
            let name = format!("{} {kind} {quantity}", config.name());
            rows.push(Row { name, claimed, measured, ok: (measured - claimed).abs() <= tolerance });
        }
    }
    rows
}

/// The processes with derivatives of every order, which claims of an order suppose: all but tables of rates.
pub fn processes() -> Vec<ProcessConfig> {
    let smooth = |config: &ProcessConfig| config.build().is_ok_and(|process| process.smooth());
    ProcessConfig::all().into_iter().filter(smooth).collect()
}

/// Every solver with its usual options, and those whose other options are other methods.
pub fn kinds() -> Vec<SolverKind> {
    let others = [
        "euler:s_churn=4",
        "heun:s_churn=4",
        "heun:alpha=0.7",
        "ddim:eta=1",
        "ddpm:variance=large",
        "pc:n_steps=0",
        "pc:predictor=ancestral,n_steps=0",
        "pc:predictor=euler-maruyama",
        "pc:norm=batch",
        "dpm-solver:order=1",
        "dpm-solver:order=3",
        "dpm-solver:order=3,predicts=data,variant=heun",
        "dpm-solver:nodes=grid",
        "dpm-multistep:order=3",
        "dpmpp-2m:variant=heun",
        "dpmpp-3m:third=published",
        "unipc:order=1,variant=bh1",
        "unipc:order=3",
        "unipc:order=3,corrector=false,predicts=noise",
        "unipc:variant=bh1",
        "deis:order=2,basis=time",
        "deis:basis=time",
        "euler-maruyama:eta=0.7",
        "euler-maruyama:eta=1.5",
        "euler-ancestral:eta=0",
        "dpm2-ancestral:eta=0",
        "dpm2-ancestral:eta=0.5",
        "dpmpp-2s-ancestral:eta=0",
        "dpmpp-2s-ancestral:eta=0.5",
        "dpmpp-sde:eta=0,r=0.4",
        "dpmpp-sde:eta=0.5",
        "dpmpp-sde:r=0.4",
        "dpmpp-sde:coupled=false",
        "dpmpp-2m-sde:eta=0",
        "dpmpp-2m-sde:eta=0.5,solver=heun",
        "dpmpp-2m-sde:eta=0,solver=heun",
        "dpmpp-2m-sde:on=noise",
        "dpmpp-2m-sde:eta=0,on=noise,solver=heun",
        "dpmpp-3m-sde:eta=0",
        "sra:eta=0",
        "sra:eta=0.6",
        "annealed-langevin:rule=ncsn,step=0.4",
        "midpoint:clock=time",
        "rk4:clock=log-snr",
        "bogacki-shampine:steps=fixed",
        "dormand-prince:steps=fixed",
        "tsit5:steps=fixed,clock=ratio",
        "dpm-2:s_churn=4",
        "lms:order=3",
        "lms:start=low",
        "etd-ab:through=noise",
        "etd-ab:order=4",
        "pndm:skip_prk=true",
        "pndm:through=v",
        "dpm-fast:rest=0",
        "dpm-fast:rest=1,eta=1",
        "dpm-adaptive:order=2,rtol=0.01",
        "dpm-adaptive:eta=1",
    ];
    let parse = |text: &&str| text.parse().expect("the options of this list are known");
    SolverKind::all().into_iter().chain(others.iter().map(parse)).collect()
}

/// The part of a span in which orders are measured: noise levels `sigma / alpha` from 4 to 0.05. Beyond, the error is not that of
/// the smooth middle but of the singular ends, and halving tells nothing.
pub fn middle(process: &(impl Process + ?Sized)) -> Span {
    Span { start: process.time_of_ratio(0.05), end: process.time_of_ratio(4.0) }
}

/// Mean and variance of each entry at the end of a run, exactly, when the run starts from the law of the data's own `x_t` at
/// the grid's first time and the last state is left as it is. The denoiser and the solver must be affine.
pub fn moments<P: Process>(d: &Gaussian<P>, dim: usize, solver: &dyn Solver, grid: &Grid) -> Vec<(f64, f64)> {
    let run = |noise: &mut dyn Noise, x: Batch| rows_f64(Trajectory::new(d, solver, grid, noise, x).finish(Finish::Leave).run());
    let start = |rows: usize| {
        let mut x = vec![0.0; rows * dim];
        x[dim..2 * dim].fill(1.0);
        batch_f64(x, rows, &Device::default())
    };

    // A first run counts the draws; the second gives each draw a row of its own, in which it alone is one.
    let mut silent = Pulses { drawn: 0, silent: true };
    run(&mut silent, start(2));
    let out = run(&mut Pulses { drawn: 0, silent: false }, start(2 + silent.drawn));

    let at = |row: usize, i: usize| out[row * dim + i];
    (0..dim)
        .map(|i| {
            let (mean, variance) = d.marginal(i, grid.times()[0]);
            let (b, a) = (at(0, i), at(1, i) - at(0, i));
            let noise: f64 = (0..silent.drawn).map(|k| (at(2 + k, i) - b).powi(2)).sum();
            (a * mean + b, a * a * variance + noise)
        })
        .collect()
}

/// A noise source whose k-th draw is one in row `k + 2` and zero elsewhere; or zero everywhere.
struct Pulses {
    drawn: usize,
    silent: bool,
}

impl Noise for Pulses {
    fn normal(&mut self, like: &Batch) -> Batch {
        let [n, d] = like.dims();
        let mut w = vec![0.0; n * d];
        if !self.silent {
            w[(self.drawn + 2) * d..][..d].fill(1.0);
        }
        self.drawn += 1;
        Tensor::from_data(TensorData::new(w, [n, d]), (&like.device(), like.dtype()))
    }

    fn begin(&mut self, _: u32) {}
}

/// The largest error of the end's law over the entries: of the mean in standard deviations, plus of the variance, relatively.
pub fn law_error<P: Process>(d: &Gaussian<P>, dim: usize, solver: &dyn Solver, grid: &Grid) -> f64 {
    let last = grid.times()[grid.times().len() - 1];
    let errors = moments(d, dim, solver, grid).into_iter().enumerate().map(|(i, (mean, variance))| {
        let (exact_mean, exact_variance) = d.marginal(i, last);
        (mean - exact_mean).abs() / exact_variance.sqrt() + (variance / exact_variance - 1.0).abs()
    });
    errors.fold(0.0, f64::max)
}

/// The measured order of the law's error: the slope between 256 and 512 steps over the middle of the span, or 48 and 96 for orders
/// from 4 on, whose error would be rounding there.
fn order<P: Process>(d: &Gaussian<P>, solver: &dyn Solver) -> f64 {
    let error = |steps: usize| {
        let process = d.process();
        let grid = GridKind::LogSnr.between(process, middle(process), steps + 1);
        law_error(d, MEAN.len(), solver, &grid.expect("the middle of a span has room for the steps"))
    };
    let coarse = if solver.order().number().is_some_and(|k| k > 3.0) { 48 } else { 256 };
    (error(coarse) / error(2 * coarse)).log2()
}

/// Standard deviation of samples over the law's, the entry that differs most.
fn spread<P: Process>(d: &Gaussian<P>, denoiser: &dyn Denoiser, solver: &dyn Solver) -> f64 {
    let (n, dim, process) = (4000, MEAN.len(), d.process());
    let grid = GridKind::LogSnr.between(process, middle(process), 60).expect("the middle of a span has room for 60 times");
    let (first, last) = (grid.times()[0], grid.times()[59]);

    // Started from the law of x_t itself, so that only the solver's error shows.
    let mut streams = Streams::new(1, (0..n).collect(), Purpose::Prior);
    let z = rows_f64(streams.normal(&Tensor::zeros([n as usize, dim], (&Device::default(), DType::F64))));
    let law = |i: usize| d.marginal(i % dim, first);
    let x: Vec<f64> = z.iter().enumerate().map(|(i, z)| law(i).0 + law(i).1.sqrt() * z).collect();
    let mut noise = streams.of(Purpose::Solver);
    let start = batch_f64(x, n as usize, &Device::default());
    let end = rows_f64(Trajectory::new(denoiser, solver, &grid, &mut noise, start).finish(Finish::Leave).run());

    let ratio = |i: usize| {
        let entry: Vec<f64> = end.iter().skip(i).step_by(dim).copied().collect();
        let mean = entry.iter().sum::<f64>() / n as f64;
        let variance = entry.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        (variance / d.marginal(i, last).1).sqrt()
    };
    (0..dim).map(ratio).max_by(|a, b| a.ln().abs().total_cmp(&b.ln().abs())).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program's own check passes; each row that does not is named.
    #[test]
    fn every_claim_holds() {
        let rows = check();
        assert_eq!(rows.len(), processes().len() * kinds().len());
        let failed: Vec<_> = rows.iter().filter(|r| !r.ok).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}
