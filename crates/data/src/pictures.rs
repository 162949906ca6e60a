//! A folder of pictures, recursive.
//!
//! Every picture is looked at once (does it decode, its size, what its pixels need), which settles size and channels for all; then
//! each is brought there, into memory or, where the rows are more than the limit, into a cache file that later runs map.

use crate::cache::{self, Description, Fingerprint};
use crate::dataset::Storage;
use crate::decode::{self, ChannelPolicy, Kind, Plan};
use crate::names::{self, LabelSource};
use crate::open::Progress;
use crate::{DataError, Dataset, LoadReport, OpenOptions, Shape, table};
use image::RgbaImage;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];
/// Bytes of decoded pictures that are kept from the first look, so that small folders are decoded once.
const KEPT: u64 = 1 << 30;
/// Pictures that are brought to their size at once when a cache is written.
const AT_ONCE: usize = 256;

/// Folders within folders: more are taken for a link that leads back.
const DEEPEST: usize = 32;

/// Paths of pictures below `folder`, with `/` between the parts, in an order that is the same on every machine. What begins with a dot
/// is hidden and left out.
pub(crate) fn list(folder: &Path) -> Result<Vec<String>, DataError> {
    fn collect(folder: &Path, inside: &str, out: &mut Vec<String>) -> Result<(), DataError> {
        for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
            let path = entry.map_err(DataError::io(folder))?.path();
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
                return Err(DataError::format(&path, "a name that is no UTF-8", "names of UTF-8: rename it"));
            };
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                if inside.matches('/').count() == DEEPEST {
                    let expected = format!("at most {DEEPEST} folders within each other: is it a link that leads back?");
                    return Err(DataError::format(&path, "a folder too deep", expected));
                }
                collect(&path, &format!("{inside}{name}/"), out)?;
            } else if path.extension().is_some_and(|e| ENDINGS.contains(&e.to_string_lossy().to_lowercase().as_str())) {
                out.push(format!("{inside}{name}"));
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    collect(folder, "", &mut files)?;
    files.sort();
    Ok(files)
}

/// Endings of pictures that are not read.
const UNREAD: [&str; 6] = ["tif", "tiff", "heic", "avif", "jxl", "svg"];

/// How many pictures of kinds that are not read lie in a folder and its sub-folders.
fn unread_in(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |path: PathBuf| {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match path.is_dir() && !path.is_symlink() {
            true => unread_in(&path),
            false => usize::from(ending.is_some_and(|e| UNREAD.contains(&e.as_str()))),
        }
    };
    entries.flatten().map(|e| of(e.path())).sum()
}

/// What the rows depend on: the files by name, size and time, the table of labels, the options.
fn fingerprint(folder: &Path, files: &[String], table: Option<&Path>, options: &OpenOptions) -> String {
    let mut f = Fingerprint::new();
    f.add(format!("{:?}", (options.size, options.fit, options.channels, &options.labels)).as_bytes());
    let mut add = |name: &str, path: &Path| {
        f.add(name.as_bytes());
        let seen = std::fs::metadata(path).ok();
        let time = seen.as_ref().and_then(|m| m.modified().ok()).and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        f.add(&seen.map_or(0, |m| m.len()).to_le_bytes());
        f.add(&time.map_or(0, |t| t.as_nanos()).to_le_bytes());
    };
    files.iter().for_each(|file| add(file, &folder.join(file)));
    table.iter().for_each(|t| add(&t.display().to_string(), t));
    f.hex()
}

/// Where the cache of a folder is unless said otherwise: beside it.
fn cache_beside(folder: &Path) -> PathBuf {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let name = real.file_name().map_or("pictures".into(), |n| n.to_string_lossy().into_owned());
    real.with_file_name(format!("{name}.scorefield-cache"))
}

/// A picture at first look.
struct Look {
    size: [usize; 2],
    kind: Kind,
    kept: Option<RgbaImage>,
}

