//! The digests under which a hub keeps files: SHA-256 of large ones, git's SHA-1 of small ones.
//!
//! git's name of a file is `SHA1("blob " length "\0" bytes)`. It is a check against accidents and mirrors that err; against an attacker who
//! makes collisions it is none, but only the hub itself chooses the name.

use crate::Fault;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The entity tag of an answer, which names the blob in the cache: without quotes and mark of weakness.
pub(crate) fn tag(etag: &str) -> Option<&str> {
    let tag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    let good = (1..=128).contains(&tag.len()) && tag.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
    good.then_some(tag)
}

/// The digest of a file in the form of its tag: of the same kind, or nothing if the tag is no digest.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn of_file(path: &Path, tag: &str) -> Result<Option<String>, Fault> {
    let is_hex = tag.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    let mut file = File::open(path).map_err(|e| Fault::io(path, e))?;
    let mut context = match (is_hex, tag.len()) {
        (true, 64) => Context::new(&SHA256),
        (true, 40) => {
            let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
            let length = file.metadata().map_err(|e| Fault::io(path, e))?.len();
            context.update(format!("blob {length}\0").as_bytes());
            context
        }
        _ => return Ok(None),
    };
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(|e| Fault::io(path, e))? {
            0 => break,
            n => context.update(&buffer[..n]),
        }
    }
    Ok(Some(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2's "abc", and what `printf hello | git hash-object --stdin` prints.
    #[test]
    fn published_digests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        std::fs::write(&path, "abc").expect("a file");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_file(&path, sha256).expect("a digest").as_deref(), Some(sha256));
        std::fs::write(&path, "hello").expect("a file");
        let git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        assert_eq!(of_file(&path, git).expect("a digest").as_deref(), Some(git));
        assert_eq!(of_file(&path, "abc-1").expect("no digest"), None);
    }

    #[test]
    fn tags_are_names_of_files() {
        assert_eq!(tag("\"abc\""), Some("abc"));
        assert_eq!(tag("W/\"a-1\""), Some("a-1"));
        for bad in ["", "\"\"", "\"../x\"", "a/b", "\"a.lock\"", "\"a b\""] {
            assert_eq!(tag(bad), None, "{bad}");
        }
    }
}
