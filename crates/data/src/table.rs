//! A table of numbers as text (`.csv`, `.tsv`, also gzipped): each row an example, each column a channel.
//!
//! The first row is a header if it has no number, if one of its cells is text above a number, or if it names a column `label` or
//! `class`. One column may hold text, or be named so: its distinct values become the classes. Tables that mix numbers and several
//! columns of text come later.

use crate::array::all_finite;
use crate::dataset::Storage;
use crate::{DataError, Dataset, Shape, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// More numbers than this are no table for memory.
const LARGEST: usize = 1 << 30;
/// A row with more columns is taken for another kind of file.
const WIDEST: usize = 1 << 20;
const LABELS: [&str; 4] = ["label", "labels", "class", "classes"];

/// Whether the ending of a path is one of a table.
pub(crate) fn is_table(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".csv") || name.ends_with(".tsv")
}

/// A reader of the rows of a file, whatever separates its cells.
pub(crate) fn reader(path: &Path) -> Result<csv::Reader<Box<dyn Read>>, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let plain: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    let mut text = BufReader::with_capacity(1 << 16, plain);
    let start = text.fill_buf().map_err(DataError::io(path))?;
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
    let line = start.split(|&b| b == b'\n').next().unwrap_or_default();
    let delimiter = [b',', b'\t', b';'].into_iter().find(|d| line.contains(d)).unwrap_or(b',');
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter).trim(csv::Trim::All);
    Ok(builder.from_reader(Box::new(text)))
}

/// The next row with its line, empty lines left out.
pub(crate) fn next(path: &Path, reader: &mut csv::Reader<Box<dyn Read>>) -> Result<Option<(u64, csv::StringRecord)>, DataError> {
    let mut record = csv::ByteRecord::new();
    let more = reader
        .read_byte_record(&mut record)
        .map_err(|e| DataError::format(path, format!("text that cannot be read ({e})"), "rows of cells"))?;
    if !more {
        return Ok(None);
    }
    let line = record.position().map_or(0, csv::Position::line);
    let record = csv::StringRecord::from_byte_record(record)
        .map_err(|_| DataError::format(path, format!("line {line} that is no UTF-8 text"), "a text file"))?;
    if record.len() > WIDEST {
        return Err(DataError::format(path, format!("line {line} of {} cells", record.len()), format!("at most {WIDEST}")));
    }
    Ok(Some((line, record)))
}

fn number(cell: &str) -> Option<f64> {
    cell.parse().ok()
}

fn is_label(name: &str) -> bool {
    LABELS.contains(&name.to_lowercase().as_str())
}

/// What each column is.
struct Columns {
    names: Vec<String>,
    label: Option<usize>,
}

/// Decides from the names (if there is a header) and the first row of data which column holds labels.
fn columns(path: &Path, names: Option<Vec<String>>, line: u64, first: &csv::StringRecord) -> Result<Columns, DataError> {
    let width = names.as_ref().map_or(first.len(), Vec::len);
    let names = names.unwrap_or_else(|| (0..width).map(|c| format!("c{c}")).collect());
    let named = names.iter().position(|n| is_label(n));
    let text = |c: &usize| first.get(*c).is_some_and(|cell| !cell.is_empty() && number(cell).is_none());
    let texts: Vec<usize> = (0..width).filter(|c| Some(*c) != named).filter(text).collect();
    let label = match (named, &texts[..]) {
        (named, []) => named,
        (None, [only]) => Some(*only),
        _ => {
            let listed: Vec<_> = texts.iter().map(|&c| format!("`{}` ({:?})", names[c], &first[c])).collect();
            let expected = "numbers, and at most one column of text or named `label`: leave such columns out or number their \
                            values first (tables of mixed columns come in a later version)";
            return Err(DataError::format(path, format!("line {line} has text in columns {}", listed.join(", ")), expected));
        }
    };
    Ok(Columns { names, label })
}

