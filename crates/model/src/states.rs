//! The adapter between states with categories and networks: what a network sees of a wide row, and what its output means.
//!
//! A category of two levels is one number, `x_1 - x_0`: bits as -1 and 1; one of `K > 2` levels is `K` numbers, `(K x - 1) / sqrt(K - 1)`,
//! of unit variance where all levels are alike. A masked category is zero throughout. The network answers in the same shape with
//! log-odds `F`, and the model is Bayes' rule on them,
//!
//! `p(x_0 = k | x_t) = softmax_k(F_k + ln q(x_t | x_0 = k))`:
//!
//! what the column itself says of its origin is put in exactly, and the network has to tell only what the others say of it. Next to the
//! data the probabilities are right whatever `F` is (as `c_skip x` is for numbers), and what was never masked stays. Numbers are
//! preconditioned as in models of numbers alone.

use crate::Model;
use scorefield_data::{Codec, Shape};
use scorefield_nn::{Input, Mode};
use scorefield_process::states::{ColumnKind, Group, StatesAt, StatesConfig, StatesDenoiser, StatesError, StatesProcess};
use scorefield_process::{Coeffs, Prediction, ProcessConfig};
use scorefield_tensor::{Batch, DType, Known, Tensor};

/// Wide rows to a network's rows and back.
#[derive(Debug)]
pub struct StatesAdapter {
    process: StatesProcess,
    prediction: Prediction,
    /// Entries of a channel's column in the network's rows.
    shape: Vec<usize>,
    /// Columns of a channel: pixels, or one.
    plane: usize,
}

/// Entries of a column in a network's rows.
fn entries(kind: ColumnKind) -> usize {
    match kind {
        ColumnKind::Number | ColumnKind::Category(2) => 1,
        ColumnKind::Category(levels) => levels,
    }
}

/// What the columns of encoded rows hold.
pub fn kinds(codec: &Codec) -> Vec<ColumnKind> {
    let plane = codec.shape().plane();
    let of = |levels: Option<usize>| levels.map_or(ColumnKind::Number, ColumnKind::Category);
    codec.levels().into_iter().flat_map(|levels| std::iter::repeat_n(of(levels), plane)).collect()
}

impl StatesAdapter {
    /// For data of a codec; `numbers` is the process of those columns that are numbers, if any.
    ///
    /// # Errors
    /// When the process cannot be built for these columns.
    pub fn new(
        codec: &Codec,
        config: &StatesConfig,
        numbers: &ProcessConfig,
        prediction: Prediction,
    ) -> Result<Self, StatesError> {
        let kinds = kinds(codec);
        let of_numbers = if kinds.contains(&ColumnKind::Number) {
            Some(numbers.build().map_err(|e| StatesError::Numbers { found: e.to_string() })?)
        } else {
            None
        };
        let (plane, channels) = (codec.shape().plane(), codec.shape().channels());
        let across: usize = (0..channels).map(|c| entries(kinds[c * plane])).sum();
        let shape = match codec.shape() {
            Shape::Image { height, width, .. } => vec![across, height, width],
            Shape::Vector { .. } => vec![across],
        };
        Ok(Self { process: config.build(kinds, of_numbers)?, prediction, shape, plane })
    }

    /// The process.
    pub fn process(&self) -> &StatesProcess {
        &self.process
    }

    /// The shape of the network's rows.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the network sees of wide rows, `[n, shape]`.
    pub fn input<S: Known>(&self, x_t: &Batch, at: &StatesAt<S>) -> Batch {
        let coeffs = self.coeffs(at);
        let parts = self.process.columns().groups().iter().map(|group| {
            let ColumnKind::Category(levels) = group.kind else {
                let coeffs = coeffs.as_ref().expect("numbers have a process");
                return coeffs.c_in.scale(group.of(x_t));
            };
            let cube = group.cube(x_t).narrow(2, 0, levels);
            let seen = match levels {
                2 => cube.clone().narrow(2, 1, 1) - cube.narrow(2, 0, 1),
                _ => (cube.clone() * levels as f64 - cube.sum_dim(2)) / ((levels - 1) as f64).sqrt(),
            };
            self.to_network(group, seen)
        });
        join(parts.collect())
    }

