//! Running the binary as a person would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A command of the binary in a folder.
pub(crate) fn scorefield(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scorefield"));
    command.current_dir(folder).args(arguments);
    command
}

/// Runs the binary; returns its status, stdout and stderr.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = scorefield(folder, arguments).output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Runs the binary, which must succeed; returns its stdout.
#[track_caller]
pub(crate) fn done(folder: &Path, arguments: &[&str]) -> String {
    let (status, stdout, stderr) = run(folder, arguments);
    assert_eq!(status, 0, "{arguments:?}: {stderr}");
    stdout
}

/// A digits model of a few steps with a small network, in `folder/run`.
#[track_caller]
pub(crate) fn small_model(folder: &Path) -> PathBuf {
    let arguments =
        ["train", "digits", "--recipe", "digits", "--set", "network.model_channels=8", "--steps", "40", "--out", "run", "-q"];
    done(folder, &arguments);
    folder.join("run")
}
