//! Parameters as a flat list: what a network needs, how it is drawn, and the numbers themselves.
//!
//! Each parameter is one rank-1 tensor; a layer reshapes it where it is used, which copies nothing. The order of the list is the
//! order of [`crate::Network::params`] and never changes for a configuration.

use scorefield_kernels::{Padding, Precision, Ready};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{DType, Device, Gradients, Purpose, Tensor, TensorData, rows};
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// How a parameter is drawn before training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// All the same number.
    Constant {
        /// The number.
        value: f64,
    },
    /// Not drawn: a geometric sequence that runs down the columns of a matrix `[r, c]`, number `i` of the `r c` being
    /// `from (to / from)^(i / r c)`, so that `to` would be the next.
    Geometric {
        /// The first number.
        from: f64,
        /// The number after the last.
        to: f64,
    },
    /// Not drawn: a matrix `[r, c]` with a row for each whole number, `sin(i w_k)` and `cos(i w_k)` in turn, `w_k = theta^(-2k / c)`
    /// (Vaswani et al. 2017).
    Waves {
        /// The ratio of the longest to the shortest wave.
        theta: f64,
    },
    /// Independent normals of mean zero.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Independent and uniform in `[-bound, bound]`.
    Uniform {
        /// Largest magnitude.
        bound: f64,
    },
    /// Independent normals about another mean than zero.
    Around {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Rows `[gamma | alpha | beta]` of a table of norms: two thirds normal about one, the last third zero (Song and Ermon 2019).
    Norms {
        /// Standard deviation.
        std: f64,
    },
}

impl Init {
    /// Uniform of variance `scale / ((fan_in + fan_out) / 2)` (Glorot and Bengio 2010); zeros for a scale of zero, where
    /// Ho et al. 2020 use 1e-10, which differs from zero by less than an optimiser's first step.
    pub fn fan_average(fan_in: usize, fan_out: usize, scale: f64) -> Self {
        Self::of_variance(scale / ((fan_in + fan_out).max(1) as f64 / 2.0))
    }

    /// Uniform of variance `scale / fan_in` (He et al. 2015 without the gain of the rectifier); zeros for a scale of zero.
    pub fn fan_in(fan_in: usize, scale: f64) -> Self {
        Self::of_variance(scale / fan_in.max(1) as f64)
    }

    fn of_variance(variance: f64) -> Self {
        if variance == 0.0 { Self::Zeros } else { Self::Uniform { bound: (3.0 * variance).sqrt() } }
    }
}

/// One parameter of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Stable dotted name, for example `down.0.1.conv0.weight`.
    pub name: String,
    /// Shape: convolutions `[out, in, kh, kw]`, linear maps `[out, in]`, the rest `[n]`.
    pub shape: Vec<usize>,
    /// How it is drawn.
    pub init: Init,
    /// False for numbers that are part of the network but never trained (random frequencies).
    pub trainable: bool,
}

