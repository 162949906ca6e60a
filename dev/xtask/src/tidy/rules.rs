//! The rules about Rust files and manifests.

use super::Violation;
use super::source::{Source, has_word};

/// A file that may break a rule, and why.
struct Exception {
    rule: &'static str,
    path: &'static str,
    reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "globals",
        path: "crates/kernels/src/parallel.rs",
        reason: "scratch memory of a thread: holds no value between two uses",
    },
    Exception {
        rule: "globals",
        path: "crates/kernels/src/bf16/unit.rs",
        reason: "what the processor has, as the standard library keeps it: asked once, never changed",
    },
    Exception {
        rule: "globals",
        path: "crates/kernels/src/record.rs",
        reason: "nodes of a backward pass under way: decides who adds two gradients, not what comes of it, and may be forgotten at any time",
    },
];

/// The most lines a file may have: one idea a file.
const LONGEST: usize = 400;

/// Files besides the kernels that may contain `unsafe`: mapping a file into memory and an option of the allocator have no safe form.
const UNSAFE_IN: [&str; 5] = [
    "crates/kernels/src/",
    "crates/archive/src/bytes.rs",
    "crates/data/src/cache.rs",
    "crates/model/src/file.rs",
    "crates/cli/src/allocator.rs",
];

type Rule = fn(&str, &str) -> Vec<(usize, String)>;

/// Every rule with its name.
const RULES: &[(&str, Rule)] = &[
    ("opens-with-theory", opens_with_theory),
    ("length", length),
    ("lints", lints),
    ("nn-is-neutral", nn_is_neutral),
    ("one-loop-over-time", one_loop_over_time),
    ("one-match-over-prediction", one_match_over_prediction),
    ("slopes-are-derived", slopes_are_derived),
    ("globals", globals),
    ("silent-libraries", silent_libraries),
    ("no-stubs", no_stubs),
    ("unsafe", unsafe_code),
];

/// What breaks a rule in one file, exceptions left out.
pub(super) fn violations(path: &str, text: &str) -> Vec<Violation> {
    let excepted = |rule: &str| EXCEPTIONS.iter().any(|e| e.rule == rule && e.path == path);
    RULES
        .iter()
        .filter(|(rule, _)| !excepted(rule))
        .flat_map(|(rule, body)| {
            body(path, text).into_iter().map(|(line, what)| Violation { path: path.to_owned(), line, rule, what })
        })
        .collect()
}

