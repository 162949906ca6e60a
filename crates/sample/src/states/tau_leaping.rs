//! Tau-leaping: the reverse chain in continuous time, its rates held over a leg (Campbell et al. 2022, section 4.2 and appendix).
//!
//! Over a leg each state `y` is jumped to a Poisson number of times of mean `r_y ln(keep_s / keep_t)`, `r` being the reverse rates at `t` in
//! units of the forgetting. A column that would jump more than once stays where it is, as jumps to different categories do not add;
//! between ordered levels the jumps add, and are held within the range. The error of a leg is of second order in its length. Where nothing
//! is remembered at `t` (`keep = 0`) the integrated rate is infinite: that one leg is the ancestral step, as is every leg of numbers.

use super::{AncestralStates, StatesSolver};
use crate::solver::Key;
use scorefield_process::Leg;
use scorefield_process::states::{Columns, StatesDenoiser};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Streams, batch_f64, rows_f64};

/// Poisson jumps at the rates of the leg's beginning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TauLeaping;

impl TauLeaping {
    pub(super) const ABOUT: &'static str = "Poisson jumps of the reverse chain in continuous time (Campbell et al. 2022).";

    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        Vec::new()
    }
}

impl StatesSolver for TauLeaping {
    fn name(&self) -> &'static str {
        "tau-leaping"
    }

    fn step(&self, d: &dyn StatesDenoiser, x: &Batch, leg: Leg, noise: &mut Streams) -> Batch {
        let process = d.process();
        let (at_t, at_s) = (process.at(leg.t), process.at(leg.s));
        if at_t.keep <= 0.0 {
            return AncestralStates::default().step(d, x, leg, noise);
        }
        let clean = d.denoise(x, leg.t);
        let means = process.rates(x, &clean, &at_t) * (at_s.keep / at_t.keep).ln();
        let numbers = process.posterior(x, &clean, &at_t, &at_s).draw(process.columns(), noise);
        let (n, columns) = (x.dims()[0], process.columns());
        let (state, means, mut out) = (rows_f64(x.clone()), rows_f64(means), rows_f64(numbers));
        let ordered: Vec<bool> = process.parts().map(|(_, kernel)| kernel.is_some_and(|k| k.is_ordered())).collect();
        let width = columns.width();
        for i in 0..n {
            let rows = i * width..(i + 1) * width;
            jump(columns, &ordered, &state[rows.clone()], &means[rows.clone()], &mut out[rows], &noise.stream(i));
        }
        noise.advance();
        batch_f64(out, n, &x.device()).cast(x.dtype())
    }
}

/// The jumps of one row.
fn jump(columns: &Columns, ordered: &[bool], state: &[f64], means: &[f64], out: &mut [f64], stream: &Stream) {
    for (group, &ordered) in columns.groups().iter().zip(ordered).filter(|(g, _)| g.is_category()) {
        for at in (group.entry..group.entry + group.width()).step_by(group.states) {
            let range = at..at + group.states;
            let here = state[range.clone()].iter().position(|v| *v > 0.5).unwrap_or(0);
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
            out[range.clone()].fill(0.0);
            out[at + place] = 1.0;
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
