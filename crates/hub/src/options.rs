//! Where the hub and the cache are, who asks, and how much may be asked for. Plain values: nothing here reads the environment.

use crate::{Fault, HubError, HubName};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How files are fetched.
#[derive(Clone)]
pub struct Options {
    /// The hub's address, `https://huggingface.co` or a mirror's.
    pub endpoint: String,
    /// The folder that has one folder a repository; other programs of the hub call it `HF_HUB_CACHE`.
    pub cache: PathBuf,
    /// Shown to the hub for repositories that are private or gated. Goes to the endpoint's own address only.
    pub token: Option<String>,
    /// Make no request, whatever is missing.
    pub offline: bool,
    /// Ask which commit a branch is at, even where everything is cached.
    pub refresh: bool,
    /// A proxy's address, `http://host:port`.
    pub proxy: Option<String>,
    /// How long a connection, an answer or the next bytes may take.
    pub patience: Duration,
    /// How many requests in a row may fail, or bring less than a mebibyte, before a file is given up.
    pub attempts: u32,
    /// The pause after a failed request; doubled after each.
    pub pause: Duration,
    /// How much may be asked for.
    pub limits: Limits,
}

/// What a repository may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of a listing, of `model_index.json` and of an index of shards.
    pub json: u64,
    /// Files in a listing.
    pub listed: usize,
    /// Files of one checkpoint.
    pub files: usize,
    /// Redirects of one request.
    pub redirects: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: 64 << 30, json: 32 << 20, listed: 100_000, files: 1000, redirects: 8 }
    }
}

impl Options {
    /// The public hub, with a cache in this folder.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: "https://huggingface.co".to_owned(),
            cache: cache.into(),
            token: None,
            offline: false,
            refresh: false,
            proxy: None,
            patience: Duration::from_secs(30),
            attempts: 3,
            pause: Duration::from_secs(1),
            limits: Limits::default(),
        }
    }

    /// The options that the hub's usual environment variables say; `lookup` gives the value of one, as `std::env::var_os` does.
    ///
    /// `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`; the cache is `HF_HUB_CACHE`, else `HF_HOME/hub`, else `XDG_CACHE_HOME/huggingface/hub`,
    /// else `HOME/.cache/huggingface/hub`; the proxy is `HTTPS_PROXY` or `https_proxy`. Empty values count as none.
    ///
    /// # Errors
    /// If a value is not Unicode where it must be, if `HF_HUB_OFFLINE` is neither yes nor no, or if no variable tells a folder for the cache.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let wrong = |option, found: String, expected| HubError {
            name: HubName::PREFIX.to_owned(),
            fault: Box::new(Fault::Option { option, found, expected }),
        };
        let value = |name: &'static str| lookup(name).filter(|v| !v.is_empty());
        let text = |name: &'static str| {
            // The value may be a token: it is not shown.
            let unicode = |v: OsString| v.into_string().map_err(|_| wrong(name, "..".to_owned(), "Unicode text"));
            value(name).map(unicode).transpose()
        };
        let folder = |name: &'static str, below: &str| value(name).map(|v| PathBuf::from(v).join(below));

        let cache = value("HF_HUB_CACHE")
            .map(PathBuf::from)
            .or_else(|| folder("HF_HOME", "hub"))
            .or_else(|| folder("XDG_CACHE_HOME", "huggingface/hub"))
            .or_else(|| folder("HOME", ".cache/huggingface/hub"))
            .or_else(|| folder("USERPROFILE", ".cache/huggingface/hub"))
            .ok_or_else(|| wrong("HF_HOME", String::new(), "a folder for the cache, as HOME is not set either"))?;
        let mut options = Self::new(cache);
        if let Some(endpoint) = text("HF_ENDPOINT")? {
            options.endpoint = endpoint;
        }
        options.token = text("HF_TOKEN")?.map(|token| token.trim().to_owned());
        options.proxy = text("HTTPS_PROXY")?.or(text("https_proxy")?);
        if let Some(word) = text("HF_HUB_OFFLINE")? {
            options.offline = match word.to_ascii_lowercase().as_str() {
                "1" | "on" | "yes" | "true" => true,
                "0" | "off" | "no" | "false" => false,
                _ => return Err(wrong("HF_HUB_OFFLINE", word, "1 or 0")),
            };
        }
        Ok(options)
    }
}

/// Without the token.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| ".."))
            .field("offline", &self.offline)
            .field("refresh", &self.refresh)
            .field("proxy", &self.proxy.as_ref().map(|_| ".."))
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Options, HubError> {
        Options::from_variables(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)))
    }

    #[test]
    fn variables_say_where_and_who() {
        let cache = |variables: &[(&str, &str)]| from(variables).expect("options").cache;
        assert_eq!(cache(&[("HOME", "/h")]), PathBuf::from("/h/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), PathBuf::from("/x/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/f")]), PathBuf::from("/f/hub"));
        assert_eq!(cache(&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]), PathBuf::from("/c"));
        assert_eq!(cache(&[("HOME", "/h"), ("HF_HOME", "")]), PathBuf::from("/h/.cache/huggingface/hub"));

        let all = from(&[("HOME", "/h"), ("HF_ENDPOINT", "http://m"), ("HF_TOKEN", " secret\n"), ("HF_HUB_OFFLINE", "True")])
            .expect("options");
        assert_eq!((all.endpoint.as_str(), all.token.as_deref(), all.offline), ("http://m", Some("secret"), true));
        assert!(!format!("{all:?}").contains("secret"));

        assert!(from(&[]).expect_err("no cache").to_string().contains("HF_HOME"));
        assert!(from(&[("HOME", "/h"), ("HF_HUB_OFFLINE", "maybe")]).expect_err("no yes").to_string().contains("maybe"));
    }
}
