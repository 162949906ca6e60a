//! Requests to a hub: redirects followed by our own rules, answers made into errors, failures of the moment tried again.

use crate::error::shown;
use crate::url::{encoded, origin, redirected, unsigned};
use crate::{Fault, HubName, Options};
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// How many patiences one body may take; a larger file goes on with the next request.
const PATIENCES: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Its description only, and that of the hub: a redirect to another host is the answer.
    Head,
    /// Its bytes from this one on.
    Get(u64),
}

/// One hub.
pub(crate) struct Client<'a> {
    agent: Agent,
    pub(crate) options: &'a Options,
    endpoint: &'a str,
    origin: String,
    repository: &'a str,
}

impl<'a> Client<'a> {
    pub(crate) fn new(options: &'a Options, name: &'a HubName) -> Result<Self, Fault> {
        let endpoint = options.endpoint.trim_end_matches('/');
        let origin = origin(endpoint).filter(|_| unsigned(endpoint) == endpoint).ok_or_else(|| Fault::Option {
            option: "HF_ENDPOINT",
            found: shown(&options.endpoint),
            expected: "an address such as https://huggingface.co",
        })?;
        if options.token.as_ref().is_some_and(|t| t.is_empty() || !t.bytes().all(|c| c.is_ascii_graphic())) {
            return Err(Fault::Option { option: "HF_TOKEN", found: "..".to_owned(), expected: "visible ASCII characters" });
        }
        let proxy = options.proxy.as_deref().map(ureq::Proxy::new).transpose().map_err(|_| Fault::Option {
            option: "HTTPS_PROXY",
            found: "..".to_owned(),
            expected: "an address such as http://host:port",
        })?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(proxy)
            .user_agent(concat!("scorefield/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(options.patience))
            .timeout_connect(Some(options.patience))
            .timeout_recv_response(Some(options.patience))
            .timeout_per_read(Some(options.patience))
            .timeout_recv_body(Some(options.patience.saturating_mul(PATIENCES)))
            .build();
        Ok(Self { agent: config.new_agent(), options, endpoint, origin, repository: name.repository() })
    }

    /// The address of a repository's description.
    pub(crate) fn info_url(&self, revision: &str) -> String {
        format!("{}/api/models/{}/revision/{}", self.endpoint, self.repository, encoded(revision))
    }

    /// The address of a file.
    pub(crate) fn file_url(&self, commit: &str, file: &str) -> String {
        format!("{}/{}/resolve/{commit}/{}", self.endpoint, self.repository, crate::url::encoded_path(file))
    }

    /// What cannot be had because the connection failed.
    pub(crate) fn unreachable(&self, missing: &str, url: &str, reason: impl ToString) -> Fault {
        let cache: PathBuf = self.options.cache.clone();
        Fault::Network { missing: shown(missing), cache, url: shown(unsigned(url)), reason: shown(&reason.to_string()) }
    }

    /// One request with its redirects, and the address that answered.
    ///
    /// # Errors
    /// If nothing answers, if the answer is an error, or if it redirects too often or to where it may not.
    pub(crate) fn send(&self, method: Method, url: &str, missing: &str) -> Result<(Response<Body>, String), Fault> {
        let mut url = url.to_owned();
        for _ in 0..=self.options.limits.redirects {
            let mut request = match method {
                Method::Head => self.agent.head(&url),
                Method::Get(_) => self.agent.get(&url),
            };
            if let Method::Get(from @ 1..) = method {
                request = request.header("Range", format!("bytes={from}-"));
            }
            let ours = origin(&url).as_ref() == Some(&self.origin);
            if let Some(token) = self.options.token.as_ref().filter(|_| ours) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let answer = request.call().map_err(|error| match error {
                ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => {
                    Fault::answer(unsigned(&url), shown(&error.to_string()), "HTTP")
                }
                error => self.unreachable(missing, &url, error),
            })?;
            if !answer.status().is_redirection() || answer.status() == 304 {
                return if answer.status().is_success() { Ok((answer, url)) } else { Err(self.refused(&answer, &url, missing)) };
            }

            let location = header(&answer, "location").unwrap_or_default();
            let next = redirected(&url, location).ok_or_else(|| {
                Fault::answer(
                    unsigned(&url),
                    format!("a redirect to {:?}", shown(unsigned(location))),
                    "one to an http address, from https to https",
                )
            })?;
            if method == Method::Head && origin(&next) != origin(&url) {
                return Ok((answer, url));
            }
            url = next;
        }
        let limit = u64::from(self.options.limits.redirects);
        Err(Fault::Limit { what: format!("redirects from {}", shown(unsigned(&url))), found: limit + 1, limit })
    }

    /// An answer that is an error.
    fn refused(&self, answer: &Response<Body>, url: &str, missing: &str) -> Fault {
        let (status, url) = (answer.status().as_u16(), shown(unsigned(url)));
        let code = header(answer, "x-error-code").unwrap_or_default();
        match (status, code) {
            (401 | 403, code) => {
                let said = if code.is_empty() { String::new() } else { format!(" ({})", shown(code)) };
                Fault::Denied { url, status, said, page: format!("{}/{}", self.endpoint, self.repository) }
            }
            (404, code) if code == "EntryNotFound" || url.contains("/resolve/") && code.is_empty() => {
                Fault::NoFile { missing: shown(missing), found: "it in its list only; the hub does not give it".to_owned() }
            }
            (404, _) => Fault::NoRepository { url, status },
            _ => Fault::Status { url, status },
        }
    }

    /// Tries again what failed for a reason that may pass.
    pub(crate) fn patiently<T>(&self, mut once: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
        let mut failures = 0;
        loop {
            match once() {
                Err(fault) if passes(&fault) => {
                    failures += 1;
                    self.pause(failures, fault)?;
                }
                done => return done,
            }
        }
    }

    /// Waits after this many failures in a row, or gives up with the last one.
    pub(crate) fn pause(&self, failures: u32, last: Fault) -> Result<(), Fault> {
        if failures >= self.options.attempts {
            return Err(last);
        }
        let doubled = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
        std::thread::sleep(self.options.pause.saturating_mul(doubled).min(LONGEST_PAUSE));
        Ok(())
    }
}

/// Whether the same request may succeed in a moment.
pub(crate) fn passes(fault: &Fault) -> bool {
    matches!(fault, Fault::Network { .. } | Fault::Status { status: 408 | 429 | 500..=599, .. })
}

/// A header's value, if it is text.
pub(crate) fn header<'a>(answer: &'a Response<Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}
