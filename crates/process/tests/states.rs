//! Processes on states against matrices, finite differences and enumerated laws.

use scorefield_process::oracle::Finite;
use scorefield_process::states::{
    ColumnKind, Columns, Law, StatesConfig, StatesDenoiser, StatesError, StatesProcess, Survival, Transition,
};
use scorefield_process::{ProcessConfig, ProcessExt};
use scorefield_tensor::{Batch, DType, Device, Dual, Purpose, Streams, Tensor, batch_f64, rows_f64};

fn process(transition: Transition, survival: Survival, levels: &[usize]) -> StatesProcess {
    StatesProcess::new(levels.iter().map(|&k| ColumnKind::Category(k)).collect(), transition, survival, None).unwrap()
}

/// `exp(R ln(1 / keep))` by a product of many small steps `I + R h`, the generator being read off the rates.
fn by_small_steps(process: &StatesProcess, keep: f64) -> Vec<f64> {
    let (_, kernel) = process.parts().next().unwrap();
    let kernel = kernel.unwrap();
    let k = kernel.states();
    let eye: Vec<f64> = (0..k * k).map(|i| f64::from(u8::from(i / k == i % k))).collect();
    // Row x of the cube is the rates into x.
    let into = rows_f64(kernel.jumps_into(batch_f64(eye.clone(), k, &Device::default()).reshape([k, 1, k])));
    let steps = 1 << 14;
    let h = -keep.ln() / f64::from(steps);
    let mut step = eye;
    for y in 0..k {
        for x in (0..k).filter(|&x| x != y) {
            step[y * k + x] += h * into[x * k + y];
            step[y * k + y] -= h * into[x * k + y];
        }
    }
    let product = |a: &[f64], b: &[f64]| -> Vec<f64> {
        (0..k * k).map(|at| (0..k).map(|m| a[at / k * k + m] * b[m * k + at % k]).sum()).collect()
    };
    // Squared fourteen times.
    for _ in 0..14 {
        step = product(&step, &step);
    }
    step
}

#[test]
fn transitions_are_exponentials_of_their_generators() {
    for transition in Transition::all() {
        for levels in [2, 5] {
            let process = process(transition, Survival::Reciprocal, &[levels]);
            let kernel = process.parts().next().unwrap().1.unwrap();
            let k = kernel.states();
            for keep in [0.9, 0.3, 0.02] {
                let (q, slow) = (kernel.transition(keep), by_small_steps(&process, keep));
                let worst = q.iter().zip(&slow).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-3, "{transition:?} {levels} {keep}: {worst}");
                assert!(q.chunks_exact(k).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12));
                // The same as a tensor, both ways, and two steps that compose.
                let eye = batch_f64(kernel.transition(1.0), k, &Device::default()).reshape([k, 1, k]);
                let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
                assert!(close(&rows_f64(kernel.forward(eye.clone(), &keep)), &q), "{transition:?}");
                let halves = kernel.forward(kernel.forward(eye.clone(), &keep.sqrt()), &keep.sqrt());
                assert!(close(&rows_f64(halves), &q), "{transition:?}");
                let back = rows_f64(kernel.backward(eye, &keep));
                assert!((0..k * k).all(|at| (back[at] - q[at % k * k + at / k]).abs() < 1e-12), "{transition:?}");
            }
        }
    }
}

/// The chain of the first paper: bits towards one half by `beta_i = 1 / (T - i + 1)`, whose survival after `i` steps is `1 - i / T`.
#[test]
fn reciprocal_rates_are_the_papers() {
    let steps = 40;
    let betas: Vec<f64> = (1..=steps).map(|i| 1.0 / f64::from(steps - i + 1)).collect();
    let table = Survival::of_betas(&betas).unwrap();
    for i in 0..=steps {
        let t = f64::from(i) / f64::from(steps);
        let (a, b) = (table.keep(Dual::variable(t)).value, Survival::Reciprocal.keep(Dual::variable(t)).value);
        assert!((a - b).abs() < 1e-12, "{i}: {a} {b}");
    }
}

#[test]
fn survivals_fall_and_their_slopes_are_their_differences() {
    for survival in Survival::all() {
        let keep = |t: f64| survival.keep(Dual::variable(t));
        assert!((keep(0.0).value - 1.0).abs() < 1e-12 && keep(1.0).value < 1e-4, "{survival:?}");
        for i in 1..40 {
            let t = f64::from(i) / 40.3;
            let slope = (keep(t + 1e-6).value - keep(t - 1e-6).value) / 2e-6;
            assert!((keep(t).slope - slope).abs() < 1e-7 && slope < 0.0, "{survival:?} {t}");
        }
    }
}

/// Under the mutual-information schedule `I(x_t; x_0)` is a straight line; towards a mask that is the reciprocal one (Austin et al. 2021).
#[test]
fn mutual_information_falls_along_a_line() {
    let law = vec![0.5, 0.3, 0.15, 0.05];
    for transition in Transition::all() {
        let p = process(transition, Survival::Reciprocal, &[4]);
        let kernel = p.parts().next().unwrap().1.unwrap();
        let survival = Survival::mutual_information(&[(kernel, law.clone())]);
        let at = |t: f64| survival.keep(Dual::variable(t)).value;
        let whole = kernel.mutual_information(&law, 1.0);
        assert!((whole + law.iter().map(|p: &f64| p * p.ln()).sum::<f64>()).abs() < 1e-12);
        for i in 1..10 {
            let t = f64::from(i) / 10.0;
            assert!((kernel.mutual_information(&law, at(t)) / whole - (1.0 - t)).abs() < 1e-9, "{transition:?} {t}");
        }
        if transition == Transition::Absorbing {
            assert!((at(0.3) - 0.7).abs() < 1e-9);
        }
    }
}

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

