//! Samplers of states: each against the laws it is to draw, its formulas against enumeration, and mistakes that must be seen.

use scorefield_process::oracle::Finite;
use scorefield_process::states::{ColumnKind, Columns, StatesConfig, StatesDenoiser, StatesProcess, Survival, Transition};
use scorefield_process::{Grid, Leg};
use scorefield_sample::Job;
use scorefield_sample::states::{StatesSolver, StatesSolverKind, sample_states};
use scorefield_tensor::{Batch, DType, Device, Streams, batch_f64, rows_f64};
use scorefield_testkit::{dependent_table, heartbeat, total_variation};
use std::ops::ControlFlow;

fn solver(name: &str) -> Box<dyn StatesSolver> {
    name.parse::<StatesSolverKind>().unwrap().build()
}

fn draw(d: &dyn StatesDenoiser, solver: &dyn StatesSolver, times: Vec<f64>, n: u64) -> Vec<Vec<usize>> {
    let job = Job { batch: 1000, dtype: DType::F64, ..Job::new(13, n, 0) };
    let grid = Grid::new(times).unwrap();
    let x = sample_states(|_| d, |_| None, solver, &grid, &job, |_, _| ControlFlow::Continue(())).unwrap();
    let columns = d.process().columns().len();
    rows_f64(x).chunks_exact(columns).map(|r| r.iter().map(|&v| v as usize).collect()).collect()
}

/// All states of the columns, wide, and how many states each column has.
fn every_state(columns: &Columns) -> (Batch, Vec<usize>) {
    let sizes: Vec<usize> = columns.groups().iter().flat_map(|g| vec![g.states; g.columns]).collect();
    let all: usize = sizes.iter().product();
    let place = |i: usize, c: usize| i / sizes[..c].iter().product::<usize>() % sizes[c];
    let narrow = (0..all).flat_map(|i| (0..sizes.len()).map(move |c| (i, c))).map(|(i, c)| place(i, c) as f64).collect();
    (columns.expand(&batch_f64(narrow, all, &Device::default())), sizes)
}

/// `q_t(x)` of every state.
fn density(law: &Finite, states: &Batch, t: f64) -> Vec<f64> {
    let (p, width) = (law.process(), law.process().columns().width());
    let likelihood = rows_f64(p.likelihood(states, &p.at(t)));
    let starts: Vec<usize> = p.columns().groups().iter().map(|g| g.entry).collect();
    let of = |l: &[f64]| {
        let joint = |(row, w): (&Vec<usize>, &f64)| w * row.iter().zip(&starts).map(|(v, s)| l[s + v]).product::<f64>();
        law.support().iter().zip(law.weights()).map(joint).sum()
    };
    likelihood.chunks_exact(width).map(of).collect()
}

