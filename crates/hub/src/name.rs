//! Names of repositories and files: `hf:owner/name`, then `@revision` and `/path/of/a/file` where wanted.
//!
//! A revision is a branch, a tag or a commit; the hub's two kinds of long ones, `refs/pr/3` and `refs/convert/parquet`, are known by their
//! first part. Everything that becomes part of an address or of a path on disk is checked here, once.

use crate::{Fault, HubError};
use std::fmt;
use std::str::FromStr;

/// A repository on a hub, the revision that is meant, and the one file in it if only that is wanted.
///
/// ```
/// use scorefield_hub::HubName;
/// let name: HubName = "hf:owner/name@v1/sub/model.safetensors".parse()?;
/// assert_eq!((name.repository(), name.revision(), name.file()), ("owner/name", "v1", Some("sub/model.safetensors")));
/// assert!("hf:owner/name/../../etc/passwd".parse::<HubName>().is_err());
/// # Ok::<(), scorefield_hub::HubError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubName {
    repository: String,
    revision: Option<String>,
    file: Option<String>,
}

impl HubName {
    /// What every name begins with: `hf:`.
    pub const PREFIX: &'static str = "hf:";

    /// `owner/name`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The branch, tag or commit; `main` where the name says none.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The one file that is wanted, by its path in the repository.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    fn parsed(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(Self::PREFIX).ok_or("does not begin with `hf:`")?;
        let (owner, rest) = rest.split_once('/').ok_or("has no `/` between owner and name")?;
        let (head, mut file) = match rest.split_once('/') {
            Some((head, file)) => (head, Some(file)),
            None => (rest, None),
        };
        let (name, mut revision) = match head.split_once('@') {
            Some((name, revision)) => (name, Some(revision.to_owned())),
            None => (head, None),
        };

        // `refs/pr/3` is one revision: its two other parts were taken for the beginning of a path.
        if revision.as_deref() == Some("refs") {
            let mut parts = file.unwrap_or_default().splitn(3, '/');
            let (kind, which) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if !matches!(kind, "pr" | "convert") {
                return Err("its revision `refs` goes on neither with `/pr/NUMBER` nor with `/convert/NAME`".to_owned());
            }
            revision = Some(format!("refs/{kind}/{which}"));
            file = parts.next();
        }

        for (what, part) in [("owner", owner), ("name", name)] {
            plain(part).map_err(|found| format!("its {what} {part:?} {found}"))?;
        }
        for part in revision.iter().flat_map(|r| r.split('/')) {
            plain(part).map_err(|found| format!("its revision's {part:?} {found}"))?;
        }
        if let Some(file) = file {
            inside(file).map_err(|found| format!("its file {file:?} is no path inside a repository: {found}"))?;
        }
        Ok(Self { repository: format!("{owner}/{name}"), revision, file: file.map(str::to_owned) })
    }
}

impl FromStr for HubName {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        Self::parsed(text).map_err(|found| HubError { name: crate::error::shown(text), fault: Box::new(Fault::Name { found }) })
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.repository)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        Ok(())
    }
}

/// One part of a repository's name or of a revision. Two dashes stand for `/` in the cache, so that no part may have them.
fn plain(part: &str) -> Result<(), &'static str> {
    let ends = |c: char| part.starts_with(c) || part.ends_with(c);
    if part.is_empty() {
        Err("is empty")
    } else if part.len() > 96 {
        Err("has more than 96 characters")
    } else if !part.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')) {
        Err("has other characters than letters, digits, `-`, `_` and `.`")
    } else if ends('.') || ends('-') || part.contains("..") || part.contains("--") {
        Err("begins or ends with `.` or `-`, or has two of them together")
    } else {
        Ok(())
    }
}

/// A path that stays inside the folder it is joined to, on every system.
pub(crate) fn inside(path: &str) -> Result<(), &'static str> {
    if path.is_empty() || path.len() > 1024 {
        return Err("it is empty, or longer than 1024 bytes");
    }
    if path.chars().any(|c| c.is_control() || matches!(c, '\\' | ':')) {
        return Err("it has a backslash, a colon or a control character");
    }
    for part in path.split('/') {
        match part {
            "" => return Err("it begins or ends with `/`, or has two together"),
            "." | ".." => return Err("it has a part `.` or `..`"),
            _ if part.len() > 255 => return Err("it has a part of more than 255 bytes"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_back() {
        let pieces = |text: &str| {
            let name: HubName = text.parse().expect("a good name");
            assert_eq!(name.to_string(), text);
            (name.repository().to_owned(), name.revision().to_owned(), name.file().unwrap_or("-").to_owned())
        };
        let owned = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(pieces("hf:a/b"), owned("a/b", "main", "-"));
        assert_eq!(pieces("hf:a/b@v1.0"), owned("a/b", "v1.0", "-"));
        assert_eq!(pieces("hf:a/b/c/d.pt"), owned("a/b", "main", "c/d.pt"));
        assert_eq!(pieces("hf:a/b@dev/c@2.pt"), owned("a/b", "dev", "c@2.pt"));
        assert_eq!(pieces("hf:a/b@refs/pr/3"), owned("a/b", "refs/pr/3", "-"));
        assert_eq!(pieces("hf:a/b@refs/convert/x/y/z.bin"), owned("a/b", "refs/convert/x", "y/z.bin"));
    }

    #[test]
    fn malformed_names_say_what_is_wrong() {
        for (text, word) in [
            ("a/b", "`hf:`"),
            ("hf:a", "no `/`"),
            ("hf:/b", "owner"),
            ("hf:a/", "name"),
            ("hf:../b", "owner"),
            ("hf:a/..", "name"),
            ("hf:a/b--c", "name"),
            ("hf:a/b c", "name"),
            ("hf:a/b?x", "name"),
            ("hf:a/b@", "revision"),
            ("hf:a/b@x..y", "revision"),
            ("hf:a/b@refs", "refs"),
            ("hf:a/b@refs/heads/x", "refs"),
            ("hf:a/b@refs/pr/", "revision"),
            ("hf:a/b/", "file"),
            ("hf:a/b/../c", "file"),
            ("hf:a/b//c", "file"),
            ("hf:a/b/c\\d", "file"),
            ("hf:a/b/C:/d", "file"),
            ("hf:a/b/c\nd", "file"),
        ] {
            let error = text.parse::<HubName>().expect_err(text).to_string();
            assert!(error.contains(word) && error.contains("expected hf:OWNER/NAME"), "{text}: {error}");
        }
        assert!(format!("hf:a/{}", "b".repeat(97)).parse::<HubName>().is_err());
    }
}