impl ParamSpec {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no number at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of parameter `index` before training: a function of the seed and the index.
    pub fn draw(&self, seed: u64, index: usize) -> Vec<f32> {
        let stream = Stream::new(seed, index as u64, Purpose::Init, 0, 0);
        let mut values = vec![0.0f32; self.len()];
        let about = |mean: f64, std: f64, values: &mut [f32]| {
            stream.fill_normal_f32(values);
            values.iter_mut().for_each(|v| *v = (mean + f64::from(*v) * std) as f32);
        };
        match self.init {
            Init::Zeros => {}
            Init::Ones => values.fill(1.0),
            Init::Constant { value } => values.fill(value as f32),
            Init::Geometric { from, to } => {
                let (r, len) = (self.shape[0], values.len());
                let number = |i: usize| (from * (to / from).powf(i as f64 / len as f64)) as f32;
                values.iter_mut().enumerate().for_each(|(at, v)| *v = number(at % (len / r) * r + at / (len / r)));
            }
            Init::Waves { theta } => {
                let width = self.shape.last().copied().unwrap_or(1).max(1);
                for (at, v) in values.iter_mut().enumerate() {
                    let (i, j) = (at / width, at % width);
                    let angle = i as f64 * theta.powf(-((j - j % 2) as f64) / width as f64);
                    *v = if j.is_multiple_of(2) { angle.sin() } else { angle.cos() } as f32;
                }
            }
            Init::Normal { std } => about(0.0, std, &mut values),
            Init::Around { mean, std } => about(mean, std, &mut values),
            Init::Norms { std } => {
                about(1.0, std, &mut values);
                let width = self.shape.last().map_or(0, |c| c / 3).max(1);
                values.chunks_mut(width).skip(2).step_by(3).for_each(|beta| beta.fill(0.0));
            }
            Init::Uniform { bound } => {
                // The middle of one of 2^32 cells, as `Stream::uniform` gives it, four numbers a block.
                let number = |word: u32| (((f64::from(word) + 0.5) / 2_147_483_648.0 - 1.0) * bound) as f32;
                for (b, chunk) in values.chunks_mut(4).enumerate() {
                    chunk.iter_mut().zip(stream.block(b as u32)).for_each(|(v, word)| *v = number(word));
                }
            }
        }
        values
    }
}

/// Why a list of numbers is not the parameters of a network.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ParamsError {
    /// The list is too long or too short.
    #[error("{found} parameters were given, the network has {expected}; the weights belong to another configuration")]
    Count {
        /// How many were given.
        found: usize,
        /// How many the network has.
        expected: usize,
    },
    /// A parameter has another size.
    #[error(
        "parameter {name} holds {found} numbers, the network expects {expected} (shape {shape:?}); the weights belong to another \
         configuration"
    )]
    Length {
        /// Name of the parameter.
        name: String,
        /// Numbers given.
        found: usize,
        /// Numbers expected.
        expected: usize,
        /// Shape expected.
        shape: Vec<usize>,
    },
}

/// The numbers of a network: one flat tensor a parameter, in the order of [`crate::Network::params`].
#[derive(Clone, Debug)]
pub struct Params {
    values: Vec<Tensor<1>>,
    /// What operations keep of parameters that stay as they are, by parameter.
    ready: Option<Vec<Ready>>,
    /// Where layers write down that they were used.
    calls: Option<Calls>,
}

/// A layer with weights as an evaluation used it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name of its weights without the last word.
    pub layer: String,
    /// The shape of its input: `[n, c, h, w]`, or `[n, d]`.
    pub input: Vec<usize>,
    /// The shape of its weights.
    pub weights: Vec<usize>,
    /// Stride and padding of a convolution.
    pub stride: usize,
    /// See `stride`.
    pub pad: Padding,
    /// Whether its product is made of what [`Params::precision`] says; of single precision where it is not.
    pub rounded: bool,
}

/// The calls of evaluations, in order.
pub type Calls = Arc<Mutex<Vec<Call>>>;

impl Params {
    fn of(values: Vec<Tensor<1>>) -> Self {
        Self { values, ready: None, calls: None }
    }

    /// The parameters.
    pub fn values(&self) -> &[Tensor<1>] {
        &self.values
    }

    /// The parameters, to be changed: nothing that was kept of them holds any more.
    pub fn values_mut(&mut self) -> &mut [Tensor<1>] {
        self.ready = None;
        &mut self.values
    }

    /// The same parameters for many evaluations: what operations can work out of weights alone is worked out once, in the first one, at
    /// the cost of the memory (for convolutions of 3 x 3 up to four times the weights in single precision, half of them in bfloat16).
    #[must_use]
    pub fn kept(self, precision: Precision) -> Self {
        let ready = Some(Ready::each(precision, self.values.len()));
        Self { ready, ..self }
    }

    /// The same parameters, and the list that the layers of evaluations with them are written to.
    #[must_use]
    pub fn watched(self) -> (Self, Calls) {
        let calls = Calls::default();
        (Self { calls: Some(calls.clone()), ..self }, calls)
    }

