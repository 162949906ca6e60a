//! The scorefield command line: reads the arguments, runs one verb, and turns its end into an exit status.

mod allocator;
mod app;
mod brush;
mod canvas;
mod context;
mod failure;
mod hub;
mod mask;
mod progress;
mod ramp;
mod signals;
mod verbs;

use clap::Parser;
use failure::Ended;
use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_pages();
    // Misuse ends in here with status 2, help and version with 0.
    let arguments = app::Arguments::parse();
    match app::run(arguments) {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Bad) => ExitCode::from(1),
        Ok(Ended::Interrupted) => ExitCode::from(130),
        Err(error) => failure::report(&error),
    }
}