/// `q_t(x) rate_back(x to y) = q_t(y) rate(y to x)` for every pair of states that differ in one column (Kelly 1979): the reverse chain is the
/// chain run backwards, so that the sum of both leaves `q_t` as it is, which is what correctors rely on.
#[test]
fn reverse_rates_balance_the_chain() {
    for transition in Transition::all() {
        let law = dependent_table(transition, Survival::Reciprocal);
        let p = law.process();
        let (states, sizes) = every_state(p.columns());
        let (t, width) = (0.4, p.columns().width());
        let q = density(&law, &states, t);
        assert!((q.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let back = rows_f64(p.rates(&states, &law.denoise(&states, t), &p.at(t)));
        let forth = rows_f64(p.forward_rates(&states));
        let mut fluxes = 0;
        for x in (0..q.len()).filter(|&x| q[x] > 1e-14) {
            let (mut stride, mut entry) = (1, 0);
            for &k in &sizes {
                let here = x / stride % k;
                for to in (0..k).filter(|&to| to != here) {
                    let y = x + to * stride - here * stride;
                    let (one, other) = (q[x] * back[x * width + entry + to], q[y] * forth[y * width + entry + here]);
                    assert!((one - other).abs() < 1e-9 * (one + other) + 1e-15, "{transition:?} {x} {y}: {one} {other}");
                    fluxes += usize::from(other > 0.0);
                }
                (stride, entry) = (stride * k, entry + k);
            }
        }
        assert!(fluxes > 100, "{transition:?}: {fluxes}");
    }
}

/// `sum_x q(x_t = x | x_0) p(x_s | x, x_0) = q(x_s | x_0)` for every share of fresh noise, and the largest share that can be kept leaves
/// nothing of some state.
#[test]
fn implicit_steps_keep_the_marginals() {
    for transition in Transition::all() {
        let kinds = vec![ColumnKind::Category(4)];
        let p = StatesProcess::new(kinds, transition, Survival::Cosine { offset: 0.008 }, None).unwrap();
        let kernel = p.parts().next().unwrap().1.unwrap();
        let (k, (at_t, at_s)) = (kernel.states(), (p.at(0.8), p.at(0.5)));
        let (q_t, q_s) = (kernel.transition(at_t.keep), kernel.transition(at_s.keep));
        let (states, _) = every_state(p.columns());
        for origin in 0..4 {
            let x0 = p.columns().expand(&batch_f64(vec![origin as f64; k], k, &Device::default()));
            let mut kept = Vec::new();
            for fresh in [0.0, 0.4, 1.0] {
                let law = rows_f64(p.implicit(&states, &x0, &at_t, &at_s, fresh).wide);
                for j in 0..k {
                    let found: f64 = (0..k).map(|x| q_t[origin * k + x] * law[x * k + j]).sum();
                    assert!((found - q_s[origin * k + j]).abs() < 1e-12, "{transition:?} {fresh} {origin} {j}: {found}");
                }
                kept.push((0..k).map(|x| q_t[origin * k + x] * law[x * k + x]).sum::<f64>());
            }
            assert!(kept[0] > kept[1] + 1e-3 && kept[1] > kept[2] + 1e-3, "{transition:?}: {kept:?}");
        }
        let c = kernel.most_kept(at_t.keep, at_s.keep);
        let left = (0..4 * k).filter(|&at| q_t[at] > 0.0).map(|at| q_s[at] - c * q_t[at]).fold(1.0, f64::min);
        assert!(left.abs() < 1e-12, "{transition:?}: {left}");
    }
}

/// Towards a mask the implicit step that keeps the most is the ancestral one (Song et al. 2021a, appendix A, has only the uniform kernel).
#[test]
fn implicit_steps_towards_a_mask_are_ancestral() {
    let law = dependent_table(Transition::Absorbing, Survival::Reciprocal);
    let p = law.process();
    let (states, _) = every_state(p.columns());
    let (at_t, at_s) = (p.at(0.7), p.at(0.3));
    let clean = law.denoise(&states, 0.7);
    let (a, b) = (p.implicit(&states, &clean, &at_t, &at_s, 0.0).wide, p.posterior(&states, &clean, &at_t, &at_s).wide);
    let q = density(&law, &states, 0.7);
    let width = p.columns().width();
    let (a, b) = (rows_f64(a), rows_f64(b));
    for at in (0..a.len()).filter(|at| q[at / width] > 1e-14) {
        assert!((a[at] - b[at]).abs() < 1e-12, "{at}: {} {}", a[at], b[at]);
    }
}

/// A solver that stops halfway down each leg.
#[derive(Debug)]
struct Halfway(Box<dyn StatesSolver>);

impl StatesSolver for Halfway {
    fn name(&self) -> &'static str {
        "halfway"
    }
    fn step(&self, d: &dyn StatesDenoiser, x: &Batch, leg: Leg, noise: &mut Streams) -> Batch {
        self.0.step(d, x, Leg { s: 0.5 * (leg.t + leg.s), ..leg }, noise)
    }
}

/// Total variation and what it is for a sample of the law itself.
fn of(law: &Finite, d: &dyn StatesDenoiser, solver: &dyn StatesSolver, steps: usize, n: u64) -> (f64, f64) {
    total_variation(law, law.weights(), &draw(d, solver, StatesConfig::times(steps), n))
}

/// The five heartbeats from 60 steps of every sampler that fits, within twice the noise of sampling. Towards a mask columns that are
/// unmasked in one step are drawn independently, and a pair that contradicts each other is left; the chain towards 1/2 can still mend it.
#[test]
fn heartbeats_are_drawn() {
    let n = 700;
    for transition in [Transition::Uniform, Transition::Absorbing] {
        let law = heartbeat(transition, Survival::Reciprocal);
        for name in ["ancestral", "ancestral:repeats=3", "ddim", "ddim:fresh=0.5", "tau-leaping", "tau-leaping:correctors=1"] {
            let solver = solver(name);
            if solver.refuses(law.process()).is_some() {
                continue;
            }
            let steps = if transition == Transition::Absorbing { 250 } else { 60 };
            let (found, noise) = of(&law, &law, &*solver, steps, n);
            let mended = if transition == Transition::Absorbing { 0.03 } else { 0.0 };
            assert!(found < 2.0 * noise + mended, "{transition:?} {name}: {found} {noise}");
        }
    }
}

/// One column a step, in the order of confidence or any other, is exact on the heartbeats, where whatever order leads to one of five rows
/// that are alike; no mask is left by any sampler.
#[test]
fn confidence_draws_heartbeats_in_twenty_steps() {
    let law = heartbeat(Transition::Absorbing, Survival::Reciprocal);
    for name in ["confidence:order=random", "confidence:order=entropy,temperature=5", "confidence:temperature=20"] {
        let (found, noise) = of(&law, &law, &*solver(name), 20, 1500);
        assert!(found < 2.0 * noise, "{name}: {found} {noise}");
    }
    for kind in StatesSolverKind::all() {
        let rows = draw(&law, &*kind.build(), StatesConfig::times(3), 300);
        assert!(rows.iter().flatten().all(|v| *v < 2), "{kind} leaves masks");
    }
}

/// The law that a chain's steps end in, by enumeration over the states of a table, and its total variation from the truth; `posterior`
/// makes the law of a step from `x_t`, `E[x_0 | x_t]` and the two times.
fn enumerated(law: &Finite, d: &dyn StatesDenoiser, times: &[f64], step: &dyn Fn(&Batch, &Batch, f64, f64) -> Batch) -> f64 {
    let columns = law.process().columns();
    let (states, sizes) = every_state(columns);
    let n = states.dims()[0];
    let product = |row: &[f64], y: usize| {
        let (mut p, mut rest, mut entry) = (1.0, y, 0);
        for k in &sizes {
            p *= row[entry + rest % k];
            (rest, entry) = (rest / k, entry + k);
        }
        p
    };
    let prior = rows_f64(law.process().prior(1, (&states.device(), DType::F64)).wide);
    let mut p: Vec<f64> = (0..n).map(|y| product(&prior, y)).collect();
    for leg in times.windows(2) {
        let wide = rows_f64(step(&states, &d.denoise(&states, leg[0]), leg[0], leg[1]));
        let mut next = vec![0.0; n];
        for (row, p) in wide.chunks_exact(columns.width()).zip(&p).filter(|(_, p)| **p > 0.0) {
            next.iter_mut().enumerate().for_each(|(y, q)| *q += p * product(row, y));
        }
        p = next;
    }
    assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{}", p.iter().sum::<f64>());
    let truth = density(law, &states, 0.0);
    0.5 * p.iter().zip(&truth).map(|(a, b)| (a - b).abs()).sum::<f64>()
}

/// A chain of 1000 steps looked at in 10, 50 and 200 of them: without the noise of sampling the distance falls as their number grows, for the
/// ancestral and the implicit step.
#[test]
fn more_of_the_steps_are_nearer() {
    let whole = StatesConfig::times(1000);
    for transition in Transition::all() {
        for survival in [Survival::Reciprocal, Survival::Cosine { offset: 0.008 }] {
            let law = dependent_table(transition, survival);
            let p = law.process();
            for fresh in [None, Some(0.0), Some(0.5)] {
                let step = |x: &Batch, clean: &Batch, t: f64, s: f64| match fresh {
                    None => p.posterior(x, clean, &p.at(t), &p.at(s)).wide,
                    Some(fresh) => p.implicit(x, clean, &p.at(t), &p.at(s), fresh).wide,
                };
                let of = |stride: usize| {
                    let times: Vec<f64> = whole.iter().copied().step_by(stride).collect();
                    enumerated(&law, &law, &times, &step)
                };
                let [few, some, many] = [100, 20, 5].map(of);
                // Noise drawn anew forgets what columns had agreed on: its error falls with the root of the steps, the others' in proportion.
                let share = if fresh == Some(0.5) { 1.4 } else { 2.5 };
                assert!(few > share * some && some > share * many, "{transition:?} {fresh:?}: {few} {some} {many}");
            }
        }
    }
}

/// Heartbeats from sub-sequences, even and uneven.
#[test]
fn heartbeats_from_sub_sequences() {
    let whole = StatesConfig::times(1000);
    for (transition, strides) in [(Transition::Uniform, [333, 50, 5]), (Transition::Absorbing, [100, 20, 5])] {
        let law = heartbeat(transition, Survival::Cosine { offset: 0.008 });
        let tv = |times: Vec<f64>| total_variation(&law, law.weights(), &draw(&law, &*solver("ancestral"), times, 1500)).0;
        let every = |stride: usize| whole.iter().copied().step_by(stride).chain([0.0]).collect::<Vec<_>>();
        let even = |stride: usize| if 1000 % stride == 0 { every(stride)[..=1000 / stride].to_vec() } else { every(stride) };
        let [few, some, many] = strides.map(|stride| tv(even(stride)));
        assert!(few > 2.0 * some && many < 0.05, "{transition:?}: {few} {some} {many}");
        let uneven: Vec<f64> =
            whole.iter().copied().filter(|t| ((t * 1000.0).round() as u64).is_multiple_of(7) || *t == 1.0).collect();
        assert!(uneven.first() == Some(&1.0) && uneven.last() == Some(&0.0));
        let found = tv(uneven);
        assert!(found < 0.05, "{transition:?}: {found}");
    }
}

#[test]
fn every_sampler_draws_a_sample_alone_as_in_company() {
    let law = dependent_table(Transition::Absorbing, Survival::Reciprocal);
    let grid = Grid::new(StatesConfig::times(6)).unwrap();
    for kind in StatesSolverKind::all() {
        let of = |samples: std::ops::Range<u64>, batch: usize| {
            let job = Job { samples, batch, dtype: DType::F64, ..Job::new(3, 0, 0) };
            rows_f64(sample_states(|_| &law, |_| None, &*kind.build(), &grid, &job, |_, _| ControlFlow::Continue(())).unwrap())
        };
        let whole = of(0..10, 10);
        assert_eq!(whole, of(0..10, 3), "{kind}");
        assert_eq!(whole[12..18], of(4..6, 64), "{kind}");
    }
}

/// A process that forgets twice as fast as the model was told, seen without the noise of sampling, and legs that stop halfway.
#[test]
fn mistakes_are_seen() {
    let times = StatesConfig::times(50);
    let law = dependent_table(Transition::Uniform, Survival::Reciprocal);
    let keep = (0..=1000).map(|i| (1.0 - f64::from(i) / 1000.0f64).powi(2)).collect();
    let kinds = vec![ColumnKind::Category(3), ColumnKind::Category(4), ColumnKind::Category(5)];
    let hurried = StatesProcess::new(kinds, Transition::Uniform, Survival::Table { keep }, None).unwrap();
    for fresh in [None, Some(0.0)] {
        let of = |p: &StatesProcess| {
            enumerated(&law, &law, &times, &|x, clean, t, s| match fresh {
                None => p.posterior(x, clean, &p.at(t), &p.at(s)).wide,
                Some(fresh) => p.implicit(x, clean, &p.at(t), &p.at(s), fresh).wide,
            })
        };
        let (right, rate) = (of(law.process()), of(&hurried));
        assert!(right < 0.011 && rate > 4.0 * right, "{fresh:?}: {right} {rate}");
    }
    let beats = heartbeat(Transition::Uniform, Survival::Reciprocal);
    for name in ["ancestral", "ddim", "tau-leaping"] {
        let (right, noise) = of(&beats, &beats, &*solver(name), 60, 1000);
        let (leg, _) = of(&beats, &beats, &Halfway(solver(name)), 60, 1000);
        assert!(right < 2.0 * noise && leg > 5.0 * noise, "{name}: {right} {leg} {noise}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let uniform = dependent_table(Transition::Uniform, Survival::Reciprocal);
    let absorbing = dependent_table(Transition::Absorbing, Survival::Reciprocal);
    assert!(solver("confidence").refuses(uniform.process()).unwrap().contains("no mask"));
    assert!(solver("ancestral:repeats=2").refuses(absorbing.process()).unwrap().contains("repeats=1"));
    assert!(solver("ancestral:repeats=2,particles=3").refuses(uniform.process()).unwrap().contains("particles=1"));
    assert_eq!(solver("ancestral:particles=3").refuses(absorbing.process()), None);
    let error = "ancestral:particels=3".parse::<StatesSolverKind>().unwrap_err().to_string();
    assert!(error.contains("\"particles\""), "{error}");
    assert!("ancestral:particles=0".parse::<StatesSolverKind>().unwrap_err().to_string().contains("from 1 to"));
}