    /// Writes a call down, if anybody wants to know.
    pub(crate) fn note(&self, call: impl FnOnce() -> Call) {
        if let Some(calls) = &self.calls {
            calls.lock().unwrap_or_else(PoisonError::into_inner).push(call());
        }
    }

    /// What products with these parameters are made of.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.ready.as_ref().and_then(|ready| ready.first()).map_or_else(Precision::default, Ready::precision)
    }

    /// What is kept of a parameter.
    pub(crate) fn ready(&self, index: usize) -> Option<Ready> {
        self.ready.as_ref().map(|ready| ready[index].clone())
    }

    /// Draws every parameter by its rule: the same numbers for the same seed, whatever the device.
    pub fn init(specs: &[ParamSpec], seed: u64, device: &Device) -> Self {
        let values = specs.iter().enumerate().map(|(i, spec)| flat(spec.draw(seed, i), device)).collect();
        Self::of(values)
    }

    /// Parameters from numbers on the host.
    ///
    /// # Errors
    /// When the list does not fit the network.
    pub fn from_host(specs: &[ParamSpec], values: Vec<Vec<f32>>, device: &Device) -> Result<Self, ParamsError> {
        if values.len() != specs.len() {
            return Err(ParamsError::Count { found: values.len(), expected: specs.len() });
        }
        let fit = |(spec, v): (&ParamSpec, Vec<f32>)| {
            if v.len() != spec.len() {
                let (name, shape) = (spec.name.clone(), spec.shape.clone());
                return Err(ParamsError::Length { name, found: v.len(), expected: spec.len(), shape });
            }
            Ok(flat(v, device))
        };
        Ok(Self::of(specs.iter().zip(values).map(fit).collect::<Result<_, _>>()?))
    }

    /// The numbers on the host, in single precision.
    pub fn to_host(&self) -> Vec<Vec<f32>> {
        self.values.iter().map(|v| rows(v.clone().inner())).collect()
    }

    /// The same numbers as leaves of a new derivative graph on `device`; the parameters that are not trainable stay constants.
    /// After `loss.backward()` ask [`Params::grads`] of the same leaves.
    ///
    /// # Panics
    /// When `specs` is not the list these parameters were made from.
    #[track_caller]
    pub fn tracked(&self, specs: &[ParamSpec], device: &Device) -> Self {
        assert_eq!(specs.len(), self.values.len(), "parameters and their descriptions");
        let device = device.clone().autodiff();
        let leaf = |(v, spec): (&Tensor<1>, &ParamSpec)| {
            let leaf = v.clone().inner().to_device(&device.clone().inner()).autodiff();
            if spec.trainable { leaf.require_grad() } else { leaf }
        };
        Self::of(self.values.iter().zip(specs).map(leaf).collect())
    }

    /// The same numbers as constants of a derivative graph on `device`: for derivatives with respect to the input alone.
    #[must_use]
    pub fn constants(&self, device: &Device) -> Self {
        let device = device.clone().inner();
        let values = self.values.iter().map(|v| v.clone().inner().to_device(&device).autodiff()).collect();
        Self { values, ready: self.ready.clone(), calls: None }
    }

    /// The gradients of tracked parameters, taken out of `gradients`; none for constants and for what the loss did not use.
    pub fn grads(&self, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
        self.values.iter().map(|v| v.grad_remove(gradients)).collect()
    }

    /// The same numbers in another element type.
    #[must_use]
    pub fn cast(&self, dtype: DType) -> Self {
        Self::of(self.values.iter().map(|v| v.clone().cast(dtype)).collect())
    }

    /// The same numbers without a derivative graph.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { values: self.values.iter().map(|v| v.clone().inner()).collect(), ready: self.ready.clone(), calls: None }
    }

    /// The element type of the parameters (single precision for a network without any).
    pub fn dtype(&self) -> DType {
        self.values.first().map_or(DType::F32, Tensor::dtype)
    }

    /// How many parameters there are (tensors, not numbers).
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn flat(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), (device, DType::F32))
}
