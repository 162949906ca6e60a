//! The bound on states against laws whose density, and whose bound, are known.

use scorefield_process::oracle::{Finite, MarkovChain};
use scorefield_process::states::{ColumnKind, StatesDenoiser, StatesProcess, Survival, Transition};
use scorefield_process::{Process, ProcessConfig};
use scorefield_sample::density::{Edges, StatesBound, StatesBoundError, StatesBoundOptions, null_nats, states_bound};
use scorefield_tensor::{Batch, DType, Device, Purpose, batch_f64, rows_f64};
use std::f64::consts::{E, LN_2, TAU};

/// Standard errors within which an estimate must lie.
const ERRORS: f64 = 4.0;

fn process(transition: Transition, survival: Survival, levels: usize, columns: usize) -> StatesProcess {
    StatesProcess::new(vec![ColumnKind::Category(levels); columns], transition, survival, None).unwrap()
}

fn double() -> Batch {
    Batch::zeros([1, 1], (&Device::default(), DType::F64))
}

fn bound(law: &dyn StatesDenoiser, x0: &Batch, options: StatesBoundOptions) -> StatesBound {
    let samples: Vec<u64> = (0..x0.dims()[0] as u64).collect();
    states_bound(law, x0, &samples, &StatesBoundOptions { batch: 4096, ..options }).unwrap()
}

/// Twenty bits, every fifth of them set: five sequences (Sohl-Dickstein et al. 2015, section 3.1.2).
fn heartbeat(transition: Transition, survival: Survival) -> Finite {
    let rows = (0..5).map(|phase| (0..20).map(|c| usize::from(c % 5 == phase)).collect()).collect();
    Finite::new(process(transition, survival, 2, 20), rows, vec![1.0; 5])
}

fn beats(law: &Finite) -> Batch {
    Batch::cat((0..5).map(|i| law.wide(i, &double())).collect(), 0)
}

/// The states of a heartbeat up to the order of the four columns of a phase, and of the four phases that are not the first: how many columns
/// of each phase are not what the first sequence has, 350 classes, and how many orders of the phases a class stands for.
struct Classes {
    states: Batch,
    ways: Vec<f64>,
    changed: Vec<[usize; 5]>,
}

impl Classes {
    fn new(law: &Finite) -> Self {
        let (mut narrow, mut ways, mut changed) = (vec![], vec![], vec![]);
        for i in 0..5usize.pow(5) {
            let counts: [usize; 5] = std::array::from_fn(|k| i / 5usize.pow(k as u32) % 5);
            if counts[1..].is_sorted() {
                let alike = |k: usize| (1..=counts[1..].iter().filter(|c| **c == k).count()).product::<usize>();
                ways.push(24.0 / (0..5).map(alike).product::<usize>() as f64);
                narrow.extend((0..20).map(|c| match (c / 5 < counts[c % 5], law.process().columns().masked()) {
                    (false, _) => f64::from(u8::from(c % 5 == 0)),
                    (true, false) => f64::from(u8::from(c % 5 != 0)),
                    (true, true) => 2.0,
                }));
                changed.push(counts);
            }
        }
        let narrow = batch_f64(narrow, ways.len(), &Device::default());
        Self { states: law.process().columns().expand(&narrow), ways, changed }
    }

    /// The probability of each class where a column is changed with probability `p`.
    fn weights(&self, p: f64) -> Vec<f64> {
        let binomial = |k: usize| [1.0, 4.0, 6.0, 4.0, 1.0][k] * p.powi(k as i32) * (1.0 - p).powi(4 - k as i32);
        self.ways.iter().zip(&self.changed).map(|(w, c)| w * c.iter().map(|k| binomial(*k)).product::<f64>()).collect()
    }
}

