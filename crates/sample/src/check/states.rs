//! What processes on states must keep: reverse laws that are Bayes' rule, and a bound below the truth that closes in on it.

use super::Row;
use crate::density::{StatesBoundOptions, states_bound};
use scorefield_process::oracle::Finite;
use scorefield_process::states::{ColumnKind, StatesDenoiser, StatesProcess, Survival, Transition};
use scorefield_tensor::{Batch, DType, Device, batch_f64, rows_f64};

/// Largest error of a posterior probability.
const POSTERIOR: f64 = 1e-9;
/// Standard errors within which an estimate must lie.
const ERRORS: f64 = 4.0;
/// Steps at which the bound is looked at, and by how many bits it may lie below the truth there.
const STEPS: usize = 50;
const LACK: f64 = 0.02;

/// The rows of all transitions.
pub fn states() -> Vec<Row> {
    Transition::all().into_iter().flat_map(of).collect()
}

/// Posterior, bound and integral under one transition.
pub fn of(transition: Transition) -> Vec<Row> {
    let name = match transition {
        Transition::Uniform => "uniform",
        Transition::Absorbing => "absorbing",
        Transition::Ordered { .. } => "ordered",
    };
    let build = |kinds: Vec<ColumnKind>, survival| {
        StatesProcess::new(kinds, transition, survival, None).expect("the usual constants make a process")
    };
    let posterior = posterior_error(&build(vec![ColumnKind::Category(4)], Survival::Cosine { offset: 0.008 }));
    // Two bits that are mostly alike.
    let pairs = vec![vec![0, 0], vec![0, 1], vec![1, 0], vec![1, 1]];
    let lack = lack(&Finite::new(build(vec![ColumnKind::Category(2); 2], Survival::Reciprocal), pairs, vec![4.0, 1.0, 1.0, 3.0]));
    let off = integral_off(build(vec![ColumnKind::Category(2); 6], Survival::Reciprocal));
    vec![
        Row::new(name, "posterior", "error", (0.0, posterior), posterior <= POSTERIOR),
        Row::new(name, "bound of 50 steps", "bits below the truth", (0.0, lack), lack > 0.0 && lack <= LACK),
        Row::new(name, "continuous bound", "standard errors", (0.0, off), off.abs() <= ERRORS),
    ]
}

/// The largest difference between `q(x_s | x_t, x_0)` of one category and Bayes' rule by matrices.
pub fn posterior_error(process: &StatesProcess) -> f64 {
    let kernel = process.parts().find_map(|(_, kernel)| kernel).expect("a category");
    let (k, levels) = (kernel.states(), kernel.levels());
    let all = |n: usize| process.columns().expand(&batch_f64((0..n).map(|i| i as f64).collect(), n, &Device::default()));
    let (x_t, x0) = (all(k), all(levels));
    let (mut worst, at_t, at_s) = (0.0f64, process.at(0.7), process.at(0.4));
    let (to_t, to_s) = (kernel.transition(at_t.keep), kernel.transition(at_s.keep));
    let between = kernel.transition(at_t.keep / at_s.keep);
    for origin in 0..levels {
        let x0 = x0.clone().narrow(0, origin, 1).repeat_dim(0, k);
        let found = rows_f64(process.posterior(&x_t, &x0, &at_t, &at_s).wide);
        for (at, found) in found.iter().enumerate() {
            let (now, before) = (at / k, at % k);
            // From where x_t cannot have come there is no law.
            if to_t[origin * k + now] > 0.0 {
                let bayes = to_s[origin * k + before] * between[before * k + now] / to_t[origin * k + now];
                let error = (found - bayes).abs();
                worst = if error.is_nan() { error } else { worst.max(error) };
            }
        }
    }
    worst
}

/// By how many bits the bound of a law on pairs of bits lies below minus its entropy, by enumeration.
fn lack(law: &Finite) -> f64 {
    let process = law.process();
    let kernel = process.parts().find_map(|(_, kernel)| kernel).expect("categories");
    let (k, like) = (kernel.states(), Batch::zeros([1, 1], (&Device::default(), DType::F64)));
    let narrow = (0..k * k).flat_map(|i| [(i / k) as f64, (i % k) as f64]).collect();
    let states = process.columns().expand(&batch_f64(narrow, k * k, &Device::default()));
    let mut nats = 0.0;
    for i in 1..=STEPS {
        let (at_t, at_s) = (process.at(i as f64 / STEPS as f64), process.at((i - 1) as f64 / STEPS as f64));
        let clean = law.denoise(&states, i as f64 / STEPS as f64);
        let q = kernel.transition(at_t.keep);
        for (row, weight) in law.support().iter().enumerate().map(|(i, row)| ((i, row), law.weights()[i])) {
            let x0 = law.wide(row.0, &like).repeat_dim(0, k * k);
            let terms = rows_f64(process.step_term(&x0, &states, &clean, &at_t, &at_s));
            let told = |i: usize| q[row.1[0] * k + i / k] * q[row.1[1] * k + i % k];
            nats +=
                terms.iter().enumerate().filter(|(i, _)| told(*i) > 0.0).map(|(i, term)| weight * told(i) * term).sum::<f64>();
        }
    }
    for (i, weight) in law.weights().iter().enumerate() {
        nats += weight * rows_f64(process.prior_term(&law.wide(i, &like)))[0];
    }
    (nats - law.entropy()) / std::f64::consts::LN_2
}

/// How many standard errors the continuous bound of three equally likely sequences lies from `-ln 3`.
fn integral_off(process: StatesProcess) -> f64 {
    let rows: Vec<Vec<usize>> = (0..3).map(|phase| (0..6).map(|c| usize::from(c % 3 == phase)).collect()).collect();
    let law = Finite::new(process, rows, vec![1.0; 3]);
    let like = Batch::zeros([1, 1], (&Device::default(), DType::F64));
    let x0 = Batch::cat((0..3).map(|i| law.wide(i, &like)).collect(), 0);
    let options = StatesBoundOptions {
        visited: Some(50),
        continuous: true,
        draws: 40,
        seed: 1,
        batch: 2048,
        ..StatesBoundOptions::default()
    };
    let bound = states_bound(&law, &x0, &[0, 1, 2], &options).expect("options that can be");
    (bound.mean() + 3f64.ln()) / bound.noise().expect("several draws")
}
