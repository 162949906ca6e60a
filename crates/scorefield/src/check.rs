//! What the program measures of itself: `scorefield check`.
//!
//! Each [`Section`] walks a list (processes, solvers, estimators, objectives) on Gaussian data and on a mixture, whose densities, scores
//! and posterior means are closed forms, and returns rows of what is claimed beside what was measured.

use scorefield_process::oracle::{Gaussian, Mixture};
use scorefield_process::{Denoiser, Differentiable, Prediction, Process, ProcessConfig, ProcessExt};
use scorefield_sample::check::Row;
use scorefield_sample::density::{Flow, Probe, Trace, log_likelihood};
use scorefield_tensor::{Batch, Coefficient, DType, Device, Known, Noise, Purpose, Streams, Tensor, batch_f64, rows_f64};
use scorefield_train::{Objective, TimeLaw, Weight};

/// A part of the check.
#[derive(Clone, Copy)]
pub struct Section {
    /// What it is about.
    pub title: &'static str,
    /// Measures its rows.
    pub rows: fn() -> Vec<Row>,
}

/// All of them.
pub fn sections() -> [Section; 5] {
    [
        Section { title: "processes", rows: scorefield_sample::check::process::processes },
        Section { title: "solvers", rows: scorefield_sample::check::solvers },
        Section { title: "states", rows: scorefield_sample::check::states::states },
        Section { title: "likelihood", rows: likelihood },
        Section { title: "objectives", rows: objectives },
    ]
}

/// `ln p_t(x)`.
type Density<'a> = dyn Fn(&[f64], f64) -> f64 + 'a;

/// Standard errors within which an estimate must lie of what it estimates.
const ERRORS: f64 = 4.0;
/// Largest error of a log-likelihood with the exact trace, in nats.
const NATS: f64 = 1e-4;

fn mixture(process: Box<dyn Process>) -> Mixture<Box<dyn Process>> {
    let means = [vec![1.0, 0.5], vec![-1.2, 0.8], vec![0.2, -1.4]];
    Mixture::isotropic(process, &[0.5, 0.3, 0.2], &means, &[0.3, 0.5, 0.2])
}

fn normals(purpose: Purpose, n: usize) -> Vec<f64> {
    let like = Tensor::<2>::zeros([n, 2], (&Device::default(), DType::F64));
    rows_f64(Streams::new(1, (0..n as u64).collect(), purpose).normal(&like))
}

