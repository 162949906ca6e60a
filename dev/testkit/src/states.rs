//! Laws on categories that are known row by row, and how far a sample is from one.

use scorefield_process::oracle::Finite;
use scorefield_process::states::{ColumnKind, StatesProcess, Survival, Transition};
use std::collections::HashMap;

fn process(transition: Transition, survival: Survival, levels: &[usize]) -> StatesProcess {
    let kinds = levels.iter().map(|&k| ColumnKind::Category(k)).collect();
    StatesProcess::new(kinds, transition, survival, None).expect("columns that fit")
}

/// The binary heartbeat of Sohl-Dickstein et al. 2015: 20 bits, every fifth a one, the five phases alike.
pub fn heartbeat(transition: Transition, survival: Survival) -> Finite {
    let rows = (0..5).map(|phase| (0..20).map(|i| usize::from(i % 5 == phase)).collect()).collect();
    Finite::new(process(transition, survival, &[2; 20]), rows, vec![1.0; 5])
}

/// Three dependent columns of three, four and five levels.
pub fn dependent_table(transition: Transition, survival: Survival) -> Finite {
    let rows: Vec<Vec<usize>> = (0..60).map(|i| vec![i % 3, i / 3 % 4, i / 12]).collect();
    let weight = |r: &Vec<usize>| (-0.8 * ((r[0] + r[1]) as f64 - r[2] as f64).abs()).exp() * (1.0 + r[1] as f64);
    let weights = rows.iter().map(weight).collect();
    Finite::new(process(transition, survival, &[3, 4, 5]), rows, weights)
}

/// The total variation between a sample of rows and a law with `weights` on the support of another, and what it is on average for a
/// sample of that law itself: `sum_i sqrt(p_i (1 - p_i) / (2 pi n))`.
pub fn total_variation(law: &Finite, weights: &[f64], drawn: &[Vec<usize>]) -> (f64, f64) {
    let n = drawn.len() as f64;
    let mut counts: HashMap<&[usize], f64> = HashMap::new();
    drawn.iter().for_each(|row| *counts.entry(row).or_default() += 1.0 / n);
    let inside: f64 =
        law.support().iter().zip(weights).map(|(row, p)| (counts.remove(row.as_slice()).unwrap_or(0.0) - p).abs()).sum();
    let outside: f64 = counts.values().sum();
    let noise = weights.iter().map(|p| (p * (1.0 - p) / (std::f64::consts::TAU * n)).sqrt()).sum();
    (0.5 * (inside + outside), noise)
}

/// The law multiplied by `r`, a function of a row, and normalised: one weight a row of the support.
pub fn multiplied(law: &Finite, r: impl Fn(&[usize]) -> f64) -> Vec<f64> {
    let each: Vec<f64> = law.support().iter().zip(law.weights()).map(|(row, w)| w * r(row)).collect();
    let total: f64 = each.iter().sum();
    each.into_iter().map(|w| w / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample that is the law has distance zero, one of another row alone all that it misses; `n` draws of a fair bit are off by
    /// `1 / sqrt(2 pi n)` on average.
    #[test]
    fn distances_are_those_of_counts() {
        let law = heartbeat(Transition::Uniform, Survival::Reciprocal);
        assert_eq!(total_variation(&law, law.weights(), law.support()).0, 0.0);
        let one = vec![law.support()[2].clone(); 7];
        assert!((total_variation(&law, law.weights(), &one).0 - 0.8).abs() < 1e-12);
        let strange = vec![vec![1; 20]; 3];
        assert!((total_variation(&law, law.weights(), &strange).0 - 1.0).abs() < 1e-12);
        let (_, noise) = total_variation(&law, &[0.5, 0.5, 0.0, 0.0, 0.0], &one);
        assert!((noise - (std::f64::consts::TAU * 7.0).sqrt().recip()).abs() < 1e-12);
        assert_eq!(multiplied(&law, |row| row[0] as f64), [1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
