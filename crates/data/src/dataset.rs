//! A data set: rows in natural units, in memory or mapped from a cache file.

use crate::condition::{ConditionSource, Derived};
use crate::reading::Reading;
use crate::{Shape, Value};
use memmap2::Mmap;
use scorefield_tensor::noise::philox;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What happened while data were read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Files or rows found.
    pub found: usize,
    /// Those that are used.
    pub used: usize,
    /// Those that are not, and why.
    pub skipped: Vec<(String, String)>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// Where the numbers are.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    Bytes(Arc<Vec<u8>>),
    Floats(Arc<Vec<f32>>),
    Mapped {
        map: Arc<Mmap>,
        start: usize,
    },
    /// Rows made of another set's, one of each.
    Derived(Arc<Dataset>, Derived),
}

/// Examples of one shape, with or without labels.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) value: Value,
    pub(crate) bounds: Option<(f64, f64)>,
    pub(crate) storage: Storage,
    pub(crate) labels: Option<Arc<Vec<u32>>>,
    pub(crate) classes: Vec<String>,
    pub(crate) channels: Vec<String>,
    /// Names of the categories of each channel, an empty list for numbers; empty itself if all are numbers.
    pub(crate) categories: Arc<Vec<Vec<String>>>,
    /// How the stored numbers of each channel are read; empty if all are read as they are.
    pub(crate) readings: Arc<Vec<Reading>>,
    pub(crate) report: LoadReport,
    /// Which rows of the storage are in the set; all in order if none.
    pub(crate) chosen: Option<Arc<Vec<u32>>>,
    pub(crate) rows: usize,
    /// What each row of the storage is given with, and what that was made of.
    pub(crate) condition: Option<(ConditionSource, Arc<Dataset>)>,
}

impl Dataset {
    /// A data set of rows in memory: `values` holds one example after the other, `labels` a class for each with the classes' names.
    /// Values count as bytes if all are whole numbers from 0 to 255 and the shape is a picture.
    ///
    /// # Panics
    /// When `values` is no whole number of examples, is empty, or labels do not fit.
    #[track_caller]
    pub fn from_rows(name: &str, shape: Shape, values: Vec<f32>, labels: Option<(Vec<u32>, Vec<String>)>) -> Self {
        let d = shape.len();
        assert!(d > 0 && !values.is_empty() && values.len().is_multiple_of(d), "{} numbers make no {shape}", values.len());
        let rows = values.len() / d;
        let is_byte = |v: &f32| v.fract() == 0.0 && (0.0..=255.0).contains(v);
        let bytes = matches!(shape, Shape::Image { .. }) && values.iter().all(is_byte);
        let storage = if bytes {
            Storage::Bytes(Arc::new(values.iter().map(|&v| v as u8).collect()))
        } else {
            Storage::Floats(Arc::new(values))
        };
        let value = if bytes { Value::Byte } else { Value::Real };
        let mut set = Self::new(name, shape, value, storage, rows);
        if let Some((labels, classes)) = labels {
            assert!(labels.len() == rows && labels.iter().all(|&l| (l as usize) < classes.len()), "labels do not fit");
            set.labels = Some(Arc::new(labels));
            set.classes = classes;
        }
        set
    }

    pub(crate) fn new(name: &str, shape: Shape, value: Value, storage: Storage, rows: usize) -> Self {
        let channels = shape.channel_names();
        Self {
            name: name.to_owned(),
            shape,
            value,
            bounds: (value == Value::Byte).then_some((0.0, 255.0)),
            storage,
            labels: None,
            classes: Vec::new(),
            channels,
            categories: Arc::default(),
            readings: Arc::default(),
            report: LoadReport { found: rows, used: rows, ..LoadReport::default() },
            chosen: None,
            rows,
            condition: None,
        }
    }

    /// How many examples.
    #[allow(clippy::len_without_is_empty, reason = "a data set has at least one example")]
    pub fn len(&self) -> usize {
        self.chosen.as_ref().map_or(self.rows, |c| c.len())
    }

    /// The shape of each.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What the numbers are; of channels that are not all numbers nor all categories, what those of numbers hold.
    pub fn value(&self) -> Value {
        self.value
    }

