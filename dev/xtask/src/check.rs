//! Everything CI does, in order, with the time each part took.
//!
//! The commands a newcomer reads in README are the commands that are checked: the test command and the demo are parsed out of
//! README's first code block and not written again here. A part that fails does not stop the ones after it, so that one run
//! shows everything there is to mend.

use crate::{say, tidy};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The parts, in order.
const PARTS: [&str; 7] = ["test", "features", "fmt", "clippy", "doc", "tidy", "demo"];

/// What the test command leaves out because nothing depends on it: the runtime of ONNX files, and names on a model hub.
const FEATURES: &str = "--features scorefield-onnx/runtime,scorefield-cli/hub";

/// What scripts may rely on in the demo's report.
const DEMO_NUMBERS: [&str; 5] = ["seconds", "class_accuracy", "real_accuracy", "energy_distance", "energy_distance_real"];

/// Runs all parts, or the named ones, and says whether every one passed.
pub(crate) fn check(root: &Path, only: &[String]) -> Result<bool> {
    if let Some(unknown) = only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!("there is no part \"{unknown}\" of the check; the parts are {}", PARTS.join(", "));
    }
    let mut table = Vec::new();
    for part in PARTS {
        if !only.is_empty() && !only.iter().any(|p| p == part) {
            continue;
        }
        say(&format!("== {part}"));
        let begin = Instant::now();
        let outcome = run(part, root);
        if let Err(error) = &outcome {
            say(&format!("{part} failed: {error:#}"));
        }
        table.push((part, begin.elapsed().as_secs_f64(), outcome.is_ok()));
    }
    say("== summary");
    for (part, seconds, ok) in &table {
        say(&format!("{part:<8}{seconds:>8.1} s  {}", if *ok { "ok" } else { "FAILED" }));
    }
    Ok(table.iter().all(|(_, _, ok)| *ok))
}

fn run(part: &str, root: &Path) -> Result<()> {
    match part {
        "test" => cargo(root, &commands(&readme(root)?)?.test, &[]),
        "features" => {
            cargo(root, &words(&format!("test --workspace {FEATURES} --test onnx")), &[])?;
            cargo(root, &words(&format!("test --workspace {FEATURES} --test cli hub::")), &[])
        }
        "fmt" => cargo(root, &words("fmt --all --check"), &[]),
        "clippy" => cargo(root, &words("clippy --workspace --all-targets -- -D warnings"), &[]),
        "doc" => cargo(root, &words("doc --workspace --no-deps"), &[("RUSTDOCFLAGS", "-D warnings")]),
        "tidy" => {
            let found = tidy::violations(root)?;
            found.iter().for_each(|v| say(&v.to_string()));
            ensure!(found.is_empty(), "{} violations", found.len());
            Ok(())
        }
        "demo" => demo(root),
        other => bail!("no body for the part \"{other}\""),
    }
}

fn readme(root: &Path) -> Result<String> {
    let path = root.join("README.md");
    std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read; it names the commands to check", path.display()))
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// The two commands README opens with, without the leading `cargo`.
#[derive(Debug, PartialEq)]
struct Commands {
    test: Vec<String>,
    demo: Vec<String>,
}

/// Reads both commands out of the first fenced block of a README.
fn commands(readme: &str) -> Result<Commands> {
    let block: Vec<&str> = readme
        .lines()
        .skip_while(|line| !line.starts_with("```"))
        .skip(1)
        .take_while(|line| !line.starts_with("```"))
        .map(|line| line.split('#').next().unwrap_or(line).trim().trim_start_matches("$ "))
        .collect();
    ensure!(!block.is_empty(), "README.md has no code block; its first one must hold the demo and the test command");
    let find = |start: &str| {
        let line = block.iter().find(|line| line.starts_with(start));
        let line = line.with_context(|| format!("README.md's first code block has no line that starts with \"{start}\""))?;
        Ok::<_, anyhow::Error>(words(line).split_off(1))
    };
    Ok(Commands { test: find("cargo test")?, demo: find("cargo run --release -- demo")? })
}

fn command(root: &Path, arguments: &[String], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments).envs(environment.iter().copied());
    command
}