/// Exceptions whose file is gone or breaks no rule any more.
pub(super) fn unneeded_exceptions(files: &[(String, String)]) -> Vec<Violation> {
    let needed = |e: &Exception| {
        let body = RULES.iter().find(|(rule, _)| *rule == e.rule).map(|(_, body)| body);
        files.iter().any(|(path, text)| path == e.path && body.is_some_and(|body| !body(path, text).is_empty()))
    };
    EXCEPTIONS
        .iter()
        .filter(|e| !needed(e))
        .map(|e| Violation {
            path: e.path.to_owned(),
            line: 0,
            rule: e.rule,
            what: format!("the exception in dev/xtask/src/tidy/rules.rs is not needed any more ({})", e.reason),
        })
        .collect()
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// A source file of a library below the command line (its tests, examples and benches are not).
fn is_library(path: &str) -> bool {
    is_rust(path) && path.starts_with("crates/") && path.contains("/src/") && !path.starts_with("crates/cli/")
}

/// The lines of the body whose code a test finds fault with.
fn in_body(text: &str, mut fault: impl FnMut(&str) -> Option<String>) -> Vec<(usize, String)> {
    Source::new(text).body().filter_map(|(n, line)| fault(&line.code).map(|what| (n, what))).collect()
}

/// Every file opens with a paragraph of theory or purpose.
fn opens_with_theory(path: &str, text: &str) -> Vec<(usize, String)> {
    if !is_rust(path) || text.starts_with("//! ") {
        return Vec::new();
    }
    vec![(1, "the file does not open with a `//!` paragraph that says what it is about".to_owned())]
}

/// One idea a file.
fn length(path: &str, text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().count();
    if !is_rust(path) || lines <= LONGEST {
        return Vec::new();
    }
    vec![(lines, format!("{lines} lines, at most {LONGEST} make one idea; split the file"))]
}

/// Every package takes the workspace's lint table.
fn lints(path: &str, text: &str) -> Vec<(usize, String)> {
    let manifest = path.ends_with("/Cargo.toml") && (path.starts_with("crates/") || path.starts_with("dev/"));
    let taken = text.split("[lints]").nth(1).is_some_and(|rest| rest.trim_start().starts_with("workspace = true"));
    if !manifest || taken {
        return Vec::new();
    }
    vec![(0, "the manifest lacks `[lints] workspace = true`".to_owned())]
}

/// Networks do not know what they are for.
fn nn_is_neutral(path: &str, text: &str) -> Vec<(usize, String)> {
    if !path.starts_with("crates/nn/src/") {
        return Vec::new();
    }
    let named = |(i, line): (usize, &str)| {
        let says = line.to_lowercase().contains("diffusion");
        says.then(|| (i + 1, "nn says \"diffusion\": a network does not know what it is for".to_owned()))
    };
    text.lines().enumerate().filter_map(named).collect()
}

/// `Grid::legs` is walked in one place; everything else takes frames from a `Trajectory`.
fn one_loop_over_time(path: &str, text: &str) -> Vec<(usize, String)> {
    if !is_library(path) || ["crates/process/src/grid.rs", "crates/sample/src/trajectory.rs"].contains(&path) {
        return Vec::new();
    }
    in_body(text, |code| {
        let walks = code.contains(".legs(") || code.contains("times().windows(") || code.contains("in grid.times()");
        walks.then(|| "walks a grid's times: the one loop over time is sample::Trajectory, an iterator".to_owned())
    })
}

/// The meaning of a prediction is one match, in its own file; elsewhere predictions are only named or compared.
fn one_match_over_prediction(path: &str, text: &str) -> Vec<(usize, String)> {
    let own = path == "crates/process/src/prediction.rs";
    if own || !(is_library(path) || path.starts_with("crates/cli/src/")) {
        return Vec::new();
    }
    in_body(text, |code| {
        let at = code.find("Prediction::")?;
        let (before, after) = (&code[..at], &code[at..]);
        // An arm, an alternative of an arm, or a pattern of `if let`, `while let`, `let else`, `matches!`.
        let is_arm = after.contains("=>") || before.trim().is_empty() && after.trim_end().ends_with('|') || before.trim() == "|";
        let binds = ["if let ", "while let ", "matches!("].iter().any(|word| before.contains(word))
            || before.trim_start() == "let "
            || after.starts_with("Prediction::*");
        let what = "takes a Prediction apart: its one match is in process/src/prediction.rs, add what is needed there";
        (is_arm || binds).then(|| what.to_owned())
    })
}

/// Only dual numbers know slopes; a schedule is a formula.
fn slopes_are_derived(path: &str, text: &str) -> Vec<(usize, String)> {
    if !is_library(path) || path == "crates/tensor/src/dual.rs" {
        return Vec::new();
    }
    let schedule = path.starts_with("crates/process/src/schedule/");
    in_body(text, |code| {
        // A literal, not the return type in front of a body.
        let literal = code.match_indices("Dual {").any(|(at, _)| !code[..at].trim_end().ends_with("->"));
        let typed = literal || code.contains("slope:");
        let named = schedule && ["slope", "d_alpha", "d_sigma", "derivative"].iter().any(|word| has_word(code, word));
        (typed || named).then(|| "types a slope by hand: write the formula over Dual, its slope is derived".to_owned())
    })
}

/// No state of the whole process below the command line.
fn globals(path: &str, text: &str) -> Vec<(usize, String)> {
    if !is_library(path) {
        return Vec::new();
    }
    in_body(text, |code| {
        let lazy = ["lazy_static", "OnceLock", "OnceCell", "LazyLock", "LazyCell", "thread_local"];
        let found = lazy.into_iter().find(|word| has_word(code, word)).or_else(|| {
            let item = code.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            let item = item.trim_start_matches("pub ").strip_prefix("static ")?;
            let mutable = ["mut ", "Mutex", "RwLock", "Atomic", "Cell<"];
            mutable.into_iter().find(|word| item.contains(word)).map(|_| "static")
        })?;
        Some(format!("`{found}`: no global below the command line, pass the value in"))
    })
}

/// Libraries return what they have to say.
fn silent_libraries(path: &str, text: &str) -> Vec<(usize, String)> {
    if !is_library(path) {
        return Vec::new();
    }
    in_body(text, |code| {
        let prints = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];
        let found = prints.into_iter().find(|name| has_word(code, name.trim_end_matches('!')) && code.contains(name))?;
        Some(format!("`{found}`: a library returns what it has to say"))
    })
}

