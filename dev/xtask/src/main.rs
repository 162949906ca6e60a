//! The project's own tasks: `cargo xtask check` is exactly what CI does, `cargo xtask tidy` the part of it that keeps the
//! layering and the invariants of ARCHITECTURE.md.

mod check;
mod tidy;

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask check [PART...]   everything CI does, in order, or the named parts
       cargo xtask tidy              layering and invariants, as a test";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Whether all went well; an error is misuse, or a machine on which nothing can be checked.
fn run(arguments: &[String]) -> Result<bool> {
    let root = root()?;
    match arguments.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        Some(("check", parts)) => check::check(&root, parts),
        Some(("tidy", [])) => {
            let found = tidy::violations(&root)?;
            found.iter().for_each(|v| say(&v.to_string()));
            say(&format!("tidy: {} violation{}", found.len(), if found.len() == 1 { "" } else { "s" }));
            Ok(found.is_empty())
        }
        Some((verb, rest)) => bail!("there is no task \"{verb} {}\"\n{USAGE}", rest.join(" ")),
        None => bail!("no task is named\n{USAGE}"),
    }
}

/// The root of the workspace: two folders above this package.
fn root() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).context("the xtask package lies two folders below the root of the workspace")?;
    Ok(root.to_path_buf())
}

/// One line for the person who runs the task, kept apart from what checks print on stdout.
#[expect(clippy::print_stderr, reason = "a task speaks to the person who runs it")]
fn say(line: &str) {
    eprintln!("{line}");
}
