//! What every verb gets: the device, how to speak, and whether to stop.

use crate::failure::misuse;
use crate::signals;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use scorefield::nn::Precision;
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
    /// Numbers that a network's products are made of; bf16 for sample, solve, predict, bench and train
    #[arg(long, global = true, help_heading = "Everywhere", value_enum, default_value = "f32")]
    precision: Choice,
    /// Print one JSON object and nothing else on stdout
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
    /// Say nothing on stderr but warnings and errors
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    F32,
    Bf16,
    F64,
}

/// More threads than any machine has use for.
const MOST_THREADS: usize = 1024;

/// Stack of a thread: the verb itself runs on one, with what a main thread has.
const STACK: usize = 8 << 20;

/// The surroundings of a verb.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where networks run.
    pub device: Device,
    /// What the products of networks are made of.
    pub precision: Precision,
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
        let precision = match global.precision {
            Choice::F32 => Precision::Single,
            Choice::Bf16 => Precision::Bf16,
            Choice::F64 => return Err(misuse("--precision f64: this version runs networks in f32 and bf16 only")),
        };
        let mut pool = rayon::ThreadPoolBuilder::new().stack_size(STACK);
        if let Some(n) = global.threads {
            if !(1..=MOST_THREADS).contains(&n) {
                return Err(misuse(format!("--threads {n}: expected 1 to {MOST_THREADS}")));
            }
            pool = pool.num_threads(n);
        }
        pool.build_global().context("the threads cannot be started")?;
        Ok(Self { device, precision, json: global.json, quiet: global.quiet, stop: Arc::default() })
    }

    /// Refuses a precision that the verb does not compute in.
    pub(crate) fn in_single_precision(&self, what: &str) -> Result<()> {
        match self.precision {
            Precision::Single => Ok(()),
            Precision::Bf16 => Err(misuse(format!(
                "--precision bf16: {what} runs in f32 only; sample, solve, predict, bench and train take bf16"
            ))),
        }
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
