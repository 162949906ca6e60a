//! The variational bound on the log-likelihood of states with categories, term by term.
//!
//! `K <= ln p(x_0)`: the terms of [`scorefield_process::states`], their expectations over `x_t` estimated with noise drawn by (seed,
//! sample, step). A row looks at all steps of the chain, or at a few of them, one drawn from each of as many equal parts of the chain, which
//! is unbiased and cheap. Two arrangements of the same chain differ at its ends: the usual one ends in `-ln p(x_0 | x_1)`; that of
//! Sohl-Dickstein et al. 2015 (eq. 14) takes the last reverse step from the forward one, which costs the entropy `H_q(X_1 | X_0)`, and
//! counts the first by entropies, `H_q(X_T | X_0) - H_p(X_T)`, which is exact where nothing is remembered.

use scorefield_process::states::{StatesAt, StatesDenoiser, StatesProcess};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, DType, Noise, Purpose, Streams, rows_f64};

/// How a bound is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatesBoundOptions {
    /// Steps `T` of the chain; of the continuous bound the cells of the integral.
    pub steps: usize,
    /// How many of them each row looks at: all, if as many or more.
    pub visited: usize,
    /// The limit of many steps: the integral of rates from `1 / T` to 1, and what is left is decoded there.
    pub continuous: bool,
    /// The paper's ends of the chain.
    pub paper: bool,
    /// The seed.
    pub seed: u64,
}

/// The bound of every row in nats.
#[derive(Clone, Debug, PartialEq)]
pub struct StatesBound {
    /// What it costs that the chain does not end in the prior; in the paper's arrangement `H_p(X_T) - H_q(X_T | X_0)`.
    pub prior: Vec<f64>,
    /// All steps but the last, or the integral.
    pub steps: Vec<f64>,
    /// The last step: `-ln p(x_0 | x_1)` with what numbers cost to decode; in the paper's arrangement `H_q(X_1 | X_0)`.
    pub last: Vec<f64>,
    /// The chain in ten equal parts of time, from the data on: the time in the middle of each and the mean cost of its steps.
    pub parts: Vec<(f64, f64)>,
    /// Calls of the denoiser.
    pub evaluations: u64,
}

/// Parts that a chain is shown in.
const PARTS: usize = 10;

impl StatesBound {
    /// `K` of every row.
    pub fn nats(&self) -> Vec<f64> {
        let terms = self.prior.iter().zip(&self.steps).zip(&self.last);
        terms.map(|((prior, steps), last)| -(prior + steps + last)).collect()
    }
}

