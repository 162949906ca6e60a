//! The texts of protocol 0, written as Python's source would write them.

use super::Machine;
use crate::Fault;

impl<'a> Machine<'a> {
    /// A line of text.
    pub(super) fn utf8_line(&mut self) -> Result<&'a str, Fault> {
        let line = self.input.line()?;
        std::str::from_utf8(line).map_err(|_| self.wrong("a line that is no UTF-8"))
    }
}

/// The bytes of a quoted string with its escapes.
pub(super) fn unquoted(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.trim_ascii();
    let quote = line.first().copied().filter(|q| b"'\"".contains(q))?;
    let inner = line.strip_prefix(&[quote])?.strip_suffix(&[quote])?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => u8::try_from(number(&mut rest, 2)?).ok()?,
            other @ (b'\\' | b'\'' | b'"') => other,
            _ => return None,
        });
    }
    Some(bytes)
}

/// A text in latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn raw_unicode_escape(line: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let digits = match rest.peek() {
            Some(b'u') if byte == b'\\' => 4,
            Some(b'U') if byte == b'\\' => 8,
            _ => {
                text.push(char::from(byte));
                continue;
            }
        };
        rest.next();
        text.push(char::from_u32(number(&mut rest, digits)?)?);
    }
    Some(text)
}

fn number(digits: &mut impl Iterator<Item = u8>, n: usize) -> Option<u32> {
    (0..n).try_fold(0_u32, |value, _| Some(value << 4 | char::from(digits.next()?).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(unquoted(br"'a\\b\'c\x00\xff\n'").unwrap(), b"a\\b'c\x00\xff\n");
        for broken in [&b"'"[..], b"", b"abc", b"'a", b"'\\'", b"'\\x1'", b"'\\q'"] {
            assert!(unquoted(broken).is_none(), "{broken:?}");
        }
        assert_eq!(raw_unicode_escape(b"\\u00e4\xe4\\U0001F600\\n").unwrap(), "\u{e4}\u{e4}\u{1F600}\\n");
        assert!(raw_unicode_escape(b"\\ud800").is_none());
        assert!(raw_unicode_escape(b"\\u12").is_none());
    }
}
