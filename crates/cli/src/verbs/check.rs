//! `check`: the solvers and processes of this very binary against closed forms.

use crate::context::Context;
use crate::failure::Ended;
use anyhow::Result;
use clap::Args;
use scorefield::sample;
use serde_json::json;
use std::fmt::Write as _;
use std::time::Instant;

/// Measure every process with every solver against closed forms: order claimed and measured
#[derive(Args, Debug)]
pub(crate) struct Check {}

impl Check {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        let begun = Instant::now();
        let rows = sample::check();
        let ok = rows.iter().all(|r| r.ok);
        let seconds = begun.elapsed().as_secs_f64();
        let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0);
        let mut text = format!("{:width$}  claimed  measured\n", "process, solver, quantity");
        for r in &rows {
            let verdict = if r.ok { "ok" } else { "WRONG" };
            let _ = writeln!(text, "{:width$}  {:7.2}  {:8.3}  {verdict}", r.name, r.claimed, r.measured);
        }
        let wrong = rows.iter().filter(|r| !r.ok).count();
        let _ = write!(text, "{} rows, {wrong} wrong, {seconds:.1} s. Likelihoods are not in this version.", rows.len());
        context.result(&json!({ "rows": rows, "ok": ok, "seconds": seconds }), &text)?;
        Ok(if ok { Ended::Done } else { Ended::Bad })
    }
}