/// Opens a table.
pub(crate) fn open(path: &Path) -> Result<Dataset, DataError> {
    let mut rows = reader(path)?;
    let empty =
        |what: &str| DataError::format(path, format!("a table with no {what}"), "rows of numbers, with or without a header");
    let Some((mut line, mut record)) = next(path, &mut rows)? else { return Err(empty("row")) };
    let mut names = None;
    let second = next(path, &mut rows)?;
    let no_number = !record.iter().any(|c| number(c).is_some());
    let over_number = |s: &csv::StringRecord| record.iter().zip(s).any(|(a, b)| number(a).is_none() && number(b).is_some());
    let mut waiting = second;
    if no_number || record.iter().any(is_label) || waiting.as_ref().is_some_and(|(_, s)| over_number(s)) {
        let from_header = |(c, n): (usize, &str)| if n.is_empty() { format!("c{c}") } else { n.to_owned() };
        names = Some(record.iter().enumerate().map(from_header).collect());
        (line, record) = waiting.take().ok_or_else(|| empty("row below its header"))?;
    }
    let Columns { names, label } = columns(path, names, line, &record)?;
    let dim = names.len() - usize::from(label.is_some());
    if dim == 0 {
        return Err(empty("column of numbers"));
    }

    let (mut values, mut labels) = (Vec::new(), Vec::new());
    loop {
        if record.len() != names.len() {
            let found = format!("line {line} with {} cells", record.len());
            return Err(DataError::format(path, found, format!("{} as in the first line", names.len())));
        }
        for (c, cell) in record.iter().enumerate() {
            let wrong = |found: String, hint: &str| {
                let expected = format!("a number ({hint})");
                Err(DataError::format(path, format!("line {line}, column `{}`: {found}", names[c]), expected))
            };
            match number(cell) {
                _ if Some(c) == label && cell.is_empty() => {
                    return wrong("no label".into(), "or text: label or remove such rows");
                }
                _ if Some(c) == label => labels.push(cell.to_owned()),
                Some(v) => values.push(v as f32),
                None if cell.is_empty() => return wrong("an empty cell".into(), "fill or remove such rows first"),
                None => {
                    return wrong(format!("{cell:?}"), "missing values and text have to be filled, numbered or removed first");
                }
            }
        }
        if values.len() > LARGEST {
            return Err(DataError::format(path, "a table too large for memory", format!("at most {LARGEST} numbers: use .npy")));
        }
        match waiting.take().map_or_else(|| next(path, &mut rows), |w| Ok(Some(w)))? {
            Some(following) => (line, record) = following,
            None => break,
        }
    }
    all_finite(path, &values, dim)?;
    let n = values.len() / dim;
    let mut data =
        Dataset::new(&path.display().to_string(), Shape::Vector { dim }, Value::Real, Storage::Floats(Arc::new(values)), n);
    if let Some(label) = label {
        let (labels, classes) = classes(&labels);
        data.labels = Some(Arc::new(labels));
        data.report.notes.push(format!("column `{}` holds the labels: {} classes", names[label], classes.len()));
        data.classes = classes;
    }
    data.channels = names.into_iter().enumerate().filter(|(c, _)| Some(*c) != label).map(|(_, n)| n).collect();
    Ok(data)
}

/// Names as numbers from 0 and the classes, in the order of numbers if all are whole numbers, else of letters.
pub(crate) fn classes(names: &[String]) -> (Vec<u32>, Vec<String>) {
    let whole = names.iter().all(|n| n.parse::<i64>().is_ok());
    let key = |n: &String| if whole { n.parse::<i64>().ok() } else { None };
    let distinct: BTreeSet<(Option<i64>, &str)> = names.iter().map(|n| (key(n), n.as_str())).collect();
    let classes: Vec<String> = distinct.into_iter().map(|(_, n)| n.to_owned()).collect();
    let places: BTreeMap<&str, u32> = classes.iter().enumerate().map(|(i, n)| (n.as_str(), i as u32)).collect();
    (names.iter().map(|n| places[n.as_str()]).collect(), classes)
}
