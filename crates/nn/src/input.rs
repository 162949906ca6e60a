//! What a network is told besides its rows.

use scorefield_tensor::Streams;

/// One entry for each row of the batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// The number that stands for the time, `c_noise`, one a row.
    pub time: Vec<f64>,
    /// The class of each row; none for a row without one (the "null" class: nothing is added to its embedding).
    pub classes: Option<Vec<Option<u32>>>,
    /// The nine numbers that tell how a row was augmented (Karras et al. 2022, appendix F.2); none is nine zeros.
    pub augment: Option<Vec<[f32; 9]>>,
    /// The numbers of the condition of each row, one row after the other: a vector, or a picture channel by channel. Networks that take one
    /// always need it, and others never have it.
    pub condition: Option<Vec<f32>>,
}

impl Input {
    /// Times only.
    pub fn at(time: Vec<f64>) -> Self {
        Self { time, classes: None, augment: None, condition: None }
    }

    /// Times and a class for each row.
    pub fn of_classes(time: Vec<f64>, classes: Vec<Option<u32>>) -> Self {
        Self { time, classes: Some(classes), augment: None, condition: None }
    }

    /// Panics unless there is one entry a row and every class exists.
    #[track_caller]
    pub(crate) fn check(&self, rows: usize, classes: usize, augment: bool, condition: usize) {
        let given = self.condition.as_ref().map_or(0, Vec::len);
        assert_eq!(given, rows * condition, "{given} numbers as conditions of {rows} rows, of {condition} each");
        assert_eq!(self.time.len(), rows, "{} times for {rows} rows", self.time.len());
        if let Some(labels) = &self.classes {
            assert_eq!(labels.len(), rows, "{} classes for {rows} rows", labels.len());
            for label in labels.iter().flatten() {
                assert!((*label as usize) < classes, "class {label} of a network with {classes} classes");
            }
        }
        if let Some(numbers) = &self.augment {
            assert_eq!(numbers.len(), rows, "{} augmentations for {rows} rows", numbers.len());
            let told = numbers.iter().flatten().any(|&v| v != 0.0);
            assert!(augment || !told, "augmentation numbers for a network that takes none");
        }
    }
}

/// Whether a pass drops units.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Evaluation: the network is a plain function.
    Eval,
    /// Training: dropout masks are drawn from these streams, one stream a row and one draw a layer, so that a mask is a function of
    /// (seed, sample, step, layer) and not of the batch.
    Train {
        /// Streams of [`scorefield_tensor::Purpose::Dropout`] at the step at hand, one a row.
        noise: Streams,
    },
}
