//! A model's law multiplied by what else is known, against the enumerated product.

use scorefield_process::oracle::Finite;
use scorefield_process::states::{ColumnKind, StatesConfig, StatesDenoiser, StatesProcess, Survival, Transition};
use scorefield_process::{Grid, ProcessConfig};
use scorefield_sample::Job;
use scorefield_sample::states::{Factor, StatesSolverKind, sample_states};
use scorefield_tensor::{Batch, DType, Device, batch_f64, rows_f64};
use scorefield_testkit::{heartbeat, multiplied, total_variation};
use std::ops::{ControlFlow, Range};

/// Evidence on binary columns: `r` of 0 and of 1 for some of the columns.
type Evidence<'a> = &'a [(usize, [f64; 2])];

/// The factor of evidence, for `n` samples.
fn factor(law: &Finite, evidence: Evidence<'_>, n: usize) -> Factor {
    let width = law.process().columns().width();
    let states = width / 20;
    let mut r = vec![1.0; width];
    for (column, of) in evidence {
        r[column * states..column * states + 2].copy_from_slice(of);
        r[column * states + 2..(column + 1) * states].fill(0.0);
    }
    Factor::evidence(batch_f64(r.repeat(n), n, &Device::default()))
}

fn draw(law: &Finite, solver: &str, steps: usize, n: u64, evidence: Evidence<'_>) -> Vec<Vec<usize>> {
    let grid = Grid::new(StatesConfig::times(steps)).unwrap();
    let kind: StatesSolverKind = solver.parse().unwrap();
    let job = Job { batch: 500, dtype: DType::F64, ..Job::new(11, n, 0) };
    let factor = |range: &Range<u64>| Some(factor(law, evidence, (range.end - range.start) as usize));
    let x: Batch = sample_states(|_| law, factor, &*kind.build(), &grid, &job, |_, _| ControlFlow::Continue(())).unwrap();
    rows_f64(x).chunks_exact(20).map(|r| r.iter().map(|&v| v as usize).collect()).collect()
}

/// Total variation from the enumerated product, and what it is for a sample of that law.
fn of(transition: Transition, solver: &str, steps: usize, n: u64, evidence: Evidence<'_>) -> (f64, f64) {
    let law = heartbeat(transition, Survival::Reciprocal);
    let exact = multiplied(&law, |row| evidence.iter().map(|(c, r)| r[row[*c]]).product());
    total_variation(&law, &exact, &draw(&law, solver, steps, n, evidence))
}

/// Half of the bits, which tell the phase.
fn half() -> Vec<(usize, [f64; 2])> {
    (0..10).map(|c| (c, if c % 5 == 3 { [0.0, 1.0] } else { [1.0, 0.0] })).collect()
}

/// Two bits, which leave three phases.
fn two() -> Vec<(usize, [f64; 2])> {
    vec![(0, [1.0, 0.0]), (1, [1.0, 0.0])]
}

/// Six bits through a channel that flips one in five.
fn noisy() -> Vec<(usize, [f64; 2])> {
    let seen = [(0, 1), (3, 0), (7, 1), (8, 0), (12, 1), (19, 0)];
    seen.map(|(c, bit)| (c, if bit == 1 { [0.2, 0.8] } else { [0.8, 0.2] })).to_vec()
}

#[test]
fn half_a_heartbeat_tells_the_rest() {
    for (transition, solver, steps) in [
        (Transition::Uniform, "ancestral:repeats=5", 20),
        (Transition::Uniform, "ancestral:particles=4", 20),
        (Transition::Absorbing, "ancestral", 50),
        (Transition::Absorbing, "ancestral:particles=4", 20),
    ] {
        let (found, _) = of(transition, solver, steps, 400, &half());
        assert!(found < 0.01, "{transition:?} {solver}: {found}");
    }
    // Without either the chain towards 1/2 needs many steps.
    assert!(of(Transition::Uniform, "ancestral", 20, 400, &half()).0 > 0.05);
}

/// Where evidence leaves a choice it must be told in time: particles do, steps that are multiplied do not.
#[test]
fn particles_draw_the_product() {
    for (evidence, plain) in [(two(), 0.2), (noisy(), 0.3)] {
        let (alone, _) = of(Transition::Uniform, "ancestral", 20, 600, &evidence);
        assert!(alone > plain, "{alone}");
        let (found, noise) = of(Transition::Uniform, "ancestral:particles=64", 20, 600, &evidence);
        assert!(found < 0.01 + 2.0 * noise, "{found} {noise}");
    }
    // Towards a mask the chain itself needs more steps.
    let (alone, _) = of(Transition::Absorbing, "ancestral", 120, 300, &noisy());
    let (found, noise) = of(Transition::Absorbing, "ancestral:particles=16", 120, 300, &noisy());
    assert!(alone > 0.3 && found < 0.05 + 2.0 * noise, "{alone} {found} {noise}");
}