pub(crate) fn open(folder: &Path, options: &OpenOptions, progress: Progress<'_>) -> Result<Dataset, DataError> {
    let mut files = list(folder)?;
    if files.is_empty() {
        let expected = format!("pictures ({}) in it or in its sub-folders", ENDINGS.join(", "));
        return Err(DataError::format(folder, "a folder with no picture", expected));
    }
    if let Some(size) = options.size.filter(|s| s.iter().any(|n| !(1..=4096).contains(n))) {
        return Err(DataError::format(folder, format!("a size of {size:?}"), "rows and columns from 1 to 4096"));
    }
    let table = names::table_of(folder, &options.labels);
    let cache = options.cache.clone().unwrap_or_else(|| cache_beside(folder));
    let key = fingerprint(folder, &files, table.as_deref(), options);
    let name = folder.display().to_string();
    if let Some(data) = cache::open(&cache, &key, &name) {
        return Ok(data);
    }

    let mut report = LoadReport { found: files.len(), ..LoadReport::default() };
    let mut labels = match &table {
        Some(table) => Some(keep_labelled(table, &mut files, &mut report)?),
        None => names::of_folders(folder, &files, &options.labels)?,
    };
    if labels.is_none() && options.labels == LabelSource::Auto {
        report.notes.extend(names::why_unlabelled(&files));
    }
    let unread = unread_in(folder);
    if unread > 0 {
        report.notes.push(format!("{unread} files are pictures of kinds that are not read ({})", UNREAD.join(", ")));
    }
    let total = files.len() as u64;
    let (done, kept) = (AtomicU64::new(0), AtomicU64::new(0));
    let step = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, 2 * total);
    let look = |file: &String| -> Result<Look, String> {
        let picture = decode::decode(&folder.join(file));
        step();
        let picture = picture?;
        let bytes = picture.as_raw().len() as u64;
        let keep = kept.fetch_add(bytes, Ordering::Relaxed) + bytes <= KEPT.min(options.memory_limit);
        let size = [picture.height() as usize, picture.width() as usize];
        Ok(Look { size, kind: decode::kind(&picture), kept: keep.then_some(picture) })
    };
    let mut good = Vec::new();
    let mut broken = Vec::new();
    for (i, looked) in files.par_iter().map(look).collect::<Vec<_>>().into_iter().enumerate() {
        match looked {
            Ok(look) => good.push((i, look)),
            Err(reason) => broken.push((files[i].clone(), reason)),
        }
    }
    if broken.len() * 100 > files.len() || good.is_empty() {
        let first: Vec<_> = broken.iter().take(3).map(|(p, r)| format!("{p}: {r}")).collect();
        return Err(DataError::Broken { path: folder.into(), broken: broken.len(), total: files.len(), first: first.join("; ") });
    }
    report.used = good.len();
    report.skipped.extend(broken);

    let plan = plan(folder, &good, options, &mut report.notes)?;
    let shape = Shape::Image { channels: plan.channels, height: plan.size[0], width: plan.size[1] };
    let (labels, classes) = match labels.take() {
        Some(of) => {
            let (labels, classes) = table::classes(&good.iter().map(|(i, _)| of[*i].clone()).collect::<Vec<_>>());
            (Some(labels), classes)
        }
        None => (None, Vec::new()),
    };
    let description = Description { key, shape, rows: good.len(), labels, classes, report };
    let row = |(i, look): &(usize, Look)| -> Result<Vec<u8>, DataError> {
        let path = folder.join(&files[*i]);
        let wrong = |e| {
            DataError::format(&path, format!("a picture that could be read a moment ago ({e})"), "files that stay as they are")
        };
        let bytes = match &look.kept {
            Some(picture) => decode::row(picture, &plan),
            None => decode::decode(&path).and_then(|p| decode::row(&p, &plan)),
        };
        step();
        bytes.map_err(wrong)
    };
    let bytes = (shape.len() as u64).saturating_mul(good.len() as u64);
    if !options.always_cache && bytes <= options.memory_limit {
        let mut all = Vec::with_capacity(bytes as usize);
        for some in good.chunks(AT_ONCE) {
            some.par_iter().map(row).collect::<Result<Vec<_>, _>>()?.iter().for_each(|r| all.extend_from_slice(r));
        }
        return Ok(description.dataset(&name, Storage::Bytes(Arc::new(all))));
    }
    // An error of a picture is not one of writing, and is said as it is.
    let mut unreadable = None;
    let built = cache::build(&cache, &description, |out| {
        good.chunks(AT_ONCE).try_for_each(|some| {
            let rows = some.par_iter().map(row).collect::<Result<Vec<_>, _>>().map_err(|e| {
                unreadable = Some(e);
                io::Error::other("a picture cannot be read")
            })?;
            rows.iter().try_for_each(|r| out.write_all(r))
        })
    });
    if let Some(error) = unreadable {
        return Err(error);
    }
    built?;
    cache::open(&cache, &description.key, &name).ok_or_else(|| {
        let found = "a cache that does not open right after it was written";
        DataError::format(&cache, found, "a place whose files can be mapped: name another by --set data.cache=PATH")
    })
}

