//! The variational lower bound on the log-likelihood, term by term.
//!
//! For a chain of `T` Gaussian steps between the noise levels of `u_0 < ... < u_T` (Sohl-Dickstein et al. 2015; Ho et al. 2020,
//! eq. 5; Kingma et al. 2021, eqs. 11 to 14) `-ln p(x_0)` is at most
//!
//! * prior: `KL(q(x_T | x_0) | N(0, sigma_T^2 I)) = |alpha_T x_0|^2 / (2 sigma_T^2)`,
//! * step i: `(SNR(u_{i-1}) - SNR(u_i)) / 2 E |x_0 - D(x_{u_i})|^2`, the divergence of two Gaussians of the posterior's variance,
//! * decoder: `E[-ln p(x_0 | x_{u_0})]`, normal about `D(x_{u_0})` with the deviation of the noise level there, or the mass that
//!   this normal gives to a level of 8-bit data (Ho et al. 2020, eq. 13).
//!
//! Levels are uniform in `u = ln(sigma / alpha)`. As `T` grows the steps become `int SNR E|x_0 - D|^2 du` (Kingma et al. 2021,
//! eq. 15); [`BoundOptions::continuous`] estimates that integral by one random level in each cell.

use super::flow::{Flow, Path};
use scorefield_process::Denoiser;
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Purpose, Streams, Tensor, TensorData, rows_f64};

/// The law of data given the state at the lowest noise level.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoder {
    /// A density.
    Gaussian,
    /// The mass of levels `width` apart, from `low` to `high` in state units; the outermost reach to infinity. One entry each.
    Levels {
        /// Distance of two levels.
        width: Vec<f64>,
        /// The lowest.
        low: Vec<f64>,
        /// The highest.
        high: Vec<f64>,
    },
}

/// How the bound is estimated.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundOptions {
    /// Steps of the chain, or cells of the integral.
    pub steps: usize,
    /// Whether the steps are the cells of the continuous bound.
    pub continuous: bool,
    /// Independent estimates of each datum's bound.
    pub draws: usize,
    /// The seed of the noise.
    pub seed: u64,
    /// The decoder.
    pub decoder: Decoder,
}

/// The terms, in nats, each `[n]` or `[n, draws]`; the bound on `ln p(x_0)` is minus their sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The prior's divergence of each row.
    pub prior: Vec<f64>,
    /// The decoder's part of each row and draw.
    pub decoder: Vec<f64>,
    /// All steps of each row and draw.
    pub diffusion: Vec<f64>,
    /// The steps one by one, from the data to the noise: noise level `sigma / alpha` and the mean over rows and draws.
    pub steps: Vec<(f64, f64)>,
}

impl Bound {
    /// The lower bound on `ln p(x_0)` of each row and draw, `[n, draws]`.
    pub fn nats(&self) -> Vec<f64> {
        let draws = self.decoder.len() / self.prior.len().max(1);
        let at = |(i, (a, b)): (usize, (&f64, &f64))| -(self.prior[i / draws] + a + b);
        self.decoder.iter().zip(&self.diffusion).enumerate().map(at).collect()
    }
}

/// The bound for clean states `x0`, `[n, d]`, with the numbers `samples` for the noise.
///
/// # Panics
/// Unless there is one number a row, a step and a draw.
#[track_caller]
pub fn variational_bound(d: &dyn Denoiser, x0: &Batch, samples: &[u64], options: &BoundOptions, flow: &Flow) -> Bound {
    let [n, dim] = x0.dims();
    assert!(samples.len() == n && options.steps > 0 && options.draws > 0, "{n} rows, {} samples: {options:?}", samples.len());
    let path = Path::new(d.process(), flow);
    let ((low, high), steps) = (path.span(), options.steps);
    let u = |i: f64| low + (high - low) * i / steps as f64;
    let snr = |u: f64| (-2.0 * u).exp();
    let clean_rows = rows_f64(x0.clone());

    // x_u = alpha x_0 + sigma eps with a level of its own for each row, then |x_0 - D|^2.
    let denoised = |u: &[f64], step: u32, draw: usize| {
        let places: Vec<_> = u.iter().map(|&u| path.at(u)).collect();
        let mut x = Vec::with_capacity(n * dim);
        for ((row, place), &sample) in clean_rows.chunks(dim).zip(&places).zip(samples) {
            let mut eps = vec![0.0; dim];
            Stream::new(options.seed, sample, Purpose::Perturb, step, draw as u8).fill_normal(&mut eps);
            x.extend(row.iter().zip(eps).map(|(x, e)| place.alpha * x + place.sigma * e));
        }
        let x = Tensor::from_data(TensorData::new(x, [n, dim]), (&x0.device(), x0.dtype()));
        rows_f64(d.denoise_each(&x, &places.iter().map(|p| p.t).collect::<Vec<_>>()))
    };
    let squares = |clean: &[f64], i: usize| -> f64 {
        let (a, b) = (&clean[i * dim..][..dim], &clean_rows[i * dim..][..dim]);
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
    };

    let last = path.at(high);
    let prior = clean_rows.chunks(dim).map(|r| 0.5 * (last.alpha / last.sigma).powi(2) * r.iter().map(|x| x * x).sum::<f64>());
    let mut out = Bound { prior: prior.collect(), decoder: vec![], diffusion: vec![0.0; n * options.draws], steps: vec![] };
    let mut decoder = vec![0.0; n * options.draws];
    for draw in 0..options.draws {
        let clean = denoised(&vec![low; n], 0, draw);
        for i in 0..n {
            let (mean, truth) = (&clean[i * dim..][..dim], &clean_rows[i * dim..][..dim]);
            decoder[i * options.draws + draw] = options.decoder.surprise(mean, truth, low.exp());
        }
    }
    out.decoder = decoder;
    let uniform = Streams::new(options.seed, samples.to_vec(), Purpose::Time);
    for step in 1..=steps {
        let mut mean = 0.0;
        for draw in 0..options.draws {
            // The end of the step, or a place within its cell.
            let place = |i: usize| match options.continuous {
                false => u(step as f64),
                true => {
                    let s = Stream::new(uniform.seed(), uniform.samples()[i], Purpose::Time, step as u32, draw as u8);
                    u(step as f64 - s.uniform(0))
                }
            };
            let places: Vec<f64> = (0..n).map(place).collect();
            let clean = denoised(&places, step as u32, draw);
            for (i, &at) in places.iter().enumerate() {
                let weight = match options.continuous {
                    false => 0.5 * (snr(u(step as f64 - 1.0)) - snr(at)),
                    // -SNR'(u) / 2 = SNR(u)
                    true => snr(at) * (high - low) / steps as f64,
                };
                let term = weight * squares(&clean, i);
                out.diffusion[i * options.draws + draw] += term;
                mean += term / (n * options.draws) as f64;
            }
        }
        out.steps.push((u(step as f64).exp(), mean));
    }
    out
}

