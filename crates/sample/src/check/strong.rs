//! Strong orders: distance between a coarse run and a fine one on the same Brownian paths.
//!
//! [`Fine`] holds the increments of a path over equal fine steps of the clock, with their time integrals (what methods of order 1.5
//! ask for), and reads them at any coarseness.

use super::order::Slope;
use super::{MEAN, middle};
use crate::{Finish, Solver, SolverKind, Trajectory};
use scorefield_process::oracle::Gaussian;
use scorefield_process::{Denoiser, GridKind, Process, ProcessExt};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Device, Noise, Purpose, batch_f64, rows_f64};

/// The solvers that claim a strong order, with the order.
pub fn claims() -> Vec<(SolverKind, f64)> {
    let named = [("euler-maruyama", 1.0), ("euler-ancestral", 1.0), ("dpmpp-2m-sde", 1.0), ("sra", 1.5)];
    named.iter().map(|(name, order)| (name.parse().expect("a solver of the list"), *order)).collect()
}

/// Paths of a batch, and steps of the finest run.
const ROWS: usize = 64;
const FINE: usize = 1024;
const STEPS: [usize; 3] = [16, 32, 64];

/// Increments of paths over equal steps of the solver's clock.
#[derive(Debug)]
pub struct Fine {
    /// `(Delta W, int (W - W_0))` of each fine step, both in units of one fine step.
    steps: Vec<[Vec<f64>; 2]>,
    /// Fine steps in a step asked for, and the place.
    coarse: usize,
    next: usize,
}

impl Fine {
    /// `n` fine steps for so many numbers.
    pub fn new(n: usize, width: usize) -> Self {
        let draw = |k: usize, i: u8| {
            let mut z = vec![0.0; width];
            Stream::new(5, 0, Purpose::User, k as u32, i).fill_normal(&mut z);
            z
        };
        let step = |k: usize| {
            let (u, v) = (draw(k, 0), draw(k, 1));
            let integral = u.iter().zip(&v).map(|(u, v)| 0.5 * (u + v / 3f64.sqrt())).collect();
            [u, integral]
        };
        Self { steps: (0..n).map(step).collect(), coarse: 1, next: 0 }
    }

    /// The same paths from their start, to be read in so many steps.
    pub fn read_in(&mut self, steps: usize) -> &mut Self {
        (self.coarse, self.next) = (self.steps.len() / steps, 0);
        self
    }

    /// The standardised increment and the normal that with it makes the integral, of the next step.
    fn read(&mut self, like: &Batch) -> (Batch, Batch) {
        let (k, width) = (self.coarse as f64, like.dims()[0] * like.dims()[1]);
        let (mut w, mut z) = (vec![0.0; width], vec![0.0; width]);
        for [u, integral] in &self.steps[self.next..self.next + self.coarse] {
            for i in 0..width {
                z[i] += w[i] + integral[i];
                w[i] += u[i];
            }
        }
        self.next += self.coarse;
        let u: Vec<f64> = w.iter().map(|w| w / k.sqrt()).collect();
        let v = z.iter().zip(&u).map(|(z, u)| 3f64.sqrt() * (2.0 * z / k.powf(1.5) - u)).collect();
        let back = |x: Vec<f64>| batch_f64(x, like.dims()[0], &like.device());
        (back(u), back(v))
    }
}

impl Noise for Fine {
    fn normal(&mut self, like: &Batch) -> Batch {
        self.read(like).0
    }

    fn with_integral(&mut self, like: &Batch, _: f64, _: f64) -> (Batch, Batch) {
        self.read(like)
    }

    fn begin(&mut self, _: u32) {}
}

/// The strong order on Gaussian data: mean distance at the end from a run of `sra` in many steps on the same paths, on grids
/// equal in log-SNR.
pub fn order<P: Process>(d: &Gaussian<P>, solver: &dyn Solver) -> Slope {
    let dim = MEAN.len();
    let mut fine = Fine::new(FINE, dim * ROWS);
    let span = middle(d.process());
    let at = d.process().at(span.end);
    let start: Vec<f64> = (0..dim * ROWS).map(|i| at.alpha * MEAN[i % dim] + at.sigma * (i as f64).sin()).collect();
    let mut end = |solver: &dyn Solver, steps: usize| {
        let grid = GridKind::LogSnr.between(d.process(), span, steps + 1).expect("the middle has room for the steps");
        let x = batch_f64(start.clone(), ROWS, &Device::default());
        rows_f64(Trajectory::new(d, solver, &grid, fine.read_in(steps), x).finish(Finish::Leave).run())
    };
    let sra: SolverKind = "sra".parse().expect("a solver of the list");
    let reference = end(sra.build().as_ref(), FINE);
    let width = reference.len() as f64;
    Slope::fit(&STEPS, |n| end(solver, n).iter().zip(&reference).map(|(a, b)| (a - b).abs()).sum::<f64>() / width)
}
