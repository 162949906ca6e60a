//! Tau-leaping: the reverse chain in continuous time, its rates held over a leg (Campbell et al. 2022, section 4.2 and appendix).
//!
//! Over a leg each state `y` is jumped to a Poisson number of times of mean `r_y ln(keep_s / keep_t)`, `r` being the reverse rates at `t` in
//! units of the forgetting. A column that would jump more than once stays where it is, as jumps to different categories do not add;
//! between ordered levels the jumps add, and are held within the range. The error of a leg is of second order in its length.
//!
//! Two legs are the ancestral step, as is every leg of numbers: the first, where nothing is remembered at `t` (`keep = 0`) and the integrated
//! rate is infinite, and the last, to clean data, where rates grow beyond every bound as it goes and would leave masks in what is drawn.
//!
//! A corrector step at `s` holds the time and lets the chain run both ways, at the sum of its rates forwards and backwards, which leaves the
//! law at `s` as it is and mends what the leg did to it (their proposition 4). Its length is `size (1 - keep_t / keep_s)` in units of the
//! forgetting. Towards a mask a corrector masks again what was unmasked, also what is known ([`Factor::start`](super::Factor::start)).

use super::StatesSolver;
use crate::solver::Key;
use scorefield_process::Leg;
use scorefield_process::states::{Columns, Group, StatesDenoiser, StatesProcess};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Streams, batch_f64, rows_f64};

/// Poisson jumps at the rates of the leg's beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct TauLeaping {
    /// Corrector steps after each leg but the last.
    pub correctors: usize,
    /// Their length, in shares of what the leg forgets.
    pub size: f64,
}

/// A step has streams for 256 draws, and each corrector takes one.
const MOST_CORRECTORS: usize = 200;

impl Default for TauLeaping {
    fn default() -> Self {
        Self { correctors: 0, size: 1.0 }
    }
}

impl TauLeaping {
    pub(super) const ABOUT: &'static str = "Poisson jumps of the reverse chain in continuous time (Campbell et al. 2022).";

    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::count("correctors", "steps at the same time after each leg", &mut self.correctors, 0..=MOST_CORRECTORS),
            Key::number("size", "of a corrector, in shares of what the leg forgets", &mut self.size, 0.0..=10.0),
        ]
    }

    /// The state after jumps with these means, `[n, width]`; numbers stay.
    fn leap(process: &StatesProcess, x: &Batch, means: &Batch, noise: &mut Streams) -> Batch {
        let (n, columns) = (x.dims()[0], process.columns());
        let (mut out, means) = (rows_f64(x.clone()), rows_f64(means.clone()));
        let ordered: Vec<bool> = process.parts().map(|(_, kernel)| kernel.is_some_and(|k| k.is_ordered())).collect();
        let width = columns.width();
        for (i, (row, means)) in out.chunks_exact_mut(width).zip(means.chunks_exact(width)).enumerate() {
            jump(columns, &ordered, means, row, &noise.stream(i));
        }
        noise.advance();
        batch_f64(out, n, &x.device()).cast(x.dtype())
    }
}

impl StatesSolver for TauLeaping {
    fn name(&self) -> &'static str {
        "tau-leaping"
    }

    fn evaluations_per_step(&self) -> usize {
        1 + self.correctors
    }

    fn step(&self, d: &dyn StatesDenoiser, x: &Batch, leg: Leg, noise: &mut Streams) -> Batch {
        let process = d.process();
        let (at_t, at_s) = (process.at(leg.t), process.at(leg.s));
        let clean = d.denoise(x, leg.t);
        let drawn = process.posterior(x, &clean, &at_t, &at_s).draw(process.columns(), noise);
        let mut next = if at_t.keep <= 0.0 || at_s.keep >= 1.0 {
            drawn
        } else {
            let means = process.rates(x, &clean, &at_t) * (at_s.keep / at_t.keep).ln();
            let jumped = Self::leap(process, x, &means, noise);
            numbers_of(process, jumped, &drawn)
        };
        if at_s.keep < 1.0 {
            let length = self.size * (1.0 - at_t.keep / at_s.keep);
            for _ in 0..self.correctors {
                let back = process.rates(&next, &d.denoise(&next, leg.s), &at_s);
                next = Self::leap(process, &next, &((back + process.forward_rates(&next)) * length), noise);
            }
        }
        next
    }
}

/// The categories of one state with the numbers of another.
fn numbers_of(process: &StatesProcess, categories: Batch, numbers: &Batch) -> Batch {
    let groups = process.columns().groups();
    if groups.iter().all(|g| g.is_category()) {
        return categories;
    }
    let of = |g: &Group| if g.is_category() { g.of(&categories) } else { g.of(numbers) };
    Batch::cat(groups.iter().map(of).collect(), 1)
}

/// The jumps of one row.
fn jump(columns: &Columns, ordered: &[bool], means: &[f64], row: &mut [f64], stream: &Stream) {
    for (group, &ordered) in columns.groups().iter().zip(ordered).filter(|(g, _)| g.is_category()) {
        for at in (group.entry..group.entry + group.width()).step_by(group.states) {
            let range = at..at + group.states;
            let here = row[range.clone()].iter().position(|v| *v > 0.5).unwrap_or(0);
            let jumps: Vec<u32> = range.clone().map(|e| poisson(means[e], stream.uniform(e))).collect();
            let total: u32 = jumps.iter().sum();
            let place = if ordered {
                let moved: f64 = jumps.iter().enumerate().map(|(y, &k)| f64::from(k) * (y as f64 - here as f64)).sum();
                (here as f64 + moved).clamp(0.0, (group.states - 1) as f64) as usize
            } else if total == 1 {
                jumps.iter().position(|k| *k == 1).unwrap_or(here)
            } else {
                here
            };
            row[range].fill(0.0);
            row[at + place] = 1.0;
        }
    }
}

/// A Poisson number of a mean, by inversion of a uniform one.
fn poisson(mean: f64, u: f64) -> u32 {
    // Rounding can leave a rate below zero.
    let mean = mean.max(0.0);
    let (mut k, mut p) = (0, (-mean).exp());
    let mut sum = p;
    while u > sum && k < 1000 {
        k += 1;
        p *= mean / f64::from(k);
        sum += p;
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_numbers_have_their_law() {
        for mean in [0.0, 0.3, 4.0] {
            let n = 20_000;
            let draws: Vec<u32> = (0..n).map(|i| poisson(mean, (f64::from(i) + 0.5) / f64::from(n))).collect();
            let average = draws.iter().sum::<u32>() as f64 / f64::from(n);
            let square = draws.iter().map(|k| f64::from(k * k)).sum::<f64>() / f64::from(n);
            assert!(
                (average - mean).abs() < 1e-3 * (1.0 + mean) && (square - average * average - mean).abs() < 5e-3 * (1.0 + mean)
            );
        }
    }
}
