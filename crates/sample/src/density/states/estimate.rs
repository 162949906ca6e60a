//! The estimate of the bound: which times each row is looked at, and what is found there.

use super::{Edges, StatesBound, StatesBoundError, StatesBoundOptions};
use scorefield_process::states::StatesDenoiser;
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, DType, Noise, Purpose, Streams, rows_f64};

/// A step of one row.
#[derive(Clone, Copy)]
struct Place {
    /// Where the state is looked at.
    t: f64,
    /// The end of the step towards the data.
    s: f64,
    /// Whether the term is a rate, to be integrated over the cell.
    rate: bool,
}

/// The bound of clean wide rows `x0`, `[n, width]`, with the numbers `samples` for the noise: a row's estimate is a function of seed and
/// number, whatever the other rows. In double precision but for the denoiser, which sees the element type of `x0`.
///
/// # Errors
/// When the options cannot be.
///
/// # Panics
/// Unless there is one number a row and the rows fit the process.
#[track_caller]
pub fn states_bound(
    denoiser: &dyn StatesDenoiser,
    x0: &Batch,
    samples: &[u64],
    options: &StatesBoundOptions,
) -> Result<StatesBound, StatesBoundError> {
    let process = denoiser.process();
    let [n, width] = x0.dims();
    assert!(samples.len() == n && width == process.columns().width(), "{n} rows of {width}, {} samples", samples.len());
    options.validate(process.columns().masked())?;
    let (&StatesBoundOptions { steps, draws, seed, .. }, dtype) = (options, x0.dtype());
    let exact = x0.clone().cast(DType::F64);
    let mut streams = Streams::new(seed, samples.to_vec(), Purpose::Perturb);
    let mut perturb = |step: usize, times: &[f64]| {
        streams.begin(step as u32);
        process.perturb(&exact, &process.at_each(times), &mut streams)
    };
    let clean = |x: &Batch, times: &[f64]| denoiser.denoise_each(&x.clone().cast(dtype), times).cast(DType::F64);

    // The paper's arrangement leaves out the first step.
    let first = if options.edges == Edges::Paper { 1 } else { 0 };
    let visits = options.visited.unwrap_or(steps - first);
    let share = (steps - first) as f64 / visits as f64;
    let place = |visit: usize, draw: usize, row: usize| {
        let u = Stream::new(seed, samples[row], Purpose::Time, (visit * draws + draw) as u32, 0);
        let step = match options.visited {
            None => visit + first,
            // Somewhere in its part of the chain.
            Some(_) => (((visit as f64 + u.uniform(0)) * share) as usize).min(steps - first - 1) + first,
        };
        let rate = options.continuous && step > 0;
        let at = step as f64 + if rate { u.uniform(1) } else { 1.0 };
        Place { t: at / steps as f64, s: step as f64 / steps as f64, rate }
    };

    let mut out = StatesBound { prior: vec![], steps: vec![0.0; n * draws], decoder: vec![0.0; n * draws], terms: vec![] };
    out.terms = vec![(0.0, 0.0); visits];
    let looks: Vec<(usize, usize)> = (0..visits).flat_map(|v| (0..draws).map(move |k| (v, k))).collect();
    for looks in looks.chunks((options.batch / n.max(1)).max(1)) {
        let (mut x, mut places) = (Vec::with_capacity(looks.len()), Vec::with_capacity(looks.len() * n));
        for &(visit, draw) in looks {
            let here: Vec<Place> = (0..n).map(|row| place(visit, draw, row)).collect();
            x.push(perturb(1 + visit * draws + draw, &here.iter().map(|p| p.t).collect::<Vec<_>>()));
            places.extend(here);
        }
        let (x, x0) = (Batch::cat(x, 0), exact.clone().repeat_dim(0, looks.len()));
        let times: Vec<f64> = places.iter().map(|p| p.t).collect();
        let (clean, at) = (clean(&x, &times), process.at_each(&times));
        let rates = places.iter().any(|p| p.rate).then(|| rows_f64(process.rate_term(&x0, &x, &clean, &at)));
        let whole = places.iter().any(|p| !p.rate).then(|| {
            let at_s = process.at_each(&places.iter().map(|p| p.s).collect::<Vec<_>>());
            rows_f64(process.step_term(&x0, &x, &clean, &at, &at_s))
        });
        for (at, place) in places.iter().enumerate() {
            let ((visit, draw), row) = (looks[at / n], at % n);
            let term = share
                * match (place.rate, &rates, &whole) {
                    (true, Some(rates), _) => rates[at] / steps as f64,
                    (false, _, Some(whole)) => whole[at],
                    _ => unreachable!("terms of both kinds are there where they are asked for"),
                };
            out.steps[row * draws + draw] += term;
            out.terms[visit].0 += place.t / (n * draws) as f64;
            out.terms[visit].1 += term / (n * draws) as f64;
        }
    }

    match options.edges {
        Edges::Model => {
            out.prior = rows_f64(process.prior_term(&exact));
            if process.numbers().is_some() {
                for draw in 0..draws {
                    // Steps from here on are taken by no visit.
                    let x = perturb(1 + visits * draws + draw, &vec![0.0; n]);
                    let clean = clean(&x, &vec![0.0; n]);
                    let terms = rows_f64(process.decoder_term(&exact, &clean, &process.at(0.0)));
                    terms.iter().enumerate().for_each(|(row, term)| out.decoder[row * draws + draw] = *term);
                }
            }
        }
        Edges::Paper => {
            let entropy = |t: f64| rows_f64(process.marginal(&exact, &process.at(t)).entropy(process.columns()));
            let prior = rows_f64(process.prior(n, (&exact.device(), DType::F64)).entropy(process.columns()));
            out.prior = prior.iter().zip(entropy(1.0)).map(|(p, q)| p - q).collect();
            let after = entropy(1.0 / steps as f64);
            out.decoder = after.iter().flat_map(|&h| std::iter::repeat_n(h, draws)).collect();
        }
    }
    Ok(out)
}
