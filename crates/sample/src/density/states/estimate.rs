//! The estimate of the bound: which times each row is looked at, and what is found there.

use super::{Edges, StatesBound, StatesBoundError, StatesBoundOptions};
use scorefield_process::states::StatesDenoiser;
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, DType, Noise, Purpose, Streams, rows_f64};

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

    // The steps that leave t_2, ..., t_T; the first is the decoder.
    let rest = steps - 1;
    let visits = options.visited.unwrap_or(rest);
    let share = rest as f64 / visits as f64;
    let place = |visit: usize, draw: usize, row: usize| {
        let u = Stream::new(seed, samples[row], Purpose::Time, (visit * draws + draw) as u32, 0);
        let step = match options.visited {
            None => visit,
            // Somewhere in its part of the chain.
            Some(_) => (((visit as f64 + u.uniform(0)) * share) as usize).min(rest - 1),
        };
        let end = (step + 1) as f64;
        let at = end + if options.continuous { u.uniform(1) } else { 1.0 };
        (at / steps as f64, end / steps as f64)
    };

    let mut out = StatesBound { prior: vec![], steps: vec![0.0; n * draws], decoder: vec![0.0; n * draws], terms: vec![] };
    out.terms = vec![(0.0, 0.0); visits];
    let looks: Vec<(usize, usize)> = (0..visits).flat_map(|v| (0..draws).map(move |k| (v, k))).collect();
    for looks in looks.chunks((options.batch / n.max(1)).max(1)) {
        let (mut x, mut places) = (Vec::with_capacity(looks.len()), Vec::with_capacity(looks.len() * n));
        for &(visit, draw) in looks {
            let here: Vec<(f64, f64)> = (0..n).map(|row| place(visit, draw, row)).collect();
            x.push(perturb(draws + visit * draws + draw, &here.iter().map(|p| p.0).collect::<Vec<_>>()));
            places.extend(here);
        }
        let (x, x0) = (Batch::cat(x, 0), exact.clone().repeat_dim(0, looks.len()));
        let (times, ends): (Vec<f64>, Vec<f64>) = places.into_iter().unzip();
        let (clean, at) = (clean(&x, &times), process.at_each(&times));
        let terms = if options.continuous {
            process.rate_term(&x0, &x, &clean, &at) / steps as f64
        } else {
            process.step_term(&x0, &x, &clean, &at, &process.at_each(&ends))
        };
        for (at, term) in rows_f64(terms * share).into_iter().enumerate() {
            let ((visit, draw), row) = (looks[at / n], at % n);
            out.steps[row * draws + draw] += term;
            out.terms[visit].0 += times[at] / (n * draws) as f64;
            out.terms[visit].1 += term / (n * draws) as f64;
        }
    }

    let last = 1.0 / steps as f64;
    match options.edges {
        Edges::Model => {
            out.prior = rows_f64(process.prior_term(&exact));
            for draw in 0..draws {
                let times = vec![last; n];
                let x = perturb(draw, &times);
                let clean = clean(&x, &times);
                let terms = process.surprise(&exact, &clean) + process.decoder_term(&exact, &clean, &process.at(last));
                rows_f64(terms).iter().enumerate().for_each(|(row, term)| out.decoder[row * draws + draw] = *term);
            }
        }
        Edges::Paper => {
            let entropy = |t: f64| rows_f64(process.marginal(&exact, &process.at(t)).entropy(process.columns()));
            let prior = rows_f64(process.prior(n, (&exact.device(), DType::F64)).entropy(process.columns()));
            out.prior = prior.iter().zip(entropy(1.0)).map(|(p, q)| p - q).collect();
            let after = entropy(last);
            out.decoder = after.iter().flat_map(|&h| std::iter::repeat_n(h, draws)).collect();
        }
    }
    Ok(out)
}
