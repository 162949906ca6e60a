//! The adapter between rows and a graph: `D(x; t) = c_skip x + c_out F(c_in x, c_noise)`.

use crate::pieces::{filled, pieces};
use crate::ports::{Kind, Numbers, Roles, Scalar, roles};
use crate::runtime::{Network, with_room};
use crate::{OnnxConfig, OnnxError};
use scorefield_process::{Denoiser, Process, ProcessExt};
use scorefield_tensor::{Batch, Coefficient, DType, batch, batch_f64, rows};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A network in an ONNX file as a denoiser. Cloning it and giving it classes share the network.
#[derive(Clone, Debug)]
pub struct OnnxDenoiser {
    file: Arc<File>,
    classes: Chosen,
}

/// An open file.
#[derive(Debug)]
struct File {
    path: PathBuf,
    config: OnnxConfig,
    process: Box<dyn Process>,
    network: Network,
    roles: Roles,
    /// Whether the output has a variance after the state.
    variance: bool,
}

/// The classes of the rows.
#[derive(Clone, Debug)]
enum Chosen {
    All(Option<u32>),
    Each(Vec<Option<u32>>),
}

impl OnnxDenoiser {
    /// Opens a file and evaluates its network once, on two rows or three where their number is free, so that what cannot be sampled is an
    /// error here. Networks with classes begin with none.
    ///
    /// # Errors
    /// [`OnnxError::NotBuilt`] without the feature `runtime`; a file that cannot be read, is broken, or has an operator that the runtime
    /// lacks; a configuration that cannot be; inputs that do not fit it or are not told apart; an output that is no state.
    pub fn open(path: impl AsRef<Path>, config: OnnxConfig) -> Result<Self, OnnxError> {
        let path = path.as_ref();
        with_room(|| File::open(path, config))
            .map_err(OnnxError::io(path))?
            .map(|file| Self { file: Arc::new(file), classes: Chosen::All(None) })
    }

    /// The same network with one class for all rows, or none.
    ///
    /// # Errors
    /// When there is no such class, or the network has none.
    pub fn with_class(&self, class: Option<u32>) -> Result<Self, OnnxError> {
        self.file.number_of(class)?;
        Ok(Self { file: self.file.clone(), classes: Chosen::All(class) })
    }

