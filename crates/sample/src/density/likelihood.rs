//! The density of data by the change of volume along the probability flow (Song et al. 2021, eq. 39).
//!
//! Along the flow `dz/du = v`, `d ln p(z) / du = -div v`, so the density at the data's end is the prior's at the other end times
//! the divergence integrated between: `ln p(z_0) = ln p(z_1) + int div v du`. The divergence needs the trace of the denoiser's
//! Jacobian: exactly, by `d` pullbacks of unit vectors; or as the mean of `w . J^T w` over random probes `w` with unit covariance
//! (Hutchinson 1990; Skilling 1989). One probe serves the whole way of a row, so that the slope is smooth.

use super::flow::{Flow, FlowError, Path, arrived};
use crate::ode::Memory;
use scorefield_process::{Differentiable, Process};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, DType, Purpose, Tensor, TensorData, batch_f64, rows_f64};

/// The law of probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probe {
    /// Signs, +1 or -1: the diagonal of the Jacobian does not add to the variance.
    #[default]
    Rademacher,
    /// Standard normals.
    Gaussian,
}

/// How the trace of the Jacobian is found.
#[derive(Clone, Debug, PartialEq)]
pub enum Trace {
    /// By all unit vectors: `d` pullbacks an evaluation.
    Exact,
    /// By random probes, a function of (seed, sample, probe, pass) and of nothing else.
    Random {
        /// Their law.
        law: Probe,
        /// How many for each row, at least one.
        probes: usize,
        /// The seed.
        seed: u64,
        /// Which pass over the same samples it is, below 256: other passes draw other probes.
        pass: u8,
    },
    /// By probes given from outside, `[n * k, d]`: those of row `i` are rows `i k` to `i k + k - 1`.
    Given(Vec<f64>),
}

/// Log-densities of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Likelihood {
    /// `ln p_t(x)` of each row in nats, at the flow's start: the mean over probes.
    pub nats: Vec<f64>,
    /// The same for each probe, `[n, k]`; one a row for an exact trace.
    pub draws: Vec<f64>,
    /// The part of `nats` that is the prior's density of the latent.
    pub prior: Vec<f64>,
    /// The latents, standardised: `x_end / sigma_end`, `[n, d]`.
    pub latents: Vec<f64>,
    /// Evaluations of the denoiser on each row's way. Each is repeated for every probe or unit vector.
    pub evaluations: Vec<u64>,
}

/// Rows of states, times and probes that are pulled back at once: it bounds the memory and changes nothing else.
const AT_ONCE: usize = 512;

/// `ln p_t(x)` for the rows of `x`, `[n, d]`, states at the start of the flow; `samples` are their numbers, for the probes.
///
/// The prior is `N(0, sigma_end^2 I)`: that the true marginal at the end still holds `alpha_end x_0` is neglected. The denoiser is
/// evaluated in the element type of `x`; the way and the densities are computed in double precision.
///
/// # Errors
/// When a row's way cannot be integrated.
///
/// # Panics
/// Unless there is one number a row and probes fit.
#[track_caller]
pub fn log_likelihood(
    d: &dyn Differentiable,
    x: &Batch,
    samples: &[u64],
    trace: &Trace,
    flow: &Flow,
) -> Result<Likelihood, FlowError> {
    log_likelihood_with(d.process(), |_| d, x, samples, trace, flow)
}

