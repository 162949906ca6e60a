//! What each example is given with: some of its own columns, rows of another array, or a poorer picture of itself.
//!
//! A model that is trained with a condition learns the law of the rest given it. A smaller picture enlarged again makes training one of
//! super-resolution (Saharia et al. 2022, SR3), a grey one training of colourising (Saharia et al. 2022, Palette).

use crate::dataset::Storage;
use crate::{DataError, Dataset, OpenOptions, Shape, open};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Where the condition of each example comes from: `columns:NAME,...`, `file:PATH`, `low:K` or `grey`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ConditionSource {
    /// These columns of a table or array are given, and the others modelled.
    Columns(Vec<String>),
    /// Another set of as many rows: row `i` is given with example `i`.
    File(PathBuf),
    /// The means over squares of `K` by `K` pixels, enlarged again: a picture of the same size.
    Low(usize),
    /// The luma of red, green and blue (Rec. ITU-R BT.601, section 2.5.1), a picture of one channel.
    Grey,
}

impl fmt::Display for ConditionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns(names) => write!(f, "columns:{}", names.join(",")),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Low(side) => write!(f, "low:{side}"),
            Self::Grey => f.write_str("grey"),
        }
    }
}

impl FromStr for ConditionSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("condition {text:?}: expected columns:NAME,..., file:PATH, low:K with K from 2, or grey");
        match text.split_once(':') {
            None if text == "grey" => Ok(Self::Grey),
            Some(("columns", names)) if !names.is_empty() => {
                Ok(Self::Columns(names.split(',').map(|n| n.trim().to_owned()).collect()))
            }
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("low", side)) => side.parse().ok().filter(|&k| k > 1).map(Self::Low).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for ConditionSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ConditionSource> for String {
    fn from(source: ConditionSource) -> Self {
        source.to_string()
    }
}

/// How a row is made of another set's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Derived {
    /// These numbers of it.
    Columns(Vec<usize>),
    /// Means over squares of this side, in all their pixels.
    Low(usize),
    /// Every pixel this many times in both directions.
    Enlarged(usize),
    /// Luma.
    Grey,
}

/// Weights of red, green and blue in the luma.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

impl Derived {
    /// The row made of `row`, which has `shape`.
    pub(crate) fn apply(&self, shape: Shape, row: &[f32], out: &mut [f32]) {
        let (height, width) = match shape {
            Shape::Image { height, width, .. } => (height, width),
            Shape::Vector { dim } => (1, dim),
        };
        match self {
            Self::Columns(places) => out.iter_mut().zip(places).for_each(|(o, &place)| *o = row[place]),
            Self::Low(side) => {
                for (plane, out) in row.chunks(height * width).zip(out.chunks_mut(height * width)) {
                    for (y, x) in (0..height).step_by(*side).flat_map(|y| (0..width).step_by(*side).map(move |x| (y, x))) {
                        let square = || (y..y + side).flat_map(|y| (x..x + side).map(move |x| y * width + x));
                        let mean = square().map(|i| plane[i]).sum::<f32>() / (side * side) as f32;
                        square().for_each(|i| out[i] = mean);
                    }
                }
            }
            Self::Enlarged(side) => {
                let wide = width * side;
                for (plane, out) in row.chunks(height * width).zip(out.chunks_mut(height * width * side * side)) {
                    out.iter_mut().enumerate().for_each(|(i, o)| *o = plane[i / wide / side * width + i % wide / side]);
                }
            }
            Self::Grey => {
                let plane = height * width;
                let luma = |i: usize| LUMA.iter().enumerate().map(|(c, w)| w * row[c * plane + i]).sum();
                out.iter_mut().enumerate().for_each(|(i, o)| *o = luma(i));
            }
        }
    }
}

/// A set whose rows are made of another's.
fn derived(base: &Dataset, how: Derived, shape: Shape, channels: Vec<String>) -> Dataset {
    Dataset {
        shape,
        channels,
        storage: Storage::Derived(Arc::new(base.clone()), how),
        readings: Arc::default(),
        categories: Arc::default(),
        chosen: None,
        rows: base.len(),
        condition: None,
        ..base.clone()
    }
}