    /// `E[x_0 | x_t]`, wide, from the network's output.
    pub fn clean<S: Known>(&self, x_t: &Batch, output: &Batch, at: &StatesAt<S>) -> Batch {
        let (coeffs, own) = (self.coeffs(at), self.process.log_likelihood(x_t, at));
        let mut first = 0;
        let parts = self.process.columns().groups().iter().map(|group| {
            let width = group.columns * entries(group.kind);
            let block = output.clone().narrow(1, first, width);
            first += width;
            let ColumnKind::Category(levels) = group.kind else {
                return coeffs.as_ref().expect("numbers have a process").assemble(&group.of(x_t), &block);
            };
            let odds = self.by_column(group, block);
            let odds = match levels {
                2 => Tensor::cat(vec![odds.clone() * -0.5, odds * 0.5], 2),
                _ => odds,
            };
            let z = odds + group.cube(&own).narrow(2, 0, levels);
            let z = z.clone() - z.detach().max_dim(2);
            let each = z.exp();
            let p = each.clone() / each.sum_dim(2);
            let [n, m, _] = p.dims();
            let masks = group.states - levels;
            let p = if masks == 0 { p } else { Tensor::cat(vec![p.clone(), p.narrow(2, 0, 1) * 0.0], 2) };
            p.reshape([n, m * group.states])
        });
        join(parts.collect())
    }

    /// The squared error of the network's output on the numbers, `((x_0 - D) / c_out)^2` summed, `[n, 1]`: zero without numbers.
    pub fn numbers_error<S: Known>(&self, x0: &Batch, clean: &Batch, at: &StatesAt<S>) -> Batch {
        let none = x0.clone().narrow(1, 0, 1) * 0.0;
        let Some(coeffs) = self.coeffs(at) else { return none };
        let numbers = self.process.columns().groups().iter().filter(|g| !g.is_category());
        numbers.fold(none, |sum, group| {
            let error = coeffs.c_out.recip().scale(group.of(x0) - group.of(clean));
            sum + (error.clone() * error).sum_dim(1)
        })
    }

    fn coeffs<S: Known>(&self, at: &StatesAt<S>) -> Option<Coeffs<S>> {
        at.numbers.as_ref().map(|m| self.prediction.coeffs(m))
    }

    /// `[n, columns, e]` to the block of a network's rows: for pictures channels outside, pixels inside.
    fn to_network(&self, group: &Group, seen: Tensor<3>) -> Batch {
        let [n, m, e] = seen.dims();
        seen.reshape([n, group.columns / self.plane, self.plane, e]).swap_dims(2, 3).reshape([n, m * e])
    }

    fn by_column(&self, group: &Group, block: Batch) -> Tensor<3> {
        let (n, e) = (block.dims()[0], entries(group.kind));
        block.reshape([n, group.columns / self.plane, e, self.plane]).swap_dims(2, 3).reshape([n, group.columns, e])
    }
}

fn join(mut parts: Vec<Batch>) -> Batch {
    if parts.len() == 1 { parts.remove(0) } else { Batch::cat(parts, 1) }
}

/// A model as a denoiser of states for one batch: unconditional, or with a class for each row.
#[derive(Debug)]
pub struct StatesModel<'a> {
    model: &'a Model,
    adapter: &'a StatesAdapter,
    classes: Option<Vec<Option<u32>>>,
}

impl<'a> StatesModel<'a> {
    pub(crate) fn new(model: &'a Model, adapter: &'a StatesAdapter, classes: Option<Vec<Option<u32>>>) -> Self {
        Self { model, adapter, classes }
    }

    fn clean<S: Known>(&self, x: &Batch, at: &StatesAt<S>, times: &[f64]) -> Batch {
        // The network works in single precision whatever the states are in.
        let seen = self.adapter.input(x, at).cast(DType::F32);
        let told = |&t: &f64| self.model.meta().told(t).expect("checked when the model was made");
        let input =
            Input { time: times.iter().map(told).collect(), classes: self.classes.clone(), augment: None, condition: None };
        let output = self.model.network().forward(self.model.weights(), seen, &input, &Mode::Eval);
        self.adapter.clean(x, &output.cast(x.dtype()), at)
    }
}

impl StatesDenoiser for StatesModel<'_> {
    fn process(&self) -> &StatesProcess {
        self.adapter.process()
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.clean(x, &self.process().at(t), &vec![t; x.dims()[0]])
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        self.clean(x, &self.process().at_each(times), times)
    }
}
