//! The stored inputs and outputs of a checkpoint, and what ours are compared with.

use scorefield_archive::Array;
use scorefield_model::import::{Checkpoint, Given};
use scorefield_model::{Model, Weights};
use scorefield_nn::{Input, Mode};
use scorefield_tensor::{Batch, DType, Tensor, TensorData, batch, rows, rows_f64};
use scorefield_testkit::reference;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A checkpoint's folder.
pub(crate) struct Fixture {
    pub(crate) folder: PathBuf,
    io: BTreeMap<String, Array>,
}

impl Fixture {
    pub(crate) fn new(name: &str) -> Self {
        Self::in_folder(reference().join("fixtures/checkpoints").join(name))
    }

    /// One of the small ones that every clone has.
    pub(crate) fn committed(name: &str) -> Self {
        Self::in_folder(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name))
    }

    fn in_folder(folder: PathBuf) -> Self {
        let io = scorefield_archive::open(&folder.join("io.safetensors")).unwrap().arrays().unwrap();
        Self { folder, io }
    }

    /// The checkpoint in a file of the folder, or in the folder itself.
    pub(crate) fn open(&self, file: &str, given: &[&str]) -> Checkpoint {
        Checkpoint::open(&self.folder.join(file), Given::parse(given).unwrap()).unwrap_or_else(|e| panic!("{e}"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.io.contains_key(name)
    }

    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        self.io.get(name).unwrap_or_else(|| panic!("{name} is not in {:?}", self.io.keys())).f64().unwrap()
    }

    pub(crate) fn rows_of(&self, name: &str) -> usize {
        self.io[name].shape()[0]
    }

    /// An array as a batch of rows.
    pub(crate) fn batch(&self, name: &str) -> Batch {
        let values = self.values(name).into_iter().map(|v| v as f32).collect();
        batch(values, self.rows_of(name), &Default::default())
    }

    /// Integers as classes.
    pub(crate) fn classes(&self, name: &str) -> Option<Vec<Option<u32>>> {
        self.has(name).then(|| self.values(name).iter().map(|c| Some(*c as u32)).collect())
    }

    /// Rows of one-hot numbers as classes; a row of zeros is none.
    pub(crate) fn one_hot(&self, name: &str) -> Option<Vec<Option<u32>>> {
        self.has(name).then(|| {
            let width = self.io[name].shape()[1];
            let place = |row: &[f64]| row.iter().position(|v| *v == 1.0).map(|i| i as u32);
            self.values(name).chunks(width).map(place).collect()
        })
    }
}

/// The network's output in an element type, for rows already scaled: what [`Model::output_each`] gives in single precision and without
/// numbers of an augmentation.
pub(crate) fn output_in(
    dtype: DType,
    m: &Model,
    x: &[f64],
    times: &[f64],
    classes: Option<Vec<Option<u32>>>,
    augment: Option<Vec<[f32; 9]>>,
) -> Vec<f64> {
    let centre = |v: &f64| if m.meta().input.centred { 2.0 * v - 1.0 } else { *v };
    let x: Vec<f64> = x.iter().map(centre).collect();
    let width = x.len() / times.len();
    let x = Tensor::from_data(TensorData::new(x, [times.len(), width]), (&Default::default(), dtype));
    let time = times.iter().map(|t| m.meta().time_input.at(m.process(), *t)).collect();
    let input = Input { time, classes, augment, condition: None };
    rows_f64(m.network().forward(&m.weights().cast(dtype), x, &input, &Mode::Eval))
}

/// The largest difference as a share of the largest number, of numbers in double precision.
#[track_caller]
pub(crate) fn compare_f64(what: &str, ours: &[f64], stored: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), stored.len(), "{what}");
    let error = ours.iter().zip(stored).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest(stored);
    assert!(error < tolerance, "{what}: {error:.1e}");
}

pub(crate) fn model(checkpoint: &Checkpoint, which: Weights) -> Model {
    checkpoint.model(which, &Default::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// The largest difference as a share of the largest number.
#[track_caller]
pub(crate) fn compare(what: &str, ours: Batch, stored: &[f64], tolerance: f64) {
    compare_to(what, ours, stored, 0.0, tolerance);
}

/// The same as a share of `size`, where that is larger.
#[track_caller]
pub(crate) fn compare_to(what: &str, ours: Batch, stored: &[f64], size: f64, tolerance: f64) {
    let ours = rows(ours);
    assert_eq!(ours.len(), stored.len(), "{what}");
    let differences = ours.iter().zip(stored).map(|(a, b)| (f64::from(*a) - b).abs());
    let error = differences.fold(0.0, f64::max) / largest(stored).max(size);
    assert!(error < tolerance, "{what}: {error:.1e}");
}

pub(crate) fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}