/// [`log_likelihood`] with a denoiser for each call, told the rows of `x` that it will see, each as often as it will: the way for
/// conditions that differ from row to row.
///
/// # Errors
/// As [`log_likelihood`].
///
/// # Panics
/// As [`log_likelihood`].
#[track_caller]
pub fn log_likelihood_with<D: Differentiable>(
    process: &dyn Process,
    denoiser: impl Fn(&[usize]) -> D,
    x: &Batch,
    samples: &[u64],
    trace: &Trace,
    flow: &Flow,
) -> Result<Likelihood, FlowError> {
    let [n, dim] = x.dims();
    assert_eq!(samples.len(), n, "{} samples in {n} rows", samples.len());
    let probes = probes(trace, samples, dim);
    let per_row = probes.len() / (n * dim).max(1);
    let exact = *trace == Trace::Exact;
    let k = if exact { 1 } else { per_row };

    // The state of the integrator: z, and the integral of the divergence for each probe.
    let (path, device) = (Path::new(process, flow), x.device());
    let (u_start, u_end) = path.span();
    let (first, last) = (path.at(u_start), path.at(u_end));
    let width = dim + k;
    let mut y = vec![0.0; n * width];
    for (y, x) in y.chunks_mut(width).zip(rows_f64(x.clone()).chunks(dim)) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x / first.r);
    }
    let mut slope = |y: &Batch, u: &[f64], rows: &[usize]| {
        let y = rows_f64(y.clone());
        let places: Vec<_> = u.iter().map(|&u| path.at(u)).collect();
        let mut out = vec![0.0; y.len()];
        // Every row stands once for each of its probes.
        let jobs: Vec<(usize, usize)> = (0..rows.len()).flat_map(|i| (0..per_row).map(move |p| (i, p))).collect();
        for jobs in jobs.chunks(AT_ONCE) {
            let of_row = |&(i, _): &(usize, usize)| {
                let r = places[i].r;
                y[i * width..][..dim].iter().map(move |z| z * r)
            };
            let states = tensor(jobs.iter().flat_map(of_row).collect(), jobs.len(), x.dtype(), x);
            let of_probe = |&(i, p): &(usize, usize)| &probes[(rows[i] * per_row + p) * dim..][..dim];
            let w: Vec<f64> = jobs.iter().flat_map(|j| of_probe(j).to_vec()).collect();
            let times: Vec<f64> = jobs.iter().map(|&(i, _)| places[i].t).collect();
            let of_jobs: Vec<usize> = jobs.iter().map(|&(i, _)| rows[i]).collect();
            let (clean, back) =
                denoiser(&of_jobs).pullback_each(&states, &times, &mut |_| tensor(w.clone(), jobs.len(), x.dtype(), x));
            let (clean, back) = (rows_f64(clean), rows_f64(back));
            for (j, &(i, p)) in jobs.iter().enumerate() {
                let (place, out) = (places[i], &mut out[i * width..][..width]);
                let a = place.alpha / place.r;
                let w = &w[j * dim..][..dim];
                let along: f64 = w.iter().zip(&back[j * dim..]).map(|(w, b)| w * b).sum();
                let squares: f64 = w.iter().map(|w| w * w).sum();
                // dz/du = (alpha / r) ((alpha / r) z - D)
                if p == 0 {
                    for (c, o) in out[..dim].iter_mut().enumerate() {
                        *o = a * (a * y[i * width + c] - clean[j * dim + c]);
                    }
                }
                // div = d alpha^2 / r^2 - alpha tr J: unit vectors add up to it, every probe estimates it. Its first part is probed
                // too: where there is little noise J is nearly 1 / alpha, and the two cancel in every probe.
                out[if exact { dim } else { dim + p }] += a * a * squares - place.alpha * along;
            }
        }
        batch_f64(out, rows.len(), &device)
    };
    let report = flow.ode.integrate_rows(&mut slope, batch_f64(y, n, &device), u_start, u_end, &mut Memory::new());
    arrived(&report)?;

    // ln p_x(x) = ln p_z(z) - d ln r at either end.
    let mut out = Likelihood { nats: vec![], draws: vec![], prior: vec![], latents: vec![], evaluations: vec![] };
    for (y, row) in rows_f64(report.y).chunks(width).zip(&report.rows) {
        let latent = y[..dim].iter().map(|z| z * last.r / last.sigma);
        let squares: f64 = latent.clone().map(|z| z * z).sum();
        let prior = -0.5 * squares - dim as f64 * (last.sigma.ln() + 0.5 * std::f64::consts::TAU.ln());
        let volume = dim as f64 * (last.r / first.r).ln();
        out.draws.extend(y[dim..].iter().map(|divergence| prior + volume + divergence));
        out.nats.push(prior + volume + y[dim..].iter().sum::<f64>() / k as f64);
        out.prior.push(prior);
        out.latents.extend(latent);
        out.evaluations.push(row.evaluations);
    }
    Ok(out)
}

fn tensor(values: Vec<f64>, n: usize, dtype: DType, like: &Batch) -> Batch {
    let d = values.len() / n.max(1);
    Tensor::from_data(TensorData::new(values, [n, d]), (&like.device(), dtype))
}

/// The probe vectors of all rows, row by row.
#[track_caller]
fn probes(trace: &Trace, samples: &[u64], dim: usize) -> Vec<f64> {
    match trace {
        Trace::Exact => samples.iter().flat_map(|_| (0..dim * dim).map(|i| f64::from(u8::from(i / dim == i % dim)))).collect(),
        Trace::Given(probes) => {
            let fits = !probes.is_empty() && probes.len().is_multiple_of((samples.len() * dim).max(1));
            assert!(fits, "{} numbers of probes for {} rows of {dim}", probes.len(), samples.len());
            probes.clone()
        }
        Trace::Random { law, probes, seed, pass } => {
            assert!(*probes > 0, "a trace needs a probe");
            let draw = |sample: u64, k: usize| {
                let (mut w, stream) = (vec![0.0; dim], Stream::new(*seed, sample, Purpose::Probe, k as u32, *pass));
                match law {
                    Probe::Rademacher => stream.fill_sign(&mut w),
                    Probe::Gaussian => stream.fill_normal(&mut w),
                }
                w
            };
            samples.iter().flat_map(|&s| (0..*probes).flat_map(move |k| draw(s, k))).collect()
        }
    }
}
