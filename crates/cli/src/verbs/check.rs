//! `check`: the processes, solvers, likelihoods and objectives of this very binary against closed forms.

use crate::context::Context;
use crate::failure::Ended;
use anyhow::Result;
use clap::Args;
use scorefield::check::sections;
use scorefield::sample::check::Row;
use serde_json::json;
use std::fmt::Write as _;
use std::time::Instant;

/// Measure every process, solver, likelihood and objective against closed forms: what is claimed and what is found
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Print every row, with the errors at each number of steps
    #[arg(long)]
    all: bool,
}

impl Check {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        let begun = Instant::now();
        let mut rows = Vec::new();
        let mut text = String::new();
        for section in sections() {
            let found = (section.rows)();
            let _ = writeln!(text, "{}", section.title.to_uppercase());
            if self.all {
                list(&mut text, &found)
            } else {
                table(&mut text, &found)
            }
            text.push('\n');
            rows.extend(found);
        }
        let ok = rows.iter().all(|r| r.ok);
        let seconds = begun.elapsed().as_secs_f64();
        let wrong: Vec<&Row> = rows.iter().filter(|r| !r.ok).collect();
        for r in &wrong {
            let _ = writeln!(text, "WRONG: {}: claimed {}, measured {}", r.name, r.claimed, r.measured);
        }
        let _ = write!(text, "{} rows, {} wrong, {seconds:.1} s", rows.len(), wrong.len());
        context.result(&json!({ "rows": rows, "ok": ok, "seconds": seconds }), &text)?;
        Ok(if ok { Ended::Done } else { Ended::Bad })
    }
}

/// A line a method and quantity, a column a process.
fn table(text: &mut String, rows: &[Row]) {
    let mut processes: Vec<&str> = Vec::new();
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for r in rows {
        if !processes.contains(&r.process.as_str()) {
            processes.push(&r.process);
        }
        if !lines.contains(&(&r.method, r.quantity)) {
            lines.push((&r.method, r.quantity));
        }
    }
    let width = lines.iter().map(|(m, q)| m.len() + q.len() + 1).max().unwrap_or(0);
    let column = processes.iter().map(|p| p.len()).max().unwrap_or(0).max(8);
    let heads: Vec<String> = processes.iter().map(|p| format!("{p:>column$}")).collect();
    let _ = writeln!(text, "{:width$} {:>8} {}", "", "claimed", heads.join(" "));
    for (method, quantity) in lines {
        let of = |process: &&str| rows.iter().find(|r| r.process == **process && r.method == method && r.quantity == quantity);
        let claimed = rows.iter().find(|r| r.method == method && r.quantity == quantity).map_or(f64::NAN, |r| r.claimed);
        let cells: Vec<String> = processes
            .iter()
            .map(|p| match of(p) {
                Some(r) => format!("{:>column$}", format!("{}{}", number(r.measured), if r.ok { "" } else { " !" })),
                None => format!("{:>column$}", "-"),
            })
            .collect();
        let _ = writeln!(text, "{:width$} {:>8} {}", format!("{method} {quantity}"), number(claimed), cells.join(" "));
    }
}

/// A line a row.
fn list(text: &mut String, rows: &[Row]) {
    let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0);
    for r in rows {
        let verdict = if r.ok { "ok" } else { "WRONG" };
        let _ = write!(text, "{:width$} {:>8} {:>8}  {verdict}", r.name, number(r.claimed), number(r.measured));
        for (steps, error) in r.steps.iter().zip(&r.errors) {
            let _ = write!(text, "  {steps}: {error:.1e}");
        }
        text.push('\n');
    }
}

/// Three digits, or the power of ten of what is tiny.
fn number(v: f64) -> String {
    if v == 0.0 || (1e-2..1e4).contains(&v.abs()) { format!("{v:.2}") } else { format!("{v:.0e}") }
}