/// Twice the evidence is another law: its square.
#[test]
fn evidence_counted_twice_is_seen() {
    let law = heartbeat(Transition::Uniform, Survival::Reciprocal);
    let exact = multiplied(&law, |row| noisy().iter().map(|(c, r)| r[row[*c]]).product());
    let twice: Vec<(usize, [f64; 2])> = noisy().into_iter().map(|(c, r)| (c, r.map(|v| v * v))).collect();
    let (found, noise) = total_variation(&law, &exact, &draw(&law, "ancestral:particles=32", 20, 500, &twice));
    assert!(found > 0.01 + 3.0 * noise, "{found} {noise}");
}

#[test]
fn particles_of_a_sample_see_no_other_sample() {
    let law = heartbeat(Transition::Uniform, Survival::Reciprocal);
    let grid = Grid::new(StatesConfig::times(5)).unwrap();
    let kind: StatesSolverKind = "ancestral:particles=6".parse().unwrap();
    let of = |samples: Range<u64>, batch: usize| {
        let job = Job { samples, batch, dtype: DType::F64, ..Job::new(3, 0, 0) };
        let factor = |range: &Range<u64>| Some(factor(&law, &noisy(), (range.end - range.start) as usize));
        rows_f64(sample_states(|_| &law, factor, &*kind.build(), &grid, &job, |_, _| ControlFlow::Continue(())).unwrap())
    };
    let whole = of(0..10, 10);
    assert_eq!(whole, of(0..10, 3));
    assert_eq!(whole[80..120], of(4..6, 64));
}

/// A category and a number that depend on each other: `c` in 0 and 1 alike, the number `N(+-1, S)` by `c`.
struct Pair(StatesProcess);

const S: f64 = 0.25;

impl StatesDenoiser for Pair {
    fn process(&self) -> &StatesProcess {
        &self.0
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let at = self.0.at(t);
        let (m, told) = (at.numbers.clone().unwrap(), rows_f64(self.0.likelihood(x, &at)));
        let spread = m.alpha * m.alpha * S + m.sigma * m.sigma;
        let rows = rows_f64(x.clone());
        let clean = rows.chunks_exact(3).zip(told.chunks_exact(3)).flat_map(|(row, told)| {
            let of = |c: usize| (2.0 * c as f64 - 1.0, row[2] - m.alpha * (2.0 * c as f64 - 1.0));
            let logs = [0, 1].map(|c| told[c].ln() - 0.5 * of(c).1.powi(2) / spread);
            let one = 1.0 / (1.0 + (logs[0] - logs[1]).exp());
            let mean = |c: usize| of(c).0 + m.alpha * S / spread * of(c).1;
            [1.0 - one, one, (1.0 - one) * mean(0) + one * mean(1)]
        });
        batch_f64(clean.collect(), x.dims()[0], &x.device())
    }
}

/// The number is measured to be 1/2 with variance `S`: then `c = 1` has the odds `N(1/2; 1, 2 S) : N(1/2; -1, 2 S) = e^2 : 1`, and the number
/// given `c` is `N((+-1 + 1/2) / 2, S / 2)`.
#[test]
fn numbers_inform_categories() {
    let numbers = ProcessConfig::VpCosine { offset: 0.008 }.build().unwrap();
    let kinds = vec![ColumnKind::Category(2), ColumnKind::Number];
    let law = Pair(StatesProcess::new(kinds, Transition::Uniform, Survival::Reciprocal, Some(numbers)).unwrap());
    let grid = Grid::new(StatesConfig::times(240)).unwrap();
    let n = 1000;
    let moments = |solver: &str, precision: f64| {
        let factor = |range: &Range<u64>| {
            let rows = (range.end - range.start) as usize;
            let x0 = batch_f64([1.0, 0.0, 0.5].repeat(rows), rows, &Device::default());
            let mut factor = Factor::known(law.process(), &x0, &[false, true]);
            factor.measured(law.process(), &[f64::INFINITY, precision.powf(-0.5)]);
            Some(factor)
        };
        let kind: StatesSolverKind = solver.parse().unwrap();
        let job = Job { batch: 500, dtype: DType::F64, ..Job::new(5, n, 0) };
        let x = sample_states(|_| &law, factor, &*kind.build(), &grid, &job, |_, _| ControlFlow::Continue(())).unwrap();
        let x = rows_f64(x);
        let mean = |of: &dyn Fn(&[f64]) -> f64| x.chunks_exact(2).map(of).sum::<f64>() / n as f64;
        [mean(&|r| r[0]), mean(&|r| r[1]), mean(&|r| r[1] * r[1])]
    };
    let one = 1.0 / (1.0 + (-2.0f64).exp());
    let exact = [one, 0.75 * one - 0.25 * (1.0 - one), 0.125 + 0.5625 * one + 0.0625 * (1.0 - one)];
    let near = |found: [f64; 3]| found.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    // Four standard errors and the steps' own error.
    let right = near(moments("ancestral:particles=32", 1.0 / S));
    assert!(right < 0.05, "{right}");
    assert!(near(moments("ancestral:particles=32", 4.0 / S)) > 0.1);
}
