//! Likelihoods of data under a model, in the units of the data: encoding, dequantisation, labels, and batches over all of it.

use crate::Classes;
use scorefield_data::{Codec, Dataset, Value};
use scorefield_model::Model;
use scorefield_process::{DenoiserExt, ProcessExt};
use scorefield_sample::density::{
    Bound, BoundOptions, Decoder, Flow, FlowError, Probe, Trace, log_likelihood_with, variational_bound,
};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Device, Purpose, batch, rows_f64};
use std::ops::ControlFlow;

/// Some examples of a data set with the classes the model is told.
#[derive(Clone, Debug)]
pub struct Examples<'a> {
    /// The data.
    pub data: &'a Dataset,
    /// Places in the data, which are also the numbers that noise is drawn by.
    pub places: Vec<usize>,
    /// The class of each for a model with classes.
    pub classes: Classes,
}

/// How likelihoods are found.
#[derive(Clone, Debug)]
pub struct Density<'a> {
    /// The model.
    pub model: &'a Model,
    /// The flow and its tolerance.
    pub flow: Flow,
    /// Random probes an example; none for the exact trace.
    pub probes: Option<usize>,
    /// The law of probes.
    pub law: Probe,
    /// Dequantisation passes; none leaves the data as they are.
    pub passes: Option<u8>,
    /// The seed of probes and dequantisation.
    pub seed: u64,
    /// Examples at once.
    pub batch: usize,
    /// Where the network runs.
    pub device: Device,
}

/// The likelihood of one example.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// `ln p` in natural units (of bytes: one a level), the mean over passes and probes.
    pub nats: f64,
    /// The standard error of that mean; over passes where there are several, else over probes; none for a single draw.
    pub error: Option<f64>,
    /// Evaluations of the denoiser, summed over passes; each is repeated for every probe.
    pub evaluations: u64,
    /// The standardised latent of the last pass.
    pub latent: Vec<f32>,
}

/// Whether the model's data are whole numbers, which have a mass and no density.
pub fn is_discrete(codec: &Codec, data: &Dataset) -> bool {
    codec.value() == Value::Byte && data.value() == Value::Byte
}

/// Whether the first examples are all whole numbers though nothing says that they must be.
pub fn looks_discrete(data: &Dataset) -> bool {
    let mut row = vec![0.0; data.shape().len()];
    (0..data.len().min(64)).all(|i| {
        data.row(i, &mut row);
        row.iter().all(|v| v.fract() == 0.0)
    })
}