impl ConditionSource {
    /// The examples with what each is given with.
    ///
    /// # Errors
    /// When the data have no such columns, are no pictures of such a size or of colours, or the other set has another number of rows.
    pub(crate) fn attach(&self, data: Dataset) -> Result<Dataset, DataError> {
        let path = Path::new(data.name()).to_owned();
        let shape = data.shape();
        if let Self::Columns(names) = self {
            let places = self.places(&path, &data, names)?;
            let rest: Vec<usize> = (0..shape.len()).filter(|c| !places.contains(c)).collect();
            if rest.is_empty() {
                return Err(DataError::format(
                    &path,
                    format!("no other columns than {}", names.join(", ")),
                    "some to be modelled",
                ));
            }
            let (given, modelled) = (choose(&data, places), choose(&data, rest));
            return Ok(Dataset { condition: Some((self.clone(), Arc::new(given))), ..modelled });
        }
        let given = match self {
            Self::File(file) => {
                let given = open(&file.display().to_string(), &OpenOptions::default())?;
                if given.len() != data.len() {
                    let expected = format!("{}, one for each example of {}", data.len(), data.name());
                    return Err(DataError::format(file, format!("{} rows", given.len()), expected));
                }
                given
            }
            _ => self.of_picture(&path, &data)?,
        };
        self.fits(&path, &data, &given)?;
        Ok(Dataset { condition: Some((self.clone(), Arc::new(given))), ..data })
    }

    /// Pictures stand beside pictures of their size, and categories beside nothing.
    fn fits(&self, path: &Path, data: &Dataset, given: &Dataset) -> Result<(), DataError> {
        let side = |s: Shape| if let Shape::Image { height, width, .. } = s { Some((height, width)) } else { None };
        if (0..given.shape().channels()).any(|c| given.categories(c).is_some()) {
            return Err(DataError::format(path, format!("categories as the condition {self}"), "numbers"));
        }
        match (side(data.shape()), side(given.shape())) {
            (_, None) => Ok(()),
            (a, b) if a == b => Ok(()),
            _ => {
                let found = format!("conditions that are {} for examples that are {}", given.shape(), data.shape());
                Err(DataError::format(path, found, "pictures of the same height and width, or vectors"))
            }
        }
    }

    /// The places of named columns.
    fn places(&self, path: &Path, data: &Dataset, names: &[String]) -> Result<Vec<usize>, DataError> {
        if !matches!(data.shape(), Shape::Vector { .. }) {
            return Err(DataError::format(path, data.shape().to_string(), format!("vectors, whose columns {self} names")));
        }
        let place = |name: &String| {
            let found = data.channels().iter().position(|c| c == name);
            let found = found.filter(|&c| data.categories(c).is_none());
            found.ok_or_else(|| {
                DataError::format(
                    path,
                    format!("no column {name:?} of numbers among {}", data.channels().join(", ")),
                    self.to_string(),
                )
            })
        };
        let places: Vec<usize> = names.iter().map(place).collect::<Result<_, _>>()?;
        match (1..places.len()).find(|&i| places[..i].contains(&places[i])) {
            None => Ok(places),
            Some(i) => Err(DataError::format(path, format!("the column {:?} twice in {self}", names[i]), "each once")),
        }
    }

    /// The poorer picture of each example.
    fn of_picture(&self, path: &Path, data: &Dataset) -> Result<Dataset, DataError> {
        let wrong = |expected: String| Err(DataError::format(path, data.shape().to_string(), expected));
        match (self, data.shape()) {
            (Self::Low(side), Shape::Image { height, width, .. }) => {
                if !(height.is_multiple_of(*side) && width.is_multiple_of(*side)) {
                    return wrong(format!("sides that {side} divides, for the condition {self}"));
                }
                Ok(derived(data, Derived::Low(*side), data.shape(), data.channels().to_vec()))
            }
            (Self::Grey, Shape::Image { channels: 3, height, width }) => {
                Ok(derived(data, Derived::Grey, Shape::Image { channels: 1, height, width }, vec!["grey".into()]))
            }
            (Self::Grey, _) => wrong("pictures of red, green and blue, for the condition grey".into()),
            _ => wrong(format!("pictures, for the condition {self}")),
        }
    }

    /// Rows that somebody has, as a model of this source was trained with them: whole pictures are made poorer, small ones enlarged, columns
    /// found by name; what has the shape already is taken as it is. `wanted` is the shape that the model is given.
    ///
    /// # Errors
    /// When the rows are none that could be so.
    pub fn prepare(&self, given: &Dataset, wanted: Shape) -> Result<Dataset, DataError> {
        let (path, shape) = (Path::new(given.name()), given.shape());
        match (self, shape, wanted) {
            (Self::Low(_), _, _) if shape == wanted => return self.of_picture(path, given),
            (Self::Low(side), Shape::Image { channels, height, width }, _)
                if wanted == (Shape::Image { channels, height: height * side, width: width * side }) =>
            {
                return Ok(derived(given, Derived::Enlarged(*side), wanted, given.channels().to_vec()));
            }
            (Self::Grey, Shape::Image { channels: 3, height, width }, _)
                if wanted == (Shape::Image { channels: 1, height, width }) =>
            {
                return self.of_picture(path, given);
            }
            (Self::Columns(names), Shape::Vector { .. }, _) => {
                if let Ok(places) = self.places(path, given, names) {
                    return Ok(choose(given, places));
                }
            }
            _ => {}
        }
        if shape == wanted {
            return Ok(given.clone());
        }
        Err(DataError::format(path, format!("rows that are {shape}"), format!("the condition {self} of the model: {wanted}")))
    }
}

