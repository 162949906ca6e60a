//! Ctrl-C and SIGTERM: the first asks the work to save and stop, the second ends it at once.

use crate::failure::misuse;
use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Makes the flag true when the person or the system asks the program to stop.
pub(crate) fn raise(stop: &Arc<AtomicBool>) -> Result<()> {
    let wrong = |e: std::io::Error| misuse(format!("signals cannot be caught: {e}"));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the second signal finds the flag set by the first.
        flag::register_conditional_shutdown(signal, 130, Arc::clone(stop))
            .and_then(|_| flag::register(signal, Arc::clone(stop)))
            .map_err(wrong)?;
    }
    Ok(())
}

/// A file that outgrows the limit set for it is an error of that write, with its name, and not the end of the process.
pub(crate) fn outlive_file_limits() -> Result<()> {
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))
        .map(drop)
        .map_err(|e| misuse(format!("signals cannot be caught: {e}")))
}
