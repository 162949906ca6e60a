//! Kernels, survivals, draws and what is refused.

use crate::process;
use scorefield_process::states::{ColumnKind, Columns, Law, StatesConfig, StatesError, StatesProcess, Survival, Transition};
use scorefield_process::{ProcessConfig, ProcessExt};
use scorefield_tensor::{Device, Dual, Purpose, Streams, batch_f64, rows_f64};

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
