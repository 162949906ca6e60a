//! A law that is a Markov chain along the columns.

use scorefield_process::oracle::{Finite, MarkovChain};
use scorefield_process::states::{ColumnKind, StatesDenoiser, StatesProcess, Survival, Transition};
use scorefield_tensor::{Batch, DType, Device, Purpose, Streams, rows_f64};

/// A chain along the columns against the table of all its rows, at one time and at one a row.
#[test]
fn forward_backward_is_enumeration() {
    for transition in Transition::all() {
        for levels in [2usize, 3] {
            let n = if levels == 2 { 6 } else { 4 };
            let kinds = vec![ColumnKind::Category(levels); n];
            let build = || StatesProcess::new(kinds.clone(), transition, Survival::Reciprocal, None).unwrap();
            let (first, steps) = match levels {
                2 => (vec![0.3, 0.7], vec![0.9, 0.1, 0.25, 0.75]),
                _ => (vec![0.2, 0.5, 0.3], vec![0.7, 0.3, 0.0, 0.1, 0.6, 0.3, 0.25, 0.25, 0.5]),
            };
            let chain = MarkovChain::new(build(), first, steps);
            let rows: Vec<Vec<usize>> =
                (0..levels.pow(n as u32)).map(|i| (0..n).map(|c| i / levels.pow(c as u32) % levels).collect()).collect();
            let weights: Vec<f64> = rows.iter().map(|row| chain.ln_probability(row).exp()).collect();
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let table = Finite::new(build(), rows, weights.clone());
            assert!((chain.entropy() - table.entropy()).abs() < 1e-12, "{levels}: {} {}", chain.entropy(), table.entropy());

            // Draws have the chain's frequencies, in a chi-square of `levels^n - 1` degrees (those that can be).
            let (like, count) = (Batch::zeros([1, 1], (&Device::default(), DType::F64)), 20_000);
            let drawn = chain.draw(5, &(0..count).collect::<Vec<_>>(), &like);
            let mut seen = vec![0.0; weights.len()];
            for row in rows_f64(drawn.clone()).chunks(n) {
                seen[row.iter().rev().fold(0, |place, v| place * levels + *v as usize)] += 1.0;
            }
            let terms = seen.iter().zip(&weights).filter(|(_, w)| **w > 0.0);
            let chi: f64 = terms.map(|(s, w)| (s - w * count as f64).powi(2) / (w * count as f64)).sum();
            let possible = weights.iter().filter(|w| **w > 0.0).count() as f64 - 1.0;
            assert!((chi - possible).abs() < 5.0 * (2.0 * possible).sqrt(), "{chi} of {possible}");
            assert!(seen.iter().zip(&weights).all(|(s, w)| *w > 0.0 || *s == 0.0));

            let p = chain.process();
            let x0 = p.columns().expand(&drawn.narrow(0, 0, 20));
            let times: Vec<f64> = (0..20).map(|i| 0.04 + 0.05 * f64::from(i)).collect();
            let x = p.perturb(&x0, &p.at_each(&times), &mut Streams::new(1, (0..20).collect(), Purpose::User));
            let worst = |a: Batch, b: Batch| (a - b).abs().max().into_scalar::<f64>();
            assert!(worst(chain.denoise_each(&x, &times), table.denoise_each(&x, &times)) < 1e-12, "{transition:?} {levels}");
            for (i, &t) in times.iter().enumerate() {
                let row = x.clone().narrow(0, i, 1);
                let (one, each) = (chain.denoise(&row, t), table.denoise_each(&x, &times).narrow(0, i, 1));
                assert!(worst(one, each.clone()) < 1e-12 && worst(table.denoise(&row, t), each) < 1e-12);
            }
        }
    }
}
