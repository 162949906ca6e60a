//! `nll --bound` for models whose data have categories.

use super::{Nll, examples_of, mean, write_columns};
use crate::context::Context;
use crate::failure::{Ended, misuse};
use crate::progress::Progress;
use anyhow::Result;
use scorefield::data::{Dataset, Shape};
use scorefield::density::standard_error;
use scorefield::model::Model;
use scorefield::sample::density::{Edges, StatesBoundOptions};
use scorefield::states_bounds;
use serde_json::json;
use std::fmt::Write as _;
use std::ops::ControlFlow;

impl Nll {
    /// The bound over examples in bits a datum, or a pixel and channel, with its terms.
    pub(super) fn states(&self, context: &Context, model: &Model, data: &Dataset) -> Result<Ended> {
        if !self.bound {
            return Err(misuse(
                "nll: the data of the model have categories, and no flow leads to them: ask for the bound on their likelihood, --bound",
            ));
        }
        let own = model.meta().states.as_ref().map_or(1000, |s| s.steps);
        let steps = self.steps.unwrap_or(own);
        if steps < 2 {
            return Err(misuse(format!("--steps {steps}: a chain has at least 2 steps")));
        }
        let examples = examples_of(model, data, self.n, self.class.as_deref())?;
        let options = StatesBoundOptions {
            steps,
            visited: (self.visited < steps).then_some(self.visited),
            continuous: self.continuous,
            draws: 1,
            edges: if self.paper { Edges::Paper } else { Edges::Model },
            seed: self.seed,
            batch: self.batch,
        };
        let total = examples.places.len() as u64;
        let mut progress = Progress::new(context, "example", Some(total));
        let found = states_bounds(model, &examples, &options, self.batch, &context.device, |done| {
            progress.set(done as u64, Some(total), "");
            if context.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        progress.end();
        let Some((bounds, independent)) = found else {
            context.say("interrupted: nothing was written");
            return Ok(Ended::Interrupted);
        };

        let shape = model.meta().codec.shape();
        let picture = matches!(shape, Shape::Image { .. });
        let (per, unit) = if picture { (shape.len() as f64, "bits a pixel and channel") } else { (1.0, "bits a datum") };
        let to_bits = |nats: f64| nats / std::f64::consts::LN_2 / per;
        let nats: Vec<f64> = bounds.iter().flat_map(|b| b.nats()).collect();
        if let Some(i) = nats.iter().position(|v| !v.is_finite()) {
            return Err(anyhow::anyhow!("the bound of example {} is {}: the model is not finite", examples.places[i], nats[i]));
        }
        let n = nats.len() as f64;
        let (k, l_null, error) = (to_bits(mean(&nats)), to_bits(independent), standard_error(&nats).map(to_bits));
        let part =
            |of: fn(&scorefield::sample::density::StatesBound) -> &Vec<f64>| to_bits(bounds.iter().flat_map(of).sum::<f64>() / n);
        let (prior, chain, last) = (part(|b| &b.prior), part(|b| &b.steps), part(|b| &b.decoder));
        let mut by_time = std::collections::BTreeMap::new();
        for bound in &bounds {
            // Tenths of the chain.
            for (t, cost) in &bound.terms {
                *by_time.entry((t * 10.0 - 1e-9) as u64).or_insert(0.0) += cost * bound.prior.len() as f64 / n;
            }
        }
        if let Some(output) = &self.output {
            write_columns(output, &["example", "nats"], &examples, &[&nats])?;
        }
        let plus = error.map_or_else(|| "unknown (one example)".to_owned(), |e| format!("{e:.4}"));
        let looked = self.visited.min(steps);
        let kind = if self.continuous { "cells of the continuous bound" } else { "steps" };
        let ends = if self.paper { "entropy at the first step" } else { "decoder" };
        let mut text = format!(
            "{} examples, {steps} {kind}, {looked} looked at by each, {unit}\n\
             K               {k:.4} +/- {plus}\nL_null          {l_null:.4}\nK - L_null      {:.4}\n\
             terms           prior {prior:.4}, steps {chain:.4}, {ends} {last:.4}\n\
             time        bits of the steps\n",
            nats.len(),
            k - l_null,
        );
        for (t, cost) in &by_time {
            let _ = writeln!(text, "{:.1} to {:.1}  {:>12.5}", *t as f64 / 10.0, (*t + 1) as f64 / 10.0, to_bits(*cost));
        }
        let json = json!({
            "K": k, "L_null": l_null, "gain": k - l_null, "unit": unit, "K_standard_error": error, "nats": mean(&nats),
            "bits_per_dim": -mean(&nats) / std::f64::consts::LN_2 / shape.len() as f64, "standard_error": standard_error(&nats),
            "evaluations": looked, "examples": nats.len(), "steps_of_chain": steps,
            "terms": { "prior": prior, "steps": chain, "last": last },
            "steps": by_time.iter().map(|(t, cost)| json!({ "time": (*t as f64 + 0.5) / 10.0, "bits": to_bits(*cost) })).collect::<Vec<_>>(),
            "output": self.output,
        });
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}
