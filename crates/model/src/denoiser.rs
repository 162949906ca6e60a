//! The adapter between rows and networks: `D(x; t) = c_skip x + c_out F(c_in x, c_noise)`.

use crate::Model;
use scorefield_nn::{Input, Mode, Params};
use scorefield_process::{Coeffs, Denoiser, Differentiable, Process, ProcessExt, StepVariance};
use scorefield_tensor::{Batch, Coefficient};

/// A model as a denoiser for one batch: unconditional, or with a class for each row.
#[derive(Debug)]
pub struct ModelDenoiser<'a> {
    model: &'a Model,
    told: Told,
}

/// What a network is told of the rows of a batch besides their times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// A class for each, or none.
    pub(crate) classes: Option<Vec<Option<u32>>>,
    /// The encoded condition of each, one after the other.
    pub(crate) condition: Option<Vec<f32>>,
}

impl<'a> ModelDenoiser<'a> {
    pub(crate) fn new(model: &'a Model, told: Told) -> Self {
        Self { model, told }
    }

    /// The network's output, its input already scaled.
    #[track_caller]
    fn output(&self, input: Batch, times: &[f64]) -> Batch {
        self.model.forward(self.model.weights(), input, times, &self.told)
    }
}

impl Denoiser for ModelDenoiser<'_> {
    fn process(&self) -> &dyn Process {
        self.model.process()
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.denoise_with_variance(x, t).0
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        let coeffs = self.model.meta().coeffs(&self.model.process().at_each(times));
        let output = self.output(coeffs.c_in.scale(x.clone()), times);
        coeffs.assemble(x, &output.narrow(1, 0, x.dims()[1]))
    }

    #[track_caller]
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let (meta, d) = (self.model.meta(), x.dims()[1]);
        let coeffs = meta.coeffs(&self.model.process().at(t));
        let output = self.output(coeffs.c_in.scale(x.clone()), &vec![t; x.dims()[0]]);
        let variance = meta.variance.map(|v| v.of(output.clone().narrow(1, d, d)));
        (coeffs.assemble(x, &output.narrow(1, 0, d)), variance)
    }
}

impl ModelDenoiser<'_> {
    /// `D = c_skip x + c_out F(c_in x)`, so `J^T v = c_skip v + c_in J_F^T (c_out v)`: one pass forward and one back in which the
    /// input alone is tracked.
    fn pull<S: Coefficient>(
        &self,
        coeffs: &Coeffs<S>,
        x: &Batch,
        times: &[f64],
        cotangent: &mut dyn FnMut(&Batch) -> Batch,
    ) -> (Batch, Batch) {
        let weights = self.model.weights().constants(&x.device());
        let input = coeffs.c_in.scale(x.clone()).inner().autodiff().require_grad();
        let output = self.model.forward(&weights, input.clone(), times, &self.told).narrow(1, 0, x.dims()[1]);
        let clean = coeffs.assemble(x, &output.clone().inner());
        let v = cotangent(&clean);
        let through = coeffs.c_out.scale(v.clone());
        // The sum of <c_out v, F> has the gradient J_F^T (c_out v).
        let gradients = (output * through.inner().autodiff()).sum().backward();
        let back = input.grad(&gradients).expect("the output depends on the input");
        (clean, coeffs.c_skip.scale(v) + coeffs.c_in.scale(back))
    }
}

impl Differentiable for ModelDenoiser<'_> {
    #[track_caller]
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let coeffs = self.model.meta().coeffs(&self.model.process().at(t));
        self.pull(&coeffs, x, &vec![t; x.dims()[0]], cotangent)
    }

    #[track_caller]
    fn pullback_each(&self, x: &Batch, times: &[f64], cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let coeffs = self.model.meta().coeffs(&self.model.process().at_each(times));
        self.pull(&coeffs, x, times, cotangent)
    }
}

impl Model {
    /// The network's own output `F(input, c_noise(t))` in evaluation mode, a learned variance after the rest; `input` is already scaled
    /// by `c_in`.
    ///
    /// # Panics
    /// When classes are given for another number of rows.
    #[track_caller]
    pub fn output(&self, input: Batch, t: f64, classes: Option<&[Option<u32>]>) -> Batch {
        let n = input.dims()[0];
        self.output_each(input, &vec![t; n], classes)
    }

    /// [`Model::output`] with a time of its own for every row.
    ///
    /// # Panics
    /// When times or classes are given for another number of rows.
    #[track_caller]
    pub fn output_each(&self, input: Batch, times: &[f64], classes: Option<&[Option<u32>]>) -> Batch {
        self.forward(self.weights(), input, times, &Told { classes: classes.map(<[_]>::to_vec), condition: None })
    }

    /// The network's output under the given weights, which may be part of a derivative graph.
    #[track_caller]
    pub(crate) fn forward(&self, weights: &Params, input: Batch, times: &[f64], told: &Told) -> Batch {
        let n = input.dims()[0];
        assert_eq!(times.len(), n, "{} times for {n} rows", times.len());
        if let Some(classes) = &told.classes {
            assert_eq!(classes.len(), n, "{} classes for {n} rows", classes.len());
        }
        let time = times.iter().map(|&t| self.meta().time_input.at(self.process(), t)).collect();
        let input = if self.meta().input.centred { input * 2.0 - 1.0 } else { input };
        let input_of = Input { time, classes: told.classes.clone(), augment: None, condition: told.condition.clone() };
        self.network().forward(weights, input, &input_of, &Mode::Eval)
    }
}
