//! The twisted diffusion sampler: sequential Monte Carlo whose particles are drawn with a rule, and weighed for what it got wrong.
//!
//! Wu et al. 2023. The target at time `t` is `p(x_t) psi_t(x_t)` with the twist
//!
//! `psi_t(x_t) = N(y; A(D(x_t)), C_t)`, `C_t = sigma_y^2 + a r_t^2`, `r_t^2 = c sigma^2 / (c alpha^2 + sigma^2)`, `a = |A|_F^2 / m`,
//!
//! which is `p(y | x_0)` at the end, where `r = 0`. Particles are moved by the reverse kernel of DDPM with `D_y = D + sigma^2 / alpha grad ln
//! psi_t`, and weighed by
//!
//! `w_s / w_t = p(x_s | x_t) psi_s(x_s) / (q(x_s | x_t, y) psi_t(x_t))`.
//!
//! Where the effective number `(sum w)^2 / sum w^2` falls below half of the particles they are drawn anew by systematic resampling. Whatever
//! the twist, the law of a particle tends to the exact posterior of the model's chain as the number of particles grows, at the rate of Monte
//! Carlo. Every sample has particles of its own, so that it depends on its number and the seed alone.

use crate::measurement::{Measurement, like, map, rows_of};
use crate::rule::Jacobian;
use scorefield_process::{Differentiable, Grid, Leg, ProcessExt};
use scorefield_sample::Walk;
use scorefield_tensor::{Batch, DType, Device, Noise, Purpose, Streams, Tensor};
use std::ops::ControlFlow;

/// A run of the twisted sampler.
#[derive(Clone, Debug, PartialEq)]
pub struct Twisted {
    /// Particles of a sample.
    pub particles: usize,
    /// The variance `c` of data.
    pub variance: f64,
    /// How the gradient of the twist is taken: what it is wrong by, weights mend.
    pub jacobian: Jacobian,
}

/// Samples with their weights' history.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The samples, `[n, d]`.
    pub x: Batch,
    /// For each sample the smallest effective number of its particles over the run, from 1 to their number.
    pub effective: Vec<f64>,
}

/// Particles of one batch of samples: row `k n + i` is particle `k` of sample `i`.
struct Run<'a> {
    of: &'a Twisted,
    model: &'a dyn Differentiable,
    measured: &'a Measurement,
    /// `|A|_F^2 / m` where the operator is linear, else 1.
    gain: f64,
    n: usize,
    weights: Vec<f64>,
    effective: Vec<f64>,
}

impl Twisted {
    /// Why a measurement cannot be taken, if it cannot.
    pub fn refuses(&self, measured: &Measurement) -> Option<&'static str> {
        let data = self.variance > 0.0 && self.variance.is_finite();
        if !data || !(1..=4096).contains(&self.particles) {
            return Some("needs 1 to 4,096 particles, and data of a positive variance");
        }
        (measured.sigma() == 0.0).then_some("weighs particles by the measurement's noise, which is 0; give it a deviation")
    }

    /// Draws samples of a seed by number, below 2^36 (with at most 4,096 particles), over a grid of times down to the model's lowest, under one measurement or one for each;
    /// `watch` is called before every step with its number. `None` when it breaks.
    ///
    /// # Panics
    /// When there are several measurements, and not one for each sample.
    pub fn sample(
        &self,
        model: &dyn Differentiable,
        measured: &Measurement,
        grid: &Grid,
        (seed, numbers): (u64, &[u64]),
        (dtype, device): (DType, &Device),
        mut watch: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Option<Drawn> {
        let (n, d) = (numbers.len(), measured.operator().inputs());
        assert!([1, n].contains(&measured.rows()), "{} measurements for {n} samples", measured.rows());
        let all = (0..self.particles as u64).flat_map(|k| numbers.iter().map(move |i| i + (k << 36))).collect();
        let mut noise = Streams::new(seed, all, Purpose::Solver);
        let process = model.process();
        let zero = Tensor::<2>::zeros([n * self.particles, d], (device, dtype));
        let mut x = noise.of(Purpose::Prior).normal(&zero) * process.at(grid.times()[0]).sigma;
        let mut run = Run {
            of: self,
            model,
            measured,
            gain: gain(measured),
            n,
            weights: vec![0.0; n * self.particles],
            effective: vec![self.particles as f64; n],
        };
        for (index, t, leg) in Walk::new(grid, true).skip(1) {
            if watch(index - 1).is_break() {
                return None;
            }
            noise.begin(index as u32 - 1);
            x = match leg {
                Some(leg) => run.step(x, leg, &mut noise),
                None => run.end(&x, t, &mut noise),
            };
        }
        Some(Drawn { x, effective: run.effective })
    }
}