/// `K` of a heartbeat in nats without chance: all sequences have the same, and the expectation over states is a sum over classes.
fn exactly(law: &Finite, steps: usize, edges: Edges) -> f64 {
    let (p, classes) = (law.process(), Classes::new(law));
    let change = |t: f64| (1.0 - p.at(t).keep) * if p.columns().masked() { 1.0 } else { 0.5 };
    let one = law.wide(0, &double());
    let x0 = one.clone().repeat_dim(0, classes.ways.len());
    let step = |i: usize| {
        let (t, s) = (i as f64 / steps as f64, (i - 1) as f64 / steps as f64);
        let terms = rows_f64(p.step_term(&x0, &classes.states, &law.denoise(&classes.states, t), &p.at(t), &p.at(s)));
        let possible = terms.iter().zip(classes.weights(change(t))).filter(|(_, w)| *w > 0.0);
        possible.map(|(term, w)| term * w).sum::<f64>()
    };
    let (first, ends) = match edges {
        Edges::Model => (1, rows_f64(p.prior_term(&one))[0]),
        Edges::Paper => {
            let entropy = |f: f64| if f > 0.0 { -20.0 * (f * f.ln() + (1.0 - f) * (1.0 - f).ln()) } else { 0.0 };
            (2, 20.0 * LN_2 - entropy(change(1.0)) + entropy(change(1.0 / steps as f64)))
        }
    };
    -ends - (first..=steps).map(step).sum::<f64>()
}

/// The estimate is that of the exact bound: all steps, some, and in the paper's arrangement. Twice a term is seen.
#[test]
fn estimates_agree_with_enumeration() {
    let options = StatesBoundOptions { steps: 24, draws: 400, ..StatesBoundOptions::default() };
    for (transition, edges) in
        [(Transition::Uniform, Edges::Model), (Transition::Uniform, Edges::Paper), (Transition::Absorbing, Edges::Model)]
    {
        let law = heartbeat(transition, Survival::Cosine { offset: 0.008 });
        let exact = exactly(&law, options.steps, edges);
        for visited in [None, Some(7), Some(24)] {
            let found = bound(&law, &beats(&law), StatesBoundOptions { visited, edges, ..options.clone() });
            let off = |b: &StatesBound| (b.mean() - exact).abs() / b.noise().unwrap();
            assert!(off(&found) < ERRORS, "{transition:?} {edges:?} {visited:?}: {} {exact} {:?}", found.mean(), found.noise());
            let doubled = StatesBound { steps: found.steps.iter().map(|v| 2.0 * v).collect(), ..found.clone() };
            assert!(off(&doubled) > 2.0 * ERRORS, "{transition:?} {edges:?}: twice the steps pass");
            let listed: f64 = found.terms.iter().map(|t| t.1).sum();
            let mean = found.steps.iter().sum::<f64>() / found.steps.len() as f64;
            assert!((listed - mean).abs() < 1e-9 && found.terms.is_sorted_by(|a, b| a.0 < b.0));
        }
    }
}

/// Under the exact denoiser the bound lacks `c / T` bits of -log2 5; the first paper's arrangement lacks the entropy of the first step too.
#[test]
fn a_heartbeat_at_few_steps_and_many() {
    let truth = -(5f64.log2());
    let lacks = |law: &Finite, steps, edges| truth - exactly(law, steps, edges) / LN_2;
    for (transition, survival, c) in [
        (Transition::Uniform, Survival::Reciprocal, 4.956),
        (Transition::Uniform, Survival::Cosine { offset: 0.008 }, 7.180),
        (Transition::Absorbing, Survival::Reciprocal, 7.275),
    ] {
        let law = heartbeat(transition, survival.clone());
        let lack = lacks(&law, 100, Edges::Model);
        assert!((100.0 * lack - c).abs() < 2e-3, "{transition:?} {survival:?}: {} / T", 100.0 * lack);
    }
    // The smallest numbers of steps from which K >= -2.34 bits.
    let law = heartbeat(Transition::Uniform, Survival::Reciprocal);
    let at = |steps| exactly(&law, steps, Edges::Model) / LN_2;
    assert!(at(273) >= -2.34 && at(272) < -2.34, "{} {}", at(272), at(273));
    // The integral instead of the steps behind the first, by its midpoints: nothing is lacking but what one step does.
    let (p, classes, cells) = (law.process(), Classes::new(&law), 200);
    let x0 = law.wide(0, &double()).repeat_dim(0, classes.ways.len());
    let mean = |terms: Batch, t: f64| -> f64 {
        rows_f64(terms).iter().zip(classes.weights(0.5 * (1.0 - p.at(t).keep))).map(|(v, w)| v * w).sum()
    };
    let clean = |t: f64| law.denoise(&classes.states, t);
    let rate = |i: usize| {
        let t = (i as f64 + 0.5) / cells as f64;
        mean(p.rate_term(&x0, &classes.states, &clean(t), &p.at(t)), t) / cells as f64
    };
    let t = 1.0 / cells as f64;
    let integral = -(1..cells).map(rate).sum::<f64>() - mean(p.surprise(&x0, &clean(t)), t);
    assert!((integral / LN_2 - truth).abs() < 1e-3, "{} {truth}", integral / LN_2);
    // Each bit of x_1 is flipped with probability 1 / 2T, which the paper's first step pays in full.
    let (ours, paper) = (lacks(&law, 100, Edges::Model), lacks(&law, 100, Edges::Paper));
    let f: f64 = 0.005;
    let first = -20.0 * (f * f.log2() + (1.0 - f) * (1.0 - f).log2());
    assert!(ours > 0.0 && paper > ours + 0.9 * first && paper < ours + first, "{ours} {paper} {first}");
}

