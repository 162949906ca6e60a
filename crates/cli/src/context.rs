//! What every verb gets: the device, how to speak, and whether to stop.

use crate::failure::misuse;
use crate::signals;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use scorefield::tensor::{Device, device_named};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Flags that every verb takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Where networks run: `cpu`, `wgpu[:i]` or `cuda[:i]`
    #[arg(long, global = true, help_heading = "Everywhere", default_value = "cpu", value_name = "DEVICE")]
    device: String,
    /// Threads to use; as many as there are cores if left out
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "N")]
    threads: Option<usize>,
    /// Precision in which networks run
    #[arg(long, global = true, help_heading = "Everywhere", value_enum, default_value = "f32")]
    precision: Precision,
    /// Print one JSON object and nothing else on stdout
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
    /// Say nothing on stderr but warnings and errors
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Precision {
    F32,
    Bf16,
    F64,
}

/// More threads than any machine has use for.
const MOST_THREADS: usize = 1024;

/// The surroundings of a verb.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where networks run.
    pub device: Device,
    /// One JSON object on stdout instead of text.
    pub json: bool,
    /// No progress.
    pub quiet: bool,
    /// Becomes true when the work should save and stop; false for ever in verbs that do not [listen](Context::listen).
    pub stop: Arc<AtomicBool>,
}

impl Context {
    /// Reads the flags, sets the number of threads, listens to signals.
    pub(crate) fn new(global: &Global) -> Result<Self> {
        signals::outlive_file_limits()?;
        let device = device_named(&global.device).map_err(|e| misuse(format!("--{e}")))?;
        match global.precision {
            Precision::F32 => {}
            Precision::F64 | Precision::Bf16 => {
                return Err(misuse("--precision: networks run in f32 only in this version; leave the flag out"));
            }
        }
        let mut pool = rayon::ThreadPoolBuilder::new();
        if let Some(n) = global.threads {
            if !(1..=MOST_THREADS).contains(&n) {
                return Err(misuse(format!("--threads {n}: expected 1 to {MOST_THREADS}")));
            }
            pool = pool.num_threads(n);
        }
        pool.build_global().context("the threads cannot be started")?;
        Ok(Self { device, json: global.json, quiet: global.quiet, stop: Arc::default() })
    }

    /// Asks for signals: from here on Ctrl-C and SIGTERM raise the flag `stop`, and the verb saves and ends by itself. Verbs that have
    /// nothing to save are ended by the signal at once.
    pub(crate) fn listen(&self) -> Result<()> {
        signals::raise(&self.stop)
    }

    /// Whether the work should stop.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A line of progress, on stderr.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            warn(line);
        }
    }

    /// The result, on stdout: the JSON object, or the text.
    ///
    /// A reader that has seen enough (`| head`) closes the pipe, which is no failure.
    pub(crate) fn result(&self, json: &Value, text: &str) -> Result<()> {
        let line = if self.json { json.to_string() } else { text.trim_end().to_owned() };
        match writeln!(std::io::stdout().lock(), "{line}") {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("stdout"),
            _ => Ok(()),
        }
    }

    /// Whether progress bars are drawn.
    pub(crate) fn bars(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }
}

/// A line on stderr that is said in any case.
#[expect(clippy::print_stderr, reason = "messages belong on stderr")]
pub(crate) fn warn(line: &str) {
    eprintln!("{line}");
}
