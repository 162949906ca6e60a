//! Posteriors, bounds and exact laws against enumeration.

use crate::process;
use scorefield_process::ProcessConfig;
use scorefield_process::oracle::Finite;
use scorefield_process::states::{ColumnKind, Columns, StatesConfig, StatesDenoiser, StatesProcess, Survival, Transition};
use scorefield_tensor::{Batch, DType, Device, Purpose, Streams, Tensor, batch_f64, rows_f64};

/// A law of three dependent columns.
fn table(transition: Transition, survival: Survival) -> Finite {
    let rows: Vec<Vec<usize>> = (0..24).map(|i| vec![i % 2, i / 2 % 3, i / 6]).collect();
    let weights = (0..24).map(|i| 0.1 + (f64::from(i) * 1.3).sin().powi(2) + f64::from(u8::from(i % 5 == 0))).collect();
    Finite::new(process(transition, survival, &[2, 3, 4]), rows, weights)
}

/// `q(x_t | x_0)` of every row, by the product of the columns' matrices: the joint of all rows of the support and all states.
fn joint(law: &Finite, states: &Batch, t: f64) -> Vec<Vec<f64>> {
    let (p, at) = (law.process(), law.process().at(t));
    let n = states.dims()[0];
    let likelihood = rows_f64(p.likelihood(states, &at));
    let width = p.columns().width();
    let starts: Vec<usize> = p.columns().groups().iter().map(|g| g.entry).collect();
    let of = |i: usize| {
        let row = &likelihood[i * width..][..width];
        law.support()
            .iter()
            .zip(law.weights())
            .map(|(x, w)| w * x.iter().zip(&starts).map(|(v, s)| row[s + v]).product::<f64>())
            .collect()
    };
    (0..n).map(of).collect()
}

/// All states of the columns, wide.
fn every_state(columns: &Columns) -> Batch {
    let sizes: Vec<usize> = columns.groups().iter().flat_map(|g| vec![g.states; g.columns]).collect();
    let all: usize = sizes.iter().product();
    let mut narrow = Vec::new();
    for mut i in 0..all {
        for k in &sizes {
            narrow.push((i % k) as f64);
            i /= k;
        }
    }
    columns.expand(&batch_f64(narrow, all, &Device::default()))
}

#[test]
fn posteriors_are_bayes_rule() {
    for transition in Transition::all() {
        let law = table(transition, Survival::Cosine { offset: 0.008 });
        let p = law.process();
        let (t, s) = (0.7, 0.55);
        let (at_t, at_s) = (p.at(t), p.at(s));
        let states = every_state(p.columns());
        let n = states.dims()[0];
        let total: f64 = joint(&law, &states, t).iter().flatten().sum();
        assert!((total - 1.0).abs() < 1e-10, "{transition:?}: {total}");

        // q(x_s = j | x_t, x_0 = k) by matrices, for the last column, which has four levels.
        let (group, kernel) = p.parts().nth(2).unwrap();
        let (kernel, k) = (kernel.unwrap(), group.states);
        let (to_s, between, to_t) =
            (kernel.transition(at_s.keep), kernel.transition(at_t.keep / at_s.keep), kernel.transition(at_t.keep));
        for origin in 0..4 {
            let x0 = p.columns().expand(&batch_f64([0.0, 0.0, origin as f64].repeat(n), n, &Device::default()));
            let found = rows_f64(group.cube(&p.posterior(&states, &x0, &at_t, &at_s).wide));
            let now = rows_f64(group.cube(&states));
            for i in 0..n {
                let x = (0..k).find(|&x| now[i * k + x] == 1.0).unwrap();
                if to_t[origin * k + x] < 1e-12 {
                    continue;
                }
                for j in 0..k {
                    let exact = to_s[origin * k + j] * between[j * k + x] / to_t[origin * k + x];
                    assert!(
                        (found[i * k + j] - exact).abs() < 1e-9,
                        "{transition:?} {origin} {x} {j}: {} {exact}",
                        found[i * k + j]
                    );
                }
            }
        }

        // With the exact E[x_0 | x_t] the columns of the reverse law are the exact marginals of q(x_s | x_t).
        let reverse = p.posterior(&states, &law.denoise(&states, t), &at_t, &at_s);
        let found = rows_f64(group.cube(&reverse.wide));
        let posterior = law.posterior(&states, t);
        let now = rows_f64(group.cube(&states));
        for i in (0..n).filter(|i| joint(&law, &states.clone().narrow(0, *i, 1), t)[0].iter().sum::<f64>() > 1e-12) {
            let x = (0..k).find(|&x| now[i * k + x] == 1.0).unwrap();
            for j in 0..k {
                let exact: f64 = law
                    .support()
                    .iter()
                    .zip(&posterior[i * 24..][..24])
                    .filter(|(row, _)| to_t[row[2] * k + x] > 0.0)
                    .map(|(row, w)| w * to_s[row[2] * k + j] * between[j * k + x] / to_t[row[2] * k + x])
                    .sum();
                assert!((found[i * k + j] - exact).abs() < 1e-9, "{transition:?} {i} {j}");
            }
        }
    }
}

