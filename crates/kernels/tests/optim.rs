//! The optimiser against the formulas in double precision.

mod common;

use common::*;
use scorefield_kernels::optim::{AdamW, adamw_step, sum_squares};

fn single(x: Vec<f64>) -> Vec<f32> {
    x.into_iter().map(|x| x as f32).collect()
}

#[test]
fn adamw_follows_the_formulas() {
    for n in [1, 1000, 70_001] {
        let hyper = AdamW { lr: 3e-3, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1 };
        let mut p = single(numbers(n, 1));
        let (mut m, mut v, mut e1, mut e2) = (vec![0.0; n], vec![0.0; n], p.clone(), p.clone());
        let start: Vec<f64> = p.iter().map(|&p| f64::from(p)).collect();
        let (mut p64, mut m64, mut v64, mut e64) = (start.clone(), vec![0.0; n], vec![0.0; n], start);
        for t in 1..=20u64 {
            let g = single(numbers(n, 10 + t));
            adamw_step(&mut p, &g, &mut m, &mut v, hyper, t, 0.5, &mut [(&mut e1, 0.9), (&mut e2, 0.0)]);
            for i in 0..n {
                let g = 0.5 * f64::from(g[i]);
                m64[i] = 0.9 * m64[i] + 0.1 * g;
                v64[i] = 0.99 * v64[i] + 0.01 * g * g;
                let (mean, root) = (m64[i] / (1.0 - 0.9f64.powi(t as i32)), (v64[i] / (1.0 - 0.99f64.powi(t as i32))).sqrt());
                p64[i] = p64[i] - hyper.lr * hyper.weight_decay * p64[i] - hyper.lr * mean / (root + hyper.eps);
                e64[i] = 0.9 * e64[i] + 0.1 * p64[i];
            }
        }
        let double = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        close(&double(&p), &p64, 2e-6, "parameters");
        close(&double(&e1), &e64, 2e-6, "average");
        close(&double(&e2), &double(&p), 1e-7, "average without memory");
    }
}

#[test]
fn steps_and_norms_do_not_depend_on_threads() {
    let n = 100_003;
    let g = single(numbers(n, 2));
    let run = |threads| {
        with_threads(threads, || {
            let (mut p, mut m, mut v, mut e) = (single(numbers(n, 1)), vec![0.0; n], vec![0.0; n], vec![0.0; n]);
            adamw_step(&mut p, &g, &mut m, &mut v, AdamW::default(), 1, 1.0, &mut [(&mut e, 0.5)]);
            (p, e, sum_squares(&g).to_bits())
        })
    };
    let one = run(1);
    assert!([2, 5].into_iter().all(|threads| run(threads) == one));
    let want: f64 = g.iter().map(|&g| f64::from(g).powi(2)).sum();
    assert!((sum_squares(&g) - want).abs() < 1e-9 * want);
}

#[test]
#[should_panic(expected = "gradients and moments of 3 parameters")]
fn lengths_must_agree() {
    adamw_step(&mut [0.0; 3], &[0.0; 2], &mut [0.0; 3], &mut [0.0; 3], AdamW::default(), 1, 1.0, &mut []);
}
