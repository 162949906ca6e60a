//! Which class each picture of a folder has: from its sub-folder, or from a table of `file,label`.

use crate::{DataError, table};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where the labels of a folder of pictures are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelSource {
    /// In `labels.csv` if the folder has it, else in the names of the sub-folders if there are two or more.
    #[default]
    Auto,
    /// In the names of the first level of sub-folders; pictures beside them are then an error.
    Folders,
    /// In a table with a row `file,label` for each picture; files are named from the folder, or without it where that is unique.
    Csv(PathBuf),
    /// Nowhere.
    None,
}

/// The table that a source means, if it means one.
pub(crate) fn table_of(folder: &Path, source: &LabelSource) -> Option<PathBuf> {
    match source {
        LabelSource::Csv(path) => Some(path.clone()),
        LabelSource::Auto => Some(folder.join("labels.csv")).filter(|p| p.is_file()),
        _ => None,
    }
}

/// The class of each picture, by the name of its sub-folder; `None` where that makes no classes.
pub(crate) fn of_folders(folder: &Path, files: &[String], source: &LabelSource) -> Result<Option<Vec<String>>, DataError> {
    if *source == LabelSource::None {
        return Ok(None);
    }
    let named: Vec<Option<&str>> = files.iter().map(|f| f.split_once('/').map(|(class, _)| class)).collect();
    let first = named.iter().flatten().next();
    let several = named.iter().flatten().any(|n| Some(n) != first);
    let beside = named.iter().position(Option::is_none);
    match (beside, several) {
        (None, true) => Ok(Some(named.into_iter().flatten().map(str::to_owned).collect())),
        _ if *source == LabelSource::Auto => Ok(None),
        (Some(at), _) => {
            let found = format!("the picture {} beside the sub-folders", files[at]);
            Err(DataError::format(folder, found, "every picture in a sub-folder named for its class"))
        }
        (None, false) => {
            let found = format!("one sub-folder ({})", first.unwrap_or(&""));
            Err(DataError::format(folder, found, "two or more, each named for its class"))
        }
    }
}

/// What to say of sub-folders that were not taken as classes because pictures lie beside them.
pub(crate) fn why_unlabelled(files: &[String]) -> Option<String> {
    let inside = files.iter().filter(|f| f.contains('/')).count();
    let beside = files.len() - inside;
    (inside > 0 && beside > 0).then(|| {
        format!(
            "{beside} pictures lie beside the sub-folders, which are therefore not taken as classes: move them into one, or write a labels.csv"
        )
    })
}

/// The class of each picture by a table, `None` for those it does not name, and how many of its rows name no picture.
pub(crate) fn of_table(path: &Path, files: &[String]) -> Result<(Vec<Option<String>>, usize), DataError> {
    let mut places: HashMap<&str, Option<usize>> = HashMap::new();
    for (i, file) in files.iter().enumerate() {
        // A bare name that occurs twice means neither.
        let bare = file.rsplit('/').next().unwrap_or(file);
        if bare != file {
            places.entry(bare).and_modify(|p| *p = None).or_insert(Some(i));
        }
    }
    places.extend(files.iter().enumerate().map(|(i, f)| (f.as_str(), Some(i))));

    let mut classes = vec![None; files.len()];
    let (mut unknown, mut example, mut first) = (0, None, true);
    let mut rows = table::reader(path)?;
    while let Some((line, record)) = table::next(path, &mut rows)? {
        let (Some(file), Some(label)) = (record.get(0), record.get(1)) else {
            let found = format!("line {line} with {} cells", record.len());
            return Err(DataError::format(path, found, "`file,label` in each row"));
        };
        let file = file.replace('\\', "/");
        let file = file.strip_prefix("./").unwrap_or(&file);
        match places.get(file) {
            Some(Some(_)) if label.is_empty() => {
                return Err(DataError::format(
                    path,
                    format!("line {line}: {file} has an empty label"),
                    "a label, or no such row",
                ));
            }
            Some(Some(at)) => match &classes[*at] {
                Some(old) if old != label => {
                    let found = format!("line {line}: {file} is {label:?}, and {old:?} further up");
                    return Err(DataError::format(path, found, "one label a picture"));
                }
                _ => classes[*at] = Some(label.to_owned()),
            },
            Some(None) => {
                let found = format!("line {line}: there are several pictures named {file}");
                return Err(DataError::format(path, found, "their paths from the folder, as in class/name.png"));
            }
            // A first row that names no picture is the header.
            None if first => {}
            None => {
                unknown += 1;
                example.get_or_insert_with(|| file.to_owned());
            }
        }
        first = false;
    }
    if classes.iter().all(Option::is_none) {
        let named = example.map_or("no file at all".into(), |e| format!("{e}, which is not in the folder"));
        let expected = format!("names as in the folder, such as {}", files.first().map_or("", String::as_str));
        return Err(DataError::format(path, format!("a table that names {named}"), expected));
    }
    Ok((classes, unknown))
}
