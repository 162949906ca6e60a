//! Samples against the law they should follow.

use super::order::mixture;
use super::{MEAN, middle};
use crate::{Finish, Solver, SolverKind, Trajectory};
use scorefield_process::oracle::{Gaussian, Mixture, PathEnds};
use scorefield_process::{Denoiser, Grid, GridKind, Process, ProcessExt};
use scorefield_tensor::{Batch, DType, Device, Noise, Purpose, Streams, Tensor, batch_f64, rows_f64};

/// Samples that are compared with a law.
const SAMPLES: u64 = 1000;
/// Steps of their solvers.
const STEPS: usize = 120;
/// Sets of exact samples that tell how far samples of the law itself lie from it.
const SETS: u64 = 12;
/// Standard deviations above their mean at which a distance is too large; the allowance is for the error of first-order methods.
const DEVIATIONS: f64 = 6.0;

/// Mean and covariance of points in the plane.
type Shape = ([f64; 2], [f64; 3]);

/// The Fréchet distance of samples of a mixture, made by a solver, from the exact law: the 2-Wasserstein distance of the normal laws
/// with their means and covariances, `|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))` (Dowson and Landau 1982).
#[derive(Debug)]
pub struct Judge<P> {
    law: Mixture<P>,
    grid: Grid,
    exact: Shape,
    ceiling: f64,
}

impl<P: Process> Judge<P> {
    /// The judge of a process; its ceiling is measured on exact samples.
    pub fn new(process: P) -> Self {
        let law = mixture(process);
        let grid = GridKind::LogSnr.between(law.process(), middle(law.process()), STEPS + 1);
        let grid = grid.expect("the middle of a span has room for the steps");
        let end = grid.times()[STEPS];
        let exact = law.moments(end);
        let exact = ([exact.0[0], exact.0[1]], [exact.1[0][0], exact.1[0][1], exact.1[1][1]]);
        let mut judge = Self { law, grid, exact, ceiling: 0.0 };
        let found: Vec<f64> = (0..SETS).map(|set| judge.of(&judge.exact_samples(end, 100 + set))).collect();
        let mean = found.iter().sum::<f64>() / SETS as f64;
        let variance = found.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (SETS - 1) as f64;
        judge.ceiling = mean + DEVIATIONS * variance.sqrt();
        judge
    }

    /// The largest distance at which samples pass for exact ones.
    pub fn ceiling(&self) -> f64 {
        self.ceiling
    }

    /// Exact samples of `x_t`.
    fn exact_samples(&self, t: f64, seed: u64) -> Vec<f64> {
        let streams = Streams::new(seed, (0..SAMPLES).collect(), Purpose::Synthetic);
        let like = Tensor::<2>::zeros([SAMPLES as usize, 2], (&Device::default(), DType::F64));
        let shares: Vec<f64> = (0..SAMPLES as usize).map(|i| streams.stream(i).uniform(3)).collect();
        let z = rows_f64(streams.of(Purpose::Prior).normal(&like));
        let at = self.law.process().at(t);
        z.chunks(2).zip(shares).flat_map(|(z, u)| self.law.draw(u, z, (at.alpha, at.sigma))).collect()
    }

    /// The distance of the samples of a solver, started from exact samples.
    pub fn distance(&self, kind: &SolverKind) -> f64 {
        let start = batch_f64(self.exact_samples(self.grid.times()[0], 1), SAMPLES as usize, &Device::default());
        let mut noise = Streams::new(1, (0..SAMPLES).collect(), Purpose::Solver);
        let solver = kind.build();
        let ends = [self.grid.times()[0], self.grid.times()[STEPS]];
        let whole = Grid::new(ends.to_vec()).expect("two times");
        let grid = if kind.adaptive() { &whole } else { &self.grid };
        self.of(&rows_f64(Trajectory::new(&self.law, solver.as_ref(), grid, &mut noise, start).finish(Finish::Leave).run()))
    }

    /// The distance of points from the law at the end of the grid.
    pub fn of(&self, points: &[f64]) -> f64 {
        frechet(&shape(points), &self.exact)
    }
}

/// Mean, and covariance as (xx, xy, yy).
fn shape(points: &[f64]) -> Shape {
    let n = (points.len() / 2) as f64;
    let mean = [0, 1].map(|i| points.iter().skip(i).step_by(2).sum::<f64>() / n);
    let product = |i: usize, j: usize| points.chunks(2).map(|p| (p[i] - mean[i]) * (p[j] - mean[j])).sum::<f64>() / n;
    (mean, [product(0, 0), product(0, 1), product(1, 1)])
}

/// In the plane `tr (C C')^(1/2) = sqrt(tr C C' + 2 sqrt(det C det C'))`.
fn frechet(a: &Shape, b: &Shape) -> f64 {
    let ((m, c), (n, d)) = (a, b);
    let determinant = |c: &[f64; 3]| c[0] * c[2] - c[1] * c[1];
    let product = c[0] * d[0] + 2.0 * c[1] * d[1] + c[2] * d[2];
    let root = (product + 2.0 * (determinant(c) * determinant(d)).max(0.0).sqrt()).max(0.0).sqrt();
    (m[0] - n[0]).powi(2) + (m[1] - n[1]).powi(2) + c[0] + c[2] + d[0] + d[2] - 2.0 * root
}

/// Standard deviation of samples of Gaussian data over the law's, the entry that differs most: for methods that claim no order.
pub fn spread<P: Process>(d: &Gaussian<P>, kind: &SolverKind) -> f64 {
    let ends = PathEnds(d);
    let denoiser: &dyn Denoiser = if kind.samples_path_ends() { &ends } else { d };
    spread_of(d, denoiser, kind.build().as_ref())
}

/// [`spread`] of any solver with any denoiser of the law.
pub fn spread_of<P: Process>(d: &Gaussian<P>, denoiser: &dyn Denoiser, solver: &dyn Solver) -> f64 {
    let (n, dim, process) = (4000, MEAN.len(), d.process());
    let grid = GridKind::LogSnr.between(process, middle(process), 60).expect("the middle of a span has room for 60 times");
    let (first, last) = (grid.times()[0], grid.times()[59]);

    // Started from the law of x_t itself, so that only the solver's error shows.
    let mut streams = Streams::new(1, (0..n).collect(), Purpose::Prior);
    let z = rows_f64(streams.normal(&Tensor::zeros([n as usize, dim], (&Device::default(), DType::F64))));
    let law = |i: usize| d.marginal(i % dim, first);
    let x: Vec<f64> = z.iter().enumerate().map(|(i, z)| law(i).0 + law(i).1.sqrt() * z).collect();
    let mut noise = streams.of(Purpose::Solver);
    let start: Batch = batch_f64(x, n as usize, &Device::default());
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

    /// Closed cases: the same law, a shift, and `(s - 1)^2` for each direction of a scaling.
    #[test]
    fn frechet_has_its_closed_cases() {
        let unit = ([0.0, 0.0], [1.0, 0.3, 2.0]);
        assert!(frechet(&unit, &unit).abs() < 1e-14);
        assert!((frechet(&unit, &([3.0, 4.0], [1.0, 0.3, 2.0])) - 25.0).abs() < 1e-13);
        let (round, wide) = (([0.0; 2], [1.0, 0.0, 1.0]), ([0.0; 2], [4.0, 0.0, 9.0]));
        assert!((frechet(&round, &wide) - 5.0).abs() < 1e-13);
    }
}
