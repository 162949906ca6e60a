//! Arrays of numbers, whatever file they come from, as data sets: one rule for shapes, one for labels.
//!
//! The first axis counts examples. `[n, d]` are vectors, `[n, h, w]` grey pictures, and of `[n, a, b, c]` the last axis holds the
//! channels if it is at most 4 and the second is not (`[n, h, w, c]`, as image libraries have it), otherwise the second does
//! (`[n, c, h, w]`, as states have it). Unsigned bytes stay bytes; everything else is read as real numbers.

use crate::dataset::Storage;
use crate::{DataError, Dataset, Shape, Value};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// More numbers than this are taken for a damaged header.
pub(crate) const LARGEST: u64 = 1 << 33;

/// Numbers as a file held them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
    /// Whole numbers wider than a byte: exact, so that they can be labels.
    Whole(Vec<i64>),
}

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(v) => v.len(),
            Self::Floats(v) => v.len(),
            Self::Whole(v) => v.len(),
        }
    }
}

/// An array in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub dims: Vec<usize>,
    pub numbers: Numbers,
}

/// Takes the examples of `numbers` as `[h, w, c]` and returns them as `[c, h, w]`.
pub(crate) fn channels_first<T: Copy>(numbers: &[T], channels: usize, d: usize) -> Vec<T> {
    let planes = |p: &[T]| -> Vec<T> { (0..channels).flat_map(|k| p.iter().skip(k).step_by(channels).copied()).collect() };
    numbers.chunks(d).flat_map(planes).collect()
}

/// The shape of an example, and whether its channels come last.
fn shape_of(path: &Path, dims: &[usize]) -> Result<(Shape, bool), DataError> {
    let (shape, last) = match *dims {
        [_, dim] => (Shape::Vector { dim }, false),
        [_, height, width] => (Shape::Image { channels: 1, height, width }, false),
        [_, height, width, channels] if channels <= 4 && height > 4 => (Shape::Image { channels, height, width }, true),
        [_, channels, height, width] => (Shape::Image { channels, height, width }, false),
        _ => {
            let expected = "[n, d] (vectors), [n, h, w] (grey pictures), [n, c, h, w] or [n, h, w, c]: reshape it, \
                            for one series or a list of numbers to [n, 1]";
            return Err(DataError::format(path, format!("an array of shape {dims:?}"), expected));
        }
    };
    if dims.contains(&0) {
        return Err(DataError::format(path, format!("an array of shape {dims:?}, which is empty"), "at least one example"));
    }
    Ok((shape, last))
}

/// The first number that is none, as an error.
pub(crate) fn all_finite(path: &Path, values: &[f32], d: usize) -> Result<(), DataError> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(at) => Err(DataError::NotFinite { path: path.into(), row: at / d, column: at % d, found: values[at] }),
    }
}

/// An array of examples as a data set without labels.
pub(crate) fn dataset(path: &Path, array: Array) -> Result<Dataset, DataError> {
    let Array { dims, numbers } = array;
    let (shape, last) = shape_of(path, &dims)?;
    let (c, d) = (shape.channels(), shape.len());
    let rows = dims[0];
    if numbers.len() != rows * d {
        let found = format!("{} numbers for shape {dims:?}", numbers.len());
        return Err(DataError::format(path, found, format!("{}", rows * d)));
    }
    let mut notes = Vec::new();
    if last && c > 1 {
        notes.push(format!("shape {dims:?} was read as [n, height, width, channels]: the last axis has at most 4"));
    } else if dims.len() == 4 {
        notes.push(format!("shape {dims:?} was read as [n, channels, height, width]"));
    }
    let (value, storage) = match numbers {
        Numbers::Bytes(v) => {
            let v = if last { channels_first(&v, c, d) } else { v };
            (Value::Byte, Storage::Bytes(Arc::new(v)))
        }
        numbers => {
            let v: Vec<f32> = match numbers {
                Numbers::Floats(v) => v,
                Numbers::Whole(v) => {
                    let rounded = v.iter().filter(|v| v.unsigned_abs() > 1 << 24).count();
                    if rounded > 0 {
                        notes.push(format!("{rounded} whole numbers beyond 2^24 were rounded to 24 bits"));
                    }
                    v.into_iter().map(|v| v as f32).collect()
                }
                Numbers::Bytes(_) => Vec::new(),
            };
            all_finite(path, &v, d)?;
            let v = if last { channels_first(&v, c, d) } else { v };
            (Value::Real, Storage::Floats(Arc::new(v)))
        }
    };
    let mut data = Dataset::new(&path.display().to_string(), shape, value, storage, rows);
    data.report.notes = notes;
    Ok(data)
}

/// Gives `data` the labels of an array of `n` whole numbers; a class is named by its number.
pub(crate) fn label(path: &Path, data: &mut Dataset, array: Array) -> Result<(), DataError> {
    let whole: Option<Vec<i64>> = match &array.numbers {
        Numbers::Bytes(v) => Some(v.iter().map(|&v| i64::from(v)).collect()),
        Numbers::Whole(v) => Some(v.clone()),
        Numbers::Floats(v) => v.iter().map(|v| (v.fract() == 0.0 && v.abs() < 1e9).then_some(*v as i64)).collect(),
    };
    let n = data.rows;
    let list = array.dims.iter().product::<usize>() == n && array.dims.first() == Some(&n);
    let (Some(whole), true) = (whole, list) else {
        let found = format!("labels of shape {:?}{}", array.dims, if list { " that are not whole numbers" } else { "" });
        return Err(DataError::format(path, found, format!("[{n}], one whole number an example")));
    };
    let distinct: Vec<i64> = whole.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    data.labels = Some(Arc::new(whole.iter().map(|v| distinct.partition_point(|d| d < v) as u32).collect()));
    data.classes = distinct.iter().map(i64::to_string).collect();
    Ok(())
}
