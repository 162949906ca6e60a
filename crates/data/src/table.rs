//! A table of numbers and text (`.csv`, `.tsv`, also gzipped): each row an example, each column a channel.
//!
//! The first row is a header if it has no number, if one of its cells is text above a number, or if it names a column `label` or
//! `class`: a table of text alone needs one. A column named so holds the labels, its distinct values become the classes; where none is,
//! and exactly one of several columns holds text, that one does. Every other column of text holds categories, and so does one that
//! `data.categorical` asks for. What a column holds is seen in the first row below the header.

use crate::array::all_finite;
use crate::categories::{EXACT, MOST};
use crate::dataset::Storage;
use crate::{Categorical, DataError, Dataset, Shape, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// Texts by number, in the order in which they first occur.
#[derive(Default)]
struct Texts {
    places: HashMap<String, u32>,
    names: Vec<String>,
}

impl Texts {
    fn place(&mut self, text: &str) -> u32 {
        if let Some(&place) = self.places.get(text) {
            return place;
        }
        let place = self.names.len() as u32;
        self.places.insert(text.to_owned(), place);
        self.names.push(text.to_owned());
        place
    }
}

/// What a column holds.
enum Column {
    Numbers,
    /// Counted as they occur while the table is read.
    Categories(Texts),
    Labels,
}

/// Decides from the names and the first row of data what each column holds.
fn columns(names: &[String], first: &csv::StringRecord, asked: &Categorical) -> Vec<Column> {
    let width = names.len();
    let text = |c: usize| first.get(c).is_some_and(|cell| !cell.is_empty() && number(cell).is_none());
    let by_name = |name: &String| matches!(asked, Categorical::Names(list) if list.contains(name));
    let named = names.iter().position(|n| is_label(n) && !by_name(n));
    let texts: Vec<usize> = (0..width).filter(|&c| Some(c) != named && text(c)).collect();
    let label = match (named, &texts[..]) {
        (None, &[only]) if width > 1 && !asked.has(&names[only]) => Some(only),
        (named, _) => named,
    };
    let of = |c: usize| match Some(c) == label {
        true => Column::Labels,
        false if texts.contains(&c) || asked.has(&names[c]) => Column::Categories(Texts::default()),
        false => Column::Numbers,
    };
    (0..width).map(of).collect()
}

/// Opens a table; columns that are asked for hold categories.
pub(crate) fn open(path: &Path, asked: &Categorical) -> Result<Dataset, DataError> {
    let mut rows = reader(path)?;
    let empty = |what: &str| {
        DataError::format(path, format!("a table with no {what}"), "rows of numbers or text, with or without a header")
    };
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
    let names: Vec<String> = names.unwrap_or_else(|| (0..record.len()).map(|c| format!("c{c}")).collect());
    asked.known(path, &names)?;
    let mut columns = columns(&names, &record, asked);
    let label = columns.iter().position(|c| matches!(c, Column::Labels));
    let dim = names.len() - usize::from(label.is_some());
    if dim == 0 {
        return Err(empty("column besides its labels"));
    }

    let (mut values, mut labels, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        if record.len() != names.len() {
            let found = format!("line {line} with {} cells", record.len());
            return Err(DataError::format(path, found, format!("{} as in the first line", names.len())));
        }
        for (c, (cell, column)) in record.iter().zip(&mut columns).enumerate() {
            let wrong = |found: String, expected: &str| {
                Err(DataError::format(path, format!("line {line}, column `{}`: {found}", names[c]), expected))
            };
            match (column, number(cell)) {
                (Column::Labels, _) if cell.is_empty() => {
                    return wrong("no label".into(), "a number or text (label or remove such rows)");
                }
                (Column::Categories(_), _) if cell.is_empty() => {
                    return wrong("an empty cell".into(), "a category (fill or remove such rows first)");
                }
                (Column::Labels, _) => labels.push(cell.to_owned()),
                (Column::Categories(texts), _) => {
                    values.push(texts.place(cell) as f32);
                    if texts.names.len() > MOST {
                        let expected = format!("at most {MOST} different categories: leave the column out, or number it first");
                        return wrong("one text too many".into(), &expected);
                    }
                }
                (Column::Numbers, Some(v)) => values.push(v as f32),
                (Column::Numbers, None) if cell.is_empty() => {
                    return wrong("an empty cell".into(), "a number (fill or remove such rows first)");
                }
                (Column::Numbers, None) => {
                    let expected = format!(
                        "a number, as in the first line (fill or remove missing values first; a column of categories that begins with \
                         a number is named by data.categorical=[\"{}\"])",
                        names[c]
                    );
                    return wrong(format!("{cell:?}"), &expected);
                }
            }
        }
        lines.push(line);
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
    let mut categories = Vec::new();
    let channels = columns.iter().zip(&names).filter(|(column, _)| !matches!(column, Column::Labels));
    for (at, (column, name)) in channels.enumerate() {
        let Column::Categories(texts) = column else {
            categories.push(Vec::new());
            continue;
        };
        let (to, sorted) = sorted(&texts.names).map_err(|(place, found)| {
            let row = values[at..].iter().step_by(dim).position(|&v| v == place as f32).unwrap_or_default();
            let expected = "whole numbers, or text in some rows, where categories are asked for (data.categorical)";
            DataError::format(path, format!("line {}, column `{name}`: {found}", lines[row]), expected)
        })?;
        values[at..].iter_mut().step_by(dim).for_each(|v| *v = to[*v as usize]);
        categories.push(sorted);
    }
    let mut data =
        Dataset::new(&path.display().to_string(), Shape::Vector { dim }, Value::Real, Storage::Floats(Arc::new(values)), n);
    if let Some(label) = label {
        let (labels, classes) = classes(&labels);
        data.labels = Some(Arc::new(labels));
        data.report.notes.push(format!("column `{}` holds the labels: {} classes", names[label], classes.len()));
        data.classes = classes;
    }
    data.channels = names.into_iter().enumerate().filter(|(c, _)| Some(*c) != label).map(|(_, n)| n).collect();
    for (name, sorted) in data.channels.iter().zip(&categories).filter(|(_, sorted)| !sorted.is_empty()) {
        data.report.notes.push(format!("column `{name}` holds {} categories", sorted.len()));
    }
    let readings = data.readings();
    data.set_categories(categories, readings);
    Ok(data)
}

/// The categories of a column in order, and for each text the place of its category: numbers if all are (1 and 1.0 are one category),
/// else letters.
///
/// # Errors
/// The first text that is a number but no whole one, where all are numbers.
fn sorted(texts: &[String]) -> Result<(Vec<f32>, Vec<String>), (usize, String)> {
    let numbers: Option<Vec<f64>> = texts.iter().map(|t| number(t)).collect();
    let names: Vec<String> = match numbers {
        None => texts.to_vec(),
        Some(numbers) => {
            if let Some(at) = numbers.iter().position(|v| v.fract() != 0.0 || v.abs() >= EXACT) {
                return Err((at, texts[at].clone()));
            }
            numbers.iter().map(|&v| (v as i64).to_string()).collect()
        }
    };
    let (places, sorted) = classes(&names);
    Ok((places.iter().map(|&p| p as f32).collect(), sorted))
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