    /// Between which natural values lie, where they have bounds.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        self.bounds
    }

    /// The name it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of the classes, sorted; none for data without labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Names of the channels.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// The names of the categories of channel `c`, which its natural values count from 0; none if they are numbers.
    pub fn categories(&self, c: usize) -> Option<&[String]> {
        self.categories.get(c).filter(|names| !names.is_empty()).map(Vec::as_slice)
    }

    /// What happened while it was read.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    fn index(&self, i: usize) -> usize {
        self.chosen.as_ref().map_or(i, |c| c[i] as usize)
    }

    /// Example `i` in natural units.
    ///
    /// # Panics
    /// When there is no such example, or `out` is not as long as one.
    #[track_caller]
    pub fn row(&self, i: usize, out: &mut [f32]) {
        let d = self.shape.len();
        assert_eq!(out.len(), d, "room for {} numbers, an example has {d}", out.len());
        let at = self.index(i) * d;
        let widen = |out: &mut [f32], bytes: &[u8]| out.iter_mut().zip(bytes).for_each(|(o, &b)| *o = f32::from(b));
        match &self.storage {
            Storage::Bytes(bytes) => widen(out, &bytes[at..at + d]),
            Storage::Mapped { map, start } => widen(out, &map[start + at..start + at + d]),
            Storage::Floats(values) => out.copy_from_slice(&values[at..at + d]),
            Storage::Derived(base, how) => {
                let mut row = vec![0.0; base.shape.len()];
                base.row(self.index(i), &mut row);
                how.apply(base.shape, &row, out);
            }
        }
        let plane = self.shape.plane();
        self.readings.iter().zip(out.chunks_mut(plane)).for_each(|(reading, numbers)| reading.apply(numbers));
    }

    /// What examples are given with, one row for each row that this set was made of; none for most sets.
    pub fn condition(&self) -> Option<&Self> {
        self.condition.as_ref().map(|(_, rows)| &**rows)
    }

    /// What that was made of.
    pub fn condition_source(&self) -> Option<&ConditionSource> {
        self.condition.as_ref().map(|(source, _)| source)
    }

    /// What example `i` is given with, in natural units.
    ///
    /// # Panics
    /// When there is no such example, it is given with nothing, or `out` is not as long as that.
    #[track_caller]
    pub fn condition_row(&self, i: usize, out: &mut [f32]) {
        self.condition().expect("examples that are given with something").row(self.index(i), out);
    }

    /// The class of example `i`.
    pub fn label(&self, i: usize) -> Option<u32> {
        self.labels.as_ref().map(|l| l[self.index(i)])
    }

    /// The examples with these places, in this order; no number is copied.
    ///
    /// # Panics
    /// When there is none, or one does not exist.
    #[track_caller]
    pub fn subset(&self, places: &[usize]) -> Self {
        assert!(!places.is_empty(), "a subset of nothing");
        let chosen = places
            .iter()
            .map(|&i| {
                assert!(i < self.len(), "example {i} of {}", self.len());
                self.index(i) as u32
            })
            .collect();
        Self { chosen: Some(Arc::new(chosen)), ..self.clone() }
    }

    /// A fingerprint of shape, labels, every number and the names of categories: 128 bits in hexadecimal. Two sets with the same fingerprint are the same.
    pub fn fingerprint(&self) -> String {
        let mut state = [self.len() as u32, self.shape.len() as u32, self.classes.len() as u32, 0];
        // Sets of numbers alone have the fingerprint that they had before there were categories.
        for name in self.categories.iter().flat_map(|names| names.iter().map(String::as_str).chain(["\n"])) {
            let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3));
            state = philox(state, [hash as u32, (hash >> 32) as u32]);
        }
        let mut row = vec![0.0f32; self.shape.len()];
        for i in 0..self.len() {
            self.row(i, &mut row);
            let mut hash = 0xCBF2_9CE4_8422_2325u64 ^ u64::from(self.label(i).unwrap_or(u32::MAX));
            for v in &row {
                hash = (hash ^ u64::from(v.to_bits())).wrapping_mul(0x0000_0100_0000_01B3);
                hash ^= hash >> 29;
            }
            state[3] ^= i as u32;
            state = philox(state, [hash as u32, (hash >> 32) as u32]);
        }
        if let Some(condition) = self.condition() {
            let mut row = vec![0.0f32; condition.shape.len()];
            for i in 0..self.len() {
                self.condition_row(i, &mut row);
                let hash = row.iter().fold(0xCBF2_9CE4_8422_2325u64, |h, v| {
                    (h ^ u64::from(v.to_bits())).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(29)
                });
                state = philox(state, [hash as u32, (hash >> 32) as u32]);
            }
        }
        state.iter().map(|w| format!("{w:08x}")).collect()
    }
}