/// The bound of wide rows `x0`, row `i` with the noise of sample `samples[i]`. Inside everything but the model is in double precision.
///
/// # Panics
/// When the chain has fewer than two steps, none is looked at, or there is not one sample a row.
#[track_caller]
pub fn states_bound(d: &dyn StatesDenoiser, x0: &Batch, samples: &[u64], options: &StatesBoundOptions) -> StatesBound {
    let n = x0.dims()[0];
    assert!(options.steps >= 2 && options.visited >= 1, "{options:?}");
    assert_eq!(samples.len(), n, "{} samples for {n} rows", samples.len());
    let (process, x0) = (d.process(), x0.clone().cast(DType::F64));
    let (steps, visited) = (options.steps, options.visited.min(options.steps));
    let prior = rows_f64(if options.paper { entropy_lost(process, &x0) } else { process.prior_term(&x0) });
    let mut bound = StatesBound { prior, steps: vec![0.0; n], last: vec![0.0; n], parts: Vec::new(), evaluations: 0 };
    let mut parts = [(0.0, 0usize); PARTS];

    // The last step has a decoder's cost and a variance of its own: it is looked at by every row, the others by turns.
    let first = 1.0 / steps as f64;
    let at_first = process.at(first);
    if options.paper {
        bound.last = rows_f64(process.marginal(&x0, &at_first).entropy(process.columns()));
    } else {
        let mut streams = Streams::new(options.seed, samples.to_vec(), Purpose::Probe);
        streams.begin(0);
        let x_t = process.perturb(&x0, &at_first, &mut streams);
        let clean = d.denoise(&x_t, first);
        bound.last = rows_f64(process.surprise(&x0, &clean) + numbers_at_the_end(d, &x0, &clean, &at_first, &mut streams));
        bound.evaluations += 1;
    }

    // Steps 2 to T in as many equal runs as are looked at; each row draws one step of each run.
    let others = (steps - 1) as f64;
    let runs = visited.min(steps - 1);
    for run in 0..runs {
        let (low, high) = (run as f64 * others / runs as f64, (run + 1) as f64 * others / runs as f64);
        let place = |sample: &u64| {
            let u = Stream::new(options.seed, *sample, Purpose::Time, run as u32, 0).uniform(0);
            low + u * (high - low)
        };
        let places: Vec<f64> = samples.iter().map(place).collect();
        let mut streams = Streams::new(options.seed, samples.to_vec(), Purpose::Probe);
        streams.begin(run as u32 + 1);
        let terms = if options.continuous {
            let times: Vec<f64> = places.iter().map(|p| (p + 1.0) * first).collect();
            let at = process.at_each(&times);
            let x_t = process.perturb(&x0, &at, &mut streams);
            let terms = process.rate_term(&x0, &x_t, &d.denoise_each(&x_t, &times), &at);
            (terms * ((high - low) * first), times)
        } else {
            let level = |p: &f64| p.floor().min(others - 1.0) + 2.0;
            let times: Vec<f64> = places.iter().map(|p| level(p) * first).collect();
            let below: Vec<f64> = places.iter().map(|p| (level(p) - 1.0) * first).collect();
            let (at_t, at_s) = (process.at_each(&times), process.at_each(&below));
            let x_t = process.perturb(&x0, &at_t, &mut streams);
            let terms = process.step_term(&x0, &x_t, &d.denoise_each(&x_t, &times), &at_t, &at_s);
            (terms * (high - low), times)
        };
        bound.evaluations += 1;
        for (i, term) in rows_f64(terms.0).into_iter().enumerate() {
            bound.steps[i] += term;
            let part = ((terms.1[i] * PARTS as f64) as usize).min(PARTS - 1);
            parts[part].0 += term / n as f64;
            parts[part].1 += 1;
        }
    }
    let shown = parts.iter().enumerate().filter(|(_, (_, count))| *count > 0);
    bound.parts = shown.map(|(k, (sum, _))| ((k as f64 + 0.5) / PARTS as f64, *sum)).collect();
    bound
}

/// What numbers cost from the chain's first time on: a step to the lowest level of their process, and the decoder there.
fn numbers_at_the_end(d: &dyn StatesDenoiser, x0: &Batch, clean: &Batch, at_t: &StatesAt, streams: &mut Streams) -> Batch {
    let process = d.process();
    if process.numbers().is_none() {
        return x0.clone().narrow(1, 0, 1) * 0.0;
    }
    let at_0 = process.at(0.0);
    // The step's cost of numbers alone: categories are decoded from where they are.
    let step = process.numbers_term(x0, clean, at_t, &at_0);
    let lowest = process.perturb(x0, &at_0, streams);
    step + process.decoder_term(x0, &d.denoise(&lowest, 0.0), &at_0)
}

/// `H_p(X_T) - H_q(X_T | X_0)`.
fn entropy_lost(process: &StatesProcess, x0: &Batch) -> Batch {
    let prior = process.prior(x0.dims()[0], (&x0.device(), x0.dtype()));
    let columns = process.columns();
    prior.entropy(columns) - process.marginal(x0, &process.at(1.0)).entropy(columns)
}

/// `E[ln p]` in nats of columns that know nothing of each other: categories with the frequencies of these rows, numbers normal with one
/// variance for all, each about its own mean; the paper's `L_null`. `x0` are wide rows.
pub fn independent(process: &StatesProcess, x0: &Batch) -> f64 {
    let [n, width] = x0.dims();
    let x = rows_f64(x0.clone());
    let mean = |e: usize| x.iter().skip(e).step_by(width).sum::<f64>() / n as f64;
    let (mut nats, mut squares, mut numbers) = (0.0, 0.0, 0usize);
    for group in process.columns().groups() {
        for entry in group.entry..group.entry + group.width() {
            let m = mean(entry);
            if group.is_category() {
                nats += if m > 0.0 { m * m.ln() } else { 0.0 };
            } else {
                squares += x.iter().skip(entry).step_by(width).map(|v| (v - m).powi(2)).sum::<f64>() / n as f64;
                numbers += 1;
            }
        }
    }
    if numbers > 0 {
        let variance = (squares / numbers as f64).max(1e-300);
        nats -= 0.5 * numbers as f64 * (std::f64::consts::TAU * std::f64::consts::E * variance).ln();
    }
    nats
}
