//! The variational lower bound on the log-likelihood, term by term.
//!
//! For a chain of `T` Gaussian steps between the noise levels of `u_0 < ... < u_T` (Sohl-Dickstein et al. 2015; Ho et al. 2020,
//! eq. 5; Kingma et al. 2021, eqs. 11 to 14) `-ln p(x_0)` is at most
//!
//! * prior: `KL(q(x_T | x_0) | N(0, s^2 I))`, with the variance `s^2` that the chain begins from,
//! * step i: `(SNR(u_{i-1}) - SNR(u_i)) / 2 E |x_0 - D(x_{u_i})|^2`, the divergence of two Gaussians of the posterior's variance; or,
//!   with a learned variance, that of [`ReverseStep::divergence`],
//! * decoder: `E[-ln p(x_0 | x_{u_0})]`, normal about `D(x_{u_0})` with the deviation of the noise level there (or the learned one), or
//!   the mass that this normal gives to a level of 8-bit data (Ho et al. 2020, eq. 13).
//!
//! Levels are those of the model's own table ([`Chain::Own`]), or uniform in `u = ln(sigma / alpha)`. As `T` grows the steps become
//! `int SNR E|x_0 - D|^2 du` (Kingma et al. 2021, eq. 15); [`Chain::Continuous`] estimates that integral by one random level in each
//! cell.
//!
//! Sohl-Dickstein et al. 2015, eq. 14, arrange the same terms as
//! `K = -sum_{t=2..T} E KL(q(x_{t-1} | x_t, x_0) | p(x_{t-1} | x_t)) + H_q(X_T | X_0) - H_q(X_1 | X_0) - H_p(X_T)`, `x_1` being the state
//! at the lowest level. What is left, `E ln p(x_0 | x_1) + H_q(X_1 | X_0) + E_q ln p(x_T) + H_p(X_T)`, their edges, is zero by
//! design there: `p(x_0 | x_1)` is the forward kernel, and data have the variance of the prior. Here a model may do better at its
//! edges, and [`Bound::edges`] says by how much.

use super::flow::{Flow, Path, Place};
use scorefield_process::{Denoiser, ProcessExt, ReverseStep, StepVariance};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Coefficient, Purpose, Tensor, TensorData, rows_f64};

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

/// Between which levels the steps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Steps of equal length in `u`. They begin from the variance `sigma_T^2`, whatever signal is left.
    Uniform(usize),
    /// Cells of the integral that such steps become, of equal length in `u`.
    Continuous(usize),
    /// The table of a process that has one, from the flow's start on, with the variance that the model has learned for its steps. It
    /// begins from `alpha_T^2 + sigma_T^2`, the variance of unit data there: `N(0, I)` for variance-preserving tables.
    Own,
}

/// How the bound is estimated.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundOptions {
    /// The levels of the chain.
    pub chain: Chain,
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
    /// The entropies of the states at the ends of the chain, of one datum.
    pub entropies: Entropies,
}

/// Differential entropies in nats (Sohl-Dickstein et al. 2015, eq. 14).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Entropies {
    /// `H_q(X_T | X_0)`: of the noise at the highest level.
    pub last: f64,
    /// `H_q(X_1 | X_0)`: of the noise at the lowest level.
    pub first: f64,
    /// `H_p(X_T)`: of the law that the chain begins from.
    pub prior: f64,
}

