//! The optimiser's step on host numbers: clipping, AdamW and the averages of the parameters in one pass over the memory.

use crate::micro::lanes;
use crate::parallel::map_jobs;
use rayon::prelude::*;

/// Numbers a job takes at a time. Fixed: sums are cut here whatever the number of threads.
const CHUNK: usize = 1 << 14;

/// Settings of AdamW (Loshchilov and Hutter 2019, algorithm 2; Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Step size.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root, against division by zero.
    pub eps: f64,
    /// Decoupled weight decay: the parameter shrinks by `lr * weight_decay` a step.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// One step of AdamW on the parameters `p` with gradients `g`, moments `m` and `v`, and their averages.
///
/// With `g' = grad_scale g` (the factor of a clipped global norm, or of accumulated batches), at step `t = 1, 2, ...`:
///
/// * `m <- beta1 m + (1 - beta1) g'`, `v <- beta2 v + (1 - beta2) g'^2`;
/// * `p <- p - lr weight_decay p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)`;
/// * for each average `(e, decay)`: `e <- e + (1 - decay) (p - e)`.
///
/// The result does not depend on the number of threads.
///
/// # Panics
/// When the slices differ in length or `step` is 0.
#[track_caller]
pub fn adamw_step(
    p: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    hyper: AdamW,
    step: u64,
    grad_scale: f32,
    ema: &mut [(&mut [f32], f32)],
) {
    let n = p.len();
    assert!(step > 0, "steps count from 1");
    assert_eq!([g.len(), m.len(), v.len()], [n; 3], "gradients and moments of {n} parameters");
    for (average, _) in ema.iter() {
        assert_eq!(average.len(), n, "an average of {n} parameters");
    }
    let t = step.min(i32::MAX as u64) as i32;
    let coefficients = Coefficients {
        beta1: hyper.beta1 as f32,
        beta2: hyper.beta2 as f32,
        rest1: (1.0 - hyper.beta1) as f32,
        rest2: (1.0 - hyper.beta2) as f32,
        step: (hyper.lr / (1.0 - hyper.beta1.powi(t))) as f32,
        root: (1.0 - hyper.beta2.powi(t)).recip() as f32,
        eps: hyper.eps as f32,
        keep: (1.0 - hyper.lr * hyper.weight_decay) as f32,
        scale: grad_scale,
    };
    let mut averages: Vec<_> = ema.iter_mut().map(|(e, decay)| (e.chunks_mut(CHUNK), *decay)).collect();
    let jobs: Vec<_> = p
        .chunks_mut(CHUNK)
        .zip(g.chunks(CHUNK))
        .zip(m.chunks_mut(CHUNK).zip(v.chunks_mut(CHUNK)))
        .map(|((p, g), (m, v))| {
            let ema = averages.iter_mut().filter_map(|(e, decay)| e.next().map(|e| (e, *decay))).collect();
            Job { p, g, m, v, ema }
        })
        .collect();
    let work = |job: Job<'_>| {
        update(job.p, job.g, job.m, job.v, coefficients);
        for (e, decay) in job.ema {
            average(e, job.p, (1.0 - f64::from(decay)) as f32);
        }
    };
    if n < 2 * CHUNK { jobs.into_iter().for_each(work) } else { jobs.into_par_iter().for_each(work) }
}

/// A chunk of every array.
struct Job<'a> {
    p: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    ema: Vec<(&'a mut [f32], f32)>,
}

/// `sum g^2` in double precision, the same whatever the number of threads.
pub fn sum_squares(g: &[f32]) -> f64 {
    let chunks: Vec<_> = g.chunks(CHUNK).collect();
    map_jobs(chunks.len(), g.len() < 4 * CHUNK, |i| squares(chunks[i])).into_iter().sum()
}

#[derive(Clone, Copy)]
struct Coefficients {
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    step: f32,
    root: f32,
    eps: f32,
    keep: f32,
    scale: f32,
}

lanes! {
    fn update(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], c: Coefficients) {
        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let g = g * c.scale;
            *m = c.beta1 * *m + c.rest1 * g;
            *v = c.beta2 * *v + c.rest2 * (g * g);
            *p = c.keep * *p - c.step * *m / ((*v * c.root).sqrt() + c.eps);
        }
    }

    fn average(e: &mut [f32], p: &[f32], rest: f32) {
        for (e, &p) in e.iter_mut().zip(p) {
            *e += rest * (p - *e);
        }
    }

    fn squares(g: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        let whole = g.len() / 8 * 8;
        for vector in g[..whole].chunks_exact(8) {
            for (lane, &g) in lanes.iter_mut().zip(vector) {
                *lane += f64::from(g) * f64::from(g);
            }
        }
        lanes.iter().sum::<f64>() + g[whole..].iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>()
    }
}
