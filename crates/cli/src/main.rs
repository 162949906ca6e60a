//! The scorefield command line: reads the arguments, runs one verb, and turns its end into an exit status.

mod app;
mod brush;
mod canvas;
mod context;
mod failure;
mod progress;
mod ramp;
mod signals;
mod verbs;

use clap::Parser;
use failure::Ended;
use std::process::ExitCode;

// A training step takes and returns hundreds of megabytes; the system's allocator gives them back to the kernel each time, and the
// page faults cost more than the arithmetic.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Misuse ends in here with status 2, help and version with 0.
    let arguments = app::Arguments::parse();
    match app::run(arguments) {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Bad) => ExitCode::from(1),
        Ok(Ended::Interrupted) => ExitCode::from(130),
        Err(error) => failure::report(&error),
    }
}