impl Bound {
    /// What is left of the bound beside `-steps + H_q(X_T | X_0) - H_q(X_1 | X_0) - H_p(X_T)`, the mean over rows and draws.
    pub fn edges(&self) -> f64 {
        let (n, Entropies { last, first, prior }) = (self.decoder.len() as f64, self.entropies);
        let steps = self.diffusion.iter().sum::<f64>() / n;
        self.nats().iter().sum::<f64>() / n - (last - first - prior - steps)
    }

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
/// Unless there is one number a row, a step and a draw; and when a process that is no table is asked for its own chain.
#[track_caller]
pub fn variational_bound(d: &dyn Denoiser, x0: &Batch, samples: &[u64], options: &BoundOptions, flow: &Flow) -> Bound {
    let [n, dim] = x0.dims();
    assert!(samples.len() == n && options.draws > 0, "{n} rows, {} samples: {options:?}", samples.len());
    let path = Path::new(d.process(), flow);
    let levels = levels(d, options.chain, &path);
    let snr = |u: f64| (-2.0 * u).exp();
    let clean_rows = rows_f64(x0.clone());
    let batch = |x: Vec<f64>| Tensor::from_data(TensorData::new(x, [n, dim]), (&x0.device(), x0.dtype()));

    // x_u = alpha x_0 + sigma eps with a level of its own for each row.
    let noised = |places: &[Place], step: u32, draw: usize| {
        let mut x = Vec::with_capacity(n * dim);
        for ((row, place), &sample) in clean_rows.chunks(dim).zip(places).zip(samples) {
            let mut eps = vec![0.0; dim];
            Stream::new(options.seed, sample, Purpose::Perturb, step, draw as u8).fill_normal(&mut eps);
            x.extend(row.iter().zip(eps).map(|(x, e)| place.alpha * x + place.sigma * e));
        }
        batch(x)
    };

    let (lowest, last) = (levels[0], levels[levels.len() - 1]);
    let (signal, noise) = (last.alpha.powi(2), last.sigma.powi(2));
    let spread = if options.chain == Chain::Own { signal + noise } else { noise };
    let entropy = |variance: f64| 0.5 * dim as f64 * (std::f64::consts::TAU * std::f64::consts::E * variance).ln();
    let entropies = Entropies { last: entropy(noise), first: entropy(lowest.sigma.powi(2)), prior: entropy(spread) };
    let mut out = Bound {
        prior: sums(d.process().at(last.t).divergence_from(&spread, x0)),
        decoder: vec![0.0; n * options.draws],
        diffusion: vec![0.0; n * options.draws],
        steps: vec![],
        entropies,
    };

    for draw in 0..options.draws {
        let x = noised(&vec![lowest; n], 0, draw);
        let (clean, learned) = judged(d, &x, lowest.t, options.chain);
        // The deviation of every entry.
        let deviations = match learned {
            None => vec![lowest.sigma / lowest.alpha; n * dim],
            Some(learned) => {
                let at = |k: usize| d.process().at(levels[k].t);
                let step = ReverseStep::to_data(&at(0), &ReverseStep::between(&at(1), &at(0)));
                rows_f64((step.ln_small.shift(learned.over_small(&step)) * 0.5).exp())
            }
        };
        let clean = rows_f64(clean);
        for i in 0..n {
            let [mean, truth, deviation] = [&clean, &clean_rows, &deviations].map(|of| &of[i * dim..][..dim]);
            out.decoder[i * options.draws + draw] = options.decoder.surprise(mean, truth, deviation);
        }
    }
    for (k, pair) in levels.windows(2).enumerate() {
        let ([below, above], step) = ([pair[0], pair[1]], k as u32 + 1);
        let (low, high) = (below.u, above.u);
        let mut mean = 0.0;
        for draw in 0..options.draws {
            let terms: Vec<f64> = if let Chain::Continuous(_) = options.chain {
                // A place within the cell.
                let place = |&sample: &u64| {
                    path.at(high - (high - low) * Stream::new(options.seed, sample, Purpose::Time, step, draw as u8).uniform(0))
                };
                let places: Vec<Place> = samples.iter().map(place).collect();
                let times: Vec<f64> = places.iter().map(|p| p.t).collect();
                let error = x0.clone() - d.denoise_each(&noised(&places, step, draw), &times);
                // -SNR'(u) / 2 = SNR(u)
                let weight = |i: usize| snr(places[i].u) * (high - low);
                sums(error.clone() * error).into_iter().enumerate().map(|(i, v)| weight(i) * v).collect()
            } else {
                let (clean, learned) = judged(d, &noised(&vec![above; n], step, draw), above.t, options.chain);
                let error = x0.clone() - clean;
                match learned {
                    None => sums(error.clone() * error).into_iter().map(|v| 0.5 * (snr(low) - snr(high)) * v).collect(),
                    Some(learned) => {
                        let reverse = ReverseStep::between(&d.process().at(above.t), &d.process().at(below.t));
                        sums(reverse.divergence(error, learned.over_small(&reverse)))
                    }
                }
            };
            for (i, term) in terms.into_iter().enumerate() {
                out.diffusion[i * options.draws + draw] += term;
                mean += term / (n * options.draws) as f64;
            }
        }
        out.steps.push((high.exp(), mean));
    }
    out
}

/// The sum of every row.
fn sums(x: Batch) -> Vec<f64> {
    let d = x.dims()[1];
    rows_f64(x).chunks(d).map(|row| row.iter().sum()).collect()
}

/// The posterior mean, and the variance of the step where the chain is the one that it was learned for.
fn judged(d: &dyn Denoiser, x: &Batch, t: f64, chain: Chain) -> (Batch, Option<StepVariance>) {
    if chain == Chain::Own { d.denoise_with_variance(x, t) } else { (d.denoise_each(x, &vec![t; x.dims()[0]]), None) }
}

/// The levels of a chain, from the data to the noise.
#[track_caller]
fn levels(d: &dyn Denoiser, chain: Chain, path: &Path<'_>) -> Vec<Place> {
    let (low, high) = path.span();
    match chain {
        Chain::Uniform(steps) | Chain::Continuous(steps) => {
            assert!(steps > 0, "a chain without steps");
            (0..=steps).map(|i| path.at(low + (high - low) * i as f64 / steps as f64)).collect()
        }
        Chain::Own => {
            let count = d.process().steps().expect("a process with a table");
            // The times of the losses in training: the last of a table without signal is the end of its span.
            let times = (0..count).map(|i| d.process().span().at(i as f64 / (count - 1) as f64));
            let places: Vec<Place> = times.map(|t| path.at_time(t)).filter(|p| p.u >= low && p.u <= high).collect();
            assert!(places.len() > 1, "{} levels of the table lie between {low} and {high}", places.len());
            places
        }
    }
}

impl Decoder {
    /// `-ln p(truth)` under normals about `mean`, each entry with its own deviation.
    fn surprise(&self, mean: &[f64], truth: &[f64], deviation: &[f64]) -> f64 {
        let entry = |(i, (m, x)): (usize, (&f64, &f64))| {
            let deviation = deviation[i];
            match self {
                Self::Gaussian => 0.5 * (((x - m) / deviation).powi(2) + (std::f64::consts::TAU * deviation * deviation).ln()),
                Self::Levels { width, low, high } => {
                    let half = 0.5 * width[i];
                    let below = if *x <= low[i] + half { f64::NEG_INFINITY } else { (x - half - m) / deviation };
                    let above = if *x >= high[i] - half { f64::INFINITY } else { (x + half - m) / deviation };
                    -ln_mass(below, above)
                }
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
