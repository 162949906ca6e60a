//! One file from the hub to its blob: resumed where it stopped, bounded by what was announced, compared with it, then renamed.

use crate::cache::{Repository, make_parent};
use crate::http::{Client, Method, header, passes};
use crate::info::Announced;
use crate::url::unsigned;
use crate::{Fault, Progress, digest};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use ureq::Body;
use ureq::http::Response;

/// A request that brings this much has not failed, even if it is cut.
const WORTH: u64 = 1 << 20;

/// A file that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) file: &'a str,
    pub(crate) url: &'a str,
    pub(crate) announced: &'a Announced,
}

impl Wanted<'_> {
    fn size(&self, url: &str, found: impl ToString) -> Fault {
        let url = crate::error::shown(unsigned(url));
        Fault::Size { file: self.file.to_owned(), url, found: found.to_string(), expected: self.announced.size }
    }
}

impl Client<'_> {
    /// Brings the bytes of a file to the name of their digest, unless they are there.
    ///
    /// # Errors
    /// If they do not come, if they are not those announced, or if the disk refuses them. What has arrived stays, unless it is wrong.
    pub(crate) fn blob(&self, repository: &Repository, wanted: Wanted<'_>, progress: &mut dyn Progress) -> Result<(), Fault> {
        let Announced { tag, size } = wanted.announced;
        let blob = repository.blob(tag);
        make_parent(&blob)?;
        let _lock = repository.lock(tag)?;
        if fs::metadata(&blob).is_ok_and(|there| there.is_file() && there.len() == *size) {
            return Ok(());
        }

        let path = repository.incomplete(tag);
        let io = |e| Fault::io(&path, e);
        let mut file = File::options().create(true).append(true).open(&path).map_err(io)?;
        match self.complete(&mut file, &path, wanted, progress) {
            Ok(()) => {}
            // Other lengths than announced: nothing of it can be used.
            Err(fault @ Fault::Size { .. }) => {
                let _ = fs::remove_file(&path);
                return Err(fault);
            }
            Err(fault) => return Err(fault),
        }
        file.sync_all().map_err(io)?;
        drop(file);

        if let Some(found) = digest::of_file(&path, tag)?.filter(|found| found != tag) {
            let _ = fs::remove_file(&path);
            return Err(Fault::Digest { file: wanted.file.to_owned(), found, expected: tag.clone() });
        }
        fs::rename(&path, &blob).map_err(|e| Fault::io(&blob, e))?;
        // The name itself on disk; not every system lets a folder be opened.
        if let Some(folder) = blob.parent().and_then(|folder| File::open(folder).ok()) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Appends to a file until it has the announced length.
    fn complete(&self, file: &mut File, path: &Path, wanted: Wanted<'_>, progress: &mut dyn Progress) -> Result<(), Fault> {
        let size = wanted.announced.size;
        let io = |e| Fault::io(path, e);
        let mut have = file.metadata().map_err(io)?.len();
        if have > size {
            file.set_len(0).map_err(io)?;
            have = 0;
        }
        progress.at(wanted.file, have, size);

        let mut failures = 0;
        while have < size {
            let before = have;
            let result = self.some_more(file, path, wanted, &mut have, progress);
            match result {
                Ok(()) => {}
                Err(fault) if passes(&fault) => {
                    failures = if have >= before.saturating_add(WORTH) { 0 } else { failures + 1 };
                    if failures > 0 {
                        self.pause(failures, fault)?;
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// One request from byte `have` on; whatever comes of it is written and counted.
    fn some_more(
        &self,
        file: &mut File,
        path: &Path,
        wanted: Wanted<'_>,
        have: &mut u64,
        progress: &mut dyn Progress,
    ) -> Result<(), Fault> {
        let size = wanted.announced.size;
        let io = |e| Fault::io(path, e);
        let (answer, url) = match self.send(Method::Get(*have), wanted.url, wanted.file) {
            // No such range, where there should be one: the server's file is shorter.
            Err(Fault::Status { status: 416, url }) => return Err(wanted.size(&url, format!("no more than {have}"))),
            answer => answer?,
        };

        // The part that comes: from `have` on, or all of it from a server that cannot go on in the middle.
        if answer.status() == 206 && *have > 0 {
            let range = header(&answer, "content-range").unwrap_or_default();
            if parsed_range(range) != Some((*have, size)) {
                return Err(wanted.size(&url, format!("the range {:?} after {have}", crate::error::shown(range))));
            }
        } else if answer.status() == 200 {
            if *have > 0 {
                file.set_len(0).map_err(io)?;
                *have = 0;
            }
        } else {
            return Err(Fault::answer(unsigned(&url), format!("the status {}", answer.status()), "200, or 206 for a range"));
        }
        if let Some(length) = length(&answer).filter(|length| have.checked_add(*length) != Some(size)) {
            return Err(wanted.size(&url, have.saturating_add(length)));
        }

        let mut body = answer.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            // One byte more than is left shows a body that does not end where it should.
            let most = usize::try_from(size - *have).unwrap_or(usize::MAX).saturating_add(1).min(buffer.len());
            let n = match body.read(&mut buffer[..most]) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                // All is here: how the connection ends does not matter.
                Err(_) if *have == size => break,
                Err(e) => return Err(self.unreachable(wanted.file, &url, e)),
            };
            if n as u64 > size - *have {
                return Err(wanted.size(&url, "more"));
            }
            file.write_all(&buffer[..n]).map_err(io)?;
            *have += n as u64;
            progress.at(wanted.file, *have, size);
        }
        if *have < size {
            Err(self.unreachable(wanted.file, &url, format!("it ends after {have} of {size} bytes")))
        } else {
            Ok(())
        }
    }
}

/// `bytes FIRST-LAST/TOTAL`: the first byte and the total.
fn parsed_range(range: &str) -> Option<(u64, u64)> {
    let (span, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    Some((span.split_once('-')?.0.parse().ok()?, total.parse().ok()?))
}

/// The announced length of a body.
fn length(answer: &Response<Body>) -> Option<u64> {
    header(answer, "content-length")?.parse().ok()
}
