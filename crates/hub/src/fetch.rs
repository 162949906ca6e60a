//! From a name to files on disk: the cache first, then the hub.

use crate::cache::{Repository, is_commit};
use crate::download::Wanted;
use crate::error::some;
use crate::http::Client;
use crate::plan::checkpoint;
use crate::{Fault, HubError, HubName, Options, Progress};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Brings the files of a name into the cache and gives where they are: the folder of the checkpoint, or the one file that the name names.
///
/// Nothing is asked of the hub if the cache has everything; a branch stays at the commit where it was first found until
/// [`Options::refresh`]. Files come from one commit, whatever happens to the branch meanwhile.
///
/// # Errors
/// If the name is not in the cache and cannot be had: it does not exist, may not be read, cannot be reached (or requests are switched off,
/// [`Options::offline`]), is not what the hub announces, is larger than [`Options::limits`], or does not fit on the disk. What has arrived
/// of a file is kept for the next call, beside the names that whole files have.
pub fn fetch(name: &HubName, options: &Options, progress: &mut dyn Progress) -> Result<PathBuf, HubError> {
    fetched(name, options, progress).map_err(|fault| HubError { name: name.to_string(), fault: Box::new(fault) })
}

fn fetched(name: &HubName, options: &Options, progress: &mut dyn Progress) -> Result<PathBuf, Fault> {
    let repository = Repository::new(&options.cache, name);
    let known = repository.commit(name.revision())?;

    // What the cache has.
    let mut missing = format!("the revision {:?}", name.revision());
    if let Some(commit) = known.as_deref().filter(|_| options.offline || !options.refresh) {
        match cached(name, options, &repository, commit)? {
            Ok(path) => return Ok(path),
            Err(file) => missing = file,
        }
    }
    if options.offline {
        return Err(Fault::Offline { missing, cache: options.cache.clone(), folder: Repository::folder(name) });
    }

    // The commit, its files, and the branch's place written down.
    let client = Client::new(options, name)?;
    let asked = known.filter(|_| !options.refresh).unwrap_or_else(|| name.revision().to_owned());
    let info = client.info(&asked)?;
    if is_commit(&asked) && info.commit != asked {
        return Err(Fault::answer(&client.info_url(&asked), format!("the commit {}", info.commit), "the one that was asked for"));
    }
    if !is_commit(name.revision()) {
        repository.remember(name.revision(), &info.commit)?;
    }

    let commit = info.commit.as_str();
    let mut get = |file: &str, limit: u64| match repository.file(commit, file) {
        Some(path) => Ok(path),
        None => download(&client, &repository, commit, file, limit, progress),
    };
    if let Some(file) = name.file() {
        if !info.files.contains(file) {
            let found = some(info.files.iter().map(String::as_str));
            return Err(Fault::NoFile { missing: file.to_owned(), found });
        }
        return get(file, options.limits.file);
    }
    let json = options.limits.json;
    for file in checkpoint(&info.files, &options.limits, &mut |file| read(&get(file, json)?, json))? {
        get(&file, options.limits.file)?;
    }
    Ok(repository.snapshot(commit))
}

/// Where the files are if all are there, else the name of one that is not.
fn cached(name: &HubName, options: &Options, repository: &Repository, commit: &str) -> Result<Result<PathBuf, String>, Fault> {
    if let Some(file) = name.file() {
        return Ok(repository.file(commit, file).ok_or_else(|| file.to_owned()));
    }
    let listing = repository.listing(commit, options.limits.listed)?;
    let folder = repository.snapshot(commit);
    match checkpoint(&listing, &options.limits, &mut |file| read(&folder.join(file), options.limits.json)) {
        Ok(_) => Ok(Ok(folder)),
        Err(Fault::NoFile { missing, .. }) => Ok(Err(missing)),
        Err(fault) => Err(fault),
    }
}

/// One file of a commit, from the hub to its name.
fn download(
    client: &Client<'_>,
    repository: &Repository,
    commit: &str,
    file: &str,
    limit: u64,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Fault> {
    let announced = client.announced(commit, file)?;
    if announced.size > limit {
        return Err(Fault::Limit { what: format!("bytes of {file}"), found: announced.size, limit });
    }
    let url = client.file_url(commit, file);
    client.blob(repository, Wanted { file, url: &url, announced: &announced }, progress)?;
    repository.link(commit, file, &announced.tag)
}

/// A small file, whole.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|e| Fault::io(path, e))?;
    match bytes.len() as u64 {
        found if found > limit => Err(Fault::Limit { what: format!("bytes of {}", path.display()), found, limit }),
        _ => Ok(bytes),
    }
}