/// Leaves only the files that a table names, and returns their labels.
fn keep_labelled(table: &Path, files: &mut Vec<String>, report: &mut LoadReport) -> Result<Vec<String>, DataError> {
    let (labels, unknown) = names::of_table(table, files)?;
    let mut kept = Vec::new();
    let mut of = Vec::new();
    for (file, label) in files.drain(..).zip(labels) {
        match label {
            Some(label) => {
                kept.push(file);
                of.push(label);
            }
            None => report.skipped.push((file, format!("{} gives it no label", table.display()))),
        }
    }
    *files = kept;
    if unknown > 0 {
        report.notes.push(format!("{unknown} rows of {} name no picture of the folder", table.display()));
    }
    Ok(of)
}

/// One size and one number of channels for all.
fn plan(folder: &Path, good: &[(usize, Look)], options: &OpenOptions, notes: &mut Vec<String>) -> Result<Plan, DataError> {
    let mut sizes = BTreeMap::new();
    good.iter().for_each(|(_, l)| *sizes.entry(l.size).or_insert(0usize) += 1);
    let size = match (options.size, sizes.len()) {
        (Some(size), _) => size,
        (None, 1) => good[0].1.size,
        (None, several) => {
            let mut common: Vec<_> = sizes.iter().collect();
            common.sort_by_key(|(size, n)| (std::cmp::Reverse(**n), **size));
            let mut listed: Vec<_> = common.iter().take(6).map(|([h, w], n)| format!("{w}x{h} ({n})")).collect();
            if several > 6 {
                listed.push(format!("{} more sizes", several - 6));
            }
            return Err(DataError::Sizes { path: folder.into(), found: listed.join(", ") });
        }
    };
    if size.iter().any(|n| !(1..=4096).contains(n)) {
        return Err(DataError::format(
            folder,
            format!("pictures of {}x{}", size[1], size[0]),
            "at most 4096x4096: set data.size",
        ));
    }
    let n = good.len();
    let resized = n - sizes.get(&size).copied().unwrap_or(0);
    if resized > 0 {
        let how = format!("{:?}", options.fit).to_lowercase();
        notes.push(format!("{resized} of {n} pictures were brought to {}x{} ({how})", size[1], size[0]));
    }

    let count = |kind: Kind| good.iter().filter(|(_, l)| l.kind == kind).count();
    let (grey, colour, clear) = (count(Kind::Grey), count(Kind::Colour), count(Kind::Transparent));
    let mut background = [255; 3];
    let channels = match options.channels {
        ChannelPolicy::Auto if clear > 0 => 4,
        ChannelPolicy::Auto if colour > 0 && 2 * colour >= n => 3,
        ChannelPolicy::Auto | ChannelPolicy::Grey => 1,
        ChannelPolicy::Rgb => 3,
        ChannelPolicy::Rgba => 4,
        ChannelPolicy::OnBackground(colour) => {
            background = colour;
            3
        }
    };
    match channels {
        4 if clear > 0 && clear < n => notes.push(format!("{clear} of {n} pictures have transparency: all are given alpha")),
        1 if colour > 0 => {
            notes.push(format!("{colour} of {n} pictures have colour and are read as grey: data.channels=\"rgb\" keeps it"))
        }
        3 if grey > 0 => notes.push(format!("{grey} of {n} pictures are grey and are given three equal channels")),
        _ => {}
    }
    if channels != 4 && clear > 0 {
        let [r, g, b] = background;
        notes.push(format!("{clear} of {n} pictures have transparency and are laid on the colour [{r}, {g}, {b}]"));
    }
    Ok(Plan { size, fit: options.fit, channels, background })
}