/// `K - ln p(x_0)` in bits, mean and standard error over rows drawn from a chain.
fn below(law: &MarkovChain, options: StatesBoundOptions, rows: u64) -> (f64, f64) {
    let narrow = law.draw(3, &(0..rows).collect::<Vec<_>>(), &double());
    let truth = rows_f64(narrow.clone());
    let truth = truth.chunks(law.len()).map(|r| law.ln_probability(&r.iter().map(|v| *v as usize).collect::<Vec<_>>()));
    let k = bound(law, &law.process().columns().expand(&narrow), options).nats();
    let gaps: Vec<f64> = k.iter().zip(truth).map(|(k, truth)| (k - truth) / LN_2).collect();
    let (n, mean) = (rows as f64, gaps.iter().sum::<f64>() / rows as f64);
    (mean, (gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
}

/// Columns that mostly repeat the one before: of two states, of three levels where levels are ordered.
fn sticky(transition: Transition, survival: Survival, columns: usize) -> MarkovChain {
    let (levels, first, steps) = match transition {
        Transition::Ordered { .. } => (3, vec![0.2, 0.5, 0.3], vec![0.8, 0.15, 0.05, 0.1, 0.8, 0.1, 0.1, 0.2, 0.7]),
        _ => (2, vec![0.5, 0.5], vec![0.9, 0.1, 0.2, 0.8]),
    };
    MarkovChain::new(process(transition, survival, levels, columns), first, steps)
}

/// Sixteen dependent columns: few steps are far below the truth, many are at it within an error that is
/// small beside any of the terms.
#[test]
fn sixteen_columns_are_bounded() {
    for (transition, survival) in [
        (Transition::Uniform, Survival::Reciprocal),
        (Transition::Absorbing, Survival::Cosine { offset: 0.008 }),
        (Transition::Ordered { width: 0.5 }, Survival::Cosine { offset: 0.008 }),
    ] {
        let law = sticky(transition, survival.clone(), 16);
        let options = StatesBoundOptions { steps: 4, draws: 2, ..StatesBoundOptions::default() };
        let (gap, error) = below(&law, options.clone(), 200);
        assert!(gap < -5.0 * error, "{transition:?} {survival:?}: four steps {gap} +- {error}");
        for continuous in [false, true] {
            let options = StatesBoundOptions { steps: 1000, visited: Some(40), continuous, draws: 1, ..options.clone() };
            let (gap, error) = below(&law, options, 1500);
            let few = ERRORS * error < 0.05 * law.entropy() / LN_2;
            assert!(gap.abs() < ERRORS * error && few, "{transition:?} {survival:?} {continuous}: {gap} +- {error}");
        }
    }
}

/// What `K` lacks in bits at a number of steps, by enumeration of all rows and all states.
fn lacks(law: &MarkovChain, steps: usize) -> f64 {
    let (p, n) = (law.process(), law.len());
    let kernel = p.parts().next().unwrap().1.unwrap();
    let places = kernel.states();
    let every = |k: usize| -> Vec<Vec<usize>> {
        (0..k.pow(n as u32)).map(|i| (0..n).map(|c| i / k.pow(c as u32) % k).collect()).collect()
    };
    let (rows, states) = (every(kernel.levels()), every(places));
    let wide = |rows: &[Vec<usize>]| {
        let narrow = rows.iter().flatten().map(|v| *v as f64).collect();
        p.columns().expand(&batch_f64(narrow, rows.len(), &Device::default()))
    };
    let (x, x0) = (wide(&states), wide(&rows));
    let each = Batch::cat((0..rows.len()).map(|i| x0.clone().narrow(0, i, 1).repeat_dim(0, states.len())).collect(), 0);
    let mut nats = rows_f64(p.prior_term(&x0)).iter().zip(&rows).map(|(v, row)| v * law.ln_probability(row).exp()).sum::<f64>();
    for i in 1..=steps {
        let (t, s) = (i as f64 / steps as f64, (i - 1) as f64 / steps as f64);
        let (at_t, at_s, q) = (p.at(t), p.at(s), kernel.transition(p.at(t).keep));
        let clean = law.denoise(&x, t).repeat_dim(0, rows.len());
        let terms = rows_f64(p.step_term(&each, &x.clone().repeat_dim(0, rows.len()), &clean, &at_t, &at_s));
        for (row, terms) in rows.iter().zip(terms.chunks(states.len())) {
            let told = |x: &Vec<usize>| row.iter().zip(x).map(|(k, j)| q[k * places + j]).product::<f64>();
            let possible = states.iter().map(told).zip(terms).filter(|(w, _)| *w > 1e-25);
            nats += law.ln_probability(row).exp() * possible.map(|(w, term)| w * term).sum::<f64>();
        }
    }
    (nats - law.entropy()) / LN_2
}

/// Below the truth at any number of steps, by `c / T`: within 0.01 bits at a thousand.
#[test]
fn chains_lack_what_falls_with_the_number_of_steps() {
    for transition in [Transition::Uniform, Transition::Absorbing, Transition::Ordered { width: 0.5 }] {
        for survival in Survival::all() {
            // What is left at the end of the linear rates, e^-10, no chain towards a mask can have begun with.
            if transition == Transition::Absorbing && matches!(survival, Survival::Linear { .. }) {
                continue;
            }
            let law = sticky(transition, survival.clone(), 2);
            let (few, more) = (lacks(&law, 50), lacks(&law, 200));
            assert!(few > more && more > 0.0 && (few / more - 4.0).abs() < 0.25, "{transition:?} {survival:?}: {few} {more}");
            let thousand = lacks(&law, 1000);
            assert!(thousand > 0.0 && thousand < 0.01, "{transition:?} {survival:?}: {thousand}");
        }
    }
}

/// Independent normal columns.
struct Normals {
    process: StatesProcess,
    variance: f64,
}

impl StatesDenoiser for Normals {
    fn process(&self) -> &StatesProcess {
        &self.process
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let m = self.process.at(t).numbers.unwrap();
        x.clone() * (m.alpha * self.variance / (m.alpha * m.alpha * self.variance + m.sigma * m.sigma))
    }
}

/// Numbers through a process on states: the expectation of each term is a closed formula, and the sum is below the log-density.
#[test]
fn normals_are_bounded() {
    for config in [ProcessConfig::VpCosine { offset: 0.008 }, ProcessConfig::Ve { sigma_min: 0.01, sigma_max: 50.0 }] {
        of_normals(config.build().unwrap());
    }
}

fn of_normals(numbers: Box<dyn Process>) {
    let (d, variance, n) = (3, 0.6, 2500);
    let process =
        StatesProcess::new(vec![ColumnKind::Number; d], Transition::Uniform, Survival::Reciprocal, Some(numbers)).unwrap();
    let law = Normals { process, variance };
    let like = Batch::zeros([n, d], (&Device::default(), DType::F64));
    let mut streams = scorefield_tensor::Streams::new(9, (0..n as u64).collect(), Purpose::User);
    let x0 = scorefield_tensor::Noise::normal(&mut streams, &like) * variance.sqrt();
    let truth: Vec<f64> = rows_f64(x0.clone())
        .chunks(d)
        .map(|r| r.iter().map(|x| -0.5 * (x * x / variance + (TAU * variance).ln())).sum())
        .collect();
    let closed = |steps: usize| {
        let at = |i: usize| law.process.at(i as f64 / steps as f64).numbers.unwrap();
        let snr = |i: usize| (at(i).alpha / at(i).sigma).powi(2);
        let left = |i: usize| variance / (1.0 + snr(i) * variance);
        let steps_sum: f64 = (2..=steps).map(|i| 0.5 * (snr(i - 1) - snr(i)) * left(i)).sum();
        let decoder = 0.5 * (snr(1) * left(1) + (TAU / snr(1)).ln());
        -(d as f64) * (0.5 * snr(steps) * variance + steps_sum + decoder)
    };
    let entropy = 0.5 * d as f64 * (TAU * E * variance).ln();
    for steps in [10, 100, 1000] {
        let lack = -entropy - closed(steps);
        assert!(lack > 0.0, "{steps}: {lack}");
    }
    let paired = |b: &StatesBound| -> Vec<f64> { b.nats().iter().zip(&truth).map(|(k, t)| k - t).collect() };
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let error = |v: &[f64]| (v.iter().map(|x| (x - mean(v)).powi(2)).sum::<f64>()).sqrt() / v.len() as f64;
    let found = bound(&law, &x0, StatesBoundOptions { steps: 100, ..StatesBoundOptions::default() });
    let off = paired(&found);
    assert!((mean(&off) - closed(100) - entropy).abs() < ERRORS * error(&off), "{} {}", mean(&off), closed(100) + entropy);
    let found = bound(&law, &x0, StatesBoundOptions { steps: 200, continuous: true, ..StatesBoundOptions::default() });
    let off = paired(&found);
    assert!(mean(&off).abs() < ERRORS * error(&off) && error(&off) < 0.06, "{} +- {}", mean(&off), error(&off));
}

#[test]
fn rows_do_not_depend_on_their_company_or_precision() {
    let law = heartbeat(Transition::Absorbing, Survival::Reciprocal);
    let options =
        StatesBoundOptions { steps: 50, visited: Some(6), continuous: true, draws: 3, seed: 7, ..StatesBoundOptions::default() };
    let whole = bound(&law, &beats(&law), options.clone());
    let alone =
        states_bound(&law, &beats(&law).narrow(0, 3, 1), &[3], &StatesBoundOptions { batch: 2, ..options.clone() }).unwrap();
    assert_eq!(whole.draws()[9..12], alone.draws()[..]);
    let single = bound(&law, &beats(&law).cast(DType::F32), options);
    assert!(whole.nats().iter().zip(single.nats()).all(|(a, b)| (a - b).abs() < 1e-4 * a.abs()));
}

#[test]
fn independent_columns_are_what_nothing_knows() {
    let kinds = vec![ColumnKind::Category(2), ColumnKind::Number, ColumnKind::Number];
    let columns = scorefield_process::states::Columns::new(kinds, true);
    let x0 = columns.expand(&batch_f64(vec![0.0, 1.0, 5.0, 0.0, 3.0, 5.0, 0.0, 1.0, 5.0, 1.0, 3.0, 5.0], 4, &Device::default()));
    let exact = 0.75 * 0.75f64.ln() + 0.25 * 0.25f64.ln() - (TAU * E * 0.5).ln();
    assert!((null_nats(&columns, &x0) - exact).abs() < 1e-12);
    let law = heartbeat(Transition::Uniform, Survival::Reciprocal);
    let bits = 20.0 * (0.2 * 0.2f64.log2() + 0.8 * 0.8f64.log2());
    assert!((null_nats(law.process().columns(), &beats(&law)) / LN_2 - bits).abs() < 1e-12);
}

#[test]
fn options_that_cannot_be_are_named() {
    let law = heartbeat(Transition::Absorbing, Survival::Reciprocal);
    let fails = |options: StatesBoundOptions| states_bound(&law, &beats(&law), &[0, 1, 2, 3, 4], &options).unwrap_err();
    let usual = StatesBoundOptions::default;
    assert_eq!(fails(StatesBoundOptions { steps: 1, ..usual() }), StatesBoundError::Steps { found: 1 });
    assert_eq!(fails(StatesBoundOptions { draws: 0, ..usual() }), StatesBoundError::Nothing { option: "draws" });
    assert_eq!(fails(StatesBoundOptions { visited: Some(0), ..usual() }), StatesBoundError::Nothing { option: "visited" });
    assert_eq!(fails(StatesBoundOptions { edges: Edges::Paper, ..usual() }), StatesBoundError::PaperMasked);
    let both = StatesBoundOptions { edges: Edges::Paper, continuous: true, ..usual() };
    assert_eq!(fails(both), StatesBoundError::PaperContinuous);
}

/// The program's own rows, three a transition.
#[test]
fn every_claim_of_the_check_holds() {
    let rows = scorefield_sample::check::states::states();
    let failed: Vec<_> = rows.iter().filter(|r| !r.ok).collect();
    assert!(rows.len() == 3 * Transition::all().len() && failed.is_empty(), "{failed:#?}");
}
