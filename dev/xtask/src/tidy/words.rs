//! The rules about every text file: no path of one machine, no dead link, no map of places that are gone.

use super::Violation;

/// Folders that exist on somebody's machine only. Written in halves, so that this file obeys its own rule.
const MACHINE: [&str; 4] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// What breaks a rule; `exists` tells whether a path relative to the root is there.
pub(super) fn violations(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Violation> {
    let mut found = machine_paths(text)
        .into_iter()
        .map(|(line, what)| Violation { path: path.to_owned(), line, rule: "machine-paths", what })
        .collect::<Vec<_>>();
    if path.ends_with(".md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut add = |line, what| found.push(Violation { path: path.to_owned(), line, rule: "links", what });
        for (line, link) in links(text) {
            if !exists(&resolve(folder, &link)) {
                add(line, format!("links to {link}, which does not exist"));
            }
        }
        for (line, place) in places(text) {
            if !exists(&place) {
                add(line, format!("speaks of {place}, which does not exist"));
            }
        }
    }
    found
}

/// Absolute paths of a machine; a folder of the same name inside a longer path is none.
fn machine_paths(text: &str) -> Vec<(usize, String)> {
    let inside = |c: char| c.is_alphanumeric() || "._-~})>]*".contains(c);
    let fault = |(i, line): (usize, &str)| {
        let hit = MACHINE
            .iter()
            .find(|m| line.match_indices(**m).any(|(at, _)| !line[..at].chars().next_back().is_some_and(inside)))?;
        Some((i + 1, format!("\"{hit}\" is a path of one machine; use one relative to the root, or a variable")))
    };
    text.lines().enumerate().filter_map(fault).collect()
}

/// Lines of a Markdown text outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(i, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fence && !fenced).then_some((i + 1, line))
    })
}

/// Targets of `[text](target)` that are files: no scheme, the fragment cut off.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (n, line) in prose(text) {
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', ' ', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') {
                found.push((n, target.to_owned()));
            }
        }
    }
    found
}

/// Paths in backticks that begin at one of our own folders; a pattern or an ellipsis is none, a line number is cut off.
fn places(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (n, line) in prose(text) {
        for quoted in line.split('`').skip(1).step_by(2) {
            let place = quoted.split(':').next().unwrap_or_default();
            let ours = ["crates/", "dev/", "docs/", ".ci/"].iter().any(|folder| place.starts_with(folder));
            if ours && !place.contains(['*', '{', '<', ' ', '…']) {
                found.push((n, place.to_owned()));
            }
        }
    }
    found
}

/// A link from a folder as a path from the root.
fn resolve(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_paths_of_a_machine_are_found() {
        for folder in MACHINE {
            for text in [format!("see {folder}data"), format!("\"{folder}x\""), format!("a\nb={folder}")] {
                assert_eq!(violations("a.toml", &text, &|_| true).len(), 1, "{text}");
            }
            for text in [format!("frame{folder}data"), format!("${{HOME}}{folder}data"), format!("..{folder}x")] {
                assert!(violations("a.toml", &text, &|_| true).is_empty(), "{text}");
            }
        }
    }

    #[test]
    fn planted_dead_links_are_found() {
        let there = |path: &str| ["docs/a.md", "README.md", "crates/nn/src/lib.rs"].contains(&path);
        let faults = |path: &str, text: &str| violations(path, text, &there).len();
        assert_eq!(faults("docs/b.md", "[a](a.md#part) [r](../README.md) [w](https://example.org/x.md)"), 0);
        assert_eq!(faults("docs/b.md", "[a](gone.md) and [b](../a.md)"), 2);
        assert_eq!(faults("README.md", "`crates/nn/src/lib.rs:12` and `crates/*/src`"), 0);
        assert_eq!(faults("README.md", "`crates/nn/src/gone.rs`"), 1);
        assert_eq!(faults("README.md", "```\n[a](gone.md) `crates/gone`\n```"), 0);
        assert_eq!(faults("a.rs", "[a](gone.md)"), 0);
    }
}