impl Run<'_> {
    /// `ln psi` of every particle for its `D`.
    fn twist(&self, clean: &[f64], variance: f64) -> Vec<f64> {
        let m = self.measured.operator().outputs();
        let of = |r: &[f64]| -0.5 * (r.iter().map(|v| v * v).sum::<f64>() / variance + m as f64 * variance.ln());
        self.measured.residual(clean).chunks_exact(m).map(of).collect()
    }

    fn weigh(&mut self, by: &[f64]) {
        self.weights.iter_mut().zip(by).for_each(|(w, b)| *w += b);
    }

    fn shares(&self, sample: usize) -> Vec<f64> {
        let logs = || self.weights.iter().skip(sample).step_by(self.n);
        let top = logs().copied().fold(f64::NEG_INFINITY, f64::max);
        let each: Vec<f64> = logs().map(|v| (v - top).exp()).collect();
        let total: f64 = each.iter().sum();
        each.into_iter().map(|v| v / total).collect()
    }

    /// The last look: the law of `x_0` given the lowest level is taken for a point, weighed by what was measured; one particle of each
    /// sample is drawn.
    fn end(&mut self, x: &Batch, t: f64, noise: &mut Streams) -> Batch {
        let clean = self.model.denoise(x, t);
        self.weigh(&self.twist(&rows_of(&clean), self.measured.sigma().powi(2)));
        for sample in 0..self.n {
            self.effective[sample] = self.effective[sample].min(effective(&self.shares(sample)));
        }
        let drawn: Vec<usize> = (0..self.n).map(|i| pick(&self.shares(i), noise.stream(i).uniform(0)) * self.n + i).collect();
        take(&clean, &drawn)
    }

    fn step(&mut self, x: Batch, leg: Leg, noise: &mut Streams) -> Batch {
        let process = self.model.process();
        let (at_t, at_s) = (process.at(leg.t), process.at(leg.s));
        let c = self.of.variance;
        let r2 = c * at_t.sigma.powi(2) / (c * at_t.alpha.powi(2) + at_t.sigma.powi(2));
        let variance = self.measured.sigma().powi(2) + self.gain * r2;
        let (mut clean, mut pulled) = self.of.jacobian.first(self.model, &x, leg.t, &mut |clean| {
            let rows = rows_of(clean);
            let scaled: Vec<f64> = self.measured.residual(&rows).into_iter().map(|r| r / variance).collect();
            like(self.measured.pull(&rows, &scaled), clean)
        });
        let mut psi = self.twist(&rows_of(&clean), variance);
        self.weigh(&psi);
        let mut x = x;
        if let Some(from) = self.resample(noise) {
            (x, clean, pulled) = (take(&x, &from), take(&clean, &from), take(&pulled, &from));
            psi = from.iter().map(|&i| psi[i]).collect();
        }
        let step = at_t.posterior(&at_s);
        let own = clean * step.of_clean + x * step.of_state;
        let push = pulled * (step.of_clean * at_t.sigma.powi(2) / at_t.alpha);
        let z = noise.normal(&own);
        let next = own + push.clone() + z.clone() * step.deviation;
        // With x = p + v + d z: ln p - ln q = (|x - p - v|^2 - |x - p|^2) / 2 d^2 = -(z v + v^2 / 2 d) / d.
        if step.deviation > 0.0 {
            let (z, push, d) = (rows_of(&z), rows_of(&push), self.measured.operator().inputs());
            let of = |(z, v): (&f64, &f64)| -(z + 0.5 * v / step.deviation) * v / step.deviation;
            let ratio = z.chunks_exact(d).zip(push.chunks_exact(d)).map(|(z, v)| z.iter().zip(v).map(of).sum::<f64>());
            let by: Vec<f64> = ratio.zip(&psi).map(|(ratio, psi)| ratio - psi).collect();
            self.weigh(&by);
        } else {
            let by: Vec<f64> = psi.iter().map(|p| -p).collect();
            self.weigh(&by);
        }
        next
    }

    /// Draws the particles of uneven samples anew; the rows they come from, if any moved.
    fn resample(&mut self, noise: &mut Streams) -> Option<Vec<usize>> {
        let (n, count) = (self.n, self.of.particles);
        let mut from: Vec<usize> = (0..n * count).collect();
        let mut moved = false;
        for sample in 0..n {
            let shares = self.shares(sample);
            let effective = effective(&shares);
            self.effective[sample] = self.effective[sample].min(effective);
            if effective >= 0.5 * count as f64 {
                continue;
            }
            moved = true;
            let u = noise.stream(sample).uniform(0);
            for k in 0..count {
                from[k * n + sample] = pick(&shares, (k as f64 + u) / count as f64) * n + sample;
                self.weights[k * n + sample] = 0.0;
            }
        }
        noise.advance();
        moved.then_some(from)
    }
}

/// `1 / sum w^2` of shares.
fn effective(shares: &[f64]) -> f64 {
    1.0 / shares.iter().map(|w| w * w).sum::<f64>()
}

/// The place at which the running sum of shares exceeds `u`.
fn pick(shares: &[f64], u: f64) -> usize {
    let mut sum = 0.0;
    shares
        .iter()
        .position(|s| {
            sum += s;
            sum > u
        })
        .unwrap_or(shares.len() - 1)
}

fn take(x: &Batch, rows: &[usize]) -> Batch {
    let d = x.dims()[1];
    let all = rows_of(x);
    let taken: Vec<f64> = rows.iter().flat_map(|&i| all[i * d..(i + 1) * d].iter().copied()).collect();
    scorefield_tensor::batch_f64(taken, rows.len(), &x.device()).cast(x.dtype())
}

/// `|A|_F^2 / m` of a linear operator: the mean square of its rows, from its action on unit vectors of the measurement (at most 64 of them).
fn gain(measured: &Measurement) -> f64 {
    let (operator, m) = (measured.operator(), measured.operator().outputs());
    if !operator.is_linear() {
        return 1.0;
    }
    let looked = m.min(64);
    let units: Vec<f64> = (0..looked).flat_map(|k| (0..m).map(move |i| f64::from(u8::from(i == k * m / looked)))).collect();
    let zero = vec![0.0; operator.inputs()];
    let rows = map(&units, m, operator.inputs(), |_, v, out| operator.pullback(&zero, v, out));
    rows.iter().map(|v| v * v).sum::<f64>() / looked as f64
}