impl Decoder {
    /// `-ln p(truth)` under normals about `mean` of one deviation.
    fn surprise(&self, mean: &[f64], truth: &[f64], deviation: f64) -> f64 {
        let entry = |(i, (m, x)): (usize, (&f64, &f64))| match self {
            Self::Gaussian => 0.5 * (((x - m) / deviation).powi(2) + (std::f64::consts::TAU * deviation * deviation).ln()),
            Self::Levels { width, low, high } => {
                let half = 0.5 * width[i];
                let below = if *x <= low[i] + half { f64::NEG_INFINITY } else { (x - half - m) / deviation };
                let above = if *x >= high[i] - half { f64::INFINITY } else { (x + half - m) / deviation };
                -ln_mass(below, above)
            }
        };
        mean.iter().zip(truth).enumerate().map(entry).sum()
    }
}

/// `ln(Phi(b) - Phi(a))` for `a < b`, in the tail where it does not cancel.
fn ln_mass(a: f64, b: f64) -> f64 {
    // By symmetry the interval lies left of the origin, or about it.
    let (a, b) = if a + b > 0.0 { (-b, -a) } else { (a, b) };
    let (top, bottom) = (ln_phi(b), ln_phi(a));
    top + (-(bottom - top).exp()).ln_1p()
}

/// `ln Phi(x)`. Left of -1 by the continued fraction of Mills's ratio, `Phi(x) = phi(x) / (y + 1/(y + 2/(y + ...)))` with `y = -x`
/// (Abramowitz and Stegun 26.2.14); else by the series `Phi(x) = 1/2 + phi(x) (x + x^3/3 + x^5/15 + ...)` (26.2.11).
fn ln_phi(x: f64) -> f64 {
    if x.is_infinite() {
        return x.min(0.0);
    }
    let ln_density = -0.5 * x * x - 0.5 * std::f64::consts::TAU.ln();
    if x < -1.5 {
        let mut fraction = -x;
        for k in (1..200).rev() {
            fraction = -x + f64::from(k) / fraction;
        }
        return ln_density - fraction.ln();
    }
    if x > 8.0 {
        return -(ln_density.exp() / x);
    }
    let (mut term, mut sum, mut k) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs().max(1e-300) && k < 400.0 {
        k += 2.0;
        term *= x * x / k;
        sum += term;
    }
    (0.5 + ln_density.exp() * sum).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of a table (Abramowitz and Stegun 26.1) and of the tails' asymptotic series.
    #[test]
    fn the_normal_integral() {
        for (x, ln) in [
            (0.0, 0.5f64.ln()),
            (1.0, 0.841_344_746_068_543f64.ln()),
            (-1.0, 0.158_655_253_931_457f64.ln()),
            (-2.0, 0.022_750_131_948_179f64.ln()),
            (-5.0, 2.866_515_718_791_94e-7f64.ln()),
        ] {
            assert!((ln_phi(x) - ln).abs() < 1e-12, "{x}: {} {ln}", ln_phi(x));
        }
        assert!((ln_phi(-30.0) + 454.321_243_9).abs() < 1e-6, "{}", ln_phi(-30.0));
        assert!((ln_mass(-1.0, 1.0) - 0.682_689_492_137_086f64.ln()).abs() < 1e-12);
        assert!((ln_mass(4.0, 5.0) - (3.167_124_183_311_99e-5f64 - 2.866_515_718_791_94e-7).ln()).abs() < 1e-9);
    }
}