/// Draws follow their law, do not depend on their company, and numbers and categories are independent.
#[test]
fn draws_follow_the_law() {
    let kinds = vec![ColumnKind::Category(3), ColumnKind::Number];
    let columns = Columns::new(kinds, false);
    let n = 40_000;
    let row = [0.2, 0.5, 0.3, 1.5];
    let law = Law { wide: batch_f64(row.repeat(n), n, &Device::default()), deviation: 2.0 };
    let draw = |samples: Vec<u64>| {
        let law = Law { wide: law.wide.clone().narrow(0, 0, samples.len()), deviation: 2.0 };
        rows_f64(law.draw(&columns, &mut Streams::new(1, samples, Purpose::User)))
    };
    let whole = draw((0..n as u64).collect());
    assert_eq!(whole[4 * 77..4 * 78], draw(vec![77])[..]);
    let mean = |of: &dyn Fn(&[f64]) -> f64| whole.chunks_exact(4).map(of).sum::<f64>() / n as f64;
    for (i, p) in row[..3].iter().enumerate() {
        assert!((mean(&|r| r[i]) - p).abs() < 5.0 * (p * (1.0 - p) / n as f64).sqrt());
    }
    assert!((mean(&|r| r[3]) - 1.5).abs() < 5.0 * 2.0 / (n as f64).sqrt());
    assert!((mean(&|r| (r[3] - 1.5).powi(2)) - 4.0).abs() < 5.0 * 4.0 * (2.0 / n as f64).sqrt());
    assert!(mean(&|r| (r[0] - 0.2) * (r[3] - 1.5)).abs() < 5.0 * 0.4 * 2.0 / (n as f64).sqrt());
}

#[test]
fn numbers_run_on_their_own_process() {
    let config = ProcessConfig::VpCosine { offset: 0.008 };
    let p =
        StatesProcess::new(vec![ColumnKind::Number; 2], Transition::Uniform, Survival::Reciprocal, Some(config.build().unwrap()))
            .unwrap();
    let alone = config.build().unwrap();
    let (t, s) = (0.6, 0.4);
    let (at_t, at_s) = (alone.at(alone.span().at(t)), alone.at(alone.span().at(s)));
    let device = Device::default();
    let (x_t, x0) = (batch_f64(vec![0.5, -1.0], 1, &device), batch_f64(vec![0.1, -0.3], 1, &device));
    let law = p.posterior(&x_t, &x0, &p.at(t), &p.at(s));
    // The posterior of a Gaussian chain by precisions: forward variance g2 from s to t, prior at s.
    let decay = at_t.alpha / at_s.alpha;
    let g2 = at_t.sigma.powi(2) - decay * decay * at_s.sigma.powi(2);
    let precision = 1.0 / at_s.sigma.powi(2) + decay * decay / g2;
    assert!((law.deviation - precision.recip().sqrt()).abs() < 1e-12);
    for (i, mean) in rows_f64(law.wide).into_iter().enumerate() {
        let (x, c) = ([0.5, -1.0][i], [0.1, -0.3][i]);
        let exact = (at_s.alpha * c / at_s.sigma.powi(2) + decay * x / g2) / precision;
        assert!((mean - exact).abs() < 1e-12, "{mean} {exact}");
    }
}

#[test]
fn what_cannot_be_is_named() {
    let build =
        |transition, survival, kinds: &[ColumnKind]| StatesProcess::new(kinds.to_vec(), transition, survival, None).unwrap_err();
    use ColumnKind::{Category, Number};
    let uniform = |kinds: &[ColumnKind]| build(Transition::Uniform, Survival::Reciprocal, kinds).to_string();
    assert!(uniform(&[]).contains("without columns"));
    assert!(uniform(&[Category(3), Category(1)]).contains("column 1 is a category of 1 level"));
    assert!(uniform(&[Number]).contains("column 0 holds numbers"));
    let wide = build(Transition::Ordered { width: 0.1 }, Survival::Reciprocal, &[Category(1000)]).to_string();
    assert!(wide.contains("1000 levels") && wide.contains("at most 256"), "{wide}");
    let narrow = build(Transition::Ordered { width: 0.0 }, Survival::Reciprocal, &[Category(4)]).to_string();
    assert!(narrow.contains("transition.ordered.width = 0"), "{narrow}");
    for (betas, said) in [(vec![0.5, 0.0], "beta_2 = 0"), (vec![1.5, 0.5], "beta_1 = 1.5"), (vec![f64::NAN, 0.5], "beta_1 = NaN")]
    {
        assert!(Survival::of_betas(&betas).unwrap_err().to_string().contains(said));
    }
    for steps in [0, 1] {
        let error = StatesConfig { steps, ..StatesConfig::default() }.build(vec![Category(2)], None).unwrap_err();
        assert_eq!(error, StatesError::Steps { found: steps });
        assert!(error.to_string().contains(&format!("states.steps = {steps}")));
    }
    for survival in [
        Survival::Linear { beta_min: 0.0, beta_max: 1.0 },
        Survival::Cosine { offset: 1.0 },
        Survival::Table { keep: vec![1.0, 0.5, 0.5] },
        Survival::Table { keep: vec![0.9, 0.5, 0.1] },
    ] {
        assert!(build(Transition::Uniform, survival, &[Category(2)]).to_string().contains("survival"));
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