/// Nothing is promised that is not there.
fn no_stubs(path: &str, text: &str) -> Vec<(usize, String)> {
    if !is_rust(path) {
        return Vec::new();
    }
    let source = Source::new(text);
    let stub = |code: &str| [concat!("todo", "!("), concat!("unimplemented", "!(")].into_iter().find(|s| code.contains(s));
    source
        .lines
        .iter()
        .enumerate()
        .filter_map(|(i, line)| stub(&line.code).map(|s| (i + 1, format!("`{s}..)`: a stub; leave the item out until it works"))))
        .collect()
}

/// `unsafe` stands in few files, and every block says why it is sound.
fn unsafe_code(path: &str, text: &str) -> Vec<(usize, String)> {
    if !is_rust(path) {
        return Vec::new();
    }
    let source = Source::new(text);
    let mut found = Vec::new();
    for (i, line) in source.lines.iter().enumerate() {
        if !has_word(&line.code, "unsafe") {
            continue;
        }
        if !UNSAFE_IN.iter().any(|allowed| path.starts_with(allowed)) {
            found.push((i + 1, "`unsafe` outside the files that may have it (dev/xtask/src/tidy/rules.rs)".to_owned()));
        }
        // The reason stands on the line or in the lines right above: a block's as SAFETY, a function's in its docs.
        let said =
            |word: &str, above: usize| source.lines[i.saturating_sub(above)..=i].iter().any(|line| line.comment.contains(word));
        let has_docs = line.code.contains("unsafe fn") || line.code.contains("unsafe trait");
        if !(said("SAFETY", 8) || has_docs && said("# Safety", 12)) {
            found.push((i + 1, "`unsafe` without a SAFETY comment right above it".to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<&'static str> {
        violations(path, text).iter().map(|v| v.rule).collect()
    }

    /// Each rule finds what is planted, and leaves the neighbouring innocent line alone.
    #[test]
    fn planted_violations_are_found() {
        let cases: &[(&str, &str, &str, &str)] = &[
            ("nn-is-neutral", "crates/nn/src/a.rs", "/// The U-Net of guided Diffusion.", "/// A U-Net."),
            ("one-loop-over-time", "crates/sample/src/a.rs", "for leg in grid.legs() {}", "let n = grid.times().len();"),
            ("one-loop-over-time", "crates/train/src/a.rs", "for w in g.times().windows(2) {}", "// for leg in grid.legs() {}"),
            ("one-match-over-prediction", "crates/train/src/a.rs", "Prediction::Clean => 1,", "\"clean\" => Prediction::Clean,"),
            (
                "one-match-over-prediction",
                "crates/train/src/a.rs",
                "Prediction::Edm { sigma_data } => 1,",
                "let p = Prediction::Edm { sigma_data };",
            ),
            ("one-match-over-prediction", "crates/model/src/a.rs", "| Prediction::Flow", "use process::Prediction;"),
            (
                "one-match-over-prediction",
                "crates/cli/src/a.rs",
                "if let Prediction::Edm { .. } = p {}",
                "if p == Prediction::Clean {}",
            ),
            ("one-match-over-prediction", "crates/model/src/a.rs", "matches!(p, Prediction::Clean)", "f(Prediction::Clean)"),
            ("one-match-over-prediction", "crates/model/src/a.rs", "use process::Prediction::*;", "Prediction::all()"),
            ("slopes-are-derived", "crates/process/src/schedule/a.rs", "fn d_sigma(&self) {}", "fn sigma(&self) {}"),
            ("slopes-are-derived", "crates/sample/src/a.rs", "Dual { value, slope: 2.0 }", "Dual::constant(2.0)"),
            ("globals", "crates/data/src/a.rs", "static mut N: u32 = 0;", "const N: u32 = 0;"),
            (
                "globals",
                "crates/data/src/a.rs",
                "pub(crate) static N: AtomicU64 = AtomicU64::new(0);",
                "static NAME: &str = \"\";",
            ),
            ("globals", "crates/nn/src/a.rs", "static R: OnceLock<u32> = OnceLock::new();", "// OnceLock"),
            ("silent-libraries", "crates/train/src/a.rs", "println!(\"loss\");", "let s = \"println!\"; // println!()"),
            ("silent-libraries", "crates/train/src/a.rs", "dbg!(x);", "writeln!(out)?;"),
            ("no-stubs", "dev/bench/src/a.rs", concat!("todo", "!()"), "// not yet"),
            ("unsafe", "crates/data/src/a.rs", "// SAFETY: none\nunsafe { f() }", "// unsafe { f() }"),
            ("unsafe", "crates/kernels/src/a.rs", "unsafe { f() }", "// SAFETY: in bounds\nunsafe { f() }"),
            (
                "unsafe",
                "crates/kernels/src/a.rs",
                "pub unsafe fn f() {}",
                "/// # Safety\n/// n > 0\n#[inline]\npub unsafe fn f() {}",
            ),
            ("lints", "crates/nn/Cargo.toml", "[package]\n[lints]\nrust = 1", "[lints]\nworkspace = true"),
        ];
        for (rule, path, bad, good) in cases {
            let file = |line: &str| if path.ends_with(".rs") { format!("//! Planted.\n{line}\n") } else { line.to_string() };
            assert!(broken(path, &file(bad)).contains(rule), "{rule} misses {bad}");
            assert!(broken(path, &file(good)).is_empty(), "{good} trips {:?}", broken(path, &file(good)));
            assert!(!bad.is_empty());
        }
        assert_eq!(broken("crates/nn/src/a.rs", "use x;\n//! Late."), ["opens-with-theory"]);
        let long = |n: usize| format!("//! Long.\n{}", "\n".repeat(n - 1));
        assert_eq!(broken("crates/nn/src/a.rs", &long(LONGEST + 1)), ["length"]);
        assert!(broken("crates/nn/src/a.rs", &long(LONGEST)).is_empty());
    }

    /// What a test module does is its own affair, but for stubs and unsafe blocks.
    #[test]
    fn test_modules_are_left_alone() {
        let text = "//! Planted.\n#[cfg(test)]\nmod tests {\n    fn f(p: P) { match p { Prediction::Clean => dbg!(1) } for l in g.legs() {} }\n}\n";
        assert!(broken("crates/train/src/a.rs", text).is_empty());
    }

    #[test]
    fn exceptions_are_checked_for_need() {
        let needed = |text: &str| {
            let file = (EXCEPTIONS[0].path.to_owned(), text.to_owned());
            !unneeded_exceptions(&[file]).iter().any(|v| v.path == EXCEPTIONS[0].path && v.rule == EXCEPTIONS[0].rule)
        };
        assert!(needed("//! Planted.\nthread_local! {}"));
        assert!(!needed("//! Planted.\n"));
    }
}
