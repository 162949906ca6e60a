//! An adaptive solver of the reverse SDE: stochastic improved Euler with Euler-Maruyama inside, a step size for each sample.
//!
//! Jolicoeur-Martineau et al. 2021 ("Gotta go fast when generating data with score-based models"), algorithm 1, in the process's
//! time. With the drift `F(x, t) = f x - g^2 score` and an increment `W` over `h`:
//! `x' = x - F(x, t) h + g(t) W`, `x~ = x - F(x', t - h) h + g(t - h) W`, `x'' = (x' + x~) / 2`,
//! `E = sqrt(mean(((x' - x'') / max(atol, rtol max(|x|, |x'|)))^2))`; where `E <= 1` the state becomes `x''`; then
//! `h <- min(rest, safety h E^-exponent)`, all row by row.
//!
//! A rejection depends on the noise; a fresh draw after it would bias the law. Here a rejected increment is kept and the shorter one
//! is drawn from its bridge, `W(h') = (h' / h) W(h) + sqrt(h' (h - h') / h) z` (rejection sampling with memory, Rackauckas and
//! Nie 2017): the path is Brownian whatever is rejected. Each leg of the grid is integrated to its end; a step of one
//! thousandth of the leg is taken whatever its error. The step sizes carry over from leg to leg. Two evaluations an attempt; no order is claimed, as the steps
//! follow the tolerance and not the grid.

use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, ProcessExt};
use scorefield_tensor::{Batch, Coefficient, Column, Noise, Tensor, TensorData, rows_f64};

/// Improved Euler with a step size for each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveSde {
    /// Error allowed relative to the state.
    pub rtol: f64,
    /// Error allowed where the state is near zero.
    pub atol: f64,
    /// What a proposed step is shortened by.
    pub safety: f64,
    /// How strongly the step follows the error.
    pub exponent: f64,
}

impl Default for AdaptiveSde {
    fn default() -> Self {
        Self { rtol: 0.02, atol: 0.0078, safety: 0.9, exponent: 0.9 }
    }
}

/// The shortest step, as a part of its leg.
const SHORTEST: f64 = 1e-3;
/// Normals of an attempt that are drawn in one request of the source, which allows 255 requests a leg.
const BLOCK: usize = 16;

/// One row's place on its own path.
struct Walker {
    /// Time left to the end of the leg.
    rest: f64,
    /// The step to try.
    h: f64,
    /// Increments seen but not used, the next one last: duration and value.
    ahead: Vec<(f64, Vec<f64>)>,
}

impl Walker {
    /// The increment over the next `h`, from what is known of the path, bridged or continued with the normals `z`.
    fn increment(&mut self, z: &[f64]) -> Vec<f64> {
        let (mut left, mut total) = (self.h, vec![0.0; z.len()]);
        while let Some((duration, w)) = self.ahead.pop() {
            if duration <= left {
                left -= duration;
                total.iter_mut().zip(&w).for_each(|(t, w)| *t += w);
                continue;
            }
            let (share, spread) = (left / duration, (left * (duration - left) / duration).sqrt());
            let part: Vec<f64> = w.iter().zip(z).map(|(w, z)| share * w + spread * z).collect();
            self.ahead.push((duration - left, w.iter().zip(&part).map(|(w, p)| w - p).collect()));
            total.iter_mut().zip(&part).for_each(|(t, p)| *t += p);
            return total;
        }
        total.iter_mut().zip(z).for_each(|(t, z)| *t += left.sqrt() * z);
        total
    }
}