    /// The same network for one batch, with a class, or none, for each row.
    ///
    /// # Errors
    /// When there is no such class, or the network has none.
    pub fn with_classes(&self, classes: Vec<Option<u32>>) -> Result<Self, OnnxError> {
        classes.iter().try_for_each(|&class| self.file.number_of(class).map(drop))?;
        Ok(Self { file: self.file.clone(), classes: Chosen::Each(classes) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// What was said of the network.
    pub fn config(&self) -> &OnnxConfig {
        &self.file.config
    }

    /// Whether the network gives twice the channels of a state; the second half, a variance, is cut off.
    pub fn learned_variance(&self) -> bool {
        self.file.variance
    }

    /// The rows of an evaluation, where the network or the configuration fixes them.
    pub fn evaluated_rows(&self) -> Option<usize> {
        self.file.roles.rows
    }

    /// The network's own output `F(input, c_noise(t))` with a time for every row, without a variance; `input` is already scaled by `c_in`.
    ///
    /// # Panics
    /// When times or classes are given for another number of rows, when rows are no states, when the network needs a class and has none,
    /// and when it fails on a batch although it did not on opening.
    #[track_caller]
    pub fn output_each(&self, input: Batch, times: &[f64]) -> Batch {
        let [n, d] = input.dims();
        let file = &*self.file;
        assert_eq!(d, file.config.dim(), "{d} numbers a row for states of shape {:?}", file.config.shape);
        assert_eq!(times.len(), n, "{} times for {n} rows", times.len());
        let classes = match &self.classes {
            _ if file.roles.class.is_none() => Vec::new(),
            Chosen::All(class) => vec![*class; n],
            Chosen::Each(classes) => classes.clone(),
        };
        let number = |class: &Option<u32>| file.number_of(*class).unwrap_or_else(|e| panic!("{e}"));
        let classes: Vec<f64> = classes.iter().map(number).collect();
        assert!(file.roles.class.is_none() || classes.len() == n, "{} classes for {n} rows", classes.len());
        if n == 0 {
            return input;
        }

        let (device, dtype) = (input.device(), input.dtype());
        let input = if file.config.centred { input * 2.0 - 1.0 } else { input };
        let told: Vec<f64> = times.iter().map(|&t| file.config.time_input.at(&*file.process, t)).collect();
        let output = file.evaluate(&rows(input), &told, &classes).unwrap_or_else(|e| panic!("{e}"));
        if dtype == DType::F64 {
            return batch_f64(output.into_iter().map(f64::from).collect(), n, &device);
        }
        batch(output, n, &device).cast(dtype)
    }
}

impl Denoiser for OnnxDenoiser {
    fn process(&self) -> &dyn Process {
        &*self.file.process
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let coeffs = self.file.config.coeffs(&self.file.process.at(t));
        let output = self.output_each(coeffs.c_in.scale(x.clone()), &vec![t; x.dims()[0]]);
        coeffs.assemble(x, &output)
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        assert_eq!(times.len(), x.dims()[0], "{} times for {} rows", times.len(), x.dims()[0]);
        if times.is_empty() {
            return x.clone();
        }
        let coeffs = self.file.config.coeffs(&self.file.process.at_each(times));
        let output = self.output_each(coeffs.c_in.scale(x.clone()), times);
        coeffs.assemble(x, &output)
    }
}

impl File {
    fn open(path: &Path, config: OnnxConfig) -> Result<Self, OnnxError> {
        let network = Network::open(path, config.threads)?;
        let process = config.check(path)?;
        let roles = roles(path, &config, network.inputs(), network.outputs())?;
        let mut file = Self { path: path.to_owned(), config, process, network, roles, variance: false };

        // One evaluation in the middle of the span, on states that are not nothing. Their number is none of a state's own lengths: rows
        // taken for channels must not fit by chance.
        let shape = &file.config.shape;
        let fits = |n: &usize| shape.contains(n) || *n == 2 * shape[0];
        let n = file.roles.rows.or_else(|| (2..).find(|n| !fits(n))).unwrap_or(2);
        let state: Vec<f32> = (0..n * file.config.dim()).map(|i| (i as f32 * 0.7).sin()).collect();
        let told = file.config.time_input.at(&*file.process, file.process.span().at(0.5));
        let class = file.config.classes.map_or(0, |c| c.none.unwrap_or(0));
        let (shape, output) = file.once(&state, &vec![told; n], &vec![f64::from(class); n], n)?;
        file.variance = shape[1] == 2 * file.config.shape[0];
        if let Some(at) = output.iter().position(|v| !v.is_finite()) {
            return Err(file.fails(
                n,
                format!("number {at} of its output is {}", output[at]),
                "finite numbers: its weights may be damaged",
            ));
        }
        Ok(file)
    }

    fn fails(&self, rows: usize, found: impl Into<String>, expected: impl Into<String>) -> OnnxError {
        OnnxError::Run { path: self.path.clone(), rows, found: found.into(), expected: expected.into() }
    }

    /// The number that the network knows a class by.
    fn number_of(&self, class: Option<u32>) -> Result<f64, OnnxError> {
        let wrong = |expected: String| {
            let found = class.map_or("none".to_owned(), |c| c.to_string());
            OnnxError::Class { path: self.path.clone(), found, expected }
        };
        match (self.config.classes, class) {
            (None, None) => Ok(0.0),
            (None, Some(_)) => Err(wrong("none: the network takes no class, as it was described (classes)".into())),
            (Some(known), Some(class)) if class < known.count => Ok(class.into()),
            (Some(known), Some(_)) => Err(wrong(format!("a number below {}", known.count))),
            (Some(known), None) => known
                .none
                .map(f64::from)
                .ok_or_else(|| wrong(format!("a number below {}: no number stands for none (classes.none)", known.count))),
        }
    }

    /// The states of the outputs, row by row, in as many evaluations as the network needs.
    fn evaluate(&self, states: &[f32], told: &[f64], classes: &[f64]) -> Result<Vec<f32>, OnnxError> {
        let (n, d) = (told.len(), self.config.dim());
        let shared = |scalar: Option<Scalar>| scalar.is_some_and(|s| s.shared);
        let (one_time, one_class) = (shared(self.roles.time), shared(self.roles.class));
        let breaks = |i: usize| one_time && told[i] != told[i - 1] || one_class && classes[i] != classes[i - 1];
        let mut found = Vec::with_capacity(n * d);
        for piece in pieces(n, self.roles.rows.unwrap_or(usize::MAX), breaks) {
            let rows = self.roles.rows.unwrap_or(piece.len());
            let classes = if classes.is_empty() { Vec::new() } else { filled(classes, &piece, 1, rows) };
            let (shape, output) = self.once(&filled(states, &piece, d, rows), &filled(told, &piece, 1, rows), &classes, rows)?;
            // The state comes first in a row, a variance after it.
            let width = shape[1..].iter().product();
            output.chunks(width).take(piece.len()).for_each(|row| found.extend_from_slice(&row[..d]));
        }
        Ok(found)
    }

    /// One evaluation: the output's shape, which is that of states or has twice the channels, and its numbers.
    fn once(&self, states: &[f32], told: &[f64], classes: &[f64], rows: usize) -> Result<(Vec<usize>, Vec<f32>), OnnxError> {
        let state: Vec<usize> = std::iter::once(rows).chain(self.config.shape.iter().copied()).collect();
        let mut inputs = vec![(self.roles.sample, state.clone(), Numbers::Float(states.to_vec()))];
        for (scalar, values) in [(self.roles.time, told), (self.roles.class, classes)] {
            if let Some(scalar) = scalar {
                let values = if scalar.shared { &values[..1] } else { values };
                let numbers = match scalar.kind {
                    Kind::Float => Numbers::Float(values.iter().map(|&v| v as f32).collect()),
                    _ => Numbers::Whole(values.iter().map(|v| v.round() as i32).collect()),
                };
                inputs.push((scalar.at, scalar.shape(rows), numbers));
            }
        }
        let remedy =
            "an output for every row: if it was exported for fewer rows, say how many (rows), or export it with a free batch";
        let (shape, output) =
            self.network.run(inputs, (self.roles.output, state.len())).map_err(|found| self.fails(rows, found, remedy))?;
        let mut doubled = state.clone();
        doubled[1] *= 2;
        if shape != state && shape != doubled {
            let expected = format!("{state:?}, or {doubled:?} with a variance; {remedy}");
            return Err(self.fails(rows, format!("its output has the shape {shape:?}"), expected));
        }
        Ok((shape, output))
    }
}