/// The density along the probability flow: with the exact trace against the closed form, and with random probes against the closed
/// form in units of the estimate's own standard error. What the prior neglects (that the marginal at the end still holds a little of the
/// data: up to a tenth of a nat for exploding processes) is known here and put back, so that the rest is the integration's.
pub fn likelihood() -> Vec<Row> {
    let mut rows = Vec::new();
    for config in ProcessConfig::all() {
        let process = || config.build().expect("the usual constants make a process");
        let start = process().span().start;
        let gaussian = Gaussian::new(process(), vec![0.7, -1.2], vec![0.25, 2.0]);
        let mixture = mixture(process());
        let (draws, at) = (normals(Purpose::Prior, 48), process().at(start));
        let of_gaussian: Vec<f64> = draws
            .iter()
            .enumerate()
            .map(|(i, z)| gaussian.marginal(i % 2, start).0 + gaussian.marginal(i % 2, start).1.sqrt() * z)
            .collect();
        let of_mixture: Vec<f64> = draws
            .chunks(2)
            .enumerate()
            .flat_map(|(i, z)| mixture.draw((i as f64 + 0.5) / 48.0, z, (at.alpha, at.sigma)))
            .collect();
        let laws: [(&str, &dyn Differentiable, Vec<f64>, &Density<'_>); 2] = [
            ("gaussian", &gaussian, of_gaussian, &|x, t| gaussian.ln_density(x, t)),
            ("mixture", &mixture, of_mixture, &|x, t| mixture.ln_density(x, t)),
        ];
        for (law, d, x, density) in laws {
            let exact: Vec<f64> = x.chunks(2).map(|x| density(x, start)).collect();
            let samples: Vec<u64> = (0..exact.len() as u64).collect();
            let states = batch_f64(x, exact.len(), &Device::default());
            let flow = Flow::with_tolerance(1e-7);
            let end = flow.times(d.process()).1;
            let sigma = d.process().at(end).sigma;
            let estimate = |trace: &Trace| {
                let mut found = log_likelihood(d, &states, &samples, trace, &flow).ok()?;
                let k = found.draws.len() / exact.len();
                for (i, z) in found.latents.chunks(2).enumerate() {
                    let neglected = density(&[z[0] * sigma, z[1] * sigma], end) - found.prior[i];
                    found.nats[i] += neglected;
                    found.draws[i * k..][..k].iter_mut().for_each(|v| *v += neglected);
                }
                Some(found)
            };

            let worst = estimate(&Trace::Exact).map_or(f64::NAN, |found| largest_gap(&found.nats, &exact));
            rows.push(Row::new(config.name(), &format!("exact trace, {law}"), "error in nats", (0.0, worst), worst <= NATS));

            for (name, probe) in [("rademacher", Probe::Rademacher), ("gaussian probes", Probe::Gaussian)] {
                let trace = Trace::Random { law: probe, probes: 8, seed: 3, pass: 0 };
                let score = estimate(&trace).map_or(f64::NAN, |found| mean_score(&found.draws, &exact));
                let method = format!("hutchinson {name}, {law}");
                rows.push(Row::new(config.name(), &method, "standard errors off", (0.0, score), score.abs() <= ERRORS));
            }
        }
    }
    rows
}

fn largest_gap(found: &[f64], exact: &[f64]) -> f64 {
    // A NaN must not pass as agreement.
    found.iter().zip(exact).map(|(a, b)| (a - b).abs()).fold(0.0, |top, d| if d.is_nan() { d } else { d.max(top) })
}

/// How many of its own standard errors the mean over all rows and probes lies off the exact mean. The error of an exact trace counts
/// as one more part, so that an estimate without spread is not divided by nothing.
fn mean_score(draws: &[f64], exact: &[f64]) -> f64 {
    let k = draws.len() / exact.len();
    let means: Vec<f64> = draws.chunks(k).zip(exact).map(|(d, e)| d.iter().sum::<f64>() / k as f64 - e).collect();
    let of_row = |(d, m): (&[f64], f64)| d.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (k * (k - 1)) as f64;
    let variance: f64 = draws.chunks(k).zip(draws.chunks(k).map(|d| d.iter().sum::<f64>() / k as f64)).map(of_row).sum();
    let n = exact.len() as f64;
    (means.iter().sum::<f64>() / n) / (variance.sqrt() / n + NATS / ERRORS)
}

/// Denoising score matching under every process: the loss of the exact denoiser of isotropic Gaussian data is its closed form, for every
/// weight; and on a mixture the exact denoiser is where the loss is least, for every prediction: its derivative along the
/// denoiser itself vanishes. Both in units of the standard error of the mean over the draws.
pub fn objectives() -> Vec<Row> {
    const N: usize = 4096;
    let mut rows = Vec::new();
    for config in ProcessConfig::all() {
        let process = || config.build().expect("the usual constants make a process");
        let spread: f64 = 0.5;
        let gaussian = Gaussian::new(process(), vec![0.0; 2], vec![spread * spread; 2]);
        let mixture = mixture(process());
        let (z, noise) = (normals(Purpose::Prior, N), normals(Purpose::Perturb, N));
        let eps = batch_f64(noise, N, &Device::default());
        let samples: Vec<u64> = (0..N as u64).collect();

        // Levels around the data's own, so that no weight lets a few draws decide.
        let times = TimeLaw::LogNormal { mean: spread.ln(), deviation: 0.8 };
        let x0 = batch_f64(z.iter().map(|z| spread * z).collect(), N, &Device::default());
        for weight in Weight::all() {
            let objective = Objective { stratified: true, ..Objective::new(weight, times) };
            let prediction = Prediction::Edm { sigma_data: spread };
            let t = objective.draw_times(gaussian.process(), 1, &samples);
            let residual = residual(&gaussian, &x0, &eps, &t);
            let c_out = prediction.coeffs(&gaussian.process().at_each(&t)).c_out.square().rows(N);
            let w = objective.weights(gaussian.process(), &prediction, &t).rows(N);
            let differences: Vec<f64> = (0..N)
                .map(|i| {
                    let loss = w[i] / c_out[i] * residual[2 * i..2 * i + 2].iter().map(|r| r * r).sum::<f64>() / 2.0;
                    loss - objective.trivial_loss(gaussian.process(), &prediction, t[i], spread)
                })
                .collect();
            let score = score(&differences);
            let method = format!("weight {}", name_of(&weight));
            rows.push(Row::new(config.name(), &method, "loss of the exact denoiser", (0.0, score), score.abs() <= ERRORS));
        }

        let x0: Vec<f64> = z.chunks(2).enumerate().flat_map(|(i, z)| mixture.draw(golden(i), z, (1.0, 0.0))).collect();
        let x0 = batch_f64(x0, N, &Device::default());
        for prediction in Prediction::all() {
            let objective = Objective { stratified: true, ..Objective::new(Weight::SigmaSquared, times) };
            let t = objective.draw_times(mixture.process(), 1, &samples);
            let at = mixture.process().at_each(&t);
            let x_t = at.perturb(&x0, &eps);
            let coeffs = prediction.coeffs(&at);
            // The network's output that makes the exact denoiser, and what the loss asks of it.
            let output = coeffs.target(&x_t, &mixture.denoise_each(&x_t, &t));
            let error = rows_f64(output.clone() - coeffs.target(&x_t, &x0));
            let (along, w) = (rows_f64(output), objective.weights(mixture.process(), &prediction, &t).rows(N));
            let slopes: Vec<f64> =
                (0..N).map(|i| w[i] * (0..2).map(|k| error[2 * i + k] * along[2 * i + k]).sum::<f64>()).collect();
            let score = score(&slopes);
            let method = format!("prediction {}", prediction.name());
            rows.push(Row::new(config.name(), &method, "slope at the exact denoiser", (0.0, score), score.abs() <= ERRORS));
        }
    }
    rows
}

/// Equally spread numbers in [0, 1) that do not follow the order of stratified times.
fn golden(i: usize) -> f64 {
    (i as f64 * 0.618_033_988_749_894_9).fract()
}

fn residual(d: &dyn Denoiser, x0: &Batch, eps: &Batch, times: &[f64]) -> Vec<f64> {
    let x_t = d.process().at_each(times).perturb(x0, eps);
    rows_f64(d.denoise_each(&x_t, times) - x0.clone())
}

/// The name of a weight in recipes.
fn name_of(weight: &Weight) -> String {
    let text = format!("{weight:?}");
    let variant = text.split([' ', '{']).next().unwrap_or_default();
    let mut name = String::new();
    for c in variant.chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(c.to_lowercase());
    }
    name
}

/// Mean over standard error.
fn score(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean / (variance / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihoods_and_objectives_hold() {
        for rows in [likelihood(), objectives()] {
            let wrong: Vec<_> = rows.iter().filter(|r| !r.ok).collect();
            assert!(!rows.is_empty() && wrong.is_empty(), "{wrong:#?}");
        }
    }
}