impl Solver for AdaptiveSde {
    fn name(&self) -> &'static str {
        "adaptive-sde"
    }

    fn order(&self) -> Order {
        Order::None
    }

    fn evaluations_per_step(&self) -> usize {
        2
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let [n, dim] = x.dims();
        let length = leg.t - leg.s;
        if d.process().at(leg.s).sigma == 0.0 {
            let x0 = d.denoise(x, leg.t);
            past.push(leg.t, x, x0.clone());
            return x0 * d.process().at(leg.s).alpha;
        }
        let known = std::mem::take(&mut past.memo);
        let start = |i: usize| known.get(i).map_or(length, |m| m[0]).min(length);
        let mut walkers: Vec<Walker> = (0..n).map(|i| Walker { rest: length, h: start(i), ahead: Vec::new() }).collect();
        let mut next: Vec<f64> = walkers.iter().map(|w| w.h).collect();
        let (mut x, mut normals) = (x.clone(), Vec::new());

        for attempt in 0.. {
            if walkers.iter().all(|w| w.rest == 0.0) {
                break;
            }
            if attempt % BLOCK == 0 {
                let like = Tensor::<2>::zeros([n, dim * BLOCK], (&x.device(), x.dtype()));
                normals = rows_f64(noise.normal(&like));
            }
            let z = |i: usize| &normals[(i * BLOCK + attempt % BLOCK) * dim..][..dim];
            let times = |ahead: bool| -> Vec<f64> {
                let time = |w: &Walker| leg.s + w.rest - if ahead { w.h } else { 0.0 };
                walkers.iter().map(|w| if ahead && w.h == w.rest { leg.s } else { time(w) }).collect()
            };
            let (from, to) = (times(false), times(true));
            let h = Column(walkers.iter().map(|w| w.h).collect());
            let increments: Vec<Vec<f64>> = walkers
                .iter_mut()
                .enumerate()
                .map(|(i, w)| if w.rest > 0.0 { w.increment(z(i)) } else { vec![0.0; dim] })
                .collect();
            let w = Tensor::from_data(TensorData::new(increments.concat(), [n, dim]), (&x.device(), x.dtype()));

            // One step of Euler-Maruyama from x with the coefficients at `times` and the drift at `at`.
            let euler = |at: &Batch, times: &[f64], look: &Batch| {
                let m = d.process().at_each(times);
                let g2 = m.diffusion_squared();
                let drift = m.drift().scale(at.clone()) - g2.scale(m.score(at, look));
                x.clone() - h.scale(drift) + g2.sqrt().scale(w.clone())
            };
            let look = d.denoise_each(&x, &from);
            let first = euler(&x, &from, &look);
            let second = euler(&first, &to, &d.denoise_each(&first, &to));
            if attempt == 0 {
                past.push(leg.t, &x, look);
            }
            let improved = (first.clone() + second) * 0.5;

            // Accept or reject, row by row, on the host.
            let [mut old, one, two] = [&x, &first, &improved].map(|b| rows_f64(b.clone()));
            for (i, walker) in walkers.iter_mut().enumerate().filter(|(_, w)| w.rest > 0.0) {
                let row = i * dim..(i + 1) * dim;
                let ratio = |k: usize| {
                    let allowed = self.atol.max(self.rtol * old[k].abs().max(one[k].abs()));
                    ((one[k] - two[k]) / allowed).powi(2)
                };
                let error = (row.clone().map(ratio).sum::<f64>() / dim as f64).sqrt();
                let shortest = (SHORTEST * length).min(walker.rest);
                let proposed = (self.safety * walker.h * error.powf(-self.exponent)).max(SHORTEST * length);
                // A NaN is accepted at the shortest step, so that the run ends and shows it.
                if error <= 1.0 || walker.h <= shortest {
                    old[row.clone()].copy_from_slice(&two[row]);
                    walker.rest -= walker.h;
                    next[i] = proposed;
                } else {
                    // The increment goes back to the path that is known.
                    walker.ahead.push((walker.h, increments[i].clone()));
                }
                walker.h = if proposed.is_finite() { proposed.min(walker.rest) } else { walker.rest };
            }
            for walker in walkers.iter_mut().filter(|w| w.rest <= 0.0) {
                (walker.rest, walker.h) = (0.0, 0.0);
            }
            x = Tensor::from_data(TensorData::new(old, [n, dim]), (&x.device(), x.dtype()));
        }
        past.memo = next.into_iter().map(|h| vec![if h.is_finite() { h } else { f64::MAX }]).collect();
        x
    }
}

impl Method for AdaptiveSde {
    fn about(&self) -> &'static str {
        "adaptive improved Euler on the reverse SDE, a step size a sample (Jolicoeur-Martineau et al. 2021)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::number("rtol", "error allowed relative to the state", &mut self.rtol, 1e-8..=1.0),
            Key::number("atol", "error allowed near zero", &mut self.atol, 1e-8..=1.0),
            Key::number("safety", "what a proposed step is shortened by", &mut self.safety, 0.1..=1.0),
            Key::number("exponent", "how strongly the step follows the error", &mut self.exponent, 0.1..=1.0),
        ]
    }
}
