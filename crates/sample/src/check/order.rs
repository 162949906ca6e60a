//! Orders of convergence: the slope of the error over the number of steps.

use super::{law_error, middle};
use crate::{Finish, Solver, SolverKind, Trajectory};
use scorefield_process::oracle::{Gaussian, Mixture};
use scorefield_process::{Denoiser, GridKind, Process, ProcessExt};
use scorefield_tensor::{Batch, Device, Noise, batch_f64, rows_f64};

/// An order measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Slope {
    /// Slope of `-ln error` over `ln steps`, by least squares.
    pub order: f64,
    /// The numbers of steps.
    pub steps: Vec<usize>,
    /// The errors.
    pub errors: Vec<f64>,
}

/// An order is confirmed when the measured slope is this close.
const TOLERANCE: f64 = 0.15;
/// Methods of order 5 are measured before they settle, where they converge faster, or else rounding would show.
const EXCESS: f64 = 1.0;
/// The same for strong orders, which are measured on a few hundred paths.
const STRONG_TOLERANCE: f64 = 0.25;
/// At steps that are not tiny the smooth part of the error, of order 2, is as large as the part of order 1.5.
const STRONG_EXCESS: f64 = 0.6;

impl Slope {
    /// Fits `error = c steps^-order`.
    pub fn fit(steps: &[usize], mut error: impl FnMut(usize) -> f64) -> Self {
        let errors: Vec<f64> = steps.iter().map(|&n| error(n)).collect();
        let points: Vec<(f64, f64)> = steps.iter().zip(&errors).map(|(&n, e)| ((n as f64).ln(), e.ln())).collect();
        let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / points.len() as f64;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        let order = -covariance / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
        Self { order, steps: steps.to_vec(), errors }
    }

    /// Whether the measured order is the claimed one. Not for a slope that is no number.
    pub fn confirms(&self, claimed: f64) -> bool {
        let excess = self.order - claimed;
        if claimed >= 5.0 { (-TOLERANCE..EXCESS).contains(&excess) } else { excess.abs() <= TOLERANCE }
    }

    /// The same for a strong order.
    pub fn confirms_strong(&self, claimed: f64) -> bool {
        let excess = self.order - claimed;
        let most = if claimed > 1.0 { STRONG_EXCESS } else { STRONG_TOLERANCE };
        (-STRONG_TOLERANCE..=most).contains(&excess)
    }
}

/// A mixture under a process, and where the flow carries a few states across the middle of the span.
///
/// Gaussian data would have closed forms, but their flow is so smooth that errors of leading order cancel: the midpoint rule in the
/// noise level shows order 3 there, and methods of order 5 reach rounding before they show any.
#[derive(Debug)]
pub struct Paths<P> {
    law: Mixture<P>,
    ends: Vec<f64>,
}

/// The states that paths start from, in deviations.
const START: [f64; 8] = [1.3, -0.4, 2.1, -0.7, 0.2, 0.9, -1.0, 0.4];
/// Steps of order 5 of the reference: twenty times those that are compared with it.
const REFERENCE: usize = 3000;

/// A source that must not be drawn from.
struct Silence;

impl Noise for Silence {
    fn normal(&mut self, _: &Batch) -> Batch {
        unreachable!("a deterministic solver draws no noise")
    }
    fn begin(&mut self, _: u32) {}
}

/// The mixture of the check under a process: three components of unlike weight and width in the plane.
pub(crate) fn mixture<P: Process>(process: P) -> Mixture<P> {
    let means = [vec![1.0, 0.5], vec![-1.2, 0.8], vec![0.2, -1.4]];
    Mixture::isotropic(process, &[0.5, 0.3, 0.2], &means, &[0.3, 0.5, 0.2])
}

impl<P: Process> Paths<P> {
    /// The paths and their ends under a process.
    pub fn new(process: P) -> Self {
        let mut paths = Self { law: mixture(process), ends: Vec::new() };
        let reference: SolverKind = "dormand-prince:steps=fixed,clock=ratio".parse().expect("a solver of the list");
        paths.ends = paths.run(reference.build().as_ref(), REFERENCE);
        paths
    }

    fn run(&self, solver: &dyn Solver, steps: usize) -> Vec<f64> {
        let process = self.law.process();
        let grid = GridKind::LogSnr.between(process, middle(process), steps + 1).expect("the middle has room for the steps");
        let m = process.at(grid.times()[0]);
        let x = START.iter().map(|z| z * (m.alpha * m.alpha + m.sigma * m.sigma).sqrt()).collect();
        let start = batch_f64(x, START.len() / 2, &Device::default());
        rows_f64(Trajectory::new(&self.law, solver, &grid, &mut Silence, start).finish(Finish::Leave).run())
    }

    /// The order of the end points.
    pub fn order(&self, solver: &dyn Solver) -> Slope {
        let steps = match solver.order().number() {
            Some(k) if k >= 5.0 => [32, 64, 128],
            _ => [192, 384, 768],
        };
        Slope::fit(&steps, |n| self.run(solver, n).iter().zip(&self.ends).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
    }
}

/// The order of mean and variance at the end of a run on Gaussian data.
pub fn of_law<P: Process>(d: &Gaussian<P>, dim: usize, solver: &dyn Solver) -> Slope {
    Slope::fit(&[192, 384], |n| {
        let grid = GridKind::LogSnr.between(d.process(), middle(d.process()), n + 1);
        law_error(d, dim, solver, &grid.expect("the middle has room for the steps"))
    })
}
