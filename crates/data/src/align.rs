//! Other data for a codec: do they have its categories, and in which order do they count them?

use crate::reading::Reading;
use crate::{Codec, DataError, Dataset};
use std::path::Path;

impl Codec {
    /// Whether `data` can be encoded: see [`Codec::align`].
    ///
    /// # Errors
    /// As [`Codec::align`].
    pub fn check(&self, data: &Dataset) -> Result<(), DataError> {
        self.align(data).map(drop)
    }

    /// The same data with their categories counted as this codec counts them, so that [`Codec::encode_row`] is right for them. Nothing is
    /// copied. Whole numbers count as the categories of these names where all names are whole numbers (so bits that were saved as numbers
    /// are bits again).
    ///
    /// # Errors
    /// When the shapes differ, a row has a category or number that the codec does not know, a channel of text categories holds numbers, or
    /// a channel of numbers holds categories.
    pub fn align(&self, data: &Dataset) -> Result<Dataset, DataError> {
        let path = Path::new(data.name());
        if data.shape() != self.shape() {
            return Err(DataError::format(path, data.shape().to_string(), format!("{} as the model has", self.shape())));
        }
        let (mut names, mut readings) = (data.category_names(), data.readings());
        let mut changed = false;
        // For each channel, what the data's numbers become; of channels that any row may break.
        let mut doubtful: Vec<(usize, Known)> = Vec::new();
        for c in 0..self.shape().channels() {
            match (self.categories(c), data.categories(c)) {
                (None, None) => continue,
                (Some(mine), Some(theirs)) if mine == theirs => continue,
                (None, Some(theirs)) => {
                    let found = format!("{} holds categories ({})", data.column(c * data.shape().plane()), listed(theirs));
                    return Err(DataError::format(path, found, "numbers, which the model has in this channel"));
                }
                (Some(mine), Some(theirs)) => {
                    let place = |name: &String| mine.iter().position(|m| m == name).map_or(f32::NAN, |k| k as f32);
                    let to: Vec<f32> = theirs.iter().map(place).collect();
                    readings[c] = readings[c].then(&to);
                    if to.iter().any(|k| k.is_nan()) {
                        doubtful.push((c, Known::Names(to)));
                    }
                }
                (Some(mine), None) => {
                    let whole: Option<Vec<i32>> = mine.iter().map(|m| m.parse().ok()).collect();
                    // Categories of this program are sorted; a list from elsewhere need not be.
                    let Some(whole) = whole.filter(|w| w.is_sorted_by(|a, b| a < b)) else {
                        let found = format!("{} holds numbers", data.column(c * data.shape().plane()));
                        let expected = format!("the categories {}: a column of text, or data.categorical", listed(mine));
                        return Err(DataError::format(path, found, expected));
                    };
                    let values: Vec<f32> = whole.iter().map(|&v| v as f32).collect();
                    readings[c] = Reading::places(&values);
                    doubtful.push((c, Known::Numbers(values)));
                }
            }
            names[c] = self.categories(c).unwrap_or_default().to_vec();
            changed = true;
        }
        self.every_row_known(path, data, &doubtful)?;
        let mut aligned = data.clone();
        if changed {
            aligned.set_categories(names, readings);
        }
        Ok(aligned)
    }

    /// Looks through all rows for what is not known.
    fn every_row_known(&self, path: &Path, data: &Dataset, doubtful: &[(usize, Known)]) -> Result<(), DataError> {
        let plane = data.shape().plane();
        let mut row = vec![0.0; data.shape().len()];
        for i in if doubtful.is_empty() { 0..0 } else { 0..data.len() } {
            data.row(i, &mut row);
            for (c, known) in doubtful {
                let Some(j) = row[c * plane..(c + 1) * plane].iter().position(|&v| !known.has(v)) else { continue };
                let v = row[c * plane + j];
                let found = data.categories(*c).map_or_else(|| v.to_string(), |names| names[v as usize].clone());
                let known = listed(self.categories(*c).unwrap_or_default());
                return Err(DataError::Unseen { path: path.into(), row: i, column: data.column(c * plane + j), found, known });
            }
        }
        Ok(())
    }
}

/// What of a channel's values is known.
enum Known {
    /// For each category of the data its number, NaN where there is none.
    Names(Vec<f32>),
    /// These numbers, sorted.
    Numbers(Vec<f32>),
}

impl Known {
    fn has(&self, v: f32) -> bool {
        match self {
            Self::Names(to) => !to[v as usize].is_nan(),
            Self::Numbers(values) => values.binary_search_by(|k| k.total_cmp(&(v + 0.0))).is_ok(),
        }
    }
}

/// The first of these names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let some: Vec<_> = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    some.join(", ") + &more
}
