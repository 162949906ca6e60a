//! Progress on stderr: a bar on a terminal, a plain line now and then elsewhere.

use crate::context::{Context, warn};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// How often a plain line is said.
const EVERY: Duration = Duration::from_secs(10);

/// Progress of one piece of work.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    quiet: bool,
    last: Instant,
    started: Instant,
}

impl Progress {
    /// Begins; the total may be unknown.
    pub(crate) fn new(context: &Context, what: &'static str, total: Option<u64>) -> Self {
        let bar = context.bars().then(|| {
            let bar = ProgressBar::new(total.unwrap_or(0));
            let template = "{prefix} {wide_bar} {pos}/{len}  {msg}  {eta} left";
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(what);
            bar
        });
        Self { what, bar, quiet: context.quiet, last: Instant::now(), started: Instant::now() }
    }

    /// The state of the work: so many of so many, and a remark.
    pub(crate) fn set(&mut self, done: u64, total: Option<u64>, remark: &str) {
        if let Some(bar) = &self.bar {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
            bar.set_message(remark.to_owned());
        } else if !self.quiet && self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            self.line(done, total, remark);
        }
    }

    fn line(&self, done: u64, total: Option<u64>, remark: &str) {
        let of = total.map(|t| format!("/{t}")).unwrap_or_default();
        let left = total
            .filter(|_| done > 0)
            .map(|t| self.started.elapsed().as_secs_f64() * (t.saturating_sub(done)) as f64 / done as f64);
        let left = left.map(|s| format!("  {} left", clock(s))).unwrap_or_default();
        warn(&format!("{} {done}{of}  {remark}{left}", self.what));
    }

    /// A line beside the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.quiet => {}
            None => warn(line),
        }
    }

    /// Ends the bar.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Seconds as a person reads them.
pub(crate) fn clock(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}
