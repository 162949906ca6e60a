//! What an ONNX file does not say: the meaning of its network.
//!
//! `F` is known by its graph; `D = c_skip x + c_out F(c_in x, c_noise)` needs the process, the prediction and the time input besides.

use crate::OnnxError;
use scorefield_process::{Coeffs, Marginal, Prediction, Process, ProcessConfig, ProcessExt, TimeInput};
use scorefield_tensor::Coefficient;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a network in an ONNX file means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxConfig {
    /// The process it was trained under.
    pub process: ProcessConfig,
    /// What its output means.
    pub prediction: Prediction,
    /// What it is told of the time. An input of whole numbers is told the nearest one; with [`TimeInput::Untold`] the network need
    /// have no such input.
    pub time_input: TimeInput,
    /// The shape of a state without the batch: `[c, h, w]` or `[d]`.
    pub shape: Vec<usize>,
    /// It sees `x` itself: `c_in = 1`.
    #[serde(default)]
    pub unscaled: bool,
    /// It sees `2 x - 1` of what it would see otherwise.
    #[serde(default)]
    pub centred: bool,
    /// Its classes, if it takes any.
    #[serde(default)]
    pub classes: Option<Classes>,
    /// How many rows an evaluation has, the last one of a batch filled up: for networks that were exported for a number of rows without
    /// saying so, to bound memory, or to have bits that do not depend on the batch. A network of a fixed batch needs no mention; others
    /// take all rows at once.
    #[serde(default)]
    pub rows: Option<usize>,
    /// How many threads evaluate the network; the machine's physical cores unless given.
    #[serde(default)]
    pub threads: Option<usize>,
    /// The names of inputs and output, where types and shapes leave a doubt.
    #[serde(default)]
    pub names: Names,
}

/// The classes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    /// How many there are, without the one that stands for none.
    pub count: u32,
    /// The number that stands for no class, in networks trained for guidance: often `count`.
    #[serde(default)]
    pub none: Option<u32>,
}

/// The names of a graph's inputs and output; those left out are recognised by type and shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// The noised state.
    pub sample: Option<String>,
    /// The time.
    pub time: Option<String>,
    /// The class.
    pub class: Option<String>,
    /// The output.
    pub output: Option<String>,
}

/// No state has more numbers: a larger shape is an error of writing.
const LARGEST: usize = 1 << 30;

impl OnnxConfig {
    /// A network without classes that sees `c_in x`, its inputs to be recognised.
    pub fn new(process: ProcessConfig, prediction: Prediction, time_input: TimeInput, shape: &[usize]) -> Self {
        let shape = shape.to_vec();
        let (classes, rows, threads, names) = (None, None, None, Names::default());
        Self { process, prediction, time_input, shape, unscaled: false, centred: false, classes, rows, threads, names }
    }

    /// Numbers of a state.
    pub fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    /// The coefficients of `D = c_skip x + c_out F(c_in x, c_noise)` at a marginal.
    pub(crate) fn coeffs<S: Coefficient>(&self, at: &Marginal<S>) -> Coeffs<S> {
        let mut coeffs = self.prediction.coeffs(at);
        if self.unscaled {
            coeffs.c_in = coeffs.c_in.constant(1.0);
        }
        coeffs
    }

    /// The process, if everything that sampling multiplies by is a number at both ends of its span and between.
    pub(crate) fn check(&self, path: &Path) -> Result<Box<dyn Process>, OnnxError> {
        let wrong =
            |found: String, expected: &str| Err(OnnxError::Config { path: path.to_owned(), found, expected: expected.into() });
        let numbers = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if ![1, 3].contains(&self.shape.len()) || !numbers.is_some_and(|n| (1..=LARGEST).contains(&n)) {
            return wrong(format!("states of shape {:?}", self.shape), "[d] or [channels, height, width]");
        }
        for (name, value) in [("rows", self.rows), ("threads", self.threads)] {
            if value == Some(0) {
                return wrong(format!("{name} = 0"), "one at least, or to leave it out");
            }
        }
        if self.classes.is_some_and(|c| c.count == 0) {
            return wrong("0 classes".into(), "one at least, or to leave them out");
        }
        let process = match self.process.build() {
            Ok(process) => process,
            Err(e) => return wrong(e.to_string(), "a process that can be built"),
        };
        for u in [0.0, 0.5, 1.0] {
            let t = process.span().at(u);
            let (c, told) = (self.coeffs(&process.at(t)), self.time_input.at(&*process, t));
            if ![c.c_skip, c.c_out, c.c_in, told].iter().all(|v| v.is_finite()) {
                let (prediction, input) = (self.prediction, self.time_input);
                return wrong(
                    format!("prediction {prediction:?} with {input:?} at time {t} is {c:?}, {told}"),
                    "a prediction and a time input that are defined on the whole span of the process",
                );
            }
        }
        Ok(Box::new(process))
    }
}
