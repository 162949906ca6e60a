//! What a hub says of a repository and of a file: the commit and its files; the digest and the length.

use crate::cache::is_commit;
use crate::error::shown;
use crate::http::{Client, Method, header};
use crate::{Fault, digest, name};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::Read;

/// A repository at one commit.
#[derive(Debug)]
pub(crate) struct Info {
    /// The commit.
    pub(crate) commit: String,
    /// Its files, each a path that stays inside.
    pub(crate) files: BTreeSet<String>,
}

/// A file as the hub announces it.
#[derive(Debug)]
pub(crate) struct Announced {
    /// Its digest, as the name of a blob.
    pub(crate) tag: String,
    /// Its length in bytes.
    pub(crate) size: u64,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Client<'_> {
    /// Looks a revision up.
    ///
    /// # Errors
    /// If there is no such repository or revision, if it may not be seen, or if the answer is not that of a hub.
    pub(crate) fn info(&self, revision: &str) -> Result<Info, Fault> {
        let url = self.info_url(revision);
        let missing = format!("the list of files at {revision:?}");
        let limits = self.options.limits;
        let (bytes, at) = self.patiently(|| {
            let (answer, at) = self.send(Method::Get(0), &url, &missing)?;
            let mut bytes = Vec::new();
            let mut body = answer.into_body().into_reader().take(limits.json.saturating_add(1));
            body.read_to_end(&mut bytes).map_err(|e| self.unreachable(&missing, &at, e))?;
            Ok((bytes, at))
        })?;
        if bytes.len() as u64 > limits.json {
            return Err(Fault::Limit { what: format!("bytes of {at}"), found: bytes.len() as u64, limit: limits.json });
        }
        let told = "JSON with `sha` and `siblings`";
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|e| Fault::answer(&at, shown(&e.to_string()), told))?;
        if !is_commit(&answer.sha) {
            return Err(Fault::answer(&at, format!("`sha` {:?}", shown(&answer.sha)), "a commit of forty hexadecimal digits"));
        }
        if answer.siblings.len() > limits.listed {
            let what = format!("files listed by {at}");
            return Err(Fault::Limit { what, found: answer.siblings.len() as u64, limit: limits.listed as u64 });
        }
        let mut files = BTreeSet::new();
        for Sibling { rfilename } in answer.siblings {
            name::inside(&rfilename).map_err(|found| Fault::Path { file: shown(&rfilename), found })?;
            files.insert(rfilename);
        }
        Ok(Info { commit: answer.sha, files })
    }

    /// Asks for a file's digest and length.
    ///
    /// # Errors
    /// If the file is not given, or if the answer says neither or belongs to another commit.
    pub(crate) fn announced(&self, commit: &str, file: &str) -> Result<Announced, Fault> {
        let url = self.file_url(commit, file);
        let (answer, at) = self.patiently(|| self.send(Method::Head, &url, file))?;
        let etag = header(&answer, "x-linked-etag").or_else(|| header(&answer, "etag")).unwrap_or_default();
        let tag = digest::tag(etag).ok_or_else(|| Fault::answer(&at, format!("the entity tag {:?}", shown(etag)), "a digest"))?;
        // The length of a redirect is not that of the file.
        let own = if answer.status().is_success() { header(&answer, "content-length") } else { None };
        let size = header(&answer, "x-linked-size").or(own).unwrap_or_default();
        let size = size.parse().map_err(|_| Fault::answer(&at, format!("the length {:?}", shown(size)), "a number of bytes"))?;
        match header(&answer, "x-repo-commit") {
            Some(other) if other != commit => {
                Err(Fault::answer(&at, format!("the commit {:?}", shown(other)), format!("{commit}, which was asked for")))
            }
            _ => Ok(Announced { tag: tag.to_owned(), size }),
        }
    }
}
