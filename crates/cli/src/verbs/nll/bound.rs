//! The variational bound of `nll --bound`, term by term.

use super::{Nll, mean, write_columns};
use crate::context::Context;
use crate::failure::Ended;
use crate::progress::Progress;
use anyhow::Result;
use scorefield::data::Shape;
use scorefield::density::{Density, Examples, standard_error};
use scorefield::process::ProcessExt;
use scorefield::sample::density::{Bound, BoundOptions, Chain, Decoder, Entropies};
use serde_json::json;
use std::fmt::Write as _;
use std::ops::ControlFlow;

/// Steps of the chain where the model has none of its own.
const STEPS: usize = 100;

impl Nll {
    /// The bound over all examples, its terms and the table of its steps.
    pub(super) fn bound(
        &self,
        context: &Context,
        density: &Density<'_>,
        examples: &Examples<'_>,
        discrete: bool,
    ) -> Result<Ended> {
        let model = density.model;
        let decoder = density.decoder(discrete);
        // The chain may end at any noise level. Below a quarter of the distance of two levels the decoder has nothing left to decide,
        // and steps there would only charge for what the model does not know of the lattice.
        let mut density = density.clone();
        let lowest = model.process().at(density.flow.times(model.process()).0).ratio();
        let start = match &decoder {
            Decoder::Levels { width, .. } => lowest.max(0.25 * width.iter().copied().fold(f64::INFINITY, f64::min)),
            Decoder::Gaussian => lowest,
        };
        if start > lowest {
            density.flow.start = Some(model.process().time_of_ratio(start));
        }
        let density = &density;
        let chain = match (self.continuous, self.steps) {
            (true, cells) => Chain::Continuous(cells.unwrap_or(STEPS)),
            (false, Some(steps)) => Chain::Uniform(steps),
            (false, None) => model.process().steps().map_or(Chain::Uniform(STEPS), |_| Chain::Own),
        };
        let options = BoundOptions { chain, draws: 1, seed: self.seed, decoder };
        let total = examples.places.len() as u64;
        let mut progress = Progress::new(context, "example", Some(total));
        let bounds = density.bounds(examples, &options, |done| {
            progress.set(done as u64, Some(total), "");
            if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        progress.end();
        let Some(bounds) = bounds else {
            context.say("interrupted: nothing was written");
            return Ok(Ended::Interrupted);
        };

        // Bits a datum of states for vectors, bits a number of natural values for pictures.
        let (codec, d) = (&model.meta().codec, model.dim() as f64);
        let picture = matches!(codec.shape(), Shape::Image { .. });
        let (per, unit) = if picture { (d, "bits a pixel and channel") } else { (1.0, "bits a datum, in the model's units") };
        // The mass of a level needs no volume; a density of natural values does.
        let volume = if picture && !discrete { codec.log_det() } else { 0.0 };
        let to_bits = |nats: f64| nats / std::f64::consts::LN_2 / per;
        let nats: Vec<f64> = bounds.iter().flat_map(|(_, b)| b.nats()).map(|v| v + volume).collect();
        if let Some(i) = nats.iter().position(|v| !v.is_finite()) {
            return Err(anyhow::anyhow!(
                "the bound of example {} is {}: the model is not finite at some level",
                examples.places[i],
                nats[i]
            ));
        }
        let (mean_nats, error) = (mean(&nats), standard_error(&nats));
        let n = nats.len() as f64;
        let part = |of: &dyn Fn(&Bound) -> f64| bounds.iter().map(|(_, b)| of(b)).sum::<f64>() / n;
        let prior = part(&|b| b.prior.iter().sum());
        let diffusion = part(&|b| b.diffusion.iter().sum());
        let decoding = part(&|b| b.decoder.iter().sum());
        let levels = bounds[0].1.steps.len();
        let steps: Vec<(f64, f64)> = (0..levels)
            .map(|k| (bounds[0].1.steps[k].0, bounds.iter().map(|(m, b)| *m as f64 * b.steps[k].1).sum::<f64>() / n))
            .collect();

        // The isotropic normal of the examples' own mean and mean square: -d/2 ln(2 pi e s^2).
        let spread = variance(density, examples);
        let null_volume = if picture { codec.log_det() } else { 0.0 };
        let null = -0.5 * d * (std::f64::consts::TAU * std::f64::consts::E * spread).ln() + null_volume;
        let (k, l_null) = (to_bits(mean_nats), to_bits(null));
        let natural = if picture { mean_nats } else { mean_nats + codec.log_det() };
        let evaluations = levels + 1;
        // The same sum as Sohl-Dickstein et al. 2015 arrange it, each of its signs as it stands there.
        let Entropies { last, first, prior: begins } = bounds[0].1.entropies;
        let entropy = |nats: f64| to_bits(nats - volume);
        let (h_last, h_first, h_prior) = (entropy(last), entropy(first), entropy(begins));
        let (divergences, edges) =
            (to_bits(diffusion), to_bits(bounds.iter().map(|(m, b)| *m as f64 * b.edges()).sum::<f64>() / n));
        if let Some(output) = &self.output {
            let shift = natural - mean_nats;
            write_columns(output, &["example", "nats"], examples, &[&nats.iter().map(|v| v + shift).collect::<Vec<_>>()])?;
        }
        let plus = error.map_or_else(|| "unknown (one example)".to_owned(), |e| format!("{:.4}", to_bits(e)));
        let kind = match chain {
            Chain::Uniform(_) => "steps",
            Chain::Continuous(_) => "cells of the continuous bound",
            Chain::Own => "steps of the model's own chain",
        };
        let mut text = format!(
            "{} examples, {} {kind} from noise level {start:.3e}, {unit}\n\
             K               {k:.4} +/- {plus}\nL_null          {l_null:.4}\nK - L_null      {:.4}\n\
             K in its terms  steps {divergences:.4}, H_q(X_T|X_0) {h_last:.4}, H_q(X_1|X_0) {h_first:.4}, H_p(X_T) {h_prior:.4}, edges {edges:.4}: \
             K = -steps + H_q(X_T|X_0) - H_q(X_1|X_0) - H_p(X_T) + edges\n\
             bits/dim        {:.5} at most, in natural units\n\
             terms in nats   prior {prior:.4}, steps {diffusion:.4}, decoder {decoding:.4} ({})\n\
             noise level      nats of the step\n",
            nats.len(),
            levels,
            k - l_null,
            -natural / d / std::f64::consts::LN_2,
            if discrete { "mass of a level" } else { "density" },
        );
        for (level, nats) in &steps {
            let _ = writeln!(text, "{level:>12.5}  {nats:>12.5}");
        }
        let json = json!({
            "K": k, "L_null": l_null, "gain": k - l_null, "unit": unit, "K_standard_error": error.map(to_bits),
            "nats": natural, "bits_per_dim": -natural / d / std::f64::consts::LN_2, "standard_error": error,
            "evaluations": evaluations, "examples": nats.len(), "noise_level": start,
            "K_terms": { "steps": divergences, "H_q_last": h_last, "H_q_first": h_first, "H_p": h_prior, "edges": edges },
            "terms": { "prior": prior, "steps": diffusion, "decoder": decoding },
            "steps": steps.iter().map(|(level, nats)| json!({ "noise_level": level, "nats": nats })).collect::<Vec<_>>(),
            "output": self.output,
        });
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}

/// The mean squared distance of encoded numbers from their place's mean.
fn variance(density: &Density<'_>, examples: &Examples<'_>) -> f64 {
    let (n, d) = (examples.places.len(), density.model.dim());
    let x = scorefield::tensor::rows_f64(density.states(examples, 0..n, None));
    let column = |i: usize| x.iter().skip(i).step_by(d).copied().collect::<Vec<_>>();
    let total: f64 = (0..d).map(column).map(|c| c.iter().map(|v| (v - mean(&c)).powi(2)).sum::<f64>()).sum();
    (total / (n * d) as f64).max(1e-300)
}
