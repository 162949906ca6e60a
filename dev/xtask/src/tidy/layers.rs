//! Who may depend on whom: the layer diagram of ARCHITECTURE.md as a table.

use super::Violation;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A package, what its library may use of ours, and what its tests may use besides.
struct Layer {
    name: &'static str,
    uses: &'static [&'static str],
    tests_use: &'static [&'static str],
}

/// Lower layers first. A package uses only what stands above it in this table, which `table_points_down` tests.
const LAYERS: &[Layer] = &[
    // L0
    Layer { name: "scorefield-tensor", uses: &[], tests_use: &[] },
    Layer { name: "scorefield-kernels", uses: &["scorefield-tensor"], tests_use: &["scorefield-testkit"] },
    // L1
    Layer { name: "scorefield-process", uses: &["scorefield-tensor"], tests_use: &["scorefield-testkit"] },
    Layer { name: "scorefield-nn", uses: &["scorefield-tensor", "scorefield-kernels"], tests_use: &["scorefield-testkit"] },
    Layer { name: "scorefield-data", uses: &["scorefield-tensor"], tests_use: &["scorefield-testkit"] },
    // Other projects' files: no tensors of ours, so that every program may read them.
    Layer { name: "scorefield-archive", uses: &[], tests_use: &[] },
    // Files from a model hub: paths come out, and what is in them is not known here.
    Layer { name: "scorefield-hub", uses: &[], tests_use: &[] },
    // Tests only: closed forms and golden files.
    Layer { name: "scorefield-testkit", uses: &["scorefield-tensor", "scorefield-process"], tests_use: &[] },
    // L2
    Layer { name: "scorefield-sample", uses: &["scorefield-tensor", "scorefield-process"], tests_use: &["scorefield-testkit"] },
    Layer {
        name: "scorefield-control",
        uses: &["scorefield-tensor", "scorefield-process", "scorefield-sample"],
        tests_use: &["scorefield-testkit"],
    },
    Layer {
        name: "scorefield-model",
        uses: &["scorefield-tensor", "scorefield-process", "scorefield-nn", "scorefield-data", "scorefield-archive"],
        tests_use: &["scorefield-testkit", "scorefield-sample"],
    },
    // A graph of operators is its own network: no network or model of ours.
    Layer {
        name: "scorefield-onnx",
        uses: &["scorefield-tensor", "scorefield-process"],
        tests_use: &["scorefield-testkit", "scorefield-sample"],
    },
    Layer { name: "scorefield-eval", uses: &["scorefield-tensor"], tests_use: &["scorefield-testkit"] },
    // L3. The optimiser's fused step is a kernel, the pictures drawn while training come from a sampler.
    Layer {
        name: "scorefield-train",
        uses: &[
            "scorefield-tensor",
            "scorefield-kernels",
            "scorefield-process",
            "scorefield-nn",
            "scorefield-data",
            "scorefield-sample",
            "scorefield-model",
        ],
        tests_use: &["scorefield-testkit"],
    },
    // L4
    Layer {
        name: "scorefield",
        uses: &[
            "scorefield-tensor",
            "scorefield-kernels",
            "scorefield-process",
            "scorefield-nn",
            "scorefield-data",
            "scorefield-sample",
            "scorefield-model",
            "scorefield-onnx",
            "scorefield-control",
            "scorefield-eval",
            "scorefield-train",
            "scorefield-hub",
        ],
        tests_use: &["scorefield-testkit"],
    },
    // L5
    Layer { name: "scorefield-cli", uses: &["scorefield"], tests_use: &["scorefield-testkit"] },
    // Beside the layers: benches may look everywhere, tasks nowhere.
    Layer {
        name: "scorefield-bench",
        uses: &[
            "scorefield-tensor",
            "scorefield-kernels",
            "scorefield-process",
            "scorefield-nn",
            "scorefield-data",
            "scorefield-sample",
            "scorefield-model",
            "scorefield-eval",
            "scorefield-train",
            "scorefield",
        ],
        tests_use: &[],
    },
    Layer { name: "xtask", uses: &[], tests_use: &[] },
];

