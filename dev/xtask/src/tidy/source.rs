//! A Rust file cut into code and comments, line by line.
//!
//! Rules about code must not be tripped by a comment or a message, and rules about comments not by code. This is no parser:
//! it knows comments, strings, raw strings and characters, which is all that the rules need.

/// One line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// The code, the insides of strings left out.
    pub code: String,
    /// The comment on it, with its slashes.
    pub comment: String,
}

/// A file as the rules see it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// All lines.
    pub lines: Vec<Line>,
    /// Where the test module at the end begins, or how many lines there are.
    pub tests_from: usize,
}

impl Source {
    /// Cuts a text.
    pub(super) fn new(text: &str) -> Self {
        let lines = cut(text);
        let is_module = |i: usize| lines.get(i + 1).is_some_and(|next: &Line| next.code.trim_start().starts_with("mod "));
        let tests_from =
            (0..lines.len()).find(|&i| lines[i].code.trim() == "#[cfg(test)]" && is_module(i)).unwrap_or(lines.len());
        Self { lines, tests_from }
    }

    /// The lines before the test module with their numbers from 1.
    pub(super) fn body(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines[..self.tests_from].iter().enumerate().map(|(i, line)| (i + 1, line))
    }
}

/// Whether `code` holds `word` with no letter, digit or underscore on either side.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(part) && !code[at + word.len()..].chars().next().is_some_and(part)
    })
}

enum State {
    Code,
    /// `/* */`, by depth.
    Block(usize),
    /// A string that ends at a quote followed by this many hashes; raw ones know no escapes.
    Text {
        hashes: usize,
        raw: bool,
    },
}

fn cut(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut state = State::Code;
    for raw_line in text.lines() {
        let c: Vec<char> = raw_line.chars().collect();
        let starts = |i: usize, s: &str| s.chars().enumerate().all(|(k, x)| c.get(i + k) == Some(&x));
        let mut line = Line::default();
        let mut i = 0;
        while i < c.len() {
            match state {
                State::Block(depth) => {
                    let (opens, closes) = (starts(i, "/*"), starts(i, "*/"));
                    line.comment.push(c[i]);
                    if opens || closes {
                        line.comment.push(c[i + 1]);
                        i += 1;
                    }
                    state = match (opens, closes, depth) {
                        (true, ..) => State::Block(depth + 1),
                        (_, true, 1) => State::Code,
                        (_, true, _) => State::Block(depth - 1),
                        _ => State::Block(depth),
                    };
                }
                State::Text { hashes, raw } => {
                    if c[i] == '\\' && !raw {
                        i += 1;
                    } else if c[i] == '"' && (1..=hashes).all(|k| c.get(i + k) == Some(&'#')) {
                        line.code.push('"');
                        i += hashes;
                        state = State::Code;
                    }
                }
                State::Code if starts(i, "//") => {
                    line.comment.extend(&c[i..]);
                    i = c.len();
                }
                State::Code if starts(i, "/*") => {
                    line.comment.push_str("/*");
                    i += 1;
                    state = State::Block(1);
                }
                State::Code if c[i] == '"' => {
                    line.code.push('"');
                    let before = line.code[..line.code.len() - 1].trim_end_matches('#');
                    let raw =
                        before.ends_with('r') && !before[..before.len() - 1].ends_with(|x: char| x.is_alphanumeric() && x != 'b');
                    let hashes = if raw { line.code.len() - 1 - before.len() } else { 0 };
                    state = State::Text { hashes, raw };
                }
                State::Code if c[i] == '\'' => {
                    // A character, unless it is a lifetime: 'x' has its closing quote two places on.
                    line.code.push('\'');
                    if c.get(i + 1) == Some(&'\\') {
                        // Past the escaped character, which may be a quote itself.
                        i += 3;
                        while i < c.len() && c[i] != '\'' {
                            i += 1;
                        }
                        line.code.push('\'');
                    } else if c.get(i + 2) == Some(&'\'') {
                        i += 2;
                        line.code.push('\'');
                    }
                }
                State::Code => line.code.push(c[i]),
            }
            i += 1;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_comments_are_told_apart() {
        let text = "let a = \"x // not // code \\\" unsafe\"; // unsafe here\n/* todo!()\n unsafe */ let b = 'x'; let c: &'static str = r#\"dbg!(\"q\")\"#;\n'\\'' + '\"' + unsafe";
        let lines = Source::new(text).lines;
        assert_eq!(lines[0].code, "let a = \"\"; ");
        assert_eq!(lines[0].comment, "// unsafe here");
        assert_eq!(lines[1].comment, "/* todo!()");
        assert_eq!(lines[2].code, " let b = ''; let c: &'static str = r#\"\";");
        assert_eq!(lines[3].code, "'' + '' + unsafe");
    }

    #[test]
    fn strings_run_over_lines_and_tests_end_the_body() {
        let source =
            Source::new("let s = \"a\n unsafe\n b\";\nunsafe\n#[cfg(test)]\nfn helper() {}\n#[cfg(test)]\nmod tests {\n}");
        assert!(source.lines[1].code.is_empty() && source.lines[2].code == "\";");
        assert_eq!(source.tests_from, 6);
        assert_eq!(source.body().filter(|(_, line)| has_word(&line.code, "unsafe")).map(|(n, _)| n).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn words_have_edges() {
        assert!(has_word("x = unsafe {", "unsafe"));
        assert!(!has_word("unsafe_op_in_unsafe_fn", "unsafe"));
    }
}