/// `E_q[-ln p(x_0)]` of a chain by enumerating every state at every time: above the entropy, and nearer with more steps.
#[test]
fn bounds_are_above_the_entropy_and_close_in_on_it() {
    for transition in Transition::all() {
        let law = table(transition, Survival::Reciprocal);
        let p = law.process();
        let states = every_state(p.columns());
        let bound = |steps: usize| {
            let times = StatesConfig::times(steps);
            let mut nats = 0.0;
            for (i, w) in law.weights().iter().enumerate() {
                nats += w * rows_f64(p.prior_term(&law.wide(i, &states)))[0];
            }
            for leg in times.windows(2) {
                let (at_t, at_s) = (p.at(leg[0]), p.at(leg[1]));
                let clean = law.denoise(&states, leg[0]);
                let joint = joint(&law, &states, leg[0]);
                for (i, _) in law.weights().iter().enumerate() {
                    let x0 = law.wide(i, &states).repeat_dim(0, states.dims()[0]);
                    let terms = rows_f64(p.step_term(&x0, &states, &clean, &at_t, &at_s));
                    nats +=
                        terms.iter().zip(&joint).filter(|(_, row)| row[i] > 1e-14).map(|(term, row)| term * row[i]).sum::<f64>();
                }
            }
            nats - law.entropy()
        };
        let (few, more) = (bound(4), bound(16));
        assert!(few > more && more > 0.0 && more < 0.35 * few, "{transition:?}: {few} {more}");
    }
}

/// A step's divergence is its length times the rates' term, up to the square of its length, for categories and numbers.
#[test]
fn short_steps_cost_what_rates_say() {
    let kinds = vec![ColumnKind::Category(3), ColumnKind::Number, ColumnKind::Category(2), ColumnKind::Number];
    let numbers = || ProcessConfig::VpCosine { offset: 0.008 }.build().unwrap();
    for transition in Transition::all() {
        let p = StatesProcess::new(kinds.clone(), transition, Survival::Cosine { offset: 0.008 }, Some(numbers())).unwrap();
        let device = Device::default();
        let x0 = p.columns().expand(&batch_f64(vec![1.0, 0.3, 0.0, -0.8, 2.0, -1.0, 1.0, 0.2], 2, &device));
        let t = 0.45;
        let x_t = p.perturb(&x0, &p.at(t), &mut Streams::new(3, vec![0, 5], Purpose::User));
        // Some model: probabilities where they are possible, here a mixture of the truth and of what x_t says.
        let told = p.likelihood(&x_t, &p.at(t));
        let clean = p.columns().groups().iter().fold(Vec::new(), |mut parts: Vec<Batch>, g| {
            let n = x0.dims()[0];
            parts.push(if g.is_category() {
                let levels = x0.clone().narrow(1, g.entry, g.width()) * 0.5 + 0.2;
                let mut cube = (levels * g.of(&told)).reshape([n, g.columns, g.states]);
                if p.columns().masked() {
                    let possible = cube.clone().narrow(2, 0, g.states - 1);
                    cube = Tensor::cat(vec![possible, cube.narrow(2, 0, 1) * 0.0], 2);
                }
                (cube.clone() / cube.sum_dim(2)).reshape([n, g.width()])
            } else {
                g.of(&x0) * 0.7
            });
            parts
        });
        let clean = Batch::cat(clean, 1);
        let rate = rows_f64(p.rate_term(&x0, &x_t, &clean, &p.at(t)));
        let error = |h: f64| {
            let step = rows_f64(p.step_term(&x0, &x_t, &clean, &p.at(t), &p.at(t - h)));
            step.iter().zip(&rate).map(|(step, rate)| (step / h - rate).abs() / rate).fold(0.0, f64::max)
        };
        let (coarse, fine) = (error(1e-3), error(1e-4));
        assert!(fine < 0.2 * coarse + 1e-6 && fine < 1e-3, "{transition:?}: {coarse} {fine}");
    }
}

/// Single precision is within rounding of double, also where a kernel is made of modes.
#[test]
fn single_precision_agrees() {
    for transition in Transition::all() {
        let law = table(transition, Survival::Reciprocal);
        let p = law.process();
        let states = every_state(p.columns());
        let one = |x: &Batch| p.posterior(x, &law.denoise(x, 0.5), &p.at(0.5), &p.at(0.49)).wide;
        let (double, single) = (rows_f64(one(&states)), rows_f64(one(&states.clone().cast(DType::F32))));
        let worst = double.iter().zip(&single).filter(|(d, _)| d.is_finite()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 2e-6, "{transition:?}: {worst}");
    }
}