/// Some columns of vectors.
fn choose(data: &Dataset, places: Vec<usize>) -> Dataset {
    let names = places.iter().map(|&c| data.channels()[c].clone()).collect();
    let categories: Vec<Vec<String>> =
        places.iter().map(|&c| data.categories(c).map(<[String]>::to_vec).unwrap_or_default()).collect();
    let some = categories.iter().any(|names| !names.is_empty());
    let dim = places.len();
    let chosen = derived(data, Derived::Columns(places), Shape::Vector { dim }, names);
    Dataset { categories: Arc::new(if some { categories } else { Vec::new() }), ..chosen }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(data: &Dataset) -> Vec<Vec<f32>> {
        let row = |i| {
            let mut row = vec![0.0; data.shape().len()];
            data.row(i, &mut row);
            row
        };
        (0..data.len()).map(row).collect()
    }

    fn given(data: &Dataset, i: usize) -> Vec<f32> {
        let mut row = vec![0.0; data.condition().unwrap().shape().len()];
        data.condition_row(i, &mut row);
        row
    }

    #[test]
    fn texts_are_their_sources() {
        for text in ["columns:a,b", "file:x/y.npy", "low:4", "grey"] {
            assert_eq!(text.parse::<ConditionSource>().unwrap().to_string(), text);
        }
        for text in ["columns:", "low:1", "low:x", "gray", "file:", "low"] {
            assert!(text.parse::<ConditionSource>().unwrap_err().contains("expected"), "{text}");
        }
    }

    /// Columns part a row without loss, also of a subset; means keep the mean and are what they are made of again; luma is its weights.
    #[test]
    fn conditions_are_made_of_examples() {
        let table = Dataset::from_rows("t", Shape::Vector { dim: 3 }, (0..12).map(|v| v as f32).collect(), None);
        let both = "columns:c2,c0".parse::<ConditionSource>().unwrap().attach(table.clone()).unwrap();
        assert_eq!((rows(&both), given(&both, 1)), (vec![vec![1.0], vec![4.0], vec![7.0], vec![10.0]], vec![5.0, 3.0]));
        let part = both.subset(&[3, 1]);
        assert_eq!((rows(&part), given(&part, 0)), (vec![vec![10.0], vec![4.0]], vec![11.0, 9.0]));
        assert_ne!(both.fingerprint(), choose(&table, vec![1]).fingerprint());

        let shape = Shape::Image { channels: 1, height: 2, width: 4 };
        let picture = Dataset::from_rows("p", shape, vec![1.0, 3.0, 0.0, 0.0, 5.0, 7.0, 0.0, 8.0], None);
        let low: ConditionSource = "low:2".parse().unwrap();
        let with = low.attach(picture.clone()).unwrap();
        let expected = vec![4.0, 4.0, 2.0, 2.0, 4.0, 4.0, 2.0, 2.0];
        assert_eq!((given(&with, 0), rows(&with)), (expected.clone(), rows(&picture)));
        let again = Dataset::from_rows("q", shape, expected.clone(), None);
        assert_eq!(rows(&low.prepare(&again, shape).unwrap())[0], expected);
        let small = Dataset::from_rows("s", Shape::Image { channels: 1, height: 1, width: 2 }, vec![4.0, 2.0], None);
        assert_eq!(rows(&low.prepare(&small, shape).unwrap())[0], expected);

        let colours = Shape::Image { channels: 3, height: 1, width: 2 };
        let colour = Dataset::from_rows("c", colours, vec![100.0, 0.0, 0.0, 10.0, 10.0, 0.0], None);
        let grey: ConditionSource = "grey".parse().unwrap();
        let found = given(&grey.attach(colour.clone()).unwrap(), 0);
        assert!((found[0] - 31.04).abs() < 1e-4 && (found[1] - 5.87).abs() < 1e-4, "{found:?}");

        let refused = |source: &str, data: &Dataset| {
            source.parse::<ConditionSource>().unwrap().attach(data.clone()).unwrap_err().to_string()
        };
        assert!(refused("low:3", &picture).contains("low:3") && refused("grey", &picture).contains("red"));
        assert!(refused("columns:c7", &table).contains("c7") && refused("columns:c0,c0", &table).contains("twice"));
        assert!(refused("columns:c0,c1,c2", &table).contains("some to be modelled"));
        assert!(low.prepare(&colour, shape).unwrap_err().to_string().contains("low:2"));
    }
}