impl Density<'_> {
    /// Encoded states `[n, d]` of examples. With a pass, each natural value `b` becomes `b + u - 1/2` with `u` uniform in [0, 1)
    /// of [`Purpose::Dequantise`]: cells of one level about the values the model was trained on.
    pub fn states(&self, examples: &Examples<'_>, range: std::ops::Range<usize>, pass: Option<u8>) -> Batch {
        let d = self.model.dim();
        let (mut natural, mut state, mut out) = (vec![0.0; d], vec![0.0; d], Vec::with_capacity(range.len() * d));
        for &place in &examples.places[range.clone()] {
            examples.data.row(place, &mut natural);
            if let Some(pass) = pass {
                let stream = Stream::new(self.seed, place as u64, Purpose::Dequantise, 0, pass);
                natural.iter_mut().enumerate().for_each(|(i, v)| *v += (stream.uniform(i) - 0.5) as f32);
            }
            self.model.meta().codec.encode_row(&natural, &mut state);
            out.extend_from_slice(&state);
        }
        batch(out, range.len(), &self.device)
    }

    fn classes(&self, examples: &Examples<'_>, range: std::ops::Range<usize>) -> Classes {
        examples.classes.as_ref().map(|c| c[range].to_vec())
    }

    fn ranges(&self, n: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let batch = self.batch.max(1);
        (0..n).step_by(batch).map(move |first| first..n.min(first + batch))
    }

    /// The likelihood of every example. A datum enters at the flow's start as `alpha x_0`: what is found is the density of
    /// `x_0 + l eps` at the lowest noise level `l = sigma / alpha` of the model. `watch` is told how many examples are done;
    /// when it breaks the result is `None`.
    ///
    /// # Errors
    /// When a way cannot be integrated.
    pub fn scores(
        &self,
        examples: &Examples<'_>,
        mut watch: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Score>>, FlowError> {
        let (d, codec) = (self.model.dim(), &self.model.meta().codec);
        let alpha = self.model.process().at(self.flow.times(self.model.process()).0).alpha;
        // From the density of alpha x_0 to that of x_0 to that of natural values.
        let volume = d as f64 * alpha.ln() + codec.log_det();
        let mut out = Vec::with_capacity(examples.places.len());
        for range in self.ranges(examples.places.len()) {
            let classes = self.classes(examples, range.clone());
            let of_rows = |rows: &[usize]| self.model.denoiser(classes.as_ref().map(|c| rows.iter().map(|&i| c[i]).collect()));
            let samples: Vec<u64> = examples.places[range.clone()].iter().map(|&p| p as u64).collect();
            let mut passes = Vec::new();
            for pass in self.passes.map_or(vec![None], |n| (0..n).map(Some).collect()) {
                if watch(out.len()).is_break() {
                    return Ok(None);
                }
                let x = self.states(examples, range.clone(), pass) * alpha;
                let trace = match self.probes {
                    None => Trace::Exact,
                    Some(probes) => Trace::Random { law: self.law, probes, seed: self.seed, pass: pass.unwrap_or(0) },
                };
                passes.push(log_likelihood_with(self.model.process(), of_rows, &x, &samples, &trace, &self.flow)?);
            }
            for i in 0..range.len() {
                let draws = passes[0].draws.len() / range.len();
                let means: Vec<f64> = passes.iter().map(|p| p.nats[i]).collect();
                let spread: &[f64] = if means.len() > 1 { &means } else { &passes[0].draws[i * draws..][..draws] };
                out.push(Score {
                    nats: means.iter().sum::<f64>() / means.len() as f64 + volume,
                    error: standard_error(spread),
                    evaluations: passes.iter().map(|p| p.evaluations[i]).sum(),
                    latent: passes[passes.len() - 1].latents[i * d..][..d].iter().map(|v| *v as f32).collect(),
                });
            }
        }
        Ok(Some(out))
    }

    /// The bound's terms for every example with the numbers of draws, batch by batch.
    pub fn bounds(
        &self,
        examples: &Examples<'_>,
        options: &BoundOptions,
        mut watch: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Option<Vec<(usize, Bound)>> {
        let mut out = Vec::new();
        for range in self.ranges(examples.places.len()) {
            if watch(range.start).is_break() {
                return None;
            }
            let denoiser = self.model.denoiser(self.classes(examples, range.clone()));
            let samples: Vec<u64> = examples.places[range.clone()].iter().map(|&p| p as u64).collect();
            let x = self.states(examples, range.clone(), None);
            out.push((range.len(), variational_bound(&denoiser, &x, &samples, options, &self.flow)));
        }
        Some(out)
    }

    /// The decoder that fits the model's data: levels for whole numbers, a density for others.
    pub fn decoder(&self, discrete: bool) -> Decoder {
        let codec = &self.model.meta().codec;
        if !discrete {
            return Decoder::Gaussian;
        }
        let d = self.model.dim();
        let encoded = |v: f32| {
            let mut state = vec![0.0; d];
            codec.encode_row(&vec![v; d], &mut state);
            state.into_iter().map(f64::from).collect::<Vec<_>>()
        };
        let (zero, one) = (encoded(0.0), encoded(1.0));
        let width: Vec<f64> = zero.iter().zip(&one).map(|(a, b)| b - a).collect();
        let plane = codec.shape().plane();
        let ends = |high: bool| -> Vec<f64> {
            let end = |i: usize| codec.range(i / plane).map(|r| if high { r.1 } else { r.0 });
            (0..d).map(|i| end(i).unwrap_or(zero[i] + if high { 255.0 * width[i] } else { 0.0 })).collect()
        };
        Decoder::Levels { low: ends(false), high: ends(true), width }
    }

    /// `|sigma score|` at noise levels `sigma / alpha`, for `alpha x_0` without noise: one number an example and level,
    /// `[n, levels]`. A model knows where its data lie by scores that are small there.
    pub fn score_norms(&self, examples: &Examples<'_>, levels: &[f64]) -> Vec<f64> {
        let (d, n) = (self.model.dim(), examples.places.len());
        let mut out = vec![0.0; n * levels.len()];
        for range in self.ranges(n) {
            let denoiser = self.model.denoiser(self.classes(examples, range.clone()));
            let x = self.states(examples, range.clone(), None);
            for (k, &level) in levels.iter().enumerate() {
                let t = self.model.process().time_of_ratio(level);
                let noise = rows_f64(denoiser.noise(&(x.clone() * self.model.process().at(t).alpha), t));
                for (row, i) in noise.chunks(d).zip(range.clone()) {
                    out[i * levels.len() + k] = row.iter().map(|v| v * v).sum::<f64>().sqrt();
                }
            }
        }
        out
    }
}

/// The standard error of the mean of draws; none for fewer than two.
pub fn standard_error(draws: &[f64]) -> Option<f64> {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    (draws.len() > 1).then(|| (draws.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
}