fn cargo(root: &Path, arguments: &[String], environment: &[(&str, &str)]) -> Result<()> {
    let line = arguments.join(" ");
    say(&format!("$ cargo {line}"));
    let status = command(root, arguments, environment).status().with_context(|| format!("cargo {line} did not start"))?;
    ensure!(status.success(), "cargo {line}: {status}");
    Ok(())
}

/// README's demo in its quick form: it must succeed, and its report hold the keys that scripts rely on.
fn demo(root: &Path) -> Result<()> {
    let out = std::env::temp_dir().join(format!("scorefield-demo-{}", std::process::id()));
    let mut arguments = commands(&readme(root)?)?.demo;
    arguments.extend(["--quick", "--json", "--out"].map(str::to_owned));
    arguments.push(out.display().to_string());
    say(&format!("$ cargo {}", arguments.join(" ")));
    let output = command(root, &arguments, &[]).stderr(Stdio::inherit()).output().context("the demo did not start")?;
    let checked = output
        .status
        .success()
        .then(|| report(&output.stdout, &out))
        .with_context(|| format!("the demo ended with {}", output.status))
        .and_then(|checked| checked);
    if out.exists() {
        std::fs::remove_dir_all(&out).with_context(|| format!("{} cannot be removed", out.display()))?;
    }
    checked
}

/// Checks the demo's report: one JSON object, its numbers finite, its pictures there.
fn report(stdout: &[u8], out: &Path) -> Result<()> {
    let text = String::from_utf8_lossy(stdout);
    let json: Value =
        serde_json::from_str(&text).with_context(|| format!("stdout is no JSON object and nothing else: {text}"))?;
    for key in DEMO_NUMBERS {
        let value = json.get(key).with_context(|| format!("the report has no \"{key}\""))?;
        ensure!(value.as_f64().is_some_and(f64::is_finite), "\"{key}\" is {value}, not a finite number");
    }
    let pictures = json.get("pictures").and_then(Value::as_array).context("the report has no list \"pictures\"")?;
    ensure!(!pictures.is_empty(), "the demo made no picture");
    for picture in pictures {
        let name = picture.as_str().with_context(|| format!("\"pictures\" holds {picture}, not a path"))?;
        let there = [out.join(name), Path::new(name).to_path_buf()].iter().any(|path| path.is_file());
        ensure!(there, "the picture {name} of the report does not exist");
    }
    let listed: Vec<String> = DEMO_NUMBERS.iter().map(|key| format!("{key} {}", json[key])).collect();
    say(&format!("demo: {}", listed.join(", ")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_out_of_the_first_block() {
        let text = "# name\n\n```sh\ncargo run --release -- demo   # three minutes\ncargo test --workspace\n```\n\n```\ncargo test --all\n```\n";
        let found = commands(text).unwrap();
        assert_eq!(found.test, ["test", "--workspace"]);
        assert_eq!(found.demo, ["run", "--release", "--", "demo"]);
        assert!(commands("no block").unwrap_err().to_string().contains("no code block"));
        let missing = commands("```\ncargo run --release -- demo\n```\n```\ncargo test --workspace\n```").unwrap_err();
        assert!(missing.to_string().contains("\"cargo test\""), "{missing}");
    }

    #[test]
    fn a_report_is_checked_key_by_key() {
        let out = std::env::temp_dir().join(format!("scorefield-report-{}", std::process::id()));
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(out.join("grid.png"), b"png").unwrap();
        let good = r#"{"seconds":1,"class_accuracy":0.9,"real_accuracy":0.98,"energy_distance":0.1,"energy_distance_real":0.1,"pictures":["grid.png"]}"#;
        report(good.as_bytes(), &out).unwrap();
        for (from, to, what) in [
            ("\"seconds\":1,", "", "no \"seconds\""),
            ("0.98", "null", "\"real_accuracy\" is null"),
            ("grid.png", "other.png", "other.png of the report does not exist"),
            ("[\"grid.png\"]", "[]", "no picture"),
            ("{", "progress {", "no JSON object and nothing else"),
        ] {
            let error = report(good.replacen(from, to, 1).as_bytes(), &out).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        std::fs::remove_dir_all(&out).unwrap();
    }
}
