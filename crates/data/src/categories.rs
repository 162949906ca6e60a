//! Numbers as categories: whole numbers named by themselves, and pictures cut into bits.
//!
//! A category is its place in the sorted list of a channel's distinct values, from 0. Text columns of tables become categories where
//! the table is read (`table.rs`).

use crate::reading::Reading;
use crate::{DataError, Dataset, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A channel with more distinct values than this holds no categories but numbers or texts.
pub(crate) const MOST: usize = 1 << 16;
/// From here on neighbouring whole numbers are one `f32`.
pub(crate) const EXACT: f64 = 16_777_216.0;

/// Which channels of whole numbers are categories: `"none"`, `"all"` or a list of the channels' names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Said", into = "Said")]
pub enum Categorical {
    /// None: numbers are numbers.
    #[default]
    None,
    /// All of them, each channel with the values that it has.
    All,
    /// Those with these names.
    Names(Vec<String>),
}

impl Categorical {
    /// Whether the channel of this name is asked for.
    pub(crate) fn has(&self, channel: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Names(names) => names.iter().any(|n| n == channel),
        }
    }

    /// A name in the list that is no channel, as an error.
    pub(crate) fn known(&self, path: &Path, channels: &[String]) -> Result<(), DataError> {
        let Self::Names(names) = self else { return Ok(()) };
        match names.iter().find(|n| !channels.contains(n)) {
            None => Ok(()),
            Some(wrong) => {
                let some: Vec<_> = channels.iter().take(20).map(|c| format!("`{c}`")).collect();
                let more = if channels.len() > 20 { ", ..." } else { "" };
                let found = format!("no column `{wrong}`, which data.categorical names");
                Err(DataError::format(path, found, format!("none, all, or names out of {}{more}", some.join(", "))))
            }
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Said {
    Word(String),
    List(Vec<String>),
}

impl TryFrom<Said> for Categorical {
    type Error = String;

    fn try_from(said: Said) -> Result<Self, String> {
        match said {
            Said::List(names) => Ok(Self::Names(names)),
            Said::Word(word) if word == "none" => Ok(Self::None),
            Said::Word(word) if word == "all" => Ok(Self::All),
            Said::Word(word) => Err(format!("categorical is \"{word}\"; expected none, all or a list of columns [\"{word}\"]")),
        }
    }
}

impl From<Categorical> for Said {
    fn from(categorical: Categorical) -> Self {
        match categorical {
            Categorical::None => Self::Word("none".into()),
            Categorical::All => Self::Word("all".into()),
            Categorical::Names(names) => Self::List(names),
        }
    }
}

/// Distinct whole numbers; those of a byte, of which pictures have millions, cost no search.
#[derive(Clone)]
struct Seen {
    bytes: [bool; 256],
    large: BTreeSet<i32>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { bytes: [false; 256], large: BTreeSet::new() }
    }
}

impl Seen {
    fn add(&mut self, v: i32) {
        match u8::try_from(v) {
            Ok(byte) => self.bytes[usize::from(byte)] = true,
            Err(_) => drop(self.large.insert(v)),
        }
    }

    fn sorted(mut self) -> Vec<i32> {
        self.large.extend((0..256).filter(|&v| self.bytes[v as usize]));
        self.large.into_iter().collect()
    }
}

/// Makes categories of the channels asked for; those that are categories already stay as they are.
pub(crate) fn whole_numbers(path: &Path, mut data: Dataset, asked: &Categorical) -> Result<Dataset, DataError> {
    asked.known(path, &data.channels)?;
    let wanted: Vec<bool> =
        (0..data.channels.len()).map(|c| asked.has(&data.channels[c]) && data.categories(c).is_none()).collect();
    if !wanted.contains(&true) {
        return Ok(data);
    }
    let plane = data.shape.plane();
    let mut seen = vec![Seen::default(); wanted.len()];
    let mut row = vec![0.0; data.shape.len()];
    for i in 0..data.len() {
        data.row(i, &mut row);
        for (c, seen) in seen.iter_mut().enumerate().filter(|(c, _)| wanted[*c]) {
            for (j, &v) in row[c * plane..(c + 1) * plane].iter().enumerate() {
                let wrong = |expected: &str| {
                    let found = format!("row {i}, {}: {v}", data.column(c * plane + j));
                    DataError::format(path, found, format!("{expected} (data.categorical)"))
                };
                if v.fract() != 0.0 || f64::from(v.abs()) >= EXACT {
                    return Err(wrong("whole numbers below 2^24 where categories are asked for"));
                }
                seen.add(v as i32);
                if seen.large.len() > MOST {
                    return Err(wrong(&format!("at most {MOST} different categories a column: leave it a column of numbers")));
                }
            }
        }
    }
    let mut categories = data.category_names();
    let mut readings = data.readings();
    for (c, seen) in seen.into_iter().enumerate().filter(|(c, _)| wanted[*c]) {
        let distinct = seen.sorted();
        categories[c] = distinct.iter().map(i32::to_string).collect();
        readings[c] = Reading::places(&distinct.iter().map(|&v| v as f32).collect::<Vec<_>>());
    }
    data.set_categories(categories, readings);
    Ok(data)
}

/// Cuts every number at a fraction of the range into the bits 0 and 1. The range is that of the kind of numbers where it has one (0 to
/// 255 for bytes), else from the smallest number of the set to the largest.
pub(crate) fn binarise(path: &Path, mut data: Dataset, fraction: f64) -> Result<Dataset, DataError> {
    let wrong = |found: String, expected: &str| Err(DataError::format(path, found, expected.to_owned()));
    if !(fraction > 0.0 && fraction <= 1.0) {
        return wrong(format!("data.binarise={fraction}"), "a fraction of the range above 0, at most 1");
    }
    if !data.categories.is_empty() {
        return wrong("categories, where data.binarise cuts numbers".into(), "numbers: leave data.binarise out");
    }
    let mut row = vec![0.0; data.shape.len()];
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for i in 0..data.len() {
        data.row(i, &mut row);
        row.iter().for_each(|&v| (low, high) = (low.min(v), high.max(v)));
    }
    let (from, to) = data.bounds.unwrap_or((f64::from(low), f64::from(high)));
    let at = (from + fraction * (to - from)) as f32;
    if high < at || low >= at {
        let found = format!("numbers from {low} to {high}, all on one side of {at}: data.binarise={fraction} of {from} to {to}");
        return wrong(
            found,
            "numbers on both sides: another fraction, or data.categorical=\"all\" where they are 0 and 1 already",
        );
    }
    data.report.notes.push(format!("numbers from {at} on are 1, those below 0: data.binarise={fraction} of {from} to {to}"));
    let channels = data.shape.channels();
    data.set_categories(vec![bits(); channels], vec![Reading::Cut { at, values: [0.0, 1.0] }; channels]);
    Ok(data)
}

/// The names of the two values of a bit.
pub(crate) fn bits() -> Vec<String> {
    vec!["0".into(), "1".into()]
}

impl Dataset {
    /// Gives channels categories: for each channel the names of its categories, which its numbers count from 0, or an empty list where
    /// its numbers are numbers.
    ///
    /// # Panics
    /// When the lists are not one a channel, a name occurs twice in one, or a number counts no category.
    #[track_caller]
    #[must_use]
    pub fn with_categories(mut self, categories: Vec<Vec<String>>) -> Self {
        let plane = self.shape.plane();
        assert_eq!(categories.len(), self.shape.channels(), "lists of categories for {}", self.shape);
        assert!(categories.iter().all(|names| distinct(names)), "a category twice: {categories:?}");
        let mut row = vec![0.0; self.shape.len()];
        for i in 0..self.len() {
            self.row(i, &mut row);
            for (j, &v) in row.iter().enumerate() {
                let n = categories[j / plane].len();
                assert!(n == 0 || (v.fract() == 0.0 && v >= 0.0 && v < n as f32), "row {i} has {v} for {n} categories");
            }
        }
        let readings = self.readings();
        self.set_categories(categories, readings);
        self
    }

    /// The names of all channels, an empty list for numbers.
    pub(crate) fn category_names(&self) -> Vec<Vec<String>> {
        (0..self.shape.channels()).map(|c| self.categories(c).unwrap_or_default().to_vec()).collect()
    }

    /// How all channels are read.
    pub(crate) fn readings(&self) -> Vec<Reading> {
        if self.readings.is_empty() { vec![Reading::AsIs; self.shape.channels()] } else { self.readings.to_vec() }
    }

    /// Sets names and readings, one a channel, and what follows from them.
    pub(crate) fn set_categories(&mut self, categories: Vec<Vec<String>>, readings: Vec<Reading>) {
        self.readings = Arc::new(if readings.iter().all(|r| *r == Reading::AsIs) { Vec::new() } else { readings });
        if categories.iter().all(|names| !names.is_empty()) {
            (self.value, self.bounds) = (Value::Category, None);
        }
        self.categories = Arc::new(if categories.iter().all(Vec::is_empty) { Vec::new() } else { categories });
    }

    /// What number `i` of an example is called in messages: its channel, and in pictures its place.
    pub(crate) fn column(&self, i: usize) -> String {
        let name = &self.channels[i / self.shape.plane()];
        match self.shape {
            crate::Shape::Vector { .. } => format!("column `{name}`"),
            crate::Shape::Image { width, .. } => {
                let at = i % self.shape.plane();
                format!("{name} of the pixel in line {}, column {}", at / width, at % width)
            }
        }
    }
}

/// Whether no name occurs twice.
pub(crate) fn distinct(names: &[String]) -> bool {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}