/// The numeric framework is known under the name of our own two lowest crates only: its interface moves between versions.
const BURN_IN: [&str; 2] = ["scorefield-tensor", "scorefield-kernels"];

/// Crates that carry state of the whole process: random generators, loggers, lazily made statics.
const GLOBAL_STATE: [&str; 7] = ["rand", "rand_core", "fastrand", "lazy_static", "once_cell", "log", "tracing"];

/// One edge between packages as cargo lists it.
#[derive(Clone, Debug)]
pub(super) struct Package {
    name: String,
    /// Name, whether it is one of ours, whether it is for tests alone.
    dependencies: Vec<(String, bool, bool)>,
}

/// The members of the workspace with their direct dependencies.
pub(super) fn packages(root: &Path) -> Result<Vec<Package>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cargo metadata did not start")?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Ok(list(&json, "packages")
        .iter()
        .map(|package| Package {
            name: text(package, "name"),
            dependencies: list(package, "dependencies")
                .iter()
                .map(|d| (text(d, "name"), d["path"].is_string(), d["kind"] == "dev"))
                .collect(),
        })
        .collect())
}

/// Edges that the table does not allow.
pub(super) fn violations(packages: &[Package]) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        let mut add = |what: String| {
            found.push(Violation { path: format!("package {name}"), line: 0, rule: "layers", what });
        };
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
            add("is in no layer; give it a line in the table of dev/xtask/src/tidy/layers.rs and in ARCHITECTURE.md".to_owned());
            continue;
        };
        for (dependency, ours, for_tests) in &package.dependencies {
            let dependency = dependency.as_str();
            if *ours {
                let allowed = layer.uses.contains(&dependency) || *for_tests && layer.tests_use.contains(&dependency);
                if !allowed {
                    let kind = if *for_tests { "its tests use" } else { "it uses" };
                    add(format!("{kind} {dependency}, which its layer may not; see the diagram in ARCHITECTURE.md"));
                }
            } else if (dependency == "burn" || dependency.starts_with("burn-")) && !BURN_IN.contains(&name) {
                add(format!("uses {dependency} directly; take what is needed from scorefield-tensor"));
            } else if GLOBAL_STATE.contains(&dependency) && !for_tests {
                add(format!(
                    "uses {dependency}, which keeps state for the whole process; noise comes from scorefield-tensor's streams"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(name: &str, dependency: (&str, bool, bool)) -> Vec<Violation> {
        let (d, ours, tests) = dependency;
        violations(&[Package { name: name.to_owned(), dependencies: vec![(d.to_owned(), ours, tests)] }])
    }

    #[test]
    fn planted_edges_are_found() {
        for (name, dependency) in [
            ("scorefield-sample", ("scorefield-nn", true, false)),
            ("scorefield-sample", ("scorefield-model", true, false)),
            ("scorefield-nn", ("scorefield-process", true, false)),
            ("scorefield-process", ("scorefield-sample", true, true)),
            ("scorefield-sample", ("scorefield-testkit", true, false)),
            ("scorefield-cli", ("scorefield-train", true, false)),
            ("scorefield-nn", ("burn", false, false)),
            ("scorefield-train", ("burn-optim", false, false)),
            ("scorefield-data", ("rand", false, false)),
            ("scorefield-new", ("scorefield-tensor", true, false)),
        ] {
            assert_eq!(planted(name, dependency).len(), 1, "{name} {dependency:?}");
        }
        for (name, dependency) in [
            ("scorefield-sample", ("scorefield-process", true, false)),
            ("scorefield-sample", ("scorefield-testkit", true, true)),
            ("scorefield-kernels", ("burn", false, false)),
            ("scorefield-data", ("proptest", false, true)),
        ] {
            assert!(planted(name, dependency).is_empty(), "{name} {dependency:?}");
        }
    }

    /// Every allowed edge of a library leads to an earlier line: the table has no cycle.
    #[test]
    fn table_points_down() {
        for (i, layer) in LAYERS.iter().enumerate() {
            for used in layer.uses {
                let at = LAYERS.iter().position(|l| l.name == *used).expect("the table knows every name it mentions");
                assert!(at < i, "{} uses {used}", layer.name);
            }
        }
    }
}
