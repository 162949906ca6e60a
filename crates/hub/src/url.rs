//! Addresses: parts written into them, origins compared, redirects followed.

use std::fmt::Write as _;

/// A text as one part of a path: all but letters, digits and `-._~` as `%XX`.
pub(crate) fn encoded(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A file's path, its slashes kept.
pub(crate) fn encoded_path(path: &str) -> String {
    path.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

/// `scheme://host:port`, in small letters; of http and https only.
pub(crate) fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let good = matches!(scheme.as_str(), "http" | "https") && !host.is_empty() && !host.contains(['@', '\\', ' ']);
    good.then(|| format!("{scheme}://{}", host.to_ascii_lowercase()))
}

/// The address without what may sign it, for messages.
pub(crate) fn unsigned(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// Where a redirect from `url` leads: to an absolute address or to a path on the same host; never from https to http.
pub(crate) fn redirected(url: &str, location: &str) -> Option<String> {
    let from = origin(url)?;
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(format!("{from}{location}"));
    }
    let to = origin(location)?;
    (to.starts_with("https:") || from.starts_with("http:")).then(|| location.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_encoded() {
        assert_eq!(encoded("refs/pr/3"), "refs%2Fpr%2F3");
        assert_eq!(encoded_path("a b/c?d#é.pt"), "a%20b/c%3Fd%23%C3%A9.pt");
    }

    #[test]
    fn redirects_lead_where_they_may() {
        let to = |url, location| redirected(url, location);
        assert_eq!(to("https://a/x?y", "/z"), Some("https://a/z".to_owned()));
        assert_eq!(to("https://a/x", "https://b/z"), Some("https://b/z".to_owned()));
        assert_eq!(to("http://a:1/x", "http://b/z"), Some("http://b/z".to_owned()));
        for bad in ["http://a/z", "file:///etc/passwd", "//b/z", "z", "", "https://", "https://me@b/z"] {
            assert_eq!(to("https://a/x", bad), None, "{bad}");
        }
        assert_eq!(origin("HTTPS://A:8/x"), Some("https://a:8".to_owned()));
        assert_eq!(unsigned("https://a/b?Signature=s"), "https://a/b");
    }
}
